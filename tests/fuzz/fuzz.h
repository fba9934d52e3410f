/* fuzz.h - what the fuzz targets share
 *
 * A target is one function: it gives any bytes to a parser and aborts where an answer
 * contradicts itself.  "make fuzz" builds each for libFuzzer, under the one name that it
 * calls; the unit tests, which replay the seeds, build all of them into one program.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <apr_general.h>
#include <apr_pools.h>

#ifdef FUZZ_ALL_IN_ONE
#define FUZZ_TARGET(name) static int fuzz_##name(const uint8_t *data, size_t size)
#else
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
#define FUZZ_TARGET(name) int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
#endif

#define REQUIRE(condition)                                                              \
    do {                                                                                \
        if (!(condition)) {                                                             \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);     \
            abort();                                                                    \
        }                                                                               \
    } while (0)

/* A pool for one input; apr is begun with the first. */
static inline apr_pool_t *fuzz_pool(void)
{
    static int begun;
    apr_pool_t *pool;

    REQUIRE(begun || apr_initialize() == APR_SUCCESS);
    begun = 1;
    REQUIRE(apr_pool_create(&pool, NULL) == APR_SUCCESS);
    return pool;
}

/* The input as a string, in memory of exactly its size, so that a read past its end is seen. */
static inline char *fuzz_string(const uint8_t *data, size_t size)
{
    char *s = malloc(size + 1);

    REQUIRE(s != NULL);
    memcpy(s, data, size);
    s[size] = '\0';
    return s;
}

#endif
