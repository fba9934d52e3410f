/* test_event.c - the event line: what is encoded decodes, and nothing else does */
#include <apr_strings.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ak_event.h"
#include "suites.h"

static const char sample_line[] =
    "{\"v\":1,\"producer\":\"n7.41.k2\",\"seq\":12,\"time\":1760437800123456,\"class\":\"api\","
    "\"key\":\"key_abc123\",\"account\":\"acct_default\",\"environment\":\"live\","
    "\"address\":\"192.0.2.7\",\"method\":\"GET\",\"scope\":\"tasks:read\",\"decision\":\"ok\","
    "\"status\":200}\n";

static ak_event_t sample(void)
{
    ak_event_t e = {.producer = "n7.41.k2",
                    .seq = 12,
                    .time = APR_INT64_C(1760437800123456),
                    .klass = AK_CLASS_API,
                    .key = "key_abc123",
                    .account = "acct_default",
                    .environment = "live",
                    .address = "192.0.2.7",
                    .method = "GET",
                    .scope = "tasks:read",
                    .decision = AK_OK,
                    .status = 200};
    return e;
}

static apr_status_t decode(const char *line, apr_size_t len)
{
    ak_event_t e;
    const char *why = "untouched";
    apr_status_t rv = ak_event_decode(&e, line, len, &why);

    if (rv == APR_SUCCESS)
        ck_assert_ptr_null(why);
    else
        ck_assert(why != NULL && why[0] != '\0' && strcmp(why, "untouched") != 0);
    return rv;
}

static void assert_same(const ak_event_t *a, const ak_event_t *b)
{
    ck_assert_str_eq(a->producer, b->producer);
    ck_assert(a->seq == b->seq);
    ck_assert(a->time == b->time);
    ck_assert_int_eq(a->klass, b->klass);
    ck_assert_str_eq(a->key, b->key);
    ck_assert_str_eq(a->account, b->account);
    ck_assert_str_eq(a->environment, b->environment);
    ck_assert_str_eq(a->address, b->address);
    ck_assert_str_eq(a->method, b->method);
    ck_assert_str_eq(a->scope, b->scope);
    ck_assert_int_eq(a->decision, b->decision);
    ck_assert_int_eq(a->status, b->status);
}

START_TEST(encodes_as_documented)
{
    char buf[AK_EVENT_MAX];
    ak_event_t e = sample();
    apr_size_t len = ak_event_encode(buf, &e);

    ck_assert_uint_eq(len, sizeof(sample_line) - 1);
    ck_assert_mem_eq(buf, sample_line, len);
}
END_TEST

START_TEST(decodes_with_and_without_newline)
{
    ak_event_t e, want = sample();
    const char *why;

    ck_assert_int_eq(ak_event_decode(&e, sample_line, sizeof(sample_line) - 1, &why), APR_SUCCESS);
    assert_same(&e, &want);
    ck_assert_int_eq(ak_event_decode(&e, sample_line, sizeof(sample_line) - 2, &why), APR_SUCCESS);
    assert_same(&e, &want);
}
END_TEST

/* Numbers from a fixed seed (xorshift, Marsaglia 2003). */
static apr_uint64_t dice;

static int roll(void)
{
    dice ^= dice << 13;
    dice ^= dice >> 7;
    dice ^= dice << 17;
    return (int)(dice >> 33);
}

/* Text of the given characters and a random length up to max. */
static void random_text(char *out, int min, int max, const char *from)
{
    int len = min + roll() % (max - min + 1);

    for (int i = 0; i < len; i++)
        out[i] = from[(size_t)roll() % strlen(from)];
    out[len] = '\0';
}

static ak_event_t random_event(void)
{
    static const char id[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    ak_event_t e = {.seq = 1 + ((apr_uint64_t)roll() << 31) + (apr_uint64_t)roll(),
                    .time = (apr_time_t)roll() * 1000003,
                    .klass = roll() % 2 ? AK_CLASS_API : AK_CLASS_MANAGE,
                    .decision = (ak_code_e)(roll() % AK_CODE_COUNT),
                    .status = 100 + roll() % 500};

    random_text(e.producer, 1, AK_PRODUCER_MAX, "abcxyz0189.-");
    random_text(e.address, 0, 45, "0123456789abcdefABCDEF:.");
    random_text(e.method, 0, 16, "GETPOSTabc !#~");
    random_text(e.scope, 0, 65, "abcdefgh-:*");
    if (roll() % 3) {
        apr_cpystrn(e.key, "key_", sizeof(e.key));
        random_text(e.key + 4, 1, AK_ID_SUFFIX, id);
        apr_cpystrn(e.account, "acct_", sizeof(e.account));
        random_text(e.account + 5, 1, AK_ID_SUFFIX, id);
        apr_cpystrn(e.environment, roll() % 2 ? "live" : "test", sizeof(e.environment));
    }
    return e;
}

START_TEST(every_event_survives_the_line)
{
    char buf[AK_EVENT_MAX];

    dice = 20251014;
    for (int i = 0; i < 20000; i++) {
        ak_event_t back, e = random_event();
        const char *why;
        apr_size_t len = ak_event_encode(buf, &e);

        ck_assert_uint_le(len, AK_EVENT_MAX);
        ck_assert_msg(ak_event_decode(&back, buf, len, &why) == APR_SUCCESS, "%s: %.*s", why, (int)len,
                      buf);
        assert_same(&back, &e);
    }
}
END_TEST

/* The widest value of every member at once. */
START_TEST(the_longest_event_fits)
{
    char buf[AK_EVENT_MAX];
    ak_event_t back, e = sample();
    const char *why;

    memset(e.producer, 'p', AK_PRODUCER_MAX);
    e.seq = APR_UINT64_C(9223372036854775807);
    e.time = APR_INT64_C(253402300799999999);
    e.klass = AK_CLASS_MANAGE;
    apr_cpystrn(e.key, "key_abcdefghijklmnopqrst", sizeof(e.key));
    apr_cpystrn(e.account, "acct_abcdefghijklmnopqrst", sizeof(e.account));
    memset(e.address, 'f', 45);
    memset(e.method, 'M', 16);
    memset(e.scope, 's', 65);
    e.decision = AK_UNSUPPORTED_MEDIA_TYPE;
    e.status = 599;
    apr_size_t len = ak_event_encode(buf, &e);
    ck_assert_uint_lt(len, AK_EVENT_MAX);
    ck_assert_int_eq(ak_event_decode(&back, buf, len, &why), APR_SUCCESS);
    assert_same(&back, &e);
}
END_TEST

/* What a client sends as a method is the client's choice. */
START_TEST(characters_that_json_escapes_are_replaced)
{
    char buf[AK_EVENT_MAX];
    ak_event_t back, e = sample();
    const char *why;

    apr_cpystrn(e.method, "G\"\\\n\t\x01\x7f\xc3\xa9T", sizeof(e.method));
    apr_size_t len = ak_event_encode(buf, &e);
    ck_assert_int_eq(ak_event_decode(&back, buf, len, &why), APR_SUCCESS);
    ck_assert_str_eq(back.method, "G????????T");
}
END_TEST

START_TEST(a_zone_is_cut_from_an_address)
{
    char buf[AK_EVENT_MAX];
    ak_event_t back, e = sample();
    const char *why;

    apr_cpystrn(e.address, "fe80::1%eth0", sizeof(e.address));
    apr_size_t len = ak_event_encode(buf, &e);
    ck_assert_int_eq(ak_event_decode(&back, buf, len, &why), APR_SUCCESS);
    ck_assert_str_eq(back.address, "fe80::1");
}
END_TEST

START_TEST(members_without_a_nul_are_bounded)
{
    char buf[AK_EVENT_MAX];
    ak_event_t e = sample();

    memset(e.method, 'M', sizeof(e.method));
    memset(e.scope, 's', sizeof(e.scope));
    memset(e.producer, 'p', sizeof(e.producer));
    ck_assert_uint_lt(ak_event_encode(buf, &e), AK_EVENT_MAX);
}
END_TEST

/* One change to the sample line each; all must be refused. */
static const struct {
    const char *from, *to;
} broken[] = {
    {"{\"v\":1", "{\"v\":2"},
    {"{\"v\":1", "{\"v\":1.0"},
    {"{\"v\":1", " {\"v\":1"},
    {"{\"v\":1", "[\"v\":1"},
    {",\"producer\"", ", \"producer\""},
    {"\"n7.41.k2\"", "\"\""},
    {"\"n7.41.k2\"", "\"N7\""},
    {"\"n7.41.k2\"", "\"n_7\""},
    {"\"n7.41.k2\"", "\"n/7\""},
    {"\"n7.41.k2\"", "7"},
    {"\"n7.41.k2\"", "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\""},
    {"\"seq\":12", "\"seq\":0"},
    {"\"seq\":12", "\"seq\":012"},
    {"\"seq\":12", "\"seq\":-1"},
    {"\"seq\":12", "\"seq\":"},
    {"\"seq\":12", "\"seq\":\"12\""},
    {"\"seq\":12", "\"seq\":1e3"},
    {"\"seq\":12", "\"seq\":9223372036854775808"},
    {"\"seq\":12", "\"seq\":18446744073709551617"},
    {"\"seq\":12", "\"seq\":99999999999999999999999999"},
    {"\"seq\":12,", ""},
    {"\"time\":1760437800123456", "\"time\":-5"},
    {"\"time\":1760437800123456", "\"time\":1.5"},
    {"\"time\":1760437800123456", "\"time\":253402300800000000"},
    {"\"time\":1760437800123456", "\"time\":null"},
    {"\"api\"", "\"API\""},
    {"\"api\"", "\"\""},
    {"\"api\"", "\"other\""},
    {"\"api\"", "\"apimanage\""},
    {"\"key_abc123\"", "\"key_\""},
    {"\"key_abc123\"", "\"abc123\""},
    {"\"key_abc123\"", "\"acct_abc123\""},
    {"\"key_abc123\"", "\"key_ABC\""},
    {"\"key_abc123\"", "\"key_abcdefghijklmnopqrstu\""},
    {"\"key_abc123\"", "\"\""},
    {"\"key_abc123\"", "null"},
    {"\"key_abc123\"", "\"key_a\\u0062\""},
    {"\"acct_default\"", "\"\""},
    {"\"acct_default\"", "\"key_default\""},
    {"\"live\"", "\"\""},
    {"\"live\"", "\"prod\""},
    {"\"live\"", "\"Live\""},
    {"\"live\"", "\"livelive\""},
    {"\"192.0.2.7\"", "\"host.example\""},
    {"\"192.0.2.7\"", "\"192.0.2.7 \""},
    {"\"192.0.2.7\"", "\"0000000000000000000000000000000000000000000000\""},
    {"\"GET\"", "\"GETGETGETGETGETGE\""},
    {"\"GET\"", "\"G\nT\""},
    {"\"GET\"", "\"G\tT\""},
    {"\"GET\"", "\"G\\T\""},
    {"\"GET\"", "\"G\xc3\xa9T\""},
    {"\"GET\"", "GET"},
    {"\"tasks:read\"", "\"tasks\x7fread\""},
    {"\"tasks:read\"",
     "\"ssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssss\""},
    {"\"ok\"", "\"okay\""},
    {"\"ok\"", "\"\""},
    {"\"ok\"", "\"OK\""},
    {"\"ok\"", "\"ooooooooooooooooooooooooooooooooooooooooooooooooo\""},
    {"\"status\":200", "\"status\":99"},
    {"\"status\":200", "\"status\":600"},
    {"\"status\":200", "\"status\":0200"},
    {"\"status\":200", "\"status\":true"},
    {"\"status\":200", "\"status\":200,\"more\":1"},
    {"\"method\":\"GET\",\"scope\":\"tasks:read\"", "\"scope\":\"tasks:read\",\"method\":\"GET\""},
    {"\"method\":\"GET\",", "\"method\":\"GET\",\"method\":\"GET\","},
    {"200}\n", "200}}\n"},
    {"200}\n", "200} \n"},
    {"200}\n", "200}\n\n"},
    {"200}\n", "200}\r\n"},
    {"200}\n", "200"},
};

#define BROKEN_COUNT ((int)(sizeof(broken) / sizeof(broken[0])))

START_TEST(every_change_is_refused)
{
    char line[sizeof(sample_line) + 128];
    const char *at = strstr(sample_line, broken[_i].from);
    size_t head = (size_t)(at - sample_line);

    ck_assert_ptr_nonnull(at);
    snprintf(line, sizeof(line), "%.*s%s%s", (int)head, sample_line, broken[_i].to,
             at + strlen(broken[_i].from));
    ck_assert_msg(decode(line, strlen(line)) == APR_EINVAL, "taken: %s", line);
}
END_TEST

START_TEST(every_truncation_is_refused)
{
    /* on the heap, so that a read past the end is seen by the sanitizers */
    for (apr_size_t len = 0; len < sizeof(sample_line) - 2; len++) {
        char *copy = malloc(len ? len : 1);
        memcpy(copy, sample_line, len);
        ck_assert_int_eq(decode(copy, len), APR_EINVAL);
        free(copy);
    }
}
END_TEST

START_TEST(any_bytes_are_safe)
{
    char copy[sizeof(sample_line) - 1];
    int refused = 0;

    dice = 7;
    for (int i = 0; i < 100000; i++) {
        memcpy(copy, sample_line, sizeof(copy));
        for (int n = 1 + roll() % 4; n > 0; n--)
            copy[(size_t)roll() % sizeof(copy)] = (char)(roll() % 256);
        apr_size_t len = sizeof(copy) - (roll() % 4 ? 0 : (apr_size_t)roll() % sizeof(copy));
        refused += decode(copy, len) != APR_SUCCESS;
    }
    ck_assert_int_gt(refused, 50000);
}
END_TEST

START_TEST(an_overlong_line_is_refused_at_once)
{
    char line[AK_EVENT_MAX + 2];

    memset(line, 'x', sizeof(line));
    memcpy(line, sample_line, sizeof(sample_line) - 1);
    ck_assert_int_eq(decode(line, sizeof(line)), APR_EINVAL);
}
END_TEST

START_TEST(a_nul_inside_is_refused)
{
    char line[sizeof(sample_line)];

    memcpy(line, sample_line, sizeof(line));
    *(strstr(line, "GET") + 1) = '\0';
    ck_assert_int_eq(decode(line, sizeof(line) - 1), APR_EINVAL);
}
END_TEST

Suite *suite_event(void)
{
    Suite *s = suite_create("event");
    TCase *c = tcase_create("line");

    tcase_set_timeout(c, 60);
    tcase_add_test(c, encodes_as_documented);
    tcase_add_test(c, decodes_with_and_without_newline);
    tcase_add_test(c, every_event_survives_the_line);
    tcase_add_test(c, the_longest_event_fits);
    tcase_add_test(c, characters_that_json_escapes_are_replaced);
    tcase_add_test(c, a_zone_is_cut_from_an_address);
    tcase_add_test(c, members_without_a_nul_are_bounded);
    tcase_add_loop_test(c, every_change_is_refused, 0, BROKEN_COUNT);
    tcase_add_test(c, every_truncation_is_refused);
    tcase_add_test(c, any_bytes_are_safe);
    tcase_add_test(c, an_overlong_line_is_refused_at_once);
    tcase_add_test(c, a_nul_inside_is_refused);
    suite_add_tcase(s, c);
    return s;
}
