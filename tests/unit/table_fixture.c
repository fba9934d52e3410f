/* table_fixture.c - a key table in a folder of its own, and keys to put in it */
#include "table_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <apr_strings.h>

#include "ak_table_map.h"

apr_pool_t *fixture_pool;
ak_table_t *fixture_table;
char fixture_file[96];

static char folder[64];
static apr_time_t clock_stands_at;

static apr_time_t standing_clock(void)
{
    return clock_stands_at;
}

void fixture_clock(ak_table_t *table, apr_time_t now)
{
    clock_stands_at = now;
    table->clock = standing_clock;
}

ak_table_t *fixture_open(apr_uint32_t slots)
{
    ak_table_t *table;
    const char *why = NULL;
    apr_status_t rv = ak_table_open(&table, fixture_file, slots, &why, fixture_pool);

    ck_assert_msg(rv == APR_SUCCESS, "%s", why);
    return table;
}

void fixture_set_up(void)
{
    apr_cpystrn(folder, "/tmp/ak-table-XXXXXX", sizeof folder);
    ck_assert_ptr_nonnull(mkdtemp(folder));
    apr_snprintf(fixture_file, sizeof fixture_file, "%s/keys.table", folder);
    apr_pool_create(&fixture_pool, NULL);
    fixture_table = fixture_open(SLOTS);
    fixture_clock(fixture_table, NOW);
}

void fixture_tear_down(void)
{
    apr_pool_destroy(fixture_pool);
    unlink(fixture_file);
    rmdir(folder);
}

void fixture_digest(unsigned char *digest, apr_uint64_t n, apr_uint32_t home)
{
    apr_uint64_t words[DIGEST_WORDS] = {n, home, n ^ 0x5555555555555555ull, ~n};

    memcpy(digest, words, AK_DIGEST_BYTES);
}

ak_key_t fixture_key(apr_uint64_t n, apr_uint32_t home)
{
    ak_key_t key;

    memset(&key, (int)(n % 251), sizeof key);
    fixture_digest(key.digest, n, home);
    apr_snprintf(key.id, sizeof key.id, "k%" APR_UINT64_T_FMT, n);
    key.expires_sec = (apr_int64_t)n;
    key.cidr[AK_CIDR_INLINE - 1].bits = (unsigned char)(n % 129);
    return key;
}

int fixture_is_key(const ak_key_t *key, apr_uint64_t n, apr_uint32_t home)
{
    ak_key_t want = fixture_key(n, home);

    return memcmp(key, &want, sizeof want) == 0;
}

ak_slot_ref_t fixture_reserve(ak_table_t *table, apr_uint64_t n, apr_uint32_t home, apr_time_t now)
{
    unsigned char digest[AK_DIGEST_BYTES];
    ak_slot_ref_t ref;
    apr_uint64_t ticket;

    fixture_digest(digest, n, home);
    MUST(ak_table_reserve(table, digest, now, &ref, &ticket) == APR_SUCCESS);
    return ref;
}

ak_slot_ref_t fixture_put(ak_table_t *table, apr_uint64_t n, apr_uint32_t home, apr_time_t now)
{
    ak_key_t key = fixture_key(n, home);
    ak_slot_ref_t ref;
    apr_uint64_t ticket;

    MUST(ak_table_reserve(table, key.digest, now, &ref, &ticket) == APR_SUCCESS);
    MUST(ak_table_fill(table, &ref, &key, ticket) == APR_SUCCESS);
    return ref;
}

int fixture_finds(ak_table_t *table, apr_uint64_t n, apr_uint32_t home)
{
    unsigned char digest[AK_DIGEST_BYTES];
    ak_slot_ref_t ref;
    ak_key_t key;

    fixture_digest(digest, n, home);
    if (ak_table_find(table, digest, &key, &ref) != AK_TABLE_HIT)
        return 0;
    MUST(fixture_is_key(&key, n, home)); /* found at all means found whole */
    return 1;
}

int fixture_admits(ak_table_t *table, apr_uint64_t n, apr_uint32_t home, const ak_limits_t *limits,
                   apr_time_t now)
{
    unsigned char digest[AK_DIGEST_BYTES];
    ak_rate_t *rate = ak_rate_shm_create(table, fixture_pool);
    ak_rate_result_t result;
    ak_slot_ref_t ref;
    apr_uint64_t ticket;
    int tries;

    fixture_digest(digest, n, home);
    for (tries = 0; tries < 100; tries++)
        if (ak_table_reserve(table, digest, now, &ref, &ticket) == APR_SUCCESS
            && rate->v->take(rate, &ref, "key", limits, now, &result) == APR_SUCCESS)
            return result.admitted;
    return -1;
}
