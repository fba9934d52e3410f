/* test_alert.c - an alert's words, and the message that carries it to syslog */
#include <string.h>

#include "auditd.h"
#include "suites.h"

static apr_pool_t *pool;

static void set_up(void)
{
    apr_pool_create(&pool, NULL);
}

static void tear_down(void)
{
    apr_pool_destroy(pool);
}

static const struct {
    apr_int64_t sec;
    const char *words;
} spans[] = {
    {0, "0 seconds"},     {1, "1 second"},      {59, "59 seconds"},   {60, "1 minute"},     {90, "90 seconds"},
    {120, "2 minutes"},   {300, "5 minutes"},   {3600, "1 hour"},     {5400, "90 minutes"}, {43200, "12 hours"},
    {86400, "1 day"},     {90000, "25 hours"},  {172800, "2 days"},   {604800, "7 days"},   {2592000, "30 days"},
};
#define SPANS ((int)(sizeof(spans) / sizeof(spans[0])))

START_TEST(spans_in_words)
{
    ck_assert_str_eq(alert_span(pool, spans[_i].sec), spans[_i].words);
}
END_TEST

START_TEST(backoff_doubles_up_to_five_minutes)
{
    ck_assert_int_eq(outbox_backoff(1), 1);
    ck_assert_int_eq(outbox_backoff(2), 2);
    ck_assert_int_eq(outbox_backoff(5), 16);
    ck_assert_int_eq(outbox_backoff(9), 256);
    ck_assert_int_eq(outbox_backoff(10), 300);
    ck_assert_int_eq(outbox_backoff(1000000), 300);
}
END_TEST

static const char *message_of(const char *json)
{
    note_t note = {.alert_id = "alert_1", .body = json, .alert = json_loads(json, 0, NULL)};
    const char *message;

    ck_assert_ptr_nonnull(note.alert);
    message = syslog_message(&note, "host", 7, pool);
    json_decref(note.alert);
    return message;
}

START_TEST(a_syslog_message)
{
    ck_assert_str_eq(message_of("{\"id\":\"alert_1\",\"kind\":\"new_ip\",\"severity\":\"warning\","
                                "\"account_id\":\"acct_a\",\"key_id\":\"key_a\",\"subject\":\"key_a 192.0.2.0/24\","
                                "\"message\":\"Key key_a was used.\",\"details\":{\"attack\":\"T1078\"},\"count\":3,"
                                "\"first_seen\":\"2025-10-14T10:00:00Z\",\"last_seen\":\"2025-10-14T10:30:00Z\"}"),
                     "<84>1 2025-10-14T10:30:00Z host apikey-auditd 7 new_ip [apikey@32473 id=\"alert_1\" "
                     "kind=\"new_ip\" severity=\"warning\" account=\"acct_a\" key=\"key_a\" "
                     "subject=\"key_a 192.0.2.0/24\" attack=\"T1078\" count=\"3\"] Key key_a was used.");
}
END_TEST

START_TEST(severities)
{
    ck_assert_int_eq(strncmp(message_of("{\"severity\":\"critical\"}"), "<82>1 ", 6), 0);
    ck_assert_int_eq(strncmp(message_of("{\"severity\":\"info\"}"), "<86>1 ", 6), 0);
}
END_TEST

/* A key's name is its owner's choice: it may neither end the data nor begin a line. */
START_TEST(what_people_name_cannot_break_out)
{
    const char *message = message_of("{\"kind\":\"new_ip\",\"severity\":\"info\",\"subject\":\"a\\\"]\\\\b\\n<1>c\","
                                     "\"message\":\"x\\n<34>1 - - - - - -\\ty\"}");

    ck_assert_ptr_nonnull(strstr(message, " subject=\"a\\\"\\]\\\\b <1>c\""));
    ck_assert_ptr_nonnull(strstr(message, "] x <34>1 - - - - - - y"));
    ck_assert_ptr_null(strchr(message, '\n'));
    ck_assert_ptr_null(strchr(message, '\t'));
}
END_TEST

START_TEST(missing_members_are_left_out)
{
    ck_assert_str_eq(message_of("{\"account_id\":null}"),
                     "<86>1 - host apikey-auditd 7 - [apikey@32473 id=\"alert_1\" count=\"0\"] ");
}
END_TEST

static const struct {
    const char *syslog;
    int good;
} targets[] = {
    {"unix:/dev/log", 1},      {"udp:127.0.0.1:514", 1}, {"tcp:log.example:6514", 1}, {"udp:[::1]:514", 1},
    {"", 0},                   {"/dev/log", 0},          {"unix:", 0},                {"unix:log", 0},
    {"udp:", 0},               {"udp:127.0.0.1", 0},     {"udp::514", 0},             {"udp:127.0.0.1:", 0},
    {"udp:127.0.0.1:0", 0},    {"udp:127.0.0.1:65536", 0}, {"udp:127.0.0.1:5x", 0},   {"udp:::1:514", 0},
    {"tls:log.example:6514", 0}, {"tcp:[::1:514", 0},
};
#define TARGETS ((int)(sizeof(targets) / sizeof(targets[0])))

START_TEST(targets_of_syslog)
{
    settings_t settings = {.syslog = targets[_i].syslog};
    const char *problem = sink_syslog.check(&settings, pool);

    ck_assert_msg((problem == NULL) == targets[_i].good, "%s: %s", targets[_i].syslog, problem ? problem : "taken");
}
END_TEST

START_TEST(sinks_are_off_where_nothing_is_set)
{
    settings_t settings = {0};

    ck_assert_int_ge(sink_count, 2);
    for (int i = 0; i < sink_count; i++)
        ck_assert(!sinks[i]->enabled(&settings));
}
END_TEST

Suite *suite_alert(void)
{
    Suite *s = suite_create("alert");
    TCase *c = tcase_create("words");

    tcase_add_checked_fixture(c, set_up, tear_down);
    tcase_add_loop_test(c, spans_in_words, 0, SPANS);
    tcase_add_test(c, backoff_doubles_up_to_five_minutes);
    tcase_add_test(c, a_syslog_message);
    tcase_add_test(c, severities);
    tcase_add_test(c, what_people_name_cannot_break_out);
    tcase_add_test(c, missing_members_are_left_out);
    tcase_add_loop_test(c, targets_of_syslog, 0, TARGETS);
    tcase_add_test(c, sinks_are_off_where_nothing_is_set);
    suite_add_tcase(s, c);
    return s;
}
