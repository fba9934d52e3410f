/* test_table_race.c - the key table under many threads and processes at once
 *
 * Run under TSan too.  No test here depends on who wins: each states what must hold
 * in every order of events.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ak_table_map.h"
#include "suites.h"
#include "table_fixture.h"

#define T fixture_table
#define WORKERS 6
#define KEYS 100 /* for one neighbourhood of 64 places */

/* What all workers see, in threads and in processes. */
static struct shared {
    _Atomic int go, stop, wrong;
    _Atomic apr_int64_t now;
    _Atomic unsigned admitted[KEYS + 1];
    _Atomic unsigned admitted_at[4];
    _Atomic apr_uint64_t place[WORKERS];
    _Atomic apr_uint64_t version;
    _Atomic unsigned hits;
} *all;

static ak_rate_t shm;

static apr_time_t shared_clock(void)
{
    return atomic_load(&all->now);
}

static void set_up(void)
{
    fixture_set_up();
    all = mmap(NULL, sizeof *all, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert(all != MAP_FAILED);
    atomic_store(&all->now, NOW);
    T->clock = shared_clock;
    shm = *ak_rate_shm_create(T, fixture_pool);
}

static void tear_down(void)
{
    munmap(all, sizeof *all);
    fixture_tear_down();
}

/* --- workers ------------------------------------------------------------------------------ */

typedef void (*work_t)(unsigned worker);

typedef struct {
    work_t work;
    unsigned worker;
} start_t;

static void *run(void *baton)
{
    start_t *start = baton;

    while (!atomic_load(&all->go)) {
    }
    start->work(start->worker);
    return NULL;
}

static void run_threads(work_t work)
{
    pthread_t thread[WORKERS];
    start_t start[WORKERS];
    unsigned i;

    for (i = 0; i < WORKERS; i++) {
        start[i] = (start_t){work, i};
        ck_assert_int_eq(pthread_create(&thread[i], NULL, run, &start[i]), 0);
    }
    atomic_store(&all->go, 1);
    for (i = 0; i < WORKERS; i++)
        pthread_join(thread[i], NULL);
}

static void run_processes(work_t work)
{
    unsigned i;
    int status;

    for (i = 0; i < WORKERS; i++)
        if (fork() == 0) {
            start_t start = {work, i};
            run(&start);
            _exit(0);
        }
    atomic_store(&all->go, 1);
    for (i = 0; i < WORKERS; i++) {
        ck_assert_int_gt(wait(&status), 0);
        ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
}

/* Each race with threads and with processes. */
static void race(work_t work, int processes)
{
    if (processes)
        run_processes(work);
    else
        run_threads(work);
    ck_assert_int_eq(atomic_load(&all->wrong), 0);
}

static unsigned next(unsigned *seed) /* a Lehmer generator: enough to mix the order */
{
    *seed = (unsigned)((apr_uint64_t)(*seed + 1) * 48271u % 2147483647u);
    return *seed;
}

static apr_status_t reserve(apr_uint64_t n, apr_time_t now, ak_slot_ref_t *ref, apr_uint64_t *ticket)
{
    unsigned char digest[AK_DIGEST_BYTES];

    fixture_digest(digest, n, 0);
    return ak_table_reserve(T, digest, now, ref, ticket);
}

/* One unit of key n as the shm store takes it.  -1: no place could be had. */
static int admits(apr_uint64_t n, const ak_limits_t *limits, apr_time_t now)
{
    ak_rate_result_t result;
    ak_slot_ref_t ref;
    apr_uint64_t ticket;
    int tries;

    for (tries = 0; tries < 100; tries++)
        if (reserve(n, now, &ref, &ticket) == APR_SUCCESS
            && shm.v->take(&shm, &ref, "key", limits, now, &result) == APR_SUCCESS)
            return result.admitted;
    return -1;
}

/* --- counting -------------------------------------------------------------------------------- */

static const ak_limits_t limits_of[4] = {{1000, 1000}, {1000, 300}, {77, 1000}, {0, 1000}};

static void take_often(unsigned worker)
{
    int i, key;

    for (i = 0; i < 600; i++)
        for (key = 0; key < 4; key++)
            if (admits((apr_uint64_t)key + 1, &limits_of[key], NOW) == 1)
                atomic_fetch_add(&all->admitted_at[key], 1);
}

START_TEST(test_exactly_the_limit_is_granted)
{
    ak_slot_ref_t ref;
    apr_uint64_t ticket;

    race(take_often, _i);
    ck_assert_uint_eq(all->admitted_at[0], 1000);
    ck_assert_uint_eq(all->admitted_at[1], 300);
    ck_assert_uint_eq(all->admitted_at[2], 77);
    ck_assert_uint_eq(all->admitted_at[3], 0);
    /* Refused requests are billed to no window. */
    ck_assert_int_eq(reserve(2, NOW, &ref, &ticket), APR_SUCCESS);
    ck_assert_uint_eq(ak_table_count(T, &ref, AK_COUNT_MINUTE, ak_window_index(AK_WINDOW_MINUTE, NOW)), 300);
    ck_assert_int_eq(reserve(3, NOW, &ref, &ticket), APR_SUCCESS);
    ck_assert_uint_eq(ak_table_count(T, &ref, AK_COUNT_HOUR, ak_window_index(AK_WINDOW_HOUR, NOW)), 77);
}
END_TEST

/* The clock runs on in steps of half a minute, sometimes back, while all count: every reading
 * in use is of a window between the first and the last, so no more than that many limits. */
static void take_over_time(unsigned worker)
{
    const ak_limits_t limits = {10, 1000000};
    unsigned seed = worker;
    int i;

    for (i = 0; i < 3000; i++) {
        apr_time_t now = atomic_load(&all->now);
        if (worker == 0 && i % 100 == 99)
            now = atomic_fetch_add(&all->now, next(&seed) % 4 ? apr_time_from_sec(30) : -apr_time_from_sec(30));
        if (admits(1, &limits, now) == 1)
            atomic_fetch_add(&all->admitted[1], 1);
    }
}

START_TEST(test_rolling_windows_never_give_more)
{
    apr_int64_t begun = ak_window_index(AK_WINDOW_MINUTE, NOW), last;

    race(take_over_time, _i);
    /* 30 steps of at most half a minute. */
    last = ak_window_index(AK_WINDOW_MINUTE, NOW + 30 * apr_time_from_sec(30));
    ck_assert_int_le(atomic_load(&all->admitted[1]), 10 * (last - begun + 1));
    ck_assert_int_ge(atomic_load(&all->admitted[1]), 10);
}
END_TEST

/* --- one digest, one place ------------------------------------------------------------------------ */

static void reserve_same(unsigned worker)
{
    ak_slot_ref_t ref;
    apr_uint64_t ticket, n;

    for (n = 1; n <= PROBE; n++) {
        if (reserve(n, NOW, &ref, &ticket) != APR_SUCCESS)
            atomic_fetch_add(&all->wrong, 1);
        else
            atomic_fetch_add(&all->place[worker], (apr_uint64_t)(ref.slot + 1) * n * n);
    }
}

START_TEST(test_one_digest_gets_one_place)
{
    unsigned i;

    race(reserve_same, _i);
    for (i = 1; i < WORKERS; i++)
        ck_assert_uint_eq(all->place[i], all->place[0]);
    ck_assert_uint_eq(ak_table_used(T), PROBE);
}
END_TEST

/* --- eviction ----------------------------------------------------------------------------------------- */

/* More keys than places, none of them counted: each evicts others all the time.  What is
 * found must be whole and of its key. */
static void churn(unsigned worker)
{
    unsigned seed = worker;
    int i;

    for (i = 0; i < 4000; i++) {
        apr_uint64_t n = 1 + next(&seed) % KEYS, ticket;
        ak_key_t key = fixture_key(n, 0), found;
        ak_slot_ref_t ref;

        if (ak_table_find(T, key.digest, &found, &ref) == AK_TABLE_HIT) {
            atomic_fetch_add(&all->hits, 1);
            if (memcmp(&found, &key, sizeof key) != 0)
                atomic_fetch_add(&all->wrong, 1);
            if (i % 3)
                continue;
            ak_table_drop(T, key.digest);
        }
        if (ak_table_reserve(T, key.digest, NOW, &ref, &ticket) == APR_SUCCESS)
            ak_table_fill(T, &ref, &key, ticket);
    }
}

START_TEST(test_no_facts_are_torn_or_mixed)
{
    race(churn, _i);
    ck_assert_uint_gt(all->hits, 0);
}
END_TEST

/* More keys than places, all counted, while hours pass: slots are evicted as they fall idle
 * and their keys come back.  No key may ever have more than its limit of each hour. */
#define HOURS_PASSED 10
#define HOURLY 7

static void count_and_evict(unsigned worker)
{
    const ak_limits_t limits = {1000, HOURLY};
    unsigned seed = worker;
    int i;

    for (i = 0; i < HOURS_PASSED * 400; i++) {
        apr_uint64_t n = 1 + next(&seed) % KEYS;
        apr_time_t now = atomic_load(&all->now);

        if (worker == 0 && i % 400 == 399)
            atomic_fetch_add(&all->now, HOURS(1) + MINUTES(5));
        if (admits(n, &limits, now) == 1)
            atomic_fetch_add(&all->admitted[n], 1);
    }
}

START_TEST(test_eviction_never_resets_a_count)
{
    unsigned n, sum = 0;

    race(count_and_evict, _i);
    for (n = 1; n <= KEYS; n++) {
        ck_assert_uint_le(all->admitted[n], HOURLY * (HOURS_PASSED + 1));
        sum += all->admitted[n];
    }
    ck_assert_uint_ge(sum, PROBE * HOURLY); /* at least the first hour's places were used up */
}
END_TEST

/* --- changes ---------------------------------------------------------------------------------------------- */

/* A key is changed (its version raised) and then dropped; others cache what they read.
 * Whoever looks after the drop must never find a version older than at the drop. */
static void change_or_read(unsigned worker)
{
    ak_key_t key = fixture_key(1, 0), found;
    ak_slot_ref_t ref;
    apr_uint64_t ticket, seen;
    int i;

    for (i = 0; i < 4000; i++) {
        if (worker == 0 && i % 4 == 0) {
            key.expires_sec = (apr_int64_t)atomic_load(&all->version) + 1;
            atomic_store(&all->place[0], (apr_uint64_t)key.expires_sec); /* committed in SQL */
            ak_table_drop(T, key.digest);
            atomic_store(&all->version, (apr_uint64_t)key.expires_sec);  /* and answered */
            continue;
        }
        seen = atomic_load(&all->version);
        if (ak_table_find(T, key.digest, &found, &ref) == AK_TABLE_HIT) {
            atomic_fetch_add(&all->hits, 1);
            if ((apr_uint64_t)found.expires_sec < seen)
                atomic_fetch_add(&all->wrong, 1);
        }
        else if (ak_table_reserve(T, key.digest, NOW, &ref, &ticket) == APR_SUCCESS) {
            key.expires_sec = (apr_int64_t)atomic_load(&all->place[0]);
            ak_table_fill(T, &ref, &key, ticket);
        }
    }
}

START_TEST(test_nothing_older_than_the_drop_is_found)
{
    race(change_or_read, _i);
    ck_assert_uint_gt(all->hits, 0);
}
END_TEST

/* The same for keys that are found unknown and then made. */
static void make_or_miss(unsigned worker)
{
    unsigned char digest[AK_DIGEST_BYTES];
    int i;

    for (i = 0; i < 4000; i++) {
        apr_uint64_t n = 1 + (apr_uint64_t)i / 20, made, mark;

        fixture_digest(digest, n, 0);
        if (worker == 0) {
            if (i % 20 == 10) {
                atomic_store(&all->place[0], n);
                ak_table_drop(T, digest);
                atomic_store(&all->version, n);
            }
            continue;
        }
        made = atomic_load(&all->version);
        mark = ak_table_mark(T);
        if (ak_table_is_unknown(T, digest, apr_time_from_sec(3600))) {
            if (n <= made)
                atomic_fetch_add(&all->wrong, 1);
        }
        else if (n > atomic_load(&all->place[0]))
            ak_table_note_unknown(T, digest, mark);
    }
}

START_TEST(test_a_made_key_is_never_unknown)
{
    race(make_or_miss, _i);
}
END_TEST

/* --- tallies ------------------------------------------------------------------------------------------------ */

static void tally_often(unsigned worker)
{
    unsigned char addr[16] = {9};
    int i;

    for (i = 0; i < 2000; i++) {
        ak_table_tally(T, 5, 3);
        ak_table_failures(T, addr, 1, 60, 6000);
    }
}

START_TEST(test_tallies_lose_nothing)
{
    unsigned char addr[16] = {9};

    race(tally_often, _i);
    ck_assert_uint_eq(ak_table_tally_read(T, 5), WORKERS * 2000 * 3);
    ck_assert_uint_eq(ak_table_failures(T, addr, 0, 60, 6000), WORKERS * 2000);
}
END_TEST

Suite *suite_table_race(void)
{
    Suite *suite = suite_create("table_race");
    TCase *tc = tcase_create("table_race");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, test_exactly_the_limit_is_granted, 0, 2);
    tcase_add_loop_test(tc, test_rolling_windows_never_give_more, 0, 2);
    tcase_add_loop_test(tc, test_one_digest_gets_one_place, 0, 2);
    tcase_add_loop_test(tc, test_no_facts_are_torn_or_mixed, 0, 2);
    tcase_add_loop_test(tc, test_eviction_never_resets_a_count, 0, 2);
    tcase_add_loop_test(tc, test_nothing_older_than_the_drop_is_found, 0, 2);
    tcase_add_loop_test(tc, test_a_made_key_is_never_unknown, 0, 2);
    tcase_add_loop_test(tc, test_tallies_lose_nothing, 0, 2);
    suite_add_tcase(suite, tc);
    return suite;
}
