/* test_mail.c - mail messages: addresses, headers, and words that must stay words */
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
    const char *text;
    int good;
} addresses[] = {
    {"a@b", 1},         {"security+keys@example.com", 1}, {"o'neil@example.com", 1}, {"", 0},
    {"a", 0},           {"@b", 0},                        {"a@", 0},                 {"a@b@c", 0},
    {"-oQ@b", 0},       {"a b@c", 0},                     {"a@b\r\nX", 0},           {"a@b\n", 0},
    {"<a@b>", 0},       {"a@b,c", 0},                     {"a@b;c", 0},              {"a(x)@b", 0},
    {"\"a\"@b", 0},     {"a\\@b", 0},                     {"a@b:25", 0},             {"\xc3\xa4@b", 0},
    {"a@[127.0.0.1]", 0},
};
#define ADDRESSES ((int)(sizeof(addresses) / sizeof(addresses[0])))

START_TEST(addresses_of_mail)
{
    ck_assert_msg(mail_address_ok(addresses[_i].text) == addresses[_i].good, "%s", addresses[_i].text);
}
END_TEST

static const struct {
    const char *text, *header;
} headers[] = {
    {"plain words: [x] key_1", "plain words: [x] key_1"},
    {"", ""},
    {"a\r\nBcc: b@c", "a  Bcc: b@c"},
    {"\x7f\t\x01", "   "},
    {"=?UTF-8?Q?x?=", "=?UTF-8?B?PT9VVEYtOD9RP3g/PQ==?="},
    {"\xc3\xa4", "=?UTF-8?B?w6Q=?="},
    {"bad \xff", "(not in UTF-8)"},
    /* a character is never cut in two: 41 letters and one of two bytes */
    {"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\xc3\xa4",
     "=?UTF-8?B?eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHg=?=\r\n =?UTF-8?B?w6Q=?="},
};
#define HEADERS ((int)(sizeof(headers) / sizeof(headers[0])))

START_TEST(texts_of_headers)
{
    ck_assert_str_eq(mail_header_text(headers[_i].text, pool), headers[_i].header);
}
END_TEST

START_TEST(a_long_header_is_cut)
{
    char text[1000];

    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    ck_assert_uint_eq(strlen(mail_header_text(text, pool)), 160);
}
END_TEST

/* Every line ends with CR LF and is short; no header comes from the alert's words. */
START_TEST(a_whole_message)
{
    note_t note = {.alert_id = "alert_1",
                   .alert = json_loads("{\"kind\":\"k\\r\\nX: 1\",\"severity\":\"info\",\"subject\":\"s\","
                                       "\"message\":\"\\r\\n.\\r\\nMAIL FROM:<a@b>\",\"details\":{\"a\\r\\nB\":[1]}}",
                                       0, NULL)};
    const char *text = mail_message(&note, "from@example.com", "to@example.com", 1760437800, pool), *line = text;
    int lines = 0;

    ck_assert_ptr_nonnull(text);
    ck_assert_ptr_nonnull(strstr(text, "Date: Tue, 14 Oct 2025 10:30:00 +0000\r\n"));
    ck_assert_ptr_nonnull(strstr(text, "\r\nMessage-ID: <alert_1@example.com>\r\n"));
    ck_assert_ptr_nonnull(strstr(text, "\r\nSubject: [info] k  X: 1: s\r\n"));
    ck_assert_ptr_null(strstr(text, "\nX: 1"));
    ck_assert_ptr_null(strstr(text, "MAIL FROM"));
    for (; *line != '\0'; lines++) {
        const char *end = strchr(line, '\n');
        ck_assert_ptr_nonnull(end);
        ck_assert_int_eq(end[-1], '\r');
        ck_assert_int_lt((int)(end - line), 200);
        ck_assert_int_ne(line[0], '.');
        line = end + 1;
    }
    ck_assert_int_gt(lines, 15);
    json_decref(note.alert);
}
END_TEST

START_TEST(no_message_without_good_addresses)
{
    note_t note = {.alert_id = "alert_1", .alert = json_object()};

    ck_assert_ptr_nonnull(mail_message(&note, "a@b", "c@d", 0, pool));
    ck_assert_ptr_null(mail_message(&note, "a@b\r\nX: y", "c@d", 0, pool));
    ck_assert_ptr_null(mail_message(&note, "a@b", "c@d>,<e@f", 0, pool));
    note.alert_id = "alert_1\r\nX: y";
    ck_assert_ptr_null(mail_message(&note, "a@b", "c@d", 0, pool));
    json_decref(note.alert);
}
END_TEST

Suite *suite_mail(void)
{
    Suite *s = suite_create("mail");
    TCase *c = tcase_create("mail");

    tcase_add_checked_fixture(c, set_up, tear_down);
    tcase_add_loop_test(c, addresses_of_mail, 0, ADDRESSES);
    tcase_add_loop_test(c, texts_of_headers, 0, HEADERS);
    tcase_add_test(c, a_long_header_is_cut);
    tcase_add_test(c, a_whole_message);
    tcase_add_test(c, no_message_without_good_addresses);
    suite_add_tcase(s, c);
    return s;
}
