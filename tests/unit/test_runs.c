/* test_runs.c - numbers that come in any order: against a plain set, and by hand */
#include <apr_strings.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "ak_runs.h"
#include "suites.h"

static apr_pool_t *pool;
static ak_runs_t runs;

static void set_up(void)
{
    apr_pool_create(&pool, NULL);
    ak_runs_init(&runs, 0, pool);
}

static void tear_down(void)
{
    apr_pool_destroy(pool);
}

static int take(apr_uint64_t seq)
{
    return (int)ak_runs_take(&runs, seq, 1000);
}

static void take_run(apr_uint64_t first, apr_uint64_t last)
{
    for (apr_uint64_t seq = first; seq <= last; seq++)
        ck_assert_msg(take(seq), "%lu was taken for a repeat", (unsigned long)seq);
}

static const char *text_of(void)
{
    return ak_runs_text(&runs, pool);
}

START_TEST(in_order)
{
    take_run(1, 1000);
    ck_assert_uint_eq(runs.contiguous, 1000);
    ck_assert_int_eq(runs.count, 0);
    for (apr_uint64_t seq = 1; seq <= 1000; seq++)
        ck_assert(!take(seq));
    ck_assert(!take(0));
}
END_TEST

START_TEST(a_gap_and_its_filling)
{
    take_run(1, 3);
    take_run(6, 8);
    ck_assert_str_eq(text_of(), "2+3@1000");
    ck_assert(!take(7));
    ck_assert(take(5));
    ck_assert_str_eq(text_of(), "1+4@1000");
    ck_assert(take(4));
    ck_assert_uint_eq(runs.contiguous, 8);
    ck_assert_str_eq(text_of(), "");
}
END_TEST

START_TEST(runs_grow_and_join)
{
    take(10);
    take(12);
    ck_assert_str_eq(text_of(), "9+1@1000 1+1@1000");
    take(13);
    ck_assert_str_eq(text_of(), "9+1@1000 1+2@1000");
    take(11);
    ck_assert_str_eq(text_of(), "9+4@1000");
    take(5);
    ck_assert_str_eq(text_of(), "4+1@1000 4+4@1000");
    take(9);
    ck_assert_str_eq(text_of(), "4+1@1000 3+5@1000");
}
END_TEST

/* Numbers from a fixed seed (xorshift). */
static apr_uint64_t dice;

static apr_uint64_t roll(apr_uint64_t below)
{
    dice ^= dice << 13;
    dice ^= dice >> 7;
    dice ^= dice << 17;
    return (dice >> 11) % below;
}

#define MANY 400

/* Whatever comes in whatever order: new exactly when a plain set says so.  So few numbers
 * that the ranges always suffice; the text form goes back and forth on the way. */
START_TEST(as_a_plain_set)
{
    char seen[MANY + 1];

    dice = 11;
    for (int round = 0; round < 50; round++) {
        memset(seen, 0, sizeof(seen));
        ak_runs_init(&runs, 0, pool);
        for (int i = 0; i < 2000; i++) {
            apr_uint64_t seq = 1 + roll(MANY);
            ck_assert_int_eq(ak_runs_has(&runs, seq), seen[seq]);
            ck_assert_int_eq(take(seq), !seen[seq]);
            seen[seq] = 1;
            if (i % 100 == 0) {
                const char *text = text_of();
                ck_assert_int_eq(ak_runs_parse(&runs, text), APR_SUCCESS);
                ck_assert_str_eq(text_of(), text);
            }
        }
        for (int seq = 1; seq <= MANY; seq++)
            ck_assert_int_eq(take((apr_uint64_t)seq), !seen[seq]);
        ck_assert_uint_eq(runs.contiguous, MANY);
        ck_assert_int_eq(runs.count, 0);
    }
}
END_TEST

START_TEST(gaps_are_told_once_and_after_the_grace)
{
    ak_runs_take(&runs, 5, 100);
    ak_runs_take(&runs, 10, 200);
    ck_assert_int_eq((int)ak_runs_gap_since(&runs), 100);
    ck_assert_uint_eq(ak_runs_tell_gaps(&runs, 159, 60), 0);
    ck_assert_uint_eq(ak_runs_tell_gaps(&runs, 160, 60), 4);
    ck_assert_int_eq((int)ak_runs_gap_since(&runs), 200);
    ck_assert_uint_eq(ak_runs_tell_gaps(&runs, 260, 60), 4);
    ck_assert_uint_eq(ak_runs_tell_gaps(&runs, 9999, 60), 0);
    ck_assert_int_eq((int)ak_runs_gap_since(&runs), 0);
    ck_assert_str_eq(text_of(), "4+1x2");
}
END_TEST

START_TEST(what_was_told_and_comes_late_is_counted)
{
    take(3);
    ck_assert_uint_eq(ak_runs_tell_gaps(&runs, 5000, 60), 2);
    ck_assert_int_eq(take(1), AK_RUNS_LATE);
    ck_assert_int_eq(take(5), AK_RUNS_NEW);
    ck_assert_int_eq(take(4), AK_RUNS_NEW);
    ck_assert_int_eq(take(2), AK_RUNS_LATE);
    ck_assert_int_eq(take(2), AK_RUNS_SEEN);
    ck_assert_uint_eq(runs.contiguous, 5);
}
END_TEST

/* A gap keeps its age when an event in its middle comes. */
START_TEST(a_split_gap_keeps_its_age)
{
    ak_runs_take(&runs, 10, 100);
    ak_runs_take(&runs, 5, 500);
    ck_assert_str_eq(text_of(), "4+1@100x2");
    ck_assert_uint_eq(ak_runs_tell_gaps(&runs, 160, 60), 8);
    ck_assert_int_eq(ak_runs_take(&runs, 7, 600), AK_RUNS_LATE);
    ck_assert_str_eq(text_of(), "4+1 1+1 2+1");
}
END_TEST

START_TEST(too_many_gaps)
{
    for (int i = 1; i <= AK_RUNS_MAX; i++)
        ck_assert(take((apr_uint64_t)i * 2));
    ck_assert_int_eq(runs.count, AK_RUNS_MAX);
    ck_assert_uint_eq(runs.given_up, 0);
    take(AK_RUNS_MAX * 2 + 2);
    ck_assert_int_eq(runs.count, AK_RUNS_MAX);
    ck_assert_uint_eq(runs.given_up, 1);
    ck_assert_uint_eq(runs.contiguous, 2);
    ck_assert(!take(1)); /* too late: never twice is worth more */
    ck_assert_uint_eq(ak_runs_tell_gaps(&runs, 0, INT_MAX), 1);
}
END_TEST

START_TEST(great_numbers)
{
    apr_uint64_t last = APR_UINT64_C(9223372036854775807);

    ck_assert(take(last));
    ck_assert(!take(last));
    ck_assert(take(last - 1));
    ck_assert_str_eq(text_of(), "9223372036854775805+2@1000");
    ck_assert_int_eq(ak_runs_parse(&runs, text_of()), APR_SUCCESS);
}
END_TEST

static const char *const bad_texts[] = {
    "5", "5+", "+5", "0+5", "5+0", "a+b", "1+5 ", " 1+5", "1+5,1+5", "1+5@", "1+5@0", "1+5@x", "1+5x", "1+5x0",
    "1+5  1+5", "1+5\n", "1++5", "-1+5", "1+5@10 ", "1+5x2@10", "01+5", "1+5x65537", "9223372036854775807+1",
    "1+9223372036854775807", "1+1x99999999999999999999", "18446744073709551616+1",
};
#define BAD_TEXTS ((int)(sizeof(bad_texts) / sizeof(bad_texts[0])))

START_TEST(a_malformed_text_is_refused)
{
    ck_assert_msg(ak_runs_parse(&runs, bad_texts[_i]) == APR_EINVAL, "taken: %s", bad_texts[_i]);
}
END_TEST

/* As two workers of syslog-ng deal a file out: every second event, then the others. */
START_TEST(every_second_event)
{
    for (apr_uint64_t seq = 2; seq <= 20000; seq += 2)
        ck_assert(take(seq));
    ck_assert_int_eq(runs.count, 10000);
    ck_assert_str_eq(text_of(), "1+1@1000x10000");
    ck_assert_int_eq(ak_runs_parse(&runs, "1+1@1000x10000"), APR_SUCCESS);
    for (apr_uint64_t seq = 1; seq <= 20000; seq += 2)
        ck_assert(take(seq));
    ck_assert_uint_eq(runs.contiguous, 20000);
    ck_assert_int_eq(runs.count, 0);
    ck_assert_uint_eq(runs.given_up, 0);
}
END_TEST

Suite *suite_runs(void)
{
    Suite *s = suite_create("runs");
    TCase *c = tcase_create("numbers");

    tcase_add_checked_fixture(c, set_up, tear_down);
    tcase_set_timeout(c, 60);
    tcase_add_test(c, in_order);
    tcase_add_test(c, a_gap_and_its_filling);
    tcase_add_test(c, runs_grow_and_join);
    tcase_add_test(c, as_a_plain_set);
    tcase_add_test(c, gaps_are_told_once_and_after_the_grace);
    tcase_add_test(c, what_was_told_and_comes_late_is_counted);
    tcase_add_test(c, a_split_gap_keeps_its_age);
    tcase_add_test(c, too_many_gaps);
    tcase_add_test(c, great_numbers);
    tcase_add_loop_test(c, a_malformed_text_is_refused, 0, BAD_TEXTS);
    tcase_add_test(c, every_second_event);
    suite_add_tcase(s, c);
    return s;
}
