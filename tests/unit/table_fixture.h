/* table_fixture.h - a key table in a folder of its own, and keys to put in it; for test_table*.c */
#ifndef TABLE_FIXTURE_H
#define TABLE_FIXTURE_H

#include <check.h>

#include "ak_rate.h"
#include "ak_table.h"

#define SLOTS AK_TABLE_SLOTS_MIN
#define NOW (APR_INT64_C(1760437800) * APR_USEC_PER_SEC) /* 2025-10-14T10:30:00Z */
#define MINUTES(n) apr_time_from_sec(60 * (n))
#define HOURS(n) apr_time_from_sec(3600 * (n))

/* As ck_assert, which writes to a file each time, for what is asked thousands of times. */
#define MUST(condition)                                       \
    do {                                                      \
        if (!(condition))                                     \
            ck_abort_msg("not so: %s", #condition);           \
    } while (0)

extern apr_pool_t *fixture_pool;
extern ak_table_t *fixture_table;
extern char fixture_file[96];

/* A folder, a table of SLOTS in it; the table's clock stands at fixture_clock(NOW). */
void fixture_set_up(void);
void fixture_tear_down(void);

/* Map the fixture's file once more. */
ak_table_t *fixture_open(apr_uint32_t slots);

/* What the table reads when it doubts the time it is told. */
void fixture_clock(ak_table_t *table, apr_time_t now);

/* The digest of key number n: its home is `home`, its tag is its number. */
void fixture_digest(unsigned char *digest, apr_uint64_t n, apr_uint32_t home);
/* The facts of that key: every byte of them derived from n, so that a mixture shows. */
ak_key_t fixture_key(apr_uint64_t n, apr_uint32_t home);
int fixture_is_key(const ak_key_t *key, apr_uint64_t n, apr_uint32_t home);

/* Reserve, and reserve and fill; both fail the test where that fails. */
ak_slot_ref_t fixture_reserve(ak_table_t *table, apr_uint64_t n, apr_uint32_t home, apr_time_t now);
ak_slot_ref_t fixture_put(ak_table_t *table, apr_uint64_t n, apr_uint32_t home, apr_time_t now);
int fixture_finds(ak_table_t *table, apr_uint64_t n, apr_uint32_t home);

/* One unit of both windows as the shm store takes it; the slot is found again when it is gone. */
int fixture_admits(ak_table_t *table, apr_uint64_t n, apr_uint32_t home, const ak_limits_t *limits,
                   apr_time_t now);

#endif
