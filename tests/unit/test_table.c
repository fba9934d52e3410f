/* test_table.c - the key table as one caller sees it: caching, dropping, counting, evicting */
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ak_table_map.h"
#include "suites.h"
#include "table_fixture.h"

#define T fixture_table
#define NO_KEY UINT64_C(0x7fffffff)
#define MINUTE minute_of(NOW) /* the windows at which the table's clock stands */
#define HOUR hour_of(NOW)

static apr_int64_t minute_of(apr_time_t now)
{
    return ak_window_index(AK_WINDOW_MINUTE, now);
}

static apr_int64_t hour_of(apr_time_t now)
{
    return ak_window_index(AK_WINDOW_HOUR, now);
}

static apr_status_t take(ak_slot_ref_t ref, ak_count_e which, apr_int64_t window, apr_uint32_t limit)
{
    apr_uint32_t count = 0;
    apr_status_t rv = ak_table_take(T, &ref, which, window, limit, &count);

    if (rv == APR_SUCCESS)
        ck_assert(count >= 1 && count <= limit);
    return rv;
}

static apr_uint32_t count_of(ak_slot_ref_t ref, ak_count_e which, apr_int64_t window)
{
    return ak_table_count(T, &ref, which, window);
}

/* --- caching --------------------------------------------------------------------------- */

START_TEST(test_nothing_is_found_in_an_empty_table)
{
    ck_assert(!fixture_finds(T, 1, 0));
    ck_assert_uint_eq(ak_table_used(T), 0);
    ck_assert_uint_eq(ak_table_slots(T), SLOTS);
}
END_TEST

START_TEST(test_filled_is_found)
{
    ak_slot_ref_t ref = fixture_put(T, 7, 5, NOW), found;
    ak_key_t key;
    unsigned char digest[AK_DIGEST_BYTES];

    fixture_digest(digest, 7, 5);
    ck_assert_int_eq(ak_table_find(T, digest, &key, &found), AK_TABLE_HIT);
    ck_assert(fixture_is_key(&key, 7, 5));
    ck_assert(found.slot == ref.slot && found.generation == ref.generation);
    ck_assert(!fixture_finds(T, 8, 5));
    ck_assert_uint_eq(ak_table_used(T), 1);
}
END_TEST

START_TEST(test_reserved_is_not_yet_found_and_has_one_place)
{
    ak_slot_ref_t first = fixture_reserve(T, 7, 5, NOW), second = fixture_reserve(T, 7, 5, NOW);

    ck_assert(!fixture_finds(T, 7, 5));
    ck_assert(first.slot == second.slot && first.generation == second.generation);
    ck_assert_uint_eq(ak_table_used(T), 1);
}
END_TEST

START_TEST(test_places_wrap_around_the_end)
{
    apr_uint64_t n;

    for (n = 1; n <= PROBE; n++)
        fixture_put(T, n, SLOTS - 3, NOW);
    for (n = 1; n <= PROBE; n++)
        ck_assert(fixture_finds(T, n, SLOTS - 3));
}
END_TEST

START_TEST(test_digests_of_one_tag_are_told_apart)
{
    ak_key_t a = fixture_key(7, 5), b = fixture_key(7, 5), found;
    ak_slot_ref_t at_a, at_b, ref;
    apr_uint64_t ticket;

    b.digest[AK_DIGEST_BYTES - 1] ^= 1; /* tag and home are of the first sixteen bytes */
    b.per_hour = 1;
    ck_assert_int_eq(ak_table_reserve(T, a.digest, NOW, &at_a, &ticket), APR_SUCCESS);
    ck_assert_int_eq(ak_table_fill(T, &at_a, &a, ticket), APR_SUCCESS);
    ck_assert_int_eq(ak_table_find(T, b.digest, &found, &ref), AK_TABLE_MISS);
    ck_assert_int_eq(ak_table_reserve(T, b.digest, NOW, &at_b, &ticket), APR_SUCCESS);
    ck_assert_int_eq(ak_table_fill(T, &at_b, &b, ticket), APR_SUCCESS);
    ck_assert_uint_ne(at_a.slot, at_b.slot);
    ck_assert_int_eq(ak_table_find(T, a.digest, &found, &ref), AK_TABLE_HIT);
    ck_assert_mem_eq(&found, &a, sizeof a);
    ck_assert_int_eq(ak_table_find(T, b.digest, &found, &ref), AK_TABLE_HIT);
    ck_assert_mem_eq(&found, &b, sizeof b);
}
END_TEST

START_TEST(test_facts_never_reach_another_key)
{
    ak_slot_ref_t ref = fixture_reserve(T, 7, 5, NOW), ignored;
    ak_key_t other = fixture_key(8, 5);
    apr_uint64_t ticket;
    unsigned char digest[AK_DIGEST_BYTES];

    fixture_digest(digest, 7, 5);
    ck_assert_int_eq(ak_table_reserve(T, digest, NOW, &ignored, &ticket), APR_SUCCESS);
    ck_assert_int_eq(ak_table_fill(T, &ref, &other, ticket), AK_EGONE);
    ck_assert(!fixture_finds(T, 7, 5) && !fixture_finds(T, 8, 5));
}
END_TEST

/* --- dropping --------------------------------------------------------------------------------- */

START_TEST(test_drop_forgets_facts_and_keeps_counters)
{
    ak_slot_ref_t ref = fixture_put(T, 7, 5, NOW), again;
    ak_key_t key = fixture_key(7, 5);

    fixture_put(T, 8, 5, NOW);
    ck_assert_int_eq(take(ref, AK_COUNT_HOUR, hour_of(NOW), 10), APR_SUCCESS);
    ak_table_drop(T, key.digest);
    ck_assert(!fixture_finds(T, 7, 5));
    ck_assert(fixture_finds(T, 8, 5));
    again = fixture_put(T, 7, 5, NOW);
    ck_assert(fixture_finds(T, 7, 5));
    ck_assert(again.slot == ref.slot && again.generation == ref.generation);
    ck_assert_uint_eq(count_of(again, AK_COUNT_HOUR, hour_of(NOW)), 1);
}
END_TEST

START_TEST(test_drop_all_forgets_all)
{
    apr_uint32_t epoch = ak_table_epoch(T);
    apr_uint64_t n;

    for (n = 1; n < 40; n++)
        fixture_put(T, n, (apr_uint32_t)n * 3, NOW);
    ak_table_drop_all(T);
    ck_assert_uint_eq(ak_table_epoch(T), epoch + 1);
    for (n = 1; n < 40; n++)
        ck_assert(!fixture_finds(T, n, (apr_uint32_t)n * 3));
    fixture_put(T, 5, 15, NOW);
    ck_assert(fixture_finds(T, 5, 15));
}
END_TEST

/* What was read before a change must not be cached after it: by key, and for all. */
START_TEST(test_a_drop_between_reserve_and_fill_leaves_nothing)
{
    ak_key_t key = fixture_key(7, 5);
    ak_slot_ref_t ref;
    apr_uint64_t ticket;

    ck_assert_int_eq(ak_table_reserve(T, key.digest, NOW, &ref, &ticket), APR_SUCCESS);
    if (_i)
        ak_table_drop_all(T);
    else
        ak_table_drop(T, key.digest);
    ck_assert_int_eq(ak_table_fill(T, &ref, &key, ticket), APR_SUCCESS);
    ck_assert(!fixture_finds(T, 7, 5));
    fixture_put(T, 7, 5, NOW);
    ck_assert(fixture_finds(T, 7, 5));
}
END_TEST

START_TEST(test_old_news_does_not_displace_newer)
{
    ak_key_t old = fixture_key(7, 5);
    ak_slot_ref_t ref;
    apr_uint64_t ticket;

    ck_assert_int_eq(ak_table_reserve(T, old.digest, NOW, &ref, &ticket), APR_SUCCESS);
    ak_table_drop(T, old.digest);
    fixture_put(T, 7, 5, NOW);
    old.per_hour = 1; /* as it was before the change */
    ck_assert_int_eq(ak_table_fill(T, &ref, &old, ticket), APR_SUCCESS);
    ck_assert(fixture_finds(T, 7, 5)); /* and it is the newer one: every fact is compared */
}
END_TEST

START_TEST(test_drop_of_what_is_not_there)
{
    unsigned char digest[AK_DIGEST_BYTES];
    apr_uint64_t mark = ak_table_mark(T);

    fixture_put(T, 7, 5, NOW);
    fixture_digest(digest, NO_KEY, 5);
    ak_table_drop(T, digest);
    ck_assert(fixture_finds(T, 7, 5));
    ck_assert_uint_ne(ak_table_mark(T), mark);
}
END_TEST

/* --- counting ----------------------------------------------------------------------------------- */

START_TEST(test_exactly_the_limit)
{
    ak_slot_ref_t ref = fixture_reserve(T, 7, 5, NOW);
    apr_uint32_t limit, i, count;

    for (limit = 0; limit < 20; limit++) {
        apr_int64_t window = MINUTE + 10 * limit;
        for (i = 1; i <= limit; i++) {
            ck_assert_int_eq(ak_table_take(T, &ref, AK_COUNT_MINUTE, window, limit, &count), APR_SUCCESS);
            ck_assert_uint_eq(count, i);
        }
        for (i = 0; i < 3; i++) {
            ck_assert_int_eq(ak_table_take(T, &ref, AK_COUNT_MINUTE, window, limit, &count), APR_EBUSY);
            ck_assert_uint_eq(count, limit);
        }
        ck_assert_uint_eq(count_of(ref, AK_COUNT_MINUTE, window), limit);
    }
}
END_TEST

START_TEST(test_the_three_counters_are_apart)
{
    ak_slot_ref_t ref = fixture_reserve(T, 7, 5, NOW);

    take(ref, AK_COUNT_MINUTE, MINUTE, 5);
    take(ref, AK_COUNT_HOUR, HOUR, 5);
    take(ref, AK_COUNT_HOUR, HOUR, 5);
    ck_assert_uint_eq(count_of(ref, AK_COUNT_MINUTE, MINUTE), 1);
    ck_assert_uint_eq(count_of(ref, AK_COUNT_HOUR, HOUR), 2);
    ck_assert_uint_eq(count_of(ref, AK_COUNT_MANAGE, MINUTE), 0);
}
END_TEST

START_TEST(test_a_limit_beyond_the_word_is_the_words)
{
    ak_slot_ref_t ref = fixture_reserve(T, 7, 5, NOW);
    slot_t *slot = &T->slots[ref.slot];
    apr_uint32_t count;

    atomic_store(&slot->count[AK_COUNT_HOUR], ak_count_word(ref.generation, HOUR, COUNT_MAX - 1));
    ck_assert_int_eq(ak_table_take(T, &ref, AK_COUNT_HOUR, HOUR, 0xffffffffu, &count), APR_SUCCESS);
    ck_assert_uint_eq(count, COUNT_MAX);
    ck_assert_int_eq(ak_table_take(T, &ref, AK_COUNT_HOUR, HOUR, 0xffffffffu, &count), APR_EBUSY);
    ck_assert_uint_eq(count_of(ref, AK_COUNT_HOUR, HOUR), COUNT_MAX); /* nothing ran over into the window */
}
END_TEST

START_TEST(test_a_new_window_begins_at_nothing)
{
    ak_slot_ref_t ref = fixture_reserve(T, 7, 5, NOW);

    ck_assert_int_eq(take(ref, AK_COUNT_MINUTE, MINUTE, 1), APR_SUCCESS);
    ck_assert_int_eq(take(ref, AK_COUNT_MINUTE, MINUTE, 1), APR_EBUSY);
    ck_assert_int_eq(take(ref, AK_COUNT_MINUTE, MINUTE + 1, 1), APR_SUCCESS);
    ck_assert_int_eq(take(ref, AK_COUNT_MINUTE, MINUTE + 1, 1), APR_EBUSY);
}
END_TEST

/* The ring of window numbers closes in itself: the last is followed by the first. */
START_TEST(test_window_numbers_wrap)
{
    apr_int64_t last = (MINUTE | WINDOW_MASK);
    ak_slot_ref_t ref = fixture_reserve(T, 7, 5, MINUTES(last));

    ck_assert_uint_eq(last & WINDOW_MASK, WINDOW_MASK);
    ck_assert_int_eq(take(ref, AK_COUNT_MINUTE, last, 1), APR_SUCCESS);
    ck_assert_int_eq(take(ref, AK_COUNT_MINUTE, last, 1), APR_EBUSY);
    ck_assert_int_eq(take(ref, AK_COUNT_MINUTE, last + 1, 1), APR_SUCCESS);
    ck_assert_int_eq(take(ref, AK_COUNT_MINUTE, last + 1, 1), APR_EBUSY);
    ck_assert_int_eq(take(ref, AK_COUNT_MINUTE, last, 1), APR_EBUSY);
    ak_table_give_back(T, &ref, AK_COUNT_MINUTE, last + 1);
    ck_assert_int_eq(take(ref, AK_COUNT_MINUTE, last + 1, 1), APR_SUCCESS);
}
END_TEST

/* A clock that is set back a little, or another process that read it earlier: no window
 * that was begun and left is ever open again. */
START_TEST(test_a_window_is_never_opened_again)
{
    apr_int64_t window = minute_of(NOW), back;
    ak_slot_ref_t ref;

    fixture_clock(T, NOW - MINUTES(1));
    ref = fixture_reserve(T, 7, 5, NOW - MINUTES(1));
    ck_assert_int_eq(take(ref, AK_COUNT_MINUTE, window - 1, 1), APR_SUCCESS);
    ck_assert_int_eq(take(ref, AK_COUNT_MINUTE, window, 1), APR_SUCCESS);
    for (back = 0; back <= 2; back++) {
        fixture_clock(T, NOW - MINUTES(back));
        ck_assert_int_eq(take(ref, AK_COUNT_MINUTE, window - back, 1), APR_EBUSY);
        ck_assert_uint_eq(count_of(ref, AK_COUNT_MINUTE, window - back), 1);
    }
    ck_assert_int_eq(take(ref, AK_COUNT_MINUTE, window - 2, 2), APR_SUCCESS); /* counted in the later one */
    ck_assert_uint_eq(count_of(ref, AK_COUNT_MINUTE, window), 2);
}
END_TEST

/* A process that was stopped between reading the clock and counting has an old window in its
 * hand, however old: the running one must not be reset by it. */
START_TEST(test_an_old_reading_does_not_reset_the_window)
{
    ak_slot_ref_t ref = fixture_reserve(T, 7, 5, NOW);
    apr_int64_t window = minute_of(NOW);

    ck_assert_int_eq(take(ref, AK_COUNT_MINUTE, window, 2), APR_SUCCESS);
    ck_assert_int_eq(take(ref, AK_COUNT_MINUTE, window - 10, 2), APR_SUCCESS);
    ck_assert_uint_eq(count_of(ref, AK_COUNT_MINUTE, window), 2);
    ck_assert_int_eq(take(ref, AK_COUNT_MINUTE, window - 10, 2), APR_EBUSY);
    ck_assert_int_eq(take(ref, AK_COUNT_MINUTE, window, 2), APR_EBUSY);
    ck_assert_int_eq(take(ref, AK_COUNT_HOUR, hour_of(NOW), 1), APR_SUCCESS);
    ck_assert_int_eq(take(ref, AK_COUNT_HOUR, hour_of(NOW) - 5, 1), APR_EBUSY);
}
END_TEST

/* A clock that was wrong by much and is put right must not shut a key out until then. */
START_TEST(test_a_clock_that_was_far_ahead)
{
    ak_slot_ref_t ref = fixture_reserve(T, 7, 5, NOW);
    apr_int64_t window = minute_of(NOW);

    ck_assert_int_eq(take(ref, AK_COUNT_MINUTE, window + 600, 1), APR_SUCCESS);
    fixture_clock(T, NOW);
    ck_assert_int_eq(take(ref, AK_COUNT_MINUTE, window, 1), APR_SUCCESS);
    ck_assert_int_eq(take(ref, AK_COUNT_MINUTE, window, 1), APR_EBUSY);
}
END_TEST

START_TEST(test_give_back)
{
    ak_slot_ref_t ref = fixture_reserve(T, 7, 5, NOW);

    take(ref, AK_COUNT_MINUTE, MINUTE, 5);
    take(ref, AK_COUNT_MINUTE, MINUTE, 5);
    ak_table_give_back(T, &ref, AK_COUNT_MINUTE, MINUTE);
    ck_assert_uint_eq(count_of(ref, AK_COUNT_MINUTE, MINUTE), 1);
    ak_table_give_back(T, &ref, AK_COUNT_MINUTE, MINUTE);
    ak_table_give_back(T, &ref, AK_COUNT_MINUTE, MINUTE); /* nothing is left to give */
    ck_assert_uint_eq(count_of(ref, AK_COUNT_MINUTE, MINUTE), 0);
    ck_assert_int_eq(take(ref, AK_COUNT_MINUTE, MINUTE, 1), APR_SUCCESS);
    ck_assert_int_eq(take(ref, AK_COUNT_MINUTE, MINUTE, 1), APR_EBUSY);
}
END_TEST

/* A unit given back late must not be taken out of another window. */
START_TEST(test_give_back_after_the_window_moved_on)
{
    ak_slot_ref_t ref = fixture_reserve(T, 7, 5, NOW);

    take(ref, AK_COUNT_MINUTE, MINUTE, 5);
    take(ref, AK_COUNT_MINUTE, MINUTE + 1, 5);
    ak_table_give_back(T, &ref, AK_COUNT_MINUTE, MINUTE);
    ak_table_give_back(T, &ref, AK_COUNT_MINUTE, MINUTE + 2);
    ck_assert_uint_eq(count_of(ref, AK_COUNT_MINUTE, MINUTE + 1), 1);
}
END_TEST

START_TEST(test_a_reference_to_what_is_gone)
{
    ak_slot_ref_t ref = fixture_reserve(T, 7, 5, NOW), stale = ref;
    ak_key_t key = fixture_key(7, 5);

    take(ref, AK_COUNT_MINUTE, MINUTE, 5);
    stale.generation--;
    ck_assert_int_eq(take(stale, AK_COUNT_MINUTE, MINUTE, 5), AK_EGONE);
    ak_table_give_back(T, &stale, AK_COUNT_MINUTE, MINUTE);
    ck_assert_uint_eq(count_of(stale, AK_COUNT_MINUTE, MINUTE), 0);
    ck_assert_uint_eq(count_of(ref, AK_COUNT_MINUTE, MINUTE), 1);
    ck_assert_int_eq(ak_table_fill(T, &stale, &key, 0), AK_EGONE);
}
END_TEST

/* --- eviction ---------------------------------------------------------------------------------- */

/* Fill the neighbourhood of home 0 with keys 1 to 64, each with one unit of `which`. */
static void crowd(ak_count_e which, apr_time_t now)
{
    apr_uint64_t n;

    for (n = 1; n <= PROBE; n++) {
        ak_slot_ref_t ref = fixture_put(T, n, 0, now);
        ck_assert_int_eq(take(ref, which, ak_window_index(ak_count_unit(which), now), 5), APR_SUCCESS);
    }
}

static apr_status_t reserve_another(apr_time_t now, ak_slot_ref_t *ref)
{
    unsigned char digest[AK_DIGEST_BYTES];
    apr_uint64_t ticket;

    fixture_digest(digest, NO_KEY, 0);
    return ak_table_reserve(T, digest, now, ref, &ticket);
}

/* For each counter: no slot goes while its window runs, nor until the clock can no more be
 * set back into it; then it goes, and only then. */
START_TEST(test_only_idle_slots_are_evicted)
{
    apr_interval_time_t left = _i == AK_COUNT_HOUR ? MINUTES(30) : MINUTES(1);
    ak_slot_ref_t ref;

    crowd((ak_count_e)_i, NOW); /* 10:30:00 exactly */
    ck_assert_int_eq(reserve_another(NOW, &ref), APR_ENOSPC);
    ck_assert_int_eq(reserve_another(NOW + left - 1, &ref), APR_ENOSPC);
    ck_assert_int_eq(reserve_another(NOW + left + MINUTES(2) - 1, &ref), APR_ENOSPC);
    fixture_clock(T, NOW - MINUTES(2)); /* the clock was set back */
    ck_assert_int_eq(reserve_another(NOW - MINUTES(2), &ref), APR_ENOSPC);
    fixture_put(T, 200, 100, NOW); /* another neighbourhood has room */
    ck_assert_int_eq(reserve_another(NOW + left + MINUTES(2), &ref), APR_SUCCESS);
    ck_assert_uint_lt(ref.slot, PROBE);
}
END_TEST

START_TEST(test_a_counted_neighbour_keeps_its_slot)
{
    apr_time_t later = NOW + HOURS(2);
    ak_slot_ref_t ref;
    apr_uint64_t n;

    crowd(AK_COUNT_HOUR, NOW);
    for (n = 1; n < PROBE; n++) /* all but the last are used again */
        take(fixture_reserve(T, n, 0, later), AK_COUNT_HOUR, hour_of(later), 5);
    ck_assert_int_eq(reserve_another(later, &ref), APR_SUCCESS);
    for (n = 1; n < PROBE; n++) {
        ck_assert(fixture_finds(T, n, 0));
        ck_assert_uint_eq(count_of(fixture_reserve(T, n, 0, later), AK_COUNT_HOUR, hour_of(later)), 1);
    }
    ck_assert(!fixture_finds(T, PROBE, 0));
}
END_TEST

/* When key n of the next test was last used: some days ago, or else an hour. */
static apr_time_t last_used(apr_uint64_t n, const apr_uint64_t *order, int count)
{
    int i;

    for (i = 0; i < count; i++)
        if (order[i] == n)
            return NOW - HOURS(24 * (count - i));
    return NOW - HOURS(1);
}

START_TEST(test_the_longest_idle_goes_first)
{
    static const apr_uint64_t order[] = {40, 3, 64, 1, 17};
    apr_uint64_t n;
    int i;

    for (n = 1; n <= PROBE; n++) {
        apr_time_t then = last_used(n, order, 5);
        fixture_clock(T, then);
        ck_assert_int_eq(take(fixture_put(T, n, 0, then), AK_COUNT_MINUTE, minute_of(then), 5), APR_SUCCESS);
    }
    for (i = 0; i < 5; i++) {
        ck_assert(fixture_finds(T, order[i], 0));
        fixture_put(T, 100 + (apr_uint64_t)i, 0, NOW);
        ck_assert(!fixture_finds(T, order[i], 0));
    }
    for (i = 0; i < 5; i++) /* and none of the newcomers displaced another */
        ck_assert(fixture_finds(T, 100 + (apr_uint64_t)i, 0));
}
END_TEST

START_TEST(test_the_evicted_reference_is_told)
{
    apr_time_t later = NOW + HOURS(2);
    ak_slot_ref_t old, ref;
    ak_key_t key = fixture_key(1, 0);

    crowd(AK_COUNT_MINUTE, NOW);
    old = fixture_reserve(T, 1, 0, NOW);
    ck_assert_int_eq(reserve_another(later, &ref), APR_SUCCESS);
    ck_assert_uint_eq(ref.slot, old.slot);
    ck_assert_uint_eq(ref.generation, old.generation + 1);
    ck_assert_int_eq(take(old, AK_COUNT_MINUTE, minute_of(later), 5), AK_EGONE);
    ck_assert_int_eq(take(old, AK_COUNT_MANAGE, minute_of(later), 5), AK_EGONE);
    ck_assert_int_eq(ak_table_fill(T, &old, &key, 0), AK_EGONE);
    ck_assert_int_eq(take(ref, AK_COUNT_MINUTE, minute_of(later), 1), APR_SUCCESS);
    ck_assert(!fixture_finds(T, 1, 0));
    ck_assert_uint_eq(ak_table_used(T), PROBE);
}
END_TEST

/* A key that comes back after its slot was evicted, in the hand of a process that was stopped
 * for hours: it must not find the window of that time open, nor reset the one that runs. */
START_TEST(test_an_old_reading_opens_no_slot_in_the_past)
{
    apr_time_t later = NOW + HOURS(2);
    ak_slot_ref_t ref;

    crowd(AK_COUNT_HOUR, NOW);
    fixture_clock(T, later);
    ck_assert_int_eq(reserve_another(later, &ref), APR_SUCCESS);
    ck_assert_int_eq(take(ref, AK_COUNT_HOUR, hour_of(later), 5), APR_SUCCESS);
    ref = fixture_reserve(T, 1, 0, NOW); /* the one that had to go */
    ck_assert_int_eq(take(ref, AK_COUNT_HOUR, hour_of(NOW), 1), APR_SUCCESS);
    ck_assert_int_eq(take(ref, AK_COUNT_HOUR, hour_of(later), 1), APR_EBUSY);
}
END_TEST

/* After a clock that was wrong by more than a day its slots can be had again. */
START_TEST(test_slots_of_a_wrong_clock)
{
    ak_slot_ref_t ref;

    crowd(AK_COUNT_MINUTE, NOW + HOURS(20));
    ck_assert_int_eq(reserve_another(NOW, &ref), APR_ENOSPC);
    fixture_clock(T, NOW - HOURS(40));
    ck_assert_int_eq(reserve_another(NOW - HOURS(40), &ref), APR_SUCCESS);
}
END_TEST

/* --- unknown keys ------------------------------------------------------------------------------- */

#define TTL apr_time_from_sec(3600)

START_TEST(test_unknown_is_remembered)
{
    unsigned char digest[AK_DIGEST_BYTES], other[AK_DIGEST_BYTES];

    fixture_digest(digest, 7, 5);
    fixture_digest(other, 8, 5);
    ck_assert(!ak_table_is_unknown(T, digest, TTL));
    ak_table_note_unknown(T, digest, ak_table_mark(T));
    ck_assert(ak_table_is_unknown(T, digest, TTL));
    ck_assert(!ak_table_is_unknown(T, digest, 0));
    ck_assert(!ak_table_is_unknown(T, other, TTL));
    ak_table_note_unknown(T, other, ak_table_mark(T)); /* the same place */
    ck_assert(ak_table_is_unknown(T, other, TTL));
    ck_assert(!ak_table_is_unknown(T, digest, TTL));
}
END_TEST

START_TEST(test_a_change_ends_not_knowing)
{
    unsigned char digest[AK_DIGEST_BYTES];
    apr_uint64_t mark;

    fixture_digest(digest, 7, 5);
    ak_table_note_unknown(T, digest, ak_table_mark(T));
    ak_table_drop(T, digest);
    ck_assert(!ak_table_is_unknown(T, digest, TTL));
    ak_table_note_unknown(T, digest, ak_table_mark(T));
    ak_table_drop_all(T);
    ck_assert(!ak_table_is_unknown(T, digest, TTL));
    mark = ak_table_mark(T);
    ak_table_drop(T, digest); /* made between the read that found nothing and its note */
    ak_table_note_unknown(T, digest, mark);
    ck_assert(!ak_table_is_unknown(T, digest, TTL));
}
END_TEST

START_TEST(test_a_digest_of_no_tag_is_never_unknown)
{
    unsigned char digest[AK_DIGEST_BYTES] = {0};

    ck_assert(!ak_table_is_unknown(T, digest, TTL));
    ak_table_note_unknown(T, digest, ak_table_mark(T));
    ck_assert(!ak_table_is_unknown(T, digest, TTL));
}
END_TEST

/* --- failures, figures, the log ------------------------------------------------------------------ */

START_TEST(test_failures)
{
    unsigned char a[16] = {1, 2, 3}, b[16] = {1, 2, 4};
    apr_uint32_t i;

    ck_assert_uint_eq(ak_table_failures(T, a, 0, 60, 6000), 0);
    for (i = 1; i <= 10; i++)
        ck_assert_uint_eq(ak_table_failures(T, a, 1, 60, 6000 + i), i);
    ck_assert_uint_eq(ak_table_failures(T, a, 0, 60, 6059), 10);
    ck_assert_uint_eq(ak_table_failures(T, b, 0, 60, 6000), 0);
    ck_assert_uint_eq(ak_table_failures(T, a, 0, 60, 6060), 0); /* the next window */
    ck_assert_uint_eq(ak_table_failures(T, a, 1, 60, 6060), 1);
}
END_TEST

START_TEST(test_tallies)
{
    int i;

    for (i = 0; i < AK_TALLY_MAX; i++)
        ak_table_tally(T, i, (apr_uint64_t)i + 1);
    ak_table_tally(T, 3, 1000);
    for (i = 0; i < AK_TALLY_MAX; i++)
        ck_assert_uint_eq(ak_table_tally_read(T, i), (apr_uint64_t)i + 1 + (i == 3 ? 1000 : 0));
}
END_TEST

START_TEST(test_stamp_and_log_only_move_forward)
{
    ck_assert_int_eq(ak_table_stamp(T), 0);
    ak_table_set_stamp(T, 500);
    ak_table_set_stamp(T, 400); /* a poller that was stopped meanwhile */
    ck_assert_int_eq(ak_table_stamp(T), 500);
    ak_table_set_applied(T, 9);
    ak_table_set_applied(T, 8);
    ck_assert_uint_eq(ak_table_applied(T), 9);
}
END_TEST

START_TEST(test_a_log_that_begins_anew)
{
    fixture_put(T, 7, 5, NOW);
    ak_table_set_applied(T, 900);
    ak_table_restart_log(T, 3);
    ck_assert_uint_eq(ak_table_applied(T), 3);
    ck_assert(!fixture_finds(T, 7, 5));
}
END_TEST

/* --- the office ------------------------------------------------------------------------------------- */

/* Be elected in another process, which then ends or stays; its pid. */
static pid_t elect_another(int stays)
{
    int ready[2];
    char byte;
    pid_t pid;

    ck_assert_int_eq(pipe(ready), 0);
    if ((pid = fork()) == 0) {
        byte = ak_table_elect(T, apr_time_from_sec(3600)) ? 'y' : 'n';
        if (write(ready[1], &byte, 1) == 1 && stays)
            pause();
        _exit(0);
    }
    ck_assert_int_eq(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
    ck_assert_int_eq(byte, 'y');
    return pid;
}

static void end(pid_t pid)
{
    kill(pid, SIGKILL);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

START_TEST(test_the_office_is_one_processs)
{
    pid_t pid = elect_another(1);

    ck_assert(!ak_table_elect(T, apr_time_from_sec(3600)));
    ak_table_resign(T); /* not ours to give up */
    ck_assert(!ak_table_elect(T, apr_time_from_sec(3600)));
    end(pid);
    ck_assert(ak_table_elect(T, apr_time_from_sec(3600))); /* at once: it is dead */
    ck_assert(ak_table_elect(T, apr_time_from_sec(3600))); /* and ours as often as we ask */
    ak_table_resign(T);
    end(elect_another(1));
}
END_TEST

/* A poller that was stopped while another took over, and the database was changed for one with
 * a shorter log: what it has read must not make the new one skip changes. */
START_TEST(test_a_replaced_poller_moves_nothing)
{
    pid_t pid;

    ck_assert(ak_table_elect(T, apr_time_from_sec(3600)));
    ak_table_set_applied(T, 5);
    ck_assert_uint_eq(ak_table_applied(T), 5);
    ak_table_resign(T);
    pid = elect_another(1);
    ak_table_restart_log(T, 2);
    ak_table_set_applied(T, 900);
    ck_assert_uint_eq(ak_table_applied(T), 2);
    end(pid);
}
END_TEST

START_TEST(test_a_silent_holder_is_replaced)
{
    pid_t pid = elect_another(1);
    const struct timespec pause_20ms = {0, 20000000};

    nanosleep(&pause_20ms, NULL);
    ck_assert(ak_table_elect(T, apr_time_from_msec(10)));
    end(pid);
}
END_TEST

/* A word of another time: its pid may be any process now, and its time lies ahead of ours. */
START_TEST(test_a_word_from_the_future_is_no_holder)
{
    apr_uint64_t ahead = (apr_uint64_t)(ak_monotonic_usec() / 1000) + 7200000;

    atomic_store(&T->head->poller, (apr_uint64_t)getppid() << 42 | ahead);
    ck_assert(ak_table_elect(T, apr_time_from_sec(3600)));
}
END_TEST

static TCase *cached(void)
{
    TCase *tc = tcase_create("cached");

    tcase_add_checked_fixture(tc, fixture_set_up, fixture_tear_down);
    tcase_add_test(tc, test_nothing_is_found_in_an_empty_table);
    tcase_add_test(tc, test_filled_is_found);
    tcase_add_test(tc, test_reserved_is_not_yet_found_and_has_one_place);
    tcase_add_test(tc, test_places_wrap_around_the_end);
    tcase_add_test(tc, test_digests_of_one_tag_are_told_apart);
    tcase_add_test(tc, test_facts_never_reach_another_key);
    tcase_add_test(tc, test_drop_forgets_facts_and_keeps_counters);
    tcase_add_test(tc, test_drop_all_forgets_all);
    tcase_add_loop_test(tc, test_a_drop_between_reserve_and_fill_leaves_nothing, 0, 2);
    tcase_add_test(tc, test_old_news_does_not_displace_newer);
    tcase_add_test(tc, test_drop_of_what_is_not_there);
    tcase_add_test(tc, test_unknown_is_remembered);
    tcase_add_test(tc, test_a_change_ends_not_knowing);
    tcase_add_test(tc, test_a_digest_of_no_tag_is_never_unknown);
    return tc;
}

static TCase *counted(void)
{
    TCase *tc = tcase_create("counted");

    tcase_add_checked_fixture(tc, fixture_set_up, fixture_tear_down);
    tcase_add_test(tc, test_exactly_the_limit);
    tcase_add_test(tc, test_the_three_counters_are_apart);
    tcase_add_test(tc, test_a_limit_beyond_the_word_is_the_words);
    tcase_add_test(tc, test_a_new_window_begins_at_nothing);
    tcase_add_test(tc, test_window_numbers_wrap);
    tcase_add_test(tc, test_a_window_is_never_opened_again);
    tcase_add_test(tc, test_an_old_reading_does_not_reset_the_window);
    tcase_add_test(tc, test_a_clock_that_was_far_ahead);
    tcase_add_test(tc, test_give_back);
    tcase_add_test(tc, test_give_back_after_the_window_moved_on);
    tcase_add_test(tc, test_a_reference_to_what_is_gone);
    tcase_add_loop_test(tc, test_only_idle_slots_are_evicted, 0, AK_COUNT_COUNT);
    tcase_add_test(tc, test_a_counted_neighbour_keeps_its_slot);
    tcase_add_test(tc, test_the_longest_idle_goes_first);
    tcase_add_test(tc, test_the_evicted_reference_is_told);
    tcase_add_test(tc, test_an_old_reading_opens_no_slot_in_the_past);
    tcase_add_test(tc, test_slots_of_a_wrong_clock);
    tcase_add_test(tc, test_failures);
    tcase_add_test(tc, test_tallies);
    return tc;
}

static TCase *elected(void)
{
    TCase *tc = tcase_create("elected");

    tcase_add_checked_fixture(tc, fixture_set_up, fixture_tear_down);
    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, test_stamp_and_log_only_move_forward);
    tcase_add_test(tc, test_a_log_that_begins_anew);
    tcase_add_test(tc, test_the_office_is_one_processs);
    tcase_add_test(tc, test_a_replaced_poller_moves_nothing);
    tcase_add_test(tc, test_a_silent_holder_is_replaced);
    tcase_add_test(tc, test_a_word_from_the_future_is_no_holder);
    return tc;
}

Suite *suite_table(void)
{
    Suite *suite = suite_create("table");

    suite_add_tcase(suite, cached());
    suite_add_tcase(suite, counted());
    suite_add_tcase(suite, elected());
    return suite;
}
