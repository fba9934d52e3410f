/* test_table_crash.c - the key table after a death at every step that another process can see
 *
 * A child is led through an operation instruction by instruction, and the table is copied
 * after each change of the shared memory: that is what a SIGKILL there would leave, once
 * the kernel has marked the locks that were held.  (Some steps are died at for real, and a
 * test at random kills for real only: so the kernel's part is seen too.)  Each copy is then
 * judged by what a caller relies on: no key gets more than its limit, none loses what it
 * has counted, no facts are torn, and every lock can be had.
 */
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ak_table_map.h"
#include "suites.h"
#include "table_fixture.h"
#include "traced.h"

#define T fixture_table
#define LIMIT 3
#define NEWCOMER 100
#define STATES_MAX 200

static const ak_limits_t limits = {1000, LIMIT};

static apr_int64_t hour_at(apr_time_t now)
{
    return ak_window_index(AK_WINDOW_HOUR, now);
}

static void digest_of(unsigned char *digest, apr_uint64_t n)
{
    fixture_digest(digest, n, 0);
}

/* Random tests print what they begin from; AK_SEED begins from the same again. */
static unsigned seed_of(const char *test)
{
    const char *given = getenv("AK_SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);

    fprintf(stderr, "%s: AK_SEED=%u\n", test, seed);
    return seed;
}

/* --- leading a child ------------------------------------------------------------------------ */

/* What is watched: the first places of the neighbourhood, their locks, and the header's words. */
static struct {
    const void *at;
    apr_size_t len;
} watched[7];
static unsigned char before[7][4096];

static void watch(void)
{
    head_t *head = T->head;
    apr_size_t i;

    watched[0].at = T->slots, watched[0].len = 3 * sizeof(slot_t);
    watched[1].at = (const void *)T->tags, watched[1].len = 3 * sizeof(apr_uint64_t);
    watched[2].at = head->stripe, watched[2].len = sizeof head->stripe[0];
    watched[3].at = head->slot_lock, watched[3].len = 3 * sizeof head->slot_lock[0];
    watched[4].at = &head->epoch, watched[4].len = offsetof(head_t, stripe) - offsetof(head_t, epoch);
    watched[5].at = &head->unknown[0], watched[5].len = sizeof head->unknown[0];
    watched[6].at = &T->slots[PROBE - 1], watched[6].len = sizeof(slot_t);
    for (i = 0; i < 7; i++)
        memcpy(before[i], watched[i].at, watched[i].len);
}

static int changed(void)
{
    int any = 0;
    apr_size_t i;

    for (i = 0; i < 7; i++)
        if (memcmp(before[i], watched[i].at, watched[i].len) != 0) {
            memcpy(before[i], watched[i].at, watched[i].len);
            any = 1;
        }
    return any;
}

/* Act in a child and kill it after its n-th change; 0: it ended before. */
static int die_at(void (*act)(void), int n)
{
    int changes = 0;
    pid_t pid = traced_begin(act);

    watch();
    while (changes < n && traced_step(pid))
        changes += changed();
    traced_end(pid);
    return changes == n;
}

/* The copies of one operation, in their order. */
typedef struct {
    unsigned char *state[STATES_MAX];
    int count;
} record_t;

/* What the kernel does to a robust mutex whose owner dies (get_robust_list(2), the futex ABI). */
static void mark_dead(pthread_mutex_t *locks, int count)
{
    int i;

    for (i = 0; i < count; i++) {
        unsigned word = (unsigned)locks[i].__data.__lock;
        if (word & FUTEX_TID_MASK)
            locks[i].__data.__lock = (int)((word & FUTEX_WAITERS) | FUTEX_OWNER_DIED);
    }
}

static void record(record_t *out, void (*act)(void))
{
    pid_t pid = traced_begin(act);

    out->count = 0;
    watch();
    while (traced_step(pid))
        if (changed()) {
            head_t *copy;

            ck_assert_int_lt(out->count, STATES_MAX);
            copy = malloc(T->bytes);
            memcpy(copy, T->head, T->bytes);
            mark_dead(copy->stripe, STRIPES);
            mark_dead(copy->slot_lock, SLOT_LOCKS);
            out->state[out->count++] = (unsigned char *)copy;
        }
    traced_end(pid);
}

static void load(const unsigned char *state)
{
    memcpy(T->head, state, T->bytes);
}

static void forget(record_t *record_of)
{
    while (record_of->count > 0)
        free(record_of->state[--record_of->count]);
}

/* --- states to begin from ---------------------------------------------------------------------- */

static unsigned char *saved;
static ak_slot_ref_t held; /* a reference to key 1 from before the crash */
static ak_key_t pending;   /* what is about to be filled */
static apr_uint64_t ticket;

static void save(void)
{
    saved = malloc(T->bytes);
    memcpy(saved, T->head, T->bytes);
}

static void restore(void)
{
    load(saved);
}

/* A crowded neighbourhood: key 1 was last counted three hours ago, all others just now. */
static void crowded(void)
{
    apr_time_t then = NOW - HOURS(3);
    apr_uint32_t count;
    apr_uint64_t n;

    fixture_clock(T, then);
    held = fixture_put(T, 1, 0, then);
    ck_assert_int_eq(ak_table_take(T, &held, AK_COUNT_HOUR, hour_at(then), LIMIT, &count), APR_SUCCESS);
    fixture_clock(T, NOW);
    for (n = 2; n <= PROBE; n++) {
        ak_slot_ref_t ref = fixture_put(T, n, 0, NOW);
        ck_assert_int_eq(ak_table_take(T, &ref, AK_COUNT_HOUR, hour_at(NOW), LIMIT, &count), APR_SUCCESS);
    }
    save();
}

/* One key, dropped after it was changed, with two units of its hour used up. */
static void changed_key(void)
{
    apr_uint32_t count;
    int i;

    held = fixture_put(T, 1, 0, NOW);
    for (i = 0; i < LIMIT - 1; i++)
        ck_assert_int_eq(ak_table_take(T, &held, AK_COUNT_HOUR, hour_at(NOW), LIMIT, &count), APR_SUCCESS);
    pending = fixture_key(1, 0);
    ak_table_drop(T, pending.digest);
    ck_assert_int_eq(ak_table_reserve(T, pending.digest, NOW, &held, &ticket), APR_SUCCESS);
    save();
}

/* --- operations ------------------------------------------------------------------------------------ */

static void reserve_newcomer(void)
{
    unsigned char digest[AK_DIGEST_BYTES];
    ak_slot_ref_t ref;
    apr_uint64_t ignored;

    digest_of(digest, NEWCOMER);
    ak_table_reserve(T, digest, NOW, &ref, &ignored);
}

static void reserve_first(void)
{
    unsigned char digest[AK_DIGEST_BYTES];
    ak_slot_ref_t ref;
    apr_uint64_t ignored;

    digest_of(digest, 1);
    ak_table_reserve(T, digest, NOW, &ref, &ignored);
}

static void fill_pending(void)
{
    ak_table_fill(T, &held, &pending, ticket);
}

static void take_one(void)
{
    fixture_admits(T, 1, 0, &limits, NOW);
}

static void drop_first(void)
{
    ak_table_drop(T, pending.digest);
}

static void note_first(void)
{
    ak_table_note_unknown(T, pending.digest, ak_table_mark(T));
}

/* --- verdicts ---------------------------------------------------------------------------------------- */

static int admitted(apr_uint64_t n)
{
    int sum = 0;

    while (sum <= LIMIT && fixture_admits(T, n, 0, &limits, NOW) == 1)
        sum++;
    return sum;
}

static void the_others_are_untouched(void)
{
    apr_uint64_t n;

    for (n = 2; n <= PROBE; n++) {
        ak_slot_ref_t ref;
        MUST(fixture_finds(T, n, 0));
        ref = fixture_reserve(T, n, 0, NOW); /* every lock can be had */
        MUST(ak_table_count(T, &ref, AK_COUNT_HOUR, hour_at(NOW)) == 1);
    }
}

/* Between writes a slot and its counters are of one generation. */
static void generations_agree(void)
{
    int at, i, wrong = 0;

    for (at = 0; at < SLOTS; at++) {
        slot_t *slot = &T->slots[at];
        if (slot->sequence & 1)
            continue; /* torn, and nobody has come by yet */
        wrong += slot->claiming != 0;
        for (i = 0; i < AK_COUNT_COUNT; i++)
            wrong += ak_count_generation(slot->count[i]) != (slot->generation & 0xffff);
    }
    ck_assert_int_eq(wrong, 0);
}

/* Somebody still held key 1's reference while its slot was being taken away: what that one
 * counts, and what the key gets when it is found again, is together within the limit. */
static void limits_hold(int newcomer_first)
{
    int by_held = 0, again, other = 0;
    apr_uint32_t count;

    while (by_held < 2 && ak_table_take(T, &held, AK_COUNT_HOUR, hour_at(NOW), LIMIT, &count) == APR_SUCCESS)
        by_held++;
    if (newcomer_first)
        other = admitted(NEWCOMER);
    generations_agree();
    again = admitted(1);
    generations_agree();
    if (!newcomer_first)
        other = admitted(NEWCOMER);
    ck_assert_int_le(by_held + again, LIMIT);
    ck_assert_int_le(other, LIMIT);
    /* One place for two keys: whoever came first has its whole limit. */
    ck_assert_int_ge(by_held + again + other, LIMIT);
    ck_assert(by_held + again == LIMIT || other == LIMIT);
    the_others_are_untouched();
    fixture_finds(T, 1, 0);
    fixture_finds(T, NEWCOMER, 0);
}

/* --- tests ------------------------------------------------------------------------------------------------ */

/* A death at every step of a claim that evicts, judged in both orders of coming back. */
START_TEST(test_death_while_evicting)
{
    record_t deaths;
    int i;

    crowded();
    record(&deaths, reserve_newcomer);
    ck_assert_int_gt(deaths.count, 15); /* so many steps at least are there to die at */
    for (i = 0; i < deaths.count; i++) {
        load(deaths.state[i]);
        limits_hold(0);
        load(deaths.state[i]);
        limits_hold(1);
    }
    forget(&deaths);
}
END_TEST

/* The same for real, at some of the steps. */
START_TEST(test_real_death_while_evicting)
{
    int n, deaths = 0;

    crowded();
    for (n = 1 + (int)(seed_of("test_real_death_while_evicting") % 5); die_at(reserve_newcomer, n); n += 5) {
        limits_hold(n & 1);
        restore();
        deaths++;
    }
    ck_assert_int_ge(deaths, 3);
}
END_TEST

/* And a death, at every step, of whoever comes to mend that. */
START_TEST(test_death_while_mending)
{
    record_t first, second;
    int i, j, deaths = 0;

    crowded();
    record(&first, reserve_newcomer);
    for (i = 0; i < first.count; i++) {
        load(first.state[i]);
        record(&second, _i ? reserve_first : reserve_newcomer);
        for (j = 0; j < second.count; j++, deaths++) {
            load(second.state[j]);
            limits_hold((i + j) & 1);
        }
        forget(&second);
    }
    ck_assert_int_gt(deaths, 200);
    forget(&first);
}
END_TEST

/* In a neighbourhood that was never used. */
START_TEST(test_death_while_reserving_the_first_place)
{
    record_t deaths;
    int i;

    record(&deaths, reserve_first);
    ck_assert_int_gt(deaths.count, 10);
    for (i = 0; i < deaths.count; i++) {
        ak_slot_ref_t first, second;

        load(deaths.state[i]);
        second = fixture_put(T, 2, 0, NOW);
        first = fixture_put(T, 1, 0, NOW);
        ck_assert_uint_ne(first.slot, second.slot);
        ck_assert(fixture_finds(T, 1, 0) && fixture_finds(T, 2, 0));
        ck_assert_int_eq(admitted(1), LIMIT);
        ck_assert_int_eq(admitted(2), LIMIT);
        ck_assert_uint_le(ak_table_used(T), 3); /* the dead one's place may be nobody's */
    }
    forget(&deaths);
}
END_TEST

/* Whole, and what it was (a) or what it became (b): nothing of both. */
static void whole_if_found(const ak_key_t *a, const ak_key_t *b)
{
    ak_slot_ref_t ref;
    ak_key_t found;

    if (ak_table_find(T, a->digest, &found, &ref) == AK_TABLE_HIT)
        ck_assert(memcmp(&found, a, sizeof found) == 0 || memcmp(&found, b, sizeof found) == 0);
}

/* Over facts that were dropped, and over such as are valid still: two have read the key at
 * once, one of them just before it was changed. */
START_TEST(test_death_while_filling)
{
    ak_key_t old = fixture_key(1, 0);
    record_t deaths;
    int i;

    changed_key();
    if (_i)
        fill_pending();
    memset(pending.id, 'x', sizeof pending - AK_DIGEST_BYTES); /* the change */
    record(&deaths, fill_pending);
    ck_assert_int_gt(deaths.count, 10);
    for (i = 0; i < deaths.count; i++) {
        load(deaths.state[i]);
        whole_if_found(&old, &pending);
        ck_assert_int_eq(admitted(1), 1); /* two were counted before, and what was torn is mended now */
        whole_if_found(&old, &pending);
        fixture_put(T, 1, 0, NOW);
        ck_assert(fixture_finds(T, 1, 0));
    }
    forget(&deaths);
}
END_TEST

START_TEST(test_death_while_counting)
{
    record_t deaths;
    int i, sum, spent = 0;

    changed_key();
    record(&deaths, take_one);
    ck_assert_int_gt(deaths.count, 1);
    for (i = 0; i < deaths.count; i++) {
        load(deaths.state[i]);
        sum = admitted(1);
        ck_assert(sum == 0 || sum == 1); /* the dead one's unit was spent or it was not */
        spent += sum == 0;
    }
    ck_assert_int_ge(spent, 1);
    forget(&deaths);
}
END_TEST

START_TEST(test_death_while_dropping)
{
    record_t deaths;
    int i;

    changed_key();
    fill_pending();
    record(&deaths, drop_first);
    ck_assert_int_ge(deaths.count, 2);
    for (i = 0; i < deaths.count; i++) {
        load(deaths.state[i]);
        fixture_finds(T, 1, 0); /* whole, or not at all */
        drop_first();           /* the log is read again by the next poller */
        ck_assert(!fixture_finds(T, 1, 0));
        ck_assert_int_eq(admitted(1), 1);
    }
    forget(&deaths);
}
END_TEST

START_TEST(test_death_while_noting)
{
    record_t deaths;
    int i;

    changed_key();
    record(&deaths, note_first);
    ck_assert_int_ge(deaths.count, 2);
    for (i = 0; i < deaths.count; i++) {
        load(deaths.state[i]);
        drop_first();
        ck_assert(!ak_table_is_unknown(T, pending.digest, apr_time_from_sec(3600)));
        note_first();
        ck_assert(ak_table_is_unknown(T, pending.digest, apr_time_from_sec(3600)));
    }
    forget(&deaths);
}
END_TEST

/* --- a holder that is stopped ------------------------------------------------------------------------------- */

/* A process stopped in the middle of filling keeps its slot's lock: others are told so in
 * bounded time instead of writing with it, and counting goes on.  Woken, it finishes its own. */
START_TEST(test_a_stopped_writer_is_waited_for)
{
    unsigned char digest[AK_DIGEST_BYTES];
    ak_slot_ref_t ref;
    apr_uint64_t ignored;
    apr_uint32_t count;
    pid_t pid;

    changed_key();
    pid = traced_begin(fill_pending);
    while (!(atomic_load(&T->slots[held.slot].sequence) & 1))
        MUST(traced_step(pid));
    digest_of(digest, 1);
    ck_assert(!fixture_finds(T, 1, 0));
    ck_assert_int_eq(ak_table_reserve(T, digest, NOW, &ref, &ignored), APR_EBUSY);
    ck_assert_int_eq(ak_table_fill(T, &held, &pending, ticket), APR_EBUSY);
    ck_assert_int_eq(ak_table_take(T, &held, AK_COUNT_HOUR, hour_at(NOW), LIMIT, &count), APR_SUCCESS);
    ak_table_drop(T, digest); /* never waits */
    fixture_put(T, 2, 0, NOW); /* and a neighbour is not held up */
    traced_run(pid);
    traced_end(pid);
    ck_assert(!fixture_finds(T, 1, 0)); /* it was dropped while the other one slept */
    fixture_put(T, 1, 0, NOW);
    ck_assert(fixture_finds(T, 1, 0) && fixture_finds(T, 2, 0));
    ck_assert_int_eq(admitted(1), 0);
}
END_TEST

/* --- deaths at random ------------------------------------------------------------------------------------------ */

#define HOT 4
#define HOT_LIMIT 3000
#define CHILDREN 3
#define KILLS 60

static struct {
    _Atomic unsigned admitted[HOT], wrong;
} *ledger;

/* Keys 1 to 4 are counted; a hundred others come and go in the same neighbourhood. */
static void hammer(unsigned seed)
{
    const ak_limits_t hot = {1000000, HOT_LIMIT};
    ak_slot_ref_t ref;
    apr_uint64_t read_under;

    for (;;) {
        apr_uint64_t n = 10 + (seed = seed * 1103515245u + 12345u) / 65536 % 100;
        ak_key_t key = fixture_key(n, 0), found;
        unsigned which = seed / 4096 % HOT;

        if (fixture_admits(T, which + 1, 0, &hot, NOW) == 1)
            atomic_fetch_add(&ledger->admitted[which], 1);
        if (ak_table_find(T, key.digest, &found, &ref) == AK_TABLE_HIT) {
            if (memcmp(&found, &key, sizeof key) != 0)
                atomic_fetch_add(&ledger->wrong, 1);
            ak_table_drop(T, key.digest);
        }
        if (ak_table_reserve(T, key.digest, NOW, &ref, &read_under) == APR_SUCCESS)
            ak_table_fill(T, &ref, &key, read_under);
    }
}

static pid_t spawn(unsigned seed)
{
    pid_t pid = fork();

    if (pid == 0)
        hammer(seed);
    ck_assert_int_gt(pid, 0);
    return pid;
}

START_TEST(test_deaths_at_random)
{
    const ak_limits_t hot = {1000000, HOT_LIMIT};
    unsigned seed = seed_of("test_deaths_at_random"), i, more;
    pid_t pid[CHILDREN];

    ledger = mmap(NULL, sizeof *ledger, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert(ledger != MAP_FAILED);
    for (i = 0; i < CHILDREN; i++)
        pid[i] = spawn(seed + i);
    for (i = 0; i < KILLS; i++) {
        struct timespec pause = {0, 1000 * ((seed = seed * 1103515245u + 12345u) / 65536 % 8000)};
        unsigned victim = seed / 512 % CHILDREN;

        nanosleep(&pause, NULL);
        kill(pid[victim], SIGKILL);
        ck_assert_int_eq(waitpid(pid[victim], NULL, 0), pid[victim]);
        pid[victim] = spawn(seed);
    }
    for (i = 0; i < CHILDREN; i++) {
        kill(pid[i], SIGKILL);
        ck_assert_int_eq(waitpid(pid[i], NULL, 0), pid[i]);
    }
    ck_assert_uint_eq(ledger->wrong, 0);
    for (i = 0; i < HOT; i++) { /* what is left of each limit, and no more */
        for (more = 0; fixture_admits(T, i + 1, 0, &hot, NOW) == 1; more++) {
        }
        more += ledger->admitted[i];
        ck_assert_uint_le(more, HOT_LIMIT);
        ck_assert_uint_ge(more + KILLS + CHILDREN, HOT_LIMIT); /* each death may cost the unit in its hand */
    }
    for (i = 0; i < 110; i++)
        fixture_reserve(T, i + 1, 0, NOW); /* every lock can be had */
    munmap(ledger, sizeof *ledger);
}
END_TEST

Suite *suite_table_crash(void)
{
    Suite *suite = suite_create("table_crash");
    TCase *tc = tcase_create("table_crash");

    tcase_add_checked_fixture(tc, fixture_set_up, fixture_tear_down);
    tcase_set_timeout(tc, 120);
    if (TRACED_IN_FULL) {
        tcase_add_test(tc, test_death_while_evicting);
        tcase_add_test(tc, test_real_death_while_evicting);
        tcase_add_loop_test(tc, test_death_while_mending, 0, 2);
        tcase_add_test(tc, test_death_while_reserving_the_first_place);
        tcase_add_loop_test(tc, test_death_while_filling, 0, 2);
        tcase_add_test(tc, test_death_while_counting);
        tcase_add_test(tc, test_death_while_dropping);
        tcase_add_test(tc, test_death_while_noting);
    }
    tcase_add_test(tc, test_a_stopped_writer_is_waited_for);
    tcase_add_test(tc, test_deaths_at_random);
    suite_add_tcase(suite, tc);
    return suite;
}
