/* test_webhook.c - URLs, secrets and signatures of webhooks, and where they may lead */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "ak_webhook.h"
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
    const char *url;
    int good;
} urls[] = {
    {"https://example.com", 1},
    {"http://example.com/", 1},
    {"HTTPS://example.com:8443/a/b?c=d&e=%20", 1},
    {"https://[2001:db8::1]:443/x", 1},
    {"https://example.com?x@y", 1},
    {"https://192.0.2.1/@x", 1},
    {"", 0},
    {"example.com", 0},
    {"https:/example.com", 0},
    {"https://", 0},
    {"https:///x", 0},
    {"https://?x", 0},
    {"https://:443/", 0},
    {"https://example.com:/", 0},
    {"https://example.com:0/", 0},
    {"https://example.com:65536/", 0},
    {"https://example.com:99999999999999999999/", 0},
    {"https://example.com:44x/", 0},
    {"https://a@example.com/", 0},
    {"https://a:b@example.com/", 0},
    {"https://[2001:db8::1/", 0},
    {"https://example.com/#x", 0},
    {"https://exam ple.com/", 0},
    {"https://example.com/\r\nX: y", 0},
    {"https://example.com/\x7f", 0},
    {"https://ex\xc3\xa4mple.com/", 0},
    {"https://example.com\\@127.0.0.1/", 0},
    {"ftp://example.com/", 0},
    {"file:///etc/passwd", 0},
};
#define URLS ((int)(sizeof(urls) / sizeof(urls[0])))

START_TEST(urls_of_webhooks)
{
    const char *fault = ak_webhook_url_fault(urls[_i].url);

    ck_assert_msg((fault == NULL) == urls[_i].good, "%s: %s", urls[_i].url, fault ? fault : "taken");
}
END_TEST

START_TEST(a_url_has_a_longest_length)
{
    char url[AK_WEBHOOK_URL_MAX + 2];

    memset(url, 'x', sizeof(url));
    memcpy(url, "https://a/", 10);
    url[AK_WEBHOOK_URL_MAX] = '\0';
    ck_assert_ptr_null(ak_webhook_url_fault(url));
    url[AK_WEBHOOK_URL_MAX] = 'x';
    url[AK_WEBHOOK_URL_MAX + 1] = '\0';
    ck_assert_ptr_nonnull(ak_webhook_url_fault(url));
}
END_TEST

static const struct {
    const char *secret;
    int good;
} secrets[] = {
    {"whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", 1},     /* 24 bytes */
    {"whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", 0},     /* 23 */
    {"whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", 1},
    {"whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==", 1},
    {"whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA===", 0},
    {"whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", 0}, /* not whole */
    {"whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=AAAA", 0},
    {"whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA-", 0},
    {"whsec_AAAAAAAAAAAAAAAA AAAAAAAAAAAAAAA", 0},
    {"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", 0},
    {"WHSEC_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", 0},
    {"whsec_", 0},
    {"whsec_====", 0},
    {"", 0},
    {"whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
     "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==", 1}, /* 64 */
    {"whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
     "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", 0}, /* 65 */
    {"whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
     "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", 0},
};
#define SECRETS ((int)(sizeof(secrets) / sizeof(secrets[0])))

START_TEST(secrets_of_webhooks)
{
    const char *signature;

    ck_assert_msg(ak_webhook_secret_ok(secrets[_i].secret) == secrets[_i].good, "%s", secrets[_i].secret);
    ck_assert_int_eq(ak_webhook_sign(&signature, secrets[_i].secret, "id", 1, "{}", pool) == APR_SUCCESS,
                     secrets[_i].good);
}
END_TEST

START_TEST(fresh_secrets_differ)
{
    const char *one = ak_webhook_secret_make(pool), *other = ak_webhook_secret_make(pool);

    ck_assert_int_eq((int)strlen(one), 50);
    ck_assert(ak_webhook_secret_ok(one) && ak_webhook_secret_ok(other));
    ck_assert_str_ne(one, other);
}
END_TEST

/* Made with: printf %s ID.TIME.BODY | openssl dgst -sha256 -mac HMAC -macopt hexkey:... -binary | base64 */
START_TEST(a_signature_as_openssl_makes_it)
{
    const char *signature = NULL;

    ck_assert_int_eq(ak_webhook_sign(&signature, "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
                                     "alert_7dvr1ni7zqgu3z5yiqt5", 1760437800, "{\"type\":\"webhook.test\"}", pool),
                     APR_SUCCESS);
    ck_assert_str_eq(signature, "v1,mzA4BdsuR49SZtqKSk5Y1PZSa8l9ExeRjtVYFmVnelQ=");
}
END_TEST

static const struct {
    const char *address;
    int open;
} peers[] = {
    {"1.1.1.1", 1},         {"8.8.8.8", 1},          {"9.255.255.255", 1},   {"11.0.0.0", 1},
    {"172.15.255.255", 1},  {"172.32.0.0", 1},       {"100.63.255.255", 1},  {"100.128.0.0", 1},
    {"223.255.255.255", 1}, {"2606:4700::1111", 1},  {"2a00:1450::1", 1},    {"::ffff:1.1.1.1", 1},
    {"64:ff9b::101:101", 1}, {"2002:101:101::1", 1},
    {"0.0.0.0", 0},         {"10.0.0.1", 0},         {"100.64.0.1", 0},      {"127.0.0.1", 0},
    {"127.255.255.255", 0}, {"169.254.169.254", 0},  {"172.16.0.1", 0},      {"172.31.255.255", 0},
    {"192.168.1.1", 0},     {"192.0.2.1", 0},        {"198.18.0.1", 0},      {"224.0.0.1", 0},
    {"255.255.255.255", 0}, {"::", 0},               {"::1", 0},             {"::7f00:1", 0},
    {"::ffff:127.0.0.1", 0}, {"::ffff:10.0.0.1", 0}, {"64:ff9b::7f00:1", 0}, {"64:ff9b::a9fe:a9fe", 0},
    {"64:ff9b:1::1", 0},    {"2002:7f00:1::", 0},    {"2002:c0a8:101::1", 0}, {"2001:db8::1", 0},
    {"2001::1", 0},         {"fc00::1", 0},          {"fd12:3456::1", 0},    {"fe80::1", 0},
    {"fec0::1", 0},         {"ff02::1", 0},          {"100::1", 0},
};
#define PEERS ((int)(sizeof(peers) / sizeof(peers[0])))

START_TEST(addresses_that_are_public)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    const struct sockaddr *address;

    if (inet_pton(AF_INET, peers[_i].address, &v4.sin_addr) == 1) {
        address = (const struct sockaddr *)(const void *)&v4;
    } else {
        ck_assert_int_eq(inet_pton(AF_INET6, peers[_i].address, &v6.sin6_addr), 1);
        address = (const struct sockaddr *)(const void *)&v6;
    }
    ck_assert_msg(peer_is_public(address) == peers[_i].open, "%s", peers[_i].address);
}
END_TEST

START_TEST(other_families_are_not_public)
{
    struct sockaddr address = {.sa_family = AF_UNIX};

    ck_assert_int_eq(peer_is_public(&address), 0);
}
END_TEST

START_TEST(backoff_grows_over_three_days)
{
    apr_int64_t sum = 0;

    ck_assert_int_eq(webhook_backoff(1), 5);
    for (int i = 1; i < 10; i++) {
        ck_assert_int_gt(webhook_backoff(i + 1), webhook_backoff(i));
        sum += webhook_backoff(i);
    }
    ck_assert_int_eq(webhook_backoff(1000), webhook_backoff(10));
    ck_assert_int_ge(sum + webhook_backoff(10) + webhook_backoff(11), 2 * 86400);
    ck_assert_int_eq(webhook_backoff(0), 5);
}
END_TEST

START_TEST(a_body)
{
    static const char *const wrong[] = {"{}", "{\"kind\":\"x\"}", "{\"kind\":1,\"last_seen\":\"x\"}", "[]",
                                        "{\"kind\":\"x\",\"last_seen\":7}"};
    note_t note = {.alert = json_loads("{\"kind\":\"new_ip\",\"last_seen\":\"T\"}", 0, NULL)};

    ck_assert_str_eq(webhook_body(&note, pool), "{\"type\":\"alert.new_ip\",\"timestamp\":\"T\","
                                                "\"data\":{\"kind\":\"new_ip\",\"last_seen\":\"T\"}}");
    json_decref(note.alert);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        note.alert = json_loads(wrong[i], 0, NULL);
        ck_assert_ptr_null(webhook_body(&note, pool));
        json_decref(note.alert);
    }
}
END_TEST

Suite *suite_webhook(void)
{
    Suite *s = suite_create("webhook");
    TCase *c = tcase_create("webhook");

    tcase_add_checked_fixture(c, set_up, tear_down);
    tcase_add_loop_test(c, urls_of_webhooks, 0, URLS);
    tcase_add_test(c, a_url_has_a_longest_length);
    tcase_add_loop_test(c, secrets_of_webhooks, 0, SECRETS);
    tcase_add_test(c, fresh_secrets_differ);
    tcase_add_test(c, a_signature_as_openssl_makes_it);
    tcase_add_loop_test(c, addresses_that_are_public, 0, PEERS);
    tcase_add_test(c, other_families_are_not_public);
    tcase_add_test(c, backoff_grows_over_three_days);
    tcase_add_test(c, a_body);
    suite_add_tcase(s, c);
    return s;
}
