/* test_traffic_model.c - what surprises, what does not, and what a restart must not change */
#include <apr_base64.h>
#include <math.h>
#include <string.h>
#include <zlib.h>

#include "suites.h"
#include "traffic_model.h"

#define WIDTH 300
#define BEGIN 1760400000 /* a whole day */
#define DAY 288          /* buckets */

static traffic_model_t model;
static traffic_verdict_t verdict;
static uint32_t seed;

static void set_up(void)
{
    traffic_model_reset(&model);
    seed = 1;
}

/* 0..below-1, the same in every run. */
static int dice(int below)
{
    seed = seed * 1664525u + 1013904223u;
    return (int)((seed >> 8) % (uint32_t)below);
}

/* An office's day: quiet nights, busy noons, some noise. */
static double office(int bucket)
{
    return floor(300 + 250 * sin(2 * M_PI * (bucket % DAY) / DAY) + dice(40));
}

static int feed(int bucket, double count)
{
    ck_assert_int_eq(traffic_model_feed(&model, WIDTH, BEGIN + (int64_t)bucket * WIDTH, count, &verdict),
                     TRAFFIC_TAKEN);
    return verdict.alarm;
}

/* Learn days of an office; returns the next bucket. */
static int learn_days(int days)
{
    for (int i = 0; i < days * DAY; i++)
        feed(i, office(i));
    return days * DAY;
}

START_TEST(constant_traffic_never_alarms)
{
    static const double levels[] = {0, 1, 45, 1e9, 0.1};

    for (int i = 0; i < 100000; i++) {
        ck_assert_int_eq(feed(i, levels[_i]), 0);
        ck_assert(verdict.score < TRAFFIC_THRESHOLD);
    }
}
END_TEST

START_TEST(a_rhythm_is_learned)
{
    int next = learn_days(14), alarms = 0;

    for (int i = next; i < next + 14 * DAY; i++)
        alarms += feed(i, office(i));
    ck_assert_int_le(alarms, 2);
}
END_TEST

START_TEST(a_jump_alarms_at_once_and_says_why)
{
    int next = learn_days(14);

    ck_assert_int_eq(feed(next, 3000), 1);
    ck_assert(verdict.score >= TRAFFIC_THRESHOLD);
    ck_assert_int_eq(verdict.episode, 1);
    ck_assert_int_eq(verdict.seen, 14 * DAY);
    ck_assert_int_eq(verdict.start_sec, BEGIN + (int64_t)next * WIDTH);
    ck_assert_double_eq(verdict.count, 3000);
    ck_assert_double_eq_tol(verdict.value, 3000, 0.5);
    ck_assert_double_le(verdict.expected_high, 700);
    ck_assert_double_lt(verdict.expected_low, verdict.expected_high);
    ck_assert_double_ge(verdict.expected_low, 0);
    ck_assert_double_gt(verdict.beyond, 1);
    ck_assert_int_eq(verdict.silence, 0);
}
END_TEST

START_TEST(an_episode_alarms_once)
{
    int next = learn_days(14);

    ck_assert_int_eq(feed(next, 3000), 1);
    for (int i = 1; i < 12; i++) {
        ck_assert_int_eq(feed(next + i, 3000 + dice(40)), 0);
        ck_assert_int_eq(verdict.episode, 1);
        ck_assert(verdict.score < TRAFFIC_THRESHOLD);
    }
}
END_TEST

START_TEST(silence_alarms)
{
    int next = learn_days(14) + DAY / 4; /* the busiest hour, after a gap in the night */

    for (int i = 14 * DAY; i < next; i++)
        feed(i, office(i));
    ck_assert_int_eq(feed(next, 0), 1);
    ck_assert_int_eq(verdict.silence, 1);
    ck_assert_double_gt(verdict.expected_low, 100);
    for (int i = next + 1; i < next + 10 * DAY; i++)
        ck_assert_int_eq(feed(i, 0), 0); /* the run grows unusual in the same episode */
}
END_TEST

START_TEST(buckets_left_out_are_silence)
{
    traffic_model_t told, skipped;
    traffic_verdict_t other;
    int next = learn_days(14), found = 0;

    told = skipped = model;
    for (int i = 0; i < 10; i++)
        if (traffic_model_feed(&told, WIDTH, BEGIN + (int64_t)(next + i) * WIDTH, i < 9 ? 0 : 300, &other) ==
                TRAFFIC_TAKEN && other.alarm)
            found++;
    ck_assert_int_eq(found, 1);
    ck_assert_int_eq(feed(next + 9, 300), 1);
    ck_assert_int_eq(verdict.silence, 1);
    ck_assert_int_eq(verdict.start_sec, BEGIN + (int64_t)next * WIDTH);
    ck_assert_mem_eq(&told, &model, sizeof(model));

    model = skipped; /* the same gap, when it was ours */
    traffic_model_skip(&model, WIDTH, BEGIN + (int64_t)(next + 9) * WIDTH);
    ck_assert_int_eq(feed(next + 9, office(next + 9)), 0);
    ck_assert_int_eq(model.seen, 14 * DAY + 1);
}
END_TEST

START_TEST(a_long_silence_costs_a_bounded_effort)
{
    learn_days(1);
    feed(100 * DAY * 365, 300);
    ck_assert_int_eq(model.seen, DAY + TRAFFIC_GAP_MAX + 1);
}
END_TEST

START_TEST(silence_of_a_rare_caller_alarms_late)
{
    int i;

    for (i = 0; i < 20 * DAY; i++)
        feed(i, dice(4) == 0 ? 1 + dice(3) : 0);
    for (i = 20 * DAY; i < 21 * DAY; i++)
        if (feed(i, 0))
            break;
    ck_assert_int_lt(i, 21 * DAY);
    ck_assert_int_ge(i, 20 * DAY + 10);
    ck_assert_int_eq(verdict.silence, 1);
    ck_assert_int_eq(verdict.feature, TRAFFIC_RUN);
    ck_assert_double_gt(verdict.value, verdict.expected_high);
    while (++i < 60 * DAY)
        ck_assert_int_eq(feed(i, 0), 0); /* one silence, one alarm */
}
END_TEST

START_TEST(a_new_key_is_not_judged)
{
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(feed(i, dice(2) ? dice(1000000) : 0), 0);
}
END_TEST

START_TEST(a_gap_between_two_usual_values_is_unusual)
{
    for (int i = 0; i < 10 * DAY; i++)
        feed(i, i / 72 % 2 ? 800 : 200);
    ck_assert_int_eq(feed(10 * DAY, 500), 1);
    ck_assert_double_eq_tol(verdict.value, 500, 0.5);
}
END_TEST

START_TEST(no_number_is_refused)
{
    static const double wrong[] = {NAN, INFINITY, -INFINITY, -1};
    traffic_model_t before;

    learn_days(2);
    before = model;
    ck_assert_int_eq(traffic_model_feed(&model, WIDTH, BEGIN + 9 * DAY * WIDTH, wrong[_i], &verdict),
                     TRAFFIC_NO_NUMBER);
    if (!isfinite(wrong[_i]))
        ck_assert_int_eq(traffic_model_observe(&model, BEGIN, wrong[_i], &verdict), TRAFFIC_NO_NUMBER);
    ck_assert_mem_eq(&before, &model, sizeof(model));
}
END_TEST

START_TEST(wrong_times_are_refused)
{
    traffic_model_t before;
    int next = learn_days(2);
    int64_t last = BEGIN + (int64_t)(next - 1) * WIDTH;

    before = model;
    ck_assert_int_eq(traffic_model_feed(&model, WIDTH, last, 1, &verdict), TRAFFIC_OLD);
    ck_assert_int_eq(traffic_model_feed(&model, WIDTH, last - WIDTH, 1, &verdict), TRAFFIC_OLD);
    ck_assert_int_eq(traffic_model_feed(&model, WIDTH, last + WIDTH + 1, 1, &verdict), TRAFFIC_UNALIGNED);
    ck_assert_int_eq(traffic_model_feed(&model, 0, last + WIDTH, 1, &verdict), TRAFFIC_UNALIGNED);
    ck_assert_int_eq(traffic_model_feed(&model, WIDTH, -WIDTH, 1, &verdict), TRAFFIC_UNALIGNED);
    traffic_model_skip(&model, WIDTH, last);
    traffic_model_skip(&model, 0, last + 100 * WIDTH);
    ck_assert_mem_eq(&before, &model, sizeof(model));
}
END_TEST

/* Numbers at the ends of their range give finite scores, and learning goes on. */
START_TEST(extremes_are_survived)
{
    static const double extremes[] = {1e308, -1e308, 1e-308, 0, -0.0, 1e30, 4e9, 1, 5e-324, 1.7e38};
    char text[TRAFFIC_STATE_SIZE];
    const char *why;

    for (int i = 0; i < 20000; i++) {
        double value = i % 7 == 0 ? extremes[dice(10)] : dice(3);

        ck_assert_int_eq(traffic_model_observe(&model, (int64_t)dice(1000) * -777, value, &verdict), TRAFFIC_TAKEN);
        ck_assert(isfinite(verdict.score) && verdict.score >= 0);
    }
    ck_assert_int_eq(traffic_model_observe(&model, BEGIN, 1, &verdict), TRAFFIC_TAKEN);
    traffic_model_save(&model, text);
    ck_assert_msg(traffic_model_restore(&model, text, &why) == 0, "%s", why);
}
END_TEST

/* Stop and start after every bucket: each score has the same bits as without. */
START_TEST(restarts_change_no_score)
{
    traffic_model_t restarted;
    traffic_verdict_t other;
    char text[TRAFFIC_STATE_SIZE];
    const char *why = "";
    int alarms = 0;

    traffic_model_reset(&restarted);
    for (int i = 0; i < 12 * DAY; i++) {
        double count = dice(200) == 0 ? 5000 * dice(3) : office(i);

        feed(i, count);
        alarms += verdict.alarm;
        traffic_model_save(&restarted, text);
        ck_assert_int_eq(strlen(text), TRAFFIC_STATE_SIZE - 1);
        traffic_model_reset(&restarted);
        ck_assert_msg(traffic_model_restore(&restarted, text, &why) == 0, "%s", why);
        traffic_model_feed(&restarted, WIDTH, BEGIN + (int64_t)i * WIDTH, count, &other);
        ck_assert_mem_eq(&verdict.score, &other.score, sizeof(double));
        ck_assert_int_eq(verdict.alarm, other.alarm);
        ck_assert_double_eq(verdict.expected_high, other.expected_high);
    }
    ck_assert_mem_eq(&model, &restarted, sizeof(model));
    ck_assert_int_gt(alarms, 3);
}
END_TEST

static void refused(const char *text, const char *words)
{
    traffic_model_t before = model;
    const char *why = NULL;

    ck_assert_int_eq(traffic_model_restore(&model, text, &why), -1);
    ck_assert_msg(strstr(why, words) != NULL, "\"%s\" should say \"%s\"", why, words);
    ck_assert_mem_eq(&before, &model, sizeof(model));
}

START_TEST(damaged_text_is_refused)
{
    char text[TRAFFIC_STATE_SIZE + 1], *at;

    learn_days(2);
    refused("", "length");
    refused("TM01", "length");
    traffic_model_save(&model, text);
    for (int i = 0; i < TRAFFIC_STATE_SIZE - 1; i++) {
        char kept = text[i];

        text[i] = kept == 'A' ? 'B' : 'A'; /* the last group holds unused bits: no base64 then */
        ck_assert_int_eq(traffic_model_restore(&model, text, &(const char *){NULL}), -1);
        text[i] = '*';
        refused(text, "base64");
        text[i] = kept;
    }
    at = text + TRAFFIC_STATE_SIZE - 2;
    *at = '\0';
    refused(text, "length");
    memcpy(at, "AA", 3);
    refused(text, "length");
}
END_TEST

/* Save the model with some bytes changed and a right checksum. */
static void forge(char *text, int offset, const char *bytes, int count)
{
    unsigned char raw[TRAFFIC_STATE_SIZE];
    uLong crc;

    traffic_model_save(&model, text);
    apr_base64_decode_binary(raw, text);
    memcpy(raw + offset, bytes, (size_t)count);
    crc = crc32(0L, raw, TRAFFIC_STATE_BYTES - 4);
    for (int i = 0; i < 4; i++)
        raw[TRAFFIC_STATE_BYTES - 4 + i] = (unsigned char)(crc >> (8 * i));
    apr_base64_encode_binary(text, raw, TRAFFIC_STATE_BYTES);
}

START_TEST(impossible_state_is_refused)
{
    const char *why;
    char text[TRAFFIC_STATE_SIZE];
    int histograms = 4 + 8 + 4 + 4 + 2 + 4 + 4 + 64 + 96 + 24 + 4 + 4 + 2;

    learn_days(2);
    forge(text, 4, "", 0);
    ck_assert_int_eq(traffic_model_restore(&model, text, &why), 0);
    forge(text, 3, "2", 1);
    refused(text, "version");
    forge(text, 4 + 7, "\xff", 1);                        /* a time before 1970 */
    refused(text, "numbers");
    forge(text, 4 + 8, "\0\0\0\0", 4);                    /* nothing seen, and yet counts */
    refused(text, "numbers");
    forge(text, 20, "\xff", 1);                           /* steadier than can be */
    refused(text, "numbers");
    forge(text, 21, "\2", 1);                             /* told, not told, or what? */
    refused(text, "numbers");
    forge(text, 26, "\0\0\xc0\x7f", 4);                   /* a level that is no number */
    refused(text, "numbers");
    forge(text, 30 + 64 + 96, "\xff", 1);                 /* an hour seen too often */
    refused(text, "numbers");
    forge(text, histograms - 10, "\0\0\x80\xbf", 4);      /* a habit of -1 */
    refused(text, "numbers");
    forge(text, histograms - 2, "\xff\xff", 2);           /* an episode without end */
    refused(text, "numbers");
    forge(text, histograms, "\0\0\x80\x7f", 4);           /* a range that begins at infinity */
    refused(text, "numbers");
    forge(text, histograms, "\0\0\x80\x3f\0\0\0\0", 8);   /* a range from 1 to 0 */
    refused(text, "numbers");
    forge(text, histograms, "\0\0\0\0\0\0\0\0", 8);       /* one value in many cells */
    refused(text, "numbers");
    forge(text, histograms + 8, "\xff\xff\xff\xff", 4);   /* more than a histogram holds */
    refused(text, "numbers");
}
END_TEST

START_TEST(every_feature_has_a_name)
{
    for (int i = 0; i < TRAFFIC_FEATURES; i++) {
        ck_assert_str_ne(traffic_feature_name((traffic_feature_e)i), "unknown");
        for (int j = 0; j < i; j++)
            ck_assert_str_ne(traffic_feature_name((traffic_feature_e)i), traffic_feature_name((traffic_feature_e)j));
    }
    ck_assert_str_eq(traffic_feature_name(TRAFFIC_FEATURES), "unknown");
}
END_TEST

Suite *suite_traffic_model(void)
{
    Suite *suite = suite_create("traffic_model");
    TCase *tc = tcase_create("traffic_model");

    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, set_up, NULL);
    tcase_add_loop_test(tc, constant_traffic_never_alarms, 0, 5);
    tcase_add_test(tc, a_rhythm_is_learned);
    tcase_add_test(tc, a_jump_alarms_at_once_and_says_why);
    tcase_add_test(tc, an_episode_alarms_once);
    tcase_add_test(tc, silence_alarms);
    tcase_add_test(tc, buckets_left_out_are_silence);
    tcase_add_test(tc, a_long_silence_costs_a_bounded_effort);
    tcase_add_test(tc, silence_of_a_rare_caller_alarms_late);
    tcase_add_test(tc, a_new_key_is_not_judged);
    tcase_add_test(tc, a_gap_between_two_usual_values_is_unusual);
    tcase_add_loop_test(tc, no_number_is_refused, 0, 4);
    tcase_add_test(tc, wrong_times_are_refused);
    tcase_add_test(tc, extremes_are_survived);
    tcase_add_test(tc, restarts_change_no_score);
    tcase_add_test(tc, damaged_text_is_refused);
    tcase_add_test(tc, impossible_state_is_refused);
    tcase_add_test(tc, every_feature_has_a_name);
    suite_add_tcase(suite, tc);
    return suite;
}
