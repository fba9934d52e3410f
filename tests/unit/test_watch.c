/* test_watch.c - sliding windows and crowds of detectors, and what counts as a key's use */
#include <apr_strings.h>
#include <string.h>

#include "auditd.h"
#include "suites.h"

static apr_pool_t *pool;
static window_t window;

static void set_up(void)
{
    apr_pool_create(&pool, NULL);
    memset(&window, 0, sizeof(window));
}

static void tear_down(void)
{
    apr_pool_destroy(pool);
}

#define START 1760437800

START_TEST(a_burst_adds_up)
{
    for (apr_uint32_t i = 1; i <= 50; i++)
        ck_assert_uint_eq(window_add(&window, START, 300), i);
}
END_TEST

START_TEST(what_is_past_the_window_is_forgotten)
{
    ck_assert_uint_eq(window_add(&window, START, 300), 1);
    ck_assert_uint_eq(window_add(&window, START + 269, 300), 2);
    ck_assert_uint_eq(window_add(&window, START + 300, 300), 2);
    ck_assert_uint_eq(window_add(&window, START + 10000, 300), 1);
}
END_TEST

/* At a steady pace a window never holds more than the pace allows. */
START_TEST(a_steady_pace_is_measured)
{
    apr_uint32_t most = 0;

    for (int second = 0; second < 5000; second += 10) {
        apr_uint32_t sum = window_add(&window, START + second, 300);
        most = sum > most ? sum : most;
    }
    ck_assert_uint_eq(most, 30);
}
END_TEST

START_TEST(disorder_within_the_window_counts)
{
    window_add(&window, START + 200, 300);
    ck_assert_uint_eq(window_add(&window, START + 20, 300), 2);
}
END_TEST

START_TEST(what_is_older_than_the_window_does_not)
{
    window_add(&window, START + 1000, 300);
    ck_assert_uint_eq(window_add(&window, START, 300), 1);
}
END_TEST

START_TEST(a_window_of_a_second)
{
    ck_assert_uint_eq(window_add(&window, START, 1), 1);
    ck_assert_uint_eq(window_add(&window, START, 1), 2);
    ck_assert_uint_eq(window_add(&window, START + WATCH_CELLS, 1), 1);
}
END_TEST

START_TEST(text_and_back)
{
    window_t back;

    for (int i = 0; i < 200; i += 7)
        window_add(&window, START + i, 300);
    ck_assert_int_eq(window_parse(&back, window_text(&window, pool)), APR_SUCCESS);
    ck_assert_mem_eq(&back, &window, sizeof(window));
    ck_assert_uint_eq(window_add(&back, START + 200, 300), window_add(&window, START + 200, 300));
}
END_TEST

/* --- crowds --- */

static const char *member(int number)
{
    return apr_psprintf(pool, "key_%d", number);
}

START_TEST(a_crowd_counts_each_once)
{
    crowd_t crowd = {0};

    for (int round = 0; round < 3; round++)
        for (int i = 0; i < 10; i++)
            ck_assert_int_eq(crowd_add(&crowd, member(i), START + round, 300), round == 0 ? i + 1 : 10);
}
END_TEST

START_TEST(a_crowd_forgets_whom_the_window_has_passed)
{
    crowd_t crowd = {0};

    crowd_add(&crowd, "a", START, 300);
    ck_assert_int_eq(crowd_add(&crowd, "b", START + 299, 300), 2);
    ck_assert_int_eq(crowd_add(&crowd, "c", START + 300, 300), 2);
    ck_assert_int_eq(crowd_add(&crowd, "b", START + 500, 300), 2);
    ck_assert_int_eq(crowd_add(&crowd, "late", START, 300), 2); /* older than the window: it is no part of it */
    ck_assert_int_eq(crowd_add(&crowd, "b", START + 799, 300), 1);
}
END_TEST

START_TEST(a_crowd_is_bounded)
{
    crowd_t crowd = {0};

    for (int i = 0; i < 10 * CROWD_MAX; i++)
        crowd_add(&crowd, member(i), START + i, 86400);
    ck_assert_int_eq(crowd.count, CROWD_MAX);
    for (int i = 0; i < CROWD_MAX; i++) /* the latest are kept */
        ck_assert_int_ge(crowd.face[i].sec, START + 9 * CROWD_MAX);
    ck_assert_uint_lt(strlen(crowd_text(&crowd, pool)), 1600);
}
END_TEST

START_TEST(a_crowd_as_text_and_back)
{
    crowd_t crowd = {0}, back;

    ck_assert_str_eq(crowd_text(&crowd, pool), "");
    ck_assert_int_eq(crowd_parse(&back, ""), APR_SUCCESS);
    ck_assert_int_eq(back.count, 0);
    for (int i = 0; i < CROWD_MAX; i++)
        crowd_add(&crowd, member(i), START + i, 3600);
    ck_assert_int_eq(crowd_parse(&back, crowd_text(&crowd, pool)), APR_SUCCESS);
    ck_assert_int_eq(back.count, CROWD_MAX);
    for (int i = 0; i < CROWD_MAX; i++) {
        ck_assert_uint_eq(back.face[i].digest, crowd.face[i].digest);
        ck_assert_int_eq(back.face[i].sec, crowd.face[i].sec);
    }
}
END_TEST

static const char *const bad_crowds[] = {"x", "1", "1@", "@1", "1@1 ", "1@ 1", "100000000@1", "-1@1", "1@1x",
                                         "1@1  2@2", "1@1,2@2"};
#define BAD_CROWDS ((int)(sizeof(bad_crowds) / sizeof(bad_crowds[0])))

START_TEST(a_malformed_text_empties_the_crowd)
{
    crowd_t crowd = {1, {{5, 5}}};

    ck_assert_msg(crowd_parse(&crowd, bad_crowds[_i]) == APR_EINVAL, "taken: %s", bad_crowds[_i]);
    ck_assert_int_eq(crowd.count, 0);
}
END_TEST

START_TEST(a_longer_text_than_a_crowd_is_refused)
{
    const char *text = "1@1";
    crowd_t crowd;

    for (int i = 0; i < CROWD_MAX; i++)
        text = apr_psprintf(pool, "%s %x@1", text, i + 2);
    ck_assert_int_eq(crowd_parse(&crowd, text), APR_EINVAL);
}
END_TEST

/* --- where events come from --- */

START_TEST(sources_and_networks)
{
    char text[AK_CIDR_TEXT];

    ck_assert_str_eq(watch_source("192.0.2.7", text), "192.0.2.7");
    ck_assert_str_eq(watch_source("2001:db8:1:2:3::4", text), "2001:db8:1:2::/64");
    ck_assert_str_eq(watch_source("", text), "");
    ck_assert_str_eq(watch_source("somewhere", text), "");
    ck_assert_str_eq(watch_network("192.0.2.7", text), "192.0.2.0/24");
    ck_assert_str_eq(watch_network("2001:db8:1:2:3::4", text), "2001:db8:1::/48");
    ck_assert_str_eq(watch_network("somewhere", text), "");
}
END_TEST

static const char *const bad_texts[] = {"", "x", "-5 0 0 0 0 0 0 0 0 0 0", "5", "5 1 2 3", "5 0 0 0 0 0 0 0 0 0 0 0",
                                        "5 0 0 0 0 0 0 0 0 0 0 ", "5 0 0 0 0 0 0 0 0 0 4294967296",
                                        "5,0,0,0,0,0,0,0,0,0,0"};
#define BAD_TEXTS ((int)(sizeof(bad_texts) / sizeof(bad_texts[0])))

START_TEST(a_malformed_text_empties_the_window)
{
    window_t empty = {0};

    window_add(&window, START, 300);
    ck_assert_msg(window_parse(&window, bad_texts[_i]) == APR_EINVAL, "taken: %s", bad_texts[_i]);
    ck_assert_mem_eq(&window, &empty, sizeof(empty));
}
END_TEST

START_TEST(refusals_that_are_no_use_of_a_key)
{
    int uses = 0;

    for (int code = 0; code < AK_CODE_COUNT; code++)
        uses += usage_is_use((ak_code_e)code);
    ck_assert_int_eq(uses, AK_CODE_COUNT - 8);
    ck_assert(usage_is_use(AK_OK));
    ck_assert(usage_is_use(AK_RATE_LIMIT_EXCEEDED));
    ck_assert(usage_is_use(AK_INSUFFICIENT_SCOPE));
    ck_assert(!usage_is_use(AK_REVOKED_KEY));
    ck_assert(!usage_is_use(AK_EXPIRED_KEY));
    ck_assert(!usage_is_use(AK_IP_NOT_ALLOWED));
}
END_TEST

/* Kinds are the names of alerts that people filter by: each once, with a known severity. */
START_TEST(the_table_of_detectors)
{
    ck_assert_int_ge(detector_count, 8);
    for (int i = 0; i < detector_count; i++) {
        const char *severity = detectors[i]->severity;

        ck_assert(strcmp(severity, "info") == 0 || strcmp(severity, "warning") == 0 ||
                  strcmp(severity, "critical") == 0);
        for (int j = 0; j < i; j++)
            ck_assert_str_ne(detectors[i]->kind, detectors[j]->kind);
    }
}
END_TEST

Suite *suite_watch(void)
{
    Suite *s = suite_create("watch");
    TCase *c = tcase_create("windows");

    tcase_add_checked_fixture(c, set_up, tear_down);
    tcase_add_test(c, a_burst_adds_up);
    tcase_add_test(c, what_is_past_the_window_is_forgotten);
    tcase_add_test(c, a_steady_pace_is_measured);
    tcase_add_test(c, disorder_within_the_window_counts);
    tcase_add_test(c, what_is_older_than_the_window_does_not);
    tcase_add_test(c, a_window_of_a_second);
    tcase_add_test(c, text_and_back);
    tcase_add_loop_test(c, a_malformed_text_empties_the_window, 0, BAD_TEXTS);
    tcase_add_test(c, refusals_that_are_no_use_of_a_key);
    tcase_add_test(c, a_crowd_counts_each_once);
    tcase_add_test(c, a_crowd_forgets_whom_the_window_has_passed);
    tcase_add_test(c, a_crowd_is_bounded);
    tcase_add_test(c, a_crowd_as_text_and_back);
    tcase_add_loop_test(c, a_malformed_text_empties_the_crowd, 0, BAD_CROWDS);
    tcase_add_test(c, a_longer_text_than_a_crowd_is_refused);
    tcase_add_test(c, sources_and_networks);
    tcase_add_test(c, the_table_of_detectors);
    suite_add_tcase(s, c);
    return s;
}
