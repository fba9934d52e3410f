/* test_token.c - keys and ids: what is made parses, and every other string is refused */
#include <apr_strings.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "ak_token.h"
#include "suites.h"

/* Worked out by another program: CRC-32 of the first 40 bytes is 0x74e15eeb, in base62 28hqg7. */
#define SAMPLE_BODY "sk_live_0123456789ABCDEFGHIJKLMNOPQRSTUV"
#define SAMPLE SAMPLE_BODY "28hqg7"

static apr_pool_t *pool;
static char sample[AK_TOKEN_MAX + 1];

/* Six base62 digits of a body's CRC-32, by the definition: repeated division. */
static void seal(char *token, const char *body)
{
    static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    apr_size_t len = strlen(body);
    uLong crc = crc32(0, (const Bytef *)body, (uInt)len);
    int i;

    memcpy(token, body, len);
    for (i = 5; i >= 0; i--, crc /= 62)
        token[len + (apr_size_t)i] = digits[crc % 62];
    token[len + 6] = '\0';
}

static void set_up(void)
{
    apr_pool_create(&pool, NULL);
    seal(sample, SAMPLE_BODY);
}

static void tear_down(void)
{
    apr_pool_destroy(pool);
}

/* From an exact heap copy, so that a sanitizer sees a read past the end. */
static ak_token_e parse(const char *token, apr_size_t len, const char *prefix)
{
    char *copy = malloc(len ? len : 1);
    ak_env_e env = (ak_env_e)77;
    ak_token_e verdict;

    memcpy(copy, token, len);
    verdict = ak_token_parse(copy, len, prefix, &env);
    free(copy);
    if (verdict != AK_TOKEN_VALID)
        ck_assert_int_eq(env, 77);
    return verdict;
}

START_TEST(test_known_key)
{
    ak_env_e env;

    ck_assert_int_eq(ak_token_parse(SAMPLE, strlen(SAMPLE), "sk", &env), AK_TOKEN_VALID);
    ck_assert_int_eq(env, AK_ENV_LIVE);
    ck_assert_str_eq(sample, SAMPLE);
}
END_TEST

START_TEST(test_made_keys_parse)
{
    static const char *const prefixes[] = {"sk", "a", "abcdefghijklmnop", "k9"};
    char token[AK_TOKEN_MAX + 1], last[AK_TOKEN_MAX + 1] = "";
    ak_env_e env;
    int i;

    for (i = 0; i < 200; i++) {
        const char *prefix = prefixes[i % 4];
        ak_env_e wanted = i & 4 ? AK_ENV_TEST : AK_ENV_LIVE;

        ck_assert_int_eq(ak_token_make(token, prefix, wanted), APR_SUCCESS);
        ck_assert_uint_eq(strlen(token), strlen(prefix) + 6 + 32 + 6);
        ck_assert_int_eq(ak_token_parse(token, strlen(token), prefix, &env), AK_TOKEN_VALID);
        ck_assert_int_eq(env, wanted);
        ck_assert_str_ne(token, last);
        memcpy(last, token, sizeof last);
    }
}
END_TEST

START_TEST(test_make_refuses_prefixes)
{
    char token[AK_TOKEN_MAX + 1] = "untouched";

    ck_assert_int_eq(ak_token_make(token, "", AK_ENV_LIVE), APR_EINVAL);
    ck_assert_int_eq(ak_token_make(token, "Sk", AK_ENV_LIVE), APR_EINVAL);
    ck_assert_int_eq(ak_token_make(token, "sk_live", AK_ENV_LIVE), APR_EINVAL);
    ck_assert_int_eq(ak_token_make(token, "abcdefghijklmnopq", AK_ENV_LIVE), APR_EINVAL);
    ck_assert_str_eq(token, "untouched");
}
END_TEST

START_TEST(test_prefix_rules)
{
    ck_assert(ak_token_prefix_ok("s"));
    ck_assert(ak_token_prefix_ok("sk2"));
    ck_assert(ak_token_prefix_ok("abcdefghijklmnop"));
    ck_assert(!ak_token_prefix_ok(""));
    ck_assert(!ak_token_prefix_ok("2sk"));
    ck_assert(!ak_token_prefix_ok("SK"));
    ck_assert(!ak_token_prefix_ok("s-k"));
    ck_assert(!ak_token_prefix_ok("s k"));
    ck_assert(!ak_token_prefix_ok("s\xc3\xa9"));
    ck_assert(!ak_token_prefix_ok("abcdefghijklmnopq"));
}
END_TEST

/* Any one character changed to any other byte is refused, and never taken for valid. */
START_TEST(test_every_changed_byte_is_refused)
{
    apr_size_t len = strlen(sample), i;
    char token[AK_TOKEN_MAX + 1];
    int c;

    for (i = 0; i < len; i++)
        for (c = 0; c < 256; c++) {
            if ((unsigned char)sample[i] == c)
                continue;
            memcpy(token, sample, len);
            token[i] = (char)c;
            ck_assert_int_ne(parse(token, len, "sk"), AK_TOKEN_VALID);
        }
}
END_TEST

START_TEST(test_every_length_but_one_is_refused)
{
    char token[700];
    apr_size_t len;

    memset(token, 'x', sizeof token);
    memcpy(token, sample, strlen(sample));
    for (len = 0; len < sizeof token; len++)
        ck_assert_int_eq(parse(token, len, "sk"),
                         len == strlen(sample) ? AK_TOKEN_VALID : AK_TOKEN_BAD_SHAPE);
}
END_TEST

START_TEST(test_swapped_characters_fail_the_checksum)
{
    char token[AK_TOKEN_MAX + 1];

    memcpy(token, sample, sizeof token);
    token[8] = sample[9];
    token[9] = sample[8];
    ck_assert_int_eq(parse(token, strlen(token), "sk"), AK_TOKEN_BAD_CHECKSUM);
}
END_TEST

START_TEST(test_environment_is_in_the_checksum)
{
    char token[AK_TOKEN_MAX + 1];

    memcpy(token, sample, sizeof token);
    memcpy(token + 2, "_test_", 6);
    ck_assert_int_eq(parse(token, strlen(token), "sk"), AK_TOKEN_BAD_CHECKSUM);
}
END_TEST

START_TEST(test_bad_shapes)
{
    static const char *const bodies[] = {
        "sk_prod_0123456789ABCDEFGHIJKLMNOPQRSTUV", /* no such environment */
        "sk_LIVE_0123456789ABCDEFGHIJKLMNOPQRSTUV",
        "sk-live-0123456789ABCDEFGHIJKLMNOPQRSTUV",
        "pk_live_0123456789ABCDEFGHIJKLMNOPQRSTUV", /* another prefix */
        "SK_live_0123456789ABCDEFGHIJKLMNOPQRSTUV",
        "sk_live_0123456789ABCDEFGHIJKLMNOPQRSTU-", /* outside base62, checksum right */
        "sk_live_0123456789ABCDEFGHIJKLMNOPQRSTU ",
        "sk_live_0123456789ABCDEFGHIJKLMNOPQRST\xc3\xa9",
        " sk_live_0123456789ABCDEFGHIJKLMNOPQRSTU",
    };
    char token[AK_TOKEN_MAX + 1];

    seal(token, bodies[_i]);
    ck_assert_int_eq(parse(token, strlen(token), "sk"), AK_TOKEN_BAD_SHAPE);
}
END_TEST

START_TEST(test_prefix_is_wholly_compared)
{
    ck_assert_int_eq(parse(sample, strlen(sample), "s"), AK_TOKEN_BAD_SHAPE);
    ck_assert_int_eq(parse(sample, strlen(sample), "skx"), AK_TOKEN_BAD_SHAPE);
    ck_assert_int_eq(parse("", 0, "sk"), AK_TOKEN_BAD_SHAPE);
}
END_TEST

START_TEST(test_shown_part)
{
    ck_assert_str_eq(ak_token_shown(pool, sample), "sk_live_012...");
    /* An imported key has any shape; what is too short to abridge shows nothing of the secret. */
    ck_assert_str_eq(ak_token_shown(pool, "plainsecret"), "...");
    ck_assert_str_eq(ak_token_shown(pool, ""), "...");
    ck_assert_str_eq(ak_token_shown(pool, "a_b"), "...");
    ck_assert_str_eq(ak_token_shown(pool, "a_b_"), "...");
    ck_assert_str_eq(ak_token_shown(pool, "a_b_cd"), "...");
    ck_assert_str_eq(ak_token_shown(pool, "_______"), "...");
    ck_assert_str_eq(ak_token_shown(pool, "old_key_0123456789"), "...");
    ck_assert_str_eq(ak_token_shown(pool, "old_key_0123456789abcdef"), "old_key_012...");
}
END_TEST

START_TEST(test_made_ids)
{
    const char *id = ak_id_make(pool, "key_"), *other = ak_id_make(pool, "key_");

    ck_assert_uint_eq(strlen(id), 24);
    ck_assert(ak_id_ok(id, "key_"));
    ck_assert(!ak_id_ok(id, "acct_"));
    ck_assert_str_ne(id, other);
}
END_TEST

/* A bias (by "modulo") would make the alphabet's first characters commoner: 4 in 256 to 3. */
START_TEST(test_random_text_is_even)
{
    static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    unsigned first = 0, all = 0;
    char token[AK_TOKEN_MAX + 1];
    int i, j;

    for (i = 0; i < 4000; i++) {
        ck_assert_int_eq(ak_token_make(token, "sk", AK_ENV_LIVE), APR_SUCCESS);
        for (j = 8; j < 40; j++) {
            const char *at = strchr(digits, token[j]);
            ck_assert_ptr_nonnull(at);
            first += at < digits + 8; /* 256 % 62 = 8: those that a modulo would favour */
            all++;
        }
    }
    /* Even: 8/62 = 12.9%; biased: 8*5/256 = 15.6%.  14.2% is 13 deviations from either. */
    ck_assert_uint_lt(first * 1000, all * 142);
    ck_assert_uint_gt(first * 1000, all * 116);
}
END_TEST

START_TEST(test_id_rules)
{
    ck_assert(ak_id_ok("key_a", "key_"));
    ck_assert(ak_id_ok("acct_default", "acct_"));
    ck_assert(ak_id_ok("key_0123456789abcdef_xyz", "key_"));
    ck_assert(!ak_id_ok("key_", "key_"));
    ck_assert(!ak_id_ok("key", "key_"));
    ck_assert(!ak_id_ok("", "key_"));
    ck_assert(!ak_id_ok("key_0123456789abcdefghijk", "key_"));
    ck_assert(!ak_id_ok("key_A", "key_"));
    ck_assert(!ak_id_ok("key_a/b", "key_"));
    ck_assert(!ak_id_ok("key_a%", "key_"));
    ck_assert(!ak_id_ok("key_\xc3\xa9", "key_"));
}
END_TEST

Suite *suite_token(void)
{
    Suite *suite = suite_create("token");
    TCase *tc = tcase_create("token");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, test_known_key);
    tcase_add_test(tc, test_made_keys_parse);
    tcase_add_test(tc, test_make_refuses_prefixes);
    tcase_add_test(tc, test_prefix_rules);
    tcase_add_test(tc, test_every_changed_byte_is_refused);
    tcase_add_test(tc, test_every_length_but_one_is_refused);
    tcase_add_test(tc, test_swapped_characters_fail_the_checksum);
    tcase_add_test(tc, test_environment_is_in_the_checksum);
    tcase_add_loop_test(tc, test_bad_shapes, 0, 9);
    tcase_add_test(tc, test_prefix_is_wholly_compared);
    tcase_add_test(tc, test_shown_part);
    tcase_add_test(tc, test_made_ids);
    tcase_add_test(tc, test_random_text_is_even);
    tcase_add_test(tc, test_id_rules);
    suite_add_tcase(suite, tc);
    return suite;
}
