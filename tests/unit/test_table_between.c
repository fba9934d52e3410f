/* test_table_between.c - the key table when one process acts between two instructions of another
 *
 * One is led into an operation, halted after so many instructions, and goes on when the
 * other has done its own: every order of the two that could do harm is met, not hoped for.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "ak_table_map.h"
#include "suites.h"
#include "table_fixture.h"
#include "traced.h"

#define T fixture_table
#define NEWCOMER 100
#ifdef __SANITIZE_ADDRESS__
#define STRIDE 11 /* instrumented code has that many more instructions between two of its own */
#else
#define STRIDE 3
#endif
#define VICTIM 2 /* the key at place 1, in reach of homes 0 and 1 */

static struct {
    ak_slot_ref_t ref;
    ak_key_t found;
    int hit;
    apr_status_t rv;
} *told; /* by the child */

static void set_up(void)
{
    fixture_set_up();
    told = mmap(NULL, sizeof *told, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert(told != MAP_FAILED);
}

static void tear_down(void)
{
    munmap(told, sizeof *told);
    fixture_tear_down();
}

static apr_int64_t window_at(ak_count_e which)
{
    return ak_window_index(ak_count_unit(which), NOW);
}

/* Places 0 to 64 are taken and in use, but for place 1: it is its key's, and idle. */
static ak_slot_ref_t crowd(void)
{
    ak_slot_ref_t victim = {0, 0};
    apr_uint32_t count;
    apr_uint64_t n;

    for (n = 1; n <= PROBE + 1; n++) {
        ak_slot_ref_t ref = fixture_put(T, n, n > PROBE ? 1 : 0, NOW);
        if (n == VICTIM)
            victim = ref;
        else
            ck_assert_int_eq(ak_table_take(T, &ref, AK_COUNT_HOUR, window_at(AK_COUNT_HOUR), 5, &count),
                             APR_SUCCESS);
    }
    ck_assert_uint_eq(victim.slot, 1);
    return victim;
}

/* Lead a child some instructions on, at most to where the word is `end`; 0: that far. */
static int led_on(pid_t pid, const volatile int *word, int end, int instructions)
{
    while (instructions-- > 0 && *word != end)
        MUST(traced_step(pid));
    return *word != end;
}

/* --- a count into an eviction ------------------------------------------------------------- */

static void reserve_newcomer(void)
{
    unsigned char digest[AK_DIGEST_BYTES];
    apr_uint64_t ticket;

    fixture_digest(digest, NEWCOMER, 1);
    told->rv = ak_table_reserve(T, digest, NOW, &told->ref, &ticket);
}

/* What is counted by an old reference while the slot is taken away: either it is refused, or
 * it stays counted and the slot stays with its key, with the other counters as they were. */
START_TEST(test_count_into_an_eviction)
{
    ak_slot_ref_t held = crowd();
    void *saved = malloc(T->bytes);
    slot_t *slot = &T->slots[1];
    int after, counted = 0, gone = 0;

    memcpy(saved, T->head, T->bytes);
    for (after = 0;; after++) {
        ak_count_e which = (ak_count_e)((after + _i) % AK_COUNT_COUNT);
        apr_uint32_t count;
        int goes_on, i;
        pid_t pid = traced_begin(reserve_newcomer);
        apr_status_t rv;

        traced_run_to_change(pid, &slot->sequence); /* from the first write */
        goes_on = led_on(pid, (const volatile int *)&slot->claiming, 1, after); /* to the point of no return */
        rv = ak_table_take(T, &held, which, window_at(which), 5, &count);
        traced_run(pid);
        traced_end(pid);
        if (!goes_on)
            break;
        if (rv == APR_SUCCESS) {
            counted++;
            ck_assert_int_ne(told->rv, APR_SUCCESS); /* no other slot is idle */
            for (i = 0; i < AK_COUNT_COUNT; i++)
                ck_assert_uint_eq(ak_count_generation(T->slots[1].count[i]), held.generation & 0xffff);
            ck_assert_uint_eq(ak_table_count(T, &held, which, window_at(which)), 1);
            ck_assert(fixture_finds(T, VICTIM, 0));
        }
        else {
            gone++;
            ck_assert_int_eq(rv, AK_EGONE);
        }
        memcpy(T->head, saved, T->bytes);
    }
    ck_assert_int_gt(counted, 0);
    ck_assert_int_gt(gone, 0);
    free(saved);
}
END_TEST

/* --- an eviction into a reservation ---------------------------------------------------------- */

static void reserve_victim_and_count(void)
{
    unsigned char digest[AK_DIGEST_BYTES];
    apr_uint64_t ticket;
    apr_uint32_t count;

    fixture_digest(digest, VICTIM, 0);
    told->rv = ak_table_reserve(T, digest, NOW, &told->ref, &ticket);
    if (told->rv == APR_SUCCESS)
        told->rv = ak_table_take(T, &told->ref, AK_COUNT_MINUTE, window_at(AK_COUNT_MINUTE), 5, &count);
}

/* A reservation never comes with a reference to the key that took its slot meanwhile. */
START_TEST(test_eviction_into_a_reservation)
{
    void *saved = malloc(T->bytes);
    const volatile int *lock = &T->head->stripe[0].__data.__lock;
    int after, evicted = 0;

    crowd();
    memcpy(saved, T->head, T->bytes);
    for (after = 0;; after += STRIDE) {
        unsigned char digest[AK_DIGEST_BYTES];
        ak_slot_ref_t ref;
        apr_uint64_t ticket;
        pid_t pid = traced_begin(reserve_victim_and_count);
        apr_status_t rv;
        int goes_on;

        traced_run_to_change(pid, (const void *)lock);
        goes_on = led_on(pid, lock, 0, after);
        fixture_digest(digest, NEWCOMER, 1); /* of another home: of another lock */
        rv = ak_table_reserve(T, digest, NOW, &ref, &ticket);
        traced_run(pid);
        traced_end(pid);
        if (!goes_on)
            break;
        if (rv == APR_SUCCESS) {
            evicted++;
            ck_assert_uint_eq(ak_table_count(T, &ref, AK_COUNT_MINUTE, window_at(AK_COUNT_MINUTE)), 0);
            if (told->rv == APR_SUCCESS) /* then it has won the slot back since */
                ck_assert_uint_ne(told->ref.generation, ref.generation);
        }
        memcpy(T->head, saved, T->bytes);
    }
    ck_assert_int_gt(evicted, 10);
    free(saved);
}
END_TEST

/* --- a count between the two windows ------------------------------------------------------------ */

static void take_both(void)
{
    const ak_limits_t limits = {5, 5};
    ak_rate_t *rate = ak_rate_shm_create(T, fixture_pool);
    ak_rate_result_t result;

    told->rv = rate->v->take(rate, &told->ref, "key", &limits, NOW, &result);
    told->hit = result.admitted;
}

/* The hour's last unit goes to another between this one's minute and its hour: it is refused,
 * and its minute is not billed. */
START_TEST(test_the_hours_last_unit_goes_between)
{
    apr_uint32_t count;
    int i;

    told->ref = fixture_put(T, 1, 0, NOW);
    for (i = 0; i < 4; i++)
        ck_assert_int_eq(ak_table_take(T, &told->ref, AK_COUNT_HOUR, window_at(AK_COUNT_HOUR), 5, &count),
                         APR_SUCCESS);
    for (i = 0; i < 2; i++) { /* first led to the end undisturbed, as the check of the check */
        void *saved = malloc(T->bytes);
        pid_t pid;

        memcpy(saved, T->head, T->bytes);
        pid = traced_begin(take_both);
        traced_run_to_change(pid, (const void *)&T->slots[told->ref.slot].count[AK_COUNT_MINUTE]);
        if (i == 1)
            ck_assert_int_eq(ak_table_take(T, &told->ref, AK_COUNT_HOUR, window_at(AK_COUNT_HOUR), 5, &count),
                             APR_SUCCESS);
        traced_run(pid);
        traced_end(pid);
        ck_assert_int_eq(told->rv, APR_SUCCESS);
        ck_assert_int_eq(told->hit, i == 0);
        ck_assert_uint_eq(ak_table_count(T, &told->ref, AK_COUNT_MINUTE, window_at(AK_COUNT_MINUTE)), i == 0);
        ck_assert_uint_eq(ak_table_count(T, &told->ref, AK_COUNT_HOUR, window_at(AK_COUNT_HOUR)), 5);
        memcpy(T->head, saved, T->bytes);
        free(saved);
    }
}
END_TEST

/* --- a change into a look-up -------------------------------------------------------------------- */

static void find_victim(void)
{
    unsigned char digest[AK_DIGEST_BYTES];

    fixture_digest(digest, VICTIM, 0);
    told->hit = ak_table_find(T, digest, &told->found, &told->ref) == AK_TABLE_HIT;
}

/* Facts that are overwritten while they are read: what is found is of before or of after. */
START_TEST(test_fill_into_a_look_up)
{
    ak_key_t old = fixture_key(VICTIM, 0), new = old;
    ak_slot_ref_t ref = crowd();
    apr_uint64_t ticket;
    int after, olds = 0, news = 0, done = 0;

    memset(new.id, 'x', sizeof new - AK_DIGEST_BYTES);
    ck_assert_int_eq(ak_table_reserve(T, old.digest, NOW, &ref, &ticket), APR_SUCCESS);
    for (after = 0; !done; after += STRIDE) {
        pid_t pid = traced_begin(find_victim);
        int i;

        for (i = 0; i < after && !done; i++)
            done = !traced_step(pid);
        ck_assert_int_eq(ak_table_fill(T, &ref, &new, ticket), APR_SUCCESS);
        if (!done)
            traced_run(pid);
        traced_end(pid);
        ck_assert(told->hit);
        if (memcmp(&told->found, &old, sizeof old) == 0)
            olds++;
        else {
            ck_assert_mem_eq(&told->found, &new, sizeof new);
            news++;
        }
        ck_assert_int_eq(ak_table_fill(T, &ref, &old, ticket), APR_SUCCESS);
    }
    ck_assert_int_gt(olds, 0);
    ck_assert_int_gt(news, 0);
}
END_TEST

/* --- a place that cannot be had ------------------------------------------------------------------- */

static void reserve_first(void)
{
    fixture_reserve(T, 1, 0, NOW);
}

/* The first place that was never used is in the hands of a process that is stopped.  No key may
 * go behind it: no look-up would get there, and no drop. */
START_TEST(test_nothing_lives_behind_a_place_never_used)
{
    const volatile int *lock = &T->head->slot_lock[0].__data.__lock;
    unsigned char digest[AK_DIGEST_BYTES];
    ak_slot_ref_t ref = fixture_reserve(T, 5, SLOTS - 1, NOW);
    apr_uint64_t ticket;
    apr_uint32_t count;
    pid_t pid = traced_begin(reserve_first);

    ck_assert_int_eq(ak_table_take(T, &ref, AK_COUNT_HOUR, window_at(AK_COUNT_HOUR), 5, &count), APR_SUCCESS);
    traced_run_to_change(pid, (const void *)lock);
    fixture_digest(digest, 6, SLOTS - 1);
    ck_assert_int_eq(ak_table_reserve(T, digest, NOW, &ref, &ticket), APR_EBUSY);
    traced_run(pid);
    traced_end(pid);
    fixture_put(T, 6, SLOTS - 1, NOW);
    ck_assert(fixture_finds(T, 6, SLOTS - 1));
}
END_TEST

Suite *suite_table_between(void)
{
    Suite *suite = suite_create("table_between");
    TCase *tc = tcase_create("table_between");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_set_timeout(tc, 120);
    if (TRACED_IN_FULL) {
        tcase_add_loop_test(tc, test_count_into_an_eviction, 0, AK_COUNT_COUNT);
        tcase_add_test(tc, test_eviction_into_a_reservation);
        tcase_add_test(tc, test_the_hours_last_unit_goes_between);
        tcase_add_test(tc, test_fill_into_a_look_up);
    }
    tcase_add_test(tc, test_nothing_lives_behind_a_place_never_used);
    suite_add_tcase(suite, tc);
    return suite;
}
