/* test_window.c - windows of time, civil dates and RFC 3339 */
#include <string.h>
#include <time.h>

#include "ak_window.h"
#include "suites.h"

#define USEC(sec) ((apr_time_t)(sec) * APR_USEC_PER_SEC)
#define GUIDE APR_INT64_C(1760437800) /* 2025-10-14T10:30:00Z */

/* --- windows -------------------------------------------------------------------------- */

START_TEST(test_window_index)
{
    ck_assert_int_eq(ak_window_index(AK_WINDOW_MINUTE, 0), 0);
    ck_assert_int_eq(ak_window_index(AK_WINDOW_MINUTE, USEC(60) - 1), 0);
    ck_assert_int_eq(ak_window_index(AK_WINDOW_MINUTE, USEC(60)), 1);
    ck_assert_int_eq(ak_window_index(AK_WINDOW_HOUR, USEC(3600) - 1), 0);
    ck_assert_int_eq(ak_window_index(AK_WINDOW_HOUR, USEC(3600)), 1);
    ck_assert_int_eq(ak_window_index(AK_WINDOW_MINUTE, -1), -1);
    ck_assert_int_eq(ak_window_index(AK_WINDOW_MINUTE, USEC(-60)), -1);
    ck_assert_int_eq(ak_window_index(AK_WINDOW_MINUTE, USEC(-60) - 1), -2);
}
END_TEST

START_TEST(test_window_reset)
{
    ck_assert_int_eq(ak_window_reset_sec(AK_WINDOW_HOUR, USEC(GUIDE)), GUIDE + 1800); /* 11:00:00 */
    ck_assert_int_eq(ak_window_reset_sec(AK_WINDOW_HOUR, USEC(GUIDE + 1800) - 1), GUIDE + 1800);
    ck_assert_int_eq(ak_window_reset_sec(AK_WINDOW_HOUR, USEC(GUIDE + 1800)), GUIDE + 5400);
    ck_assert_int_eq(ak_window_reset_sec(AK_WINDOW_MINUTE, USEC(GUIDE)), GUIDE + 60);
    ck_assert_int_eq(ak_window_reset_sec(AK_WINDOW_MINUTE, -1), 0);
}
END_TEST

START_TEST(test_retry_after_is_never_early)
{
    static const apr_time_t left[] = {1, 2, 999999, 1000000, 1000001, 59999999, 60000000};
    static const apr_int64_t wait[] = {1, 1, 1, 1, 2, 60, 60};
    apr_size_t i;

    for (i = 0; i < sizeof left / sizeof left[0]; i++)
        ck_assert_int_eq(ak_window_retry_after_sec(USEC(GUIDE) - left[i], GUIDE), wait[i]);
    ck_assert_int_eq(ak_window_retry_after_sec(USEC(GUIDE), GUIDE), 1); /* past: still a whole second */
    ck_assert_int_eq(ak_window_retry_after_sec(USEC(GUIDE) + 5, GUIDE), 1);
}
END_TEST

/* --- months, days, against the C library --------------------------------------------------- */

static int agrees(apr_int64_t sec)
{
    char got[AK_RFC3339_SIZE], want[AK_RFC3339_SIZE];
    apr_int64_t back = -1;
    time_t t = (time_t)sec;
    struct tm tm;

    if (!gmtime_r(&t, &tm) || !strftime(want, sizeof want, "%FT%TZ", &tm))
        return 0;
    return strcmp(ak_rfc3339(got, sec), want) == 0 && ak_rfc3339_parse(got, &back) == APR_SUCCESS && back == sec
        && ak_month_number(sec) == (tm.tm_year + 1900) * 12 + tm.tm_mon
        && ak_day_start_sec(sec) == sec - tm.tm_hour * 3600 - tm.tm_min * 60 - tm.tm_sec
        && ak_hour_start_sec(sec) == sec - tm.tm_min * 60 - tm.tm_sec;
}

/* Every day of 1600 to 2400, at a second that wanders over the day. */
START_TEST(test_dates_agree_with_the_library)
{
    apr_int64_t sec;

    for (sec = APR_INT64_C(-11676096000); sec < APR_INT64_C(13569465600); sec += 86400 - 7)
        if (!agrees(sec)) /* an assertion writes to a file, which a third of a million would feel */
            ck_abort_msg("second %" APR_INT64_T_FMT, sec);
}
END_TEST

START_TEST(test_month_ends)
{
    static const struct {
        const char *last, *first;
    } ends[] = {
        {"2024-01-31T23:59:59Z", "2024-02-01T00:00:00Z"}, {"2024-02-29T23:59:59Z", "2024-03-01T00:00:00Z"},
        {"2023-02-28T23:59:59Z", "2023-03-01T00:00:00Z"}, {"2000-02-29T23:59:59Z", "2000-03-01T00:00:00Z"},
        {"1900-02-28T23:59:59Z", "1900-03-01T00:00:00Z"}, {"2100-02-28T23:59:59Z", "2100-03-01T00:00:00Z"},
        {"2025-12-31T23:59:59Z", "2026-01-01T00:00:00Z"}, {"1969-12-31T23:59:59Z", "1970-01-01T00:00:00Z"},
        {"2025-04-30T23:59:59Z", "2025-05-01T00:00:00Z"},
    };
    apr_int64_t last, first;

    ck_assert_int_eq(ak_rfc3339_parse(ends[_i].last, &last), APR_SUCCESS);
    ck_assert_int_eq(ak_rfc3339_parse(ends[_i].first, &first), APR_SUCCESS);
    ck_assert_int_eq(first, last + 1);
    ck_assert_int_eq(ak_month_number(first), ak_month_number(last) + 1);
    ck_assert_int_eq(ak_month_start_sec(ak_month_number(first)), first);
    ck_assert_int_lt(ak_month_start_sec(ak_month_number(last)), last);
}
END_TEST

START_TEST(test_month_starts)
{
    char text[AK_RFC3339_SIZE];
    int month;

    for (month = 1900 * 12; month < 2200 * 12; month++) {
        apr_int64_t start = ak_month_start_sec(month);
        ck_assert_int_eq(ak_month_number(start), month);
        ck_assert_int_eq(ak_month_number(start - 1), month - 1);
        ck_assert_str_eq(ak_rfc3339(text, start) + 7, "-01T00:00:00Z");
    }
}
END_TEST

/* --- RFC 3339 ---------------------------------------------------------------------------------- */

START_TEST(test_valid_times)
{
    static const struct {
        const char *text;
        apr_int64_t sec;
    } times[] = {
        {"2025-10-14T10:30:00Z", GUIDE},
        {"2025-10-14t10:30:00z", GUIDE},
        {"2025-10-14T10:30:00.5Z", GUIDE},
        {"2025-10-14T10:30:00.999999999999999999999Z", GUIDE},
        {"2025-10-14T12:30:00+02:00", GUIDE},
        {"2025-10-14T05:00:00-05:30", GUIDE},
        {"2025-10-14T10:30:00-00:00", GUIDE},
        {"2025-10-15T10:29:00+23:59", GUIDE},
        {"1970-01-01T00:00:00Z", 0},
        {"1969-12-31T23:59:59Z", -1},
        {"2024-02-29T12:00:00Z", 1709208000},
        {"2000-02-29T00:00:00Z", 951782400},
        {"9999-12-31T23:59:59Z", APR_INT64_C(253402300799)},
        {"0000-01-01T00:00:00Z", APR_INT64_C(-62167219200)},
        {"1990-12-31T23:59:60Z", 662688000},      /* RFC 3339's own leap second */
        {"1990-12-31T15:59:60-08:00", 662688000}, /* and where it was not yet midnight */
        {"2015-06-30T23:59:60.25Z", 1435708800},
    };
    apr_int64_t sec = -77;

    ck_assert_msg(ak_rfc3339_parse(times[_i].text, &sec) == APR_SUCCESS, "%s", times[_i].text);
    ck_assert_msg(sec == times[_i].sec, "%s: %" APR_INT64_T_FMT, times[_i].text, sec);
}
END_TEST

static const char *const bad_times[] = {
    "", "Z", "2025", "2025-10-14", "2025-10-14T", "2025-10-14T10:30Z", "2025-10-14T10:30:00",
    "2025-10-14 10:30:00Z", "2025-10-14T10:30:00 Z", " 2025-10-14T10:30:00Z", "2025-10-14T10:30:00Z ",
    "2025-10-14T10:30:00ZZ", "2025-10-14T10:30:00Z\n", "25-10-14T10:30:00Z", "02025-10-14T10:30:00Z",
    "2025-1-14T10:30:00Z", "2025-10-4T10:30:00Z", "2025-10-14T1:30:00Z", "2025/10/14T10:30:00Z",
    "2025-00-14T10:30:00Z", "2025-13-14T10:30:00Z", "2025-10-00T10:30:00Z", "2025-10-32T10:30:00Z",
    "2025-02-29T10:30:00Z", "2024-02-30T10:30:00Z", "1900-02-29T00:00:00Z", "2100-02-29T00:00:00Z",
    "2025-04-31T00:00:00Z", "2025-10-14T24:00:00Z", "2025-10-14T10:60:00Z", "2025-10-14T10:30:61Z",
    "2025-10-14T10:30:60Z", "2025-10-14T23:59:60Z", "1990-12-31T23:59:60+01:00", "1990-12-31T23:58:60Z",
    "2025-10-14T10:30:00.Z", "2025-10-14T10:30:00,5Z", "2025-10-14T10:30:00.5", "2025-10-14T10:30:00.x1Z",
    "2025-10-14T10:30:00+0200", "2025-10-14T10:30:00+02", "2025-10-14T10:30:00+2:00",
    "2025-10-14T10:30:00+24:00", "2025-10-14T10:30:00+02:60", "2025-10-14T10:30:00+02:00Z",
    "2025-10-14T10:30:00*02:00", "-025-10-14T10:30:00Z", "+2025-10-14T10:30:00Z", "2025-10-14T-1:30:00Z",
    "2025-+1-14T10:30:00Z", "20251014T103000Z", "2025-10-14T10:30:00UTC", "never", "1760437800",
    "0000-01-01T00:00:00+00:01", /* before the year 0: it could not be printed */
    "9999-12-31T23:59:59-00:01", /* after the year 9999 */
    "2025-10-14T10:30:00\xe2\x88\x92\x30\x32:00", /* a typographer's minus */
};

START_TEST(test_invalid_times)
{
    apr_int64_t sec = -77;

    ck_assert_msg(ak_rfc3339_parse(bad_times[_i], &sec) == APR_EINVAL, "\"%s\"", bad_times[_i]);
    ck_assert_int_eq(sec, -77);
}
END_TEST

/* No prefix of a valid time is valid, so the parser stops at the end and nowhere else. */
START_TEST(test_prefixes_are_invalid)
{
    static const char whole[] = "2025-10-14T10:30:00.25+02:00";
    char cut[sizeof whole];
    apr_int64_t sec;
    apr_size_t len;

    for (len = 0; len < sizeof whole - 1; len++) {
        memcpy(cut, whole, len);
        cut[len] = '\0';
        ck_assert_int_eq(ak_rfc3339_parse(cut, &sec), APR_EINVAL);
    }
    ck_assert_int_eq(ak_rfc3339_parse(whole, &sec), APR_SUCCESS);
}
END_TEST

Suite *suite_window(void)
{
    Suite *suite = suite_create("window");
    TCase *tc = tcase_create("window");

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, test_window_index);
    tcase_add_test(tc, test_window_reset);
    tcase_add_test(tc, test_retry_after_is_never_early);
    tcase_add_test(tc, test_dates_agree_with_the_library);
    tcase_add_loop_test(tc, test_month_ends, 0, 9);
    tcase_add_test(tc, test_month_starts);
    tcase_add_loop_test(tc, test_valid_times, 0, 17);
    tcase_add_loop_test(tc, test_invalid_times, 0, sizeof bad_times / sizeof bad_times[0]);
    tcase_add_test(tc, test_prefixes_are_invalid);
    suite_add_tcase(suite, tc);
    return suite;
}
