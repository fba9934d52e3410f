/* test_digest.c - SHA-256 and HMAC-SHA-256 against published vectors; hex; pepper files */
#include <apr_strings.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ak_digest.h"
#include "suites.h"

static apr_pool_t *pool;
static char dir[64];

static void set_up(void)
{
    apr_cpystrn(dir, "/tmp/ak-digest-XXXXXX", sizeof dir);
    ck_assert_ptr_nonnull(mkdtemp(dir));
    apr_pool_create(&pool, NULL);
}

static void tear_down(void)
{
    unlink(apr_pstrcat(pool, dir, "/pepper", NULL));
    apr_pool_destroy(pool);
    rmdir(dir);
}

static char *repeated(int c, apr_size_t n)
{
    char *s = apr_palloc(pool, n + 1);

    memset(s, c, n);
    s[n] = '\0';
    return s;
}

static const char *hex(const unsigned char digest[AK_DIGEST_BYTES])
{
    char *out = apr_palloc(pool, AK_DIGEST_HEX + 1);

    ak_digest_to_hex(digest, out);
    return out;
}

/* FIPS 180-4's examples, and two lengths around a block. */
static const struct {
    const char *message;
    int repeat;
    const char *digest;
} sha[] = {
    {"", 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    {"abc", 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1,
     "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    {"a", 1000000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
    {"a", 55, "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318"},
    {"a", 64, "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb"},
};

START_TEST(test_sha256_vectors)
{
    const char *message = sha[_i].repeat > 1 ? repeated(sha[_i].message[0], (apr_size_t)sha[_i].repeat)
                                             : sha[_i].message;
    unsigned char out[AK_DIGEST_BYTES];
    ak_digester_t *plain;

    ck_assert_int_eq(ak_sha256(message, strlen(message), out), APR_SUCCESS);
    ck_assert_str_eq(hex(out), sha[_i].digest);
    ck_assert_int_eq(ak_digester_create(&plain, NULL, 0, pool), APR_SUCCESS);
    ck_assert_int_eq(ak_digest(plain, message, strlen(message), out), APR_SUCCESS);
    ck_assert_str_eq(hex(out), sha[_i].digest);
}
END_TEST

/* RFC 4231, test cases 1 to 4, 6 and 7 (5 is of a truncated output). */
static const struct {
    int key_byte; /* repeated key_len times; 0: the key is `key` */
    apr_size_t key_len;
    const char *key;
    int data_byte;
    apr_size_t data_len;
    const char *data;
    const char *digest;
} hmac[] = {
    {0x0b, 20, NULL, 0, 8, "Hi There",
     "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
    {0, 4, "Jefe", 0, 28, "what do ya want for nothing?",
     "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
    {0xaa, 20, NULL, 0xdd, 50, NULL,
     "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
    {0, 25, "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19",
     0xcd, 50, NULL, "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"},
    {0xaa, 131, NULL, 0, 54, "Test Using Larger Than Block-Size Key - Hash Key First",
     "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
    {0xaa, 131, NULL, 0, 152,
     "This is a test using a larger than block-size key and a larger than block-size data. The key "
     "needs to be hashed before being used by the HMAC algorithm.",
     "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"},
};

START_TEST(test_hmac_vectors)
{
    const char *key = hmac[_i].key_byte ? repeated(hmac[_i].key_byte, hmac[_i].key_len) : hmac[_i].key;
    const char *data = hmac[_i].data_byte ? repeated(hmac[_i].data_byte, hmac[_i].data_len) : hmac[_i].data;
    unsigned char out[AK_DIGEST_BYTES];
    ak_digester_t *d;
    int again;

    ck_assert_int_eq(ak_digester_create(&d, (const unsigned char *)key, hmac[_i].key_len, pool), APR_SUCCESS);
    for (again = 0; again < 3; again++) { /* a kept context must not remember */
        ck_assert_int_eq(ak_digest(d, data, hmac[_i].data_len, out), APR_SUCCESS);
        ck_assert_str_eq(hex(out), hmac[_i].digest);
    }
}
END_TEST

START_TEST(test_two_digesters_do_not_mix)
{
    unsigned char first[AK_DIGEST_BYTES], second[AK_DIGEST_BYTES], out[AK_DIGEST_BYTES];
    ak_digester_t *a, *b;
    int i;

    ak_digester_create(&a, (const unsigned char *)"pepper number one", 17, pool);
    ak_digester_create(&b, (const unsigned char *)"pepper number two", 17, pool);
    ak_digest(a, "key", 3, first);
    ak_digest(b, "key", 3, second);
    ck_assert(!ak_digest_equal(first, second));
    for (i = 0; i < 10; i++) {
        ak_digest(i & 1 ? a : b, "key", 3, out);
        ck_assert(ak_digest_equal(out, i & 1 ? first : second));
    }
}
END_TEST

START_TEST(test_imported)
{
    unsigned char sum[AK_DIGEST_BYTES], out[AK_DIGEST_BYTES], want[AK_DIGEST_BYTES];
    ak_digester_t *plain, *peppered;

    ak_sha256("old key", 7, sum);
    ak_digester_create(&plain, NULL, 0, pool);
    ak_digester_create(&peppered, (const unsigned char *)"a pepper of some bytes", 22, pool);
    ck_assert_int_eq(ak_digest_imported(plain, sum, out), APR_SUCCESS);
    ck_assert(ak_digest_equal(out, sum));
    ck_assert_int_eq(ak_digest_imported(peppered, sum, out), APR_SUCCESS);
    ck_assert(!ak_digest_equal(out, sum));
    ak_digest(peppered, (const char *)sum, sizeof sum, want);
    ck_assert(ak_digest_equal(out, want));
}
END_TEST

/* --- threads ------------------------------------------------------------------------ */

typedef struct {
    const ak_digester_t *digester;
    unsigned number;
    int wrong;
} worker_t;

static void *digest_often(void *baton)
{
    worker_t *worker = baton;
    unsigned char first[AK_DIGEST_BYTES], out[AK_DIGEST_BYTES];
    char key[32];
    int i, len = apr_snprintf(key, sizeof key, "key of thread %u", worker->number);

    worker->wrong = ak_digest(worker->digester, key, (apr_size_t)len, first) != APR_SUCCESS;
    for (i = 0; i < 2000; i++)
        if (ak_digest(worker->digester, key, (apr_size_t)len, out) != APR_SUCCESS
            || !ak_digest_equal(out, first))
            worker->wrong++;
    return NULL;
}

START_TEST(test_one_digester_many_threads)
{
    pthread_t thread[8];
    worker_t worker[8];
    ak_digester_t *d;
    unsigned i;

    ak_digester_create(&d, (const unsigned char *)"sixteen bytes or more", 21, pool);
    for (i = 0; i < 8; i++) {
        worker[i] = (worker_t){d, i, -1};
        ck_assert_int_eq(pthread_create(&thread[i], NULL, digest_often, &worker[i]), 0);
    }
    for (i = 0; i < 8; i++) {
        pthread_join(thread[i], NULL);
        ck_assert_int_eq(worker[i].wrong, 0);
    }
}
END_TEST

/* --- comparison, hex --------------------------------------------------------------------- */

START_TEST(test_equal_sees_every_bit)
{
    unsigned char a[AK_DIGEST_BYTES], b[AK_DIGEST_BYTES];
    int bit;

    ak_sha256("x", 1, a);
    memcpy(b, a, sizeof b);
    ck_assert(ak_digest_equal(a, b));
    for (bit = 0; bit < 8 * AK_DIGEST_BYTES; bit++) {
        b[bit / 8] ^= (unsigned char)(1 << bit % 8);
        ck_assert(!ak_digest_equal(a, b));
        b[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
}
END_TEST

START_TEST(test_hex)
{
    static const char upper[] = "BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD";
    unsigned char out[AK_DIGEST_BYTES], want[AK_DIGEST_BYTES];
    char text[AK_DIGEST_HEX + 2];

    ak_sha256("abc", 3, want);
    ck_assert_int_eq(ak_digest_from_hex(hex(want), out), APR_SUCCESS);
    ck_assert(ak_digest_equal(out, want));
    ck_assert_int_eq(ak_digest_from_hex(upper, out), APR_SUCCESS);
    ck_assert(ak_digest_equal(out, want));
    ck_assert_int_eq(ak_digest_from_hex("", out), APR_EINVAL);
    ck_assert_int_eq(ak_digest_from_hex(upper + 1, out), APR_EINVAL);
    apr_snprintf(text, sizeof text, "%s0", upper);
    ck_assert_int_eq(ak_digest_from_hex(text, out), APR_EINVAL);
}
END_TEST

START_TEST(test_hex_refuses_every_other_byte)
{
    unsigned char out[AK_DIGEST_BYTES];
    char text[AK_DIGEST_HEX + 1];
    int c, at;

    for (c = 1; c < 256; c++)
        for (at = 0; at < AK_DIGEST_HEX; at += 21) {
            memset(text, 'a', AK_DIGEST_HEX);
            text[AK_DIGEST_HEX] = '\0';
            text[at] = (char)c;
            ck_assert_int_eq(ak_digest_from_hex(text, out),
                             strchr("0123456789abcdefABCDEF", c) ? APR_SUCCESS : APR_EINVAL);
        }
}
END_TEST

/* --- pepper files ---------------------------------------------------------------------------- */

static const char *pepper_file(const char *bytes, apr_size_t len)
{
    const char *path = apr_pstrcat(pool, dir, "/pepper", NULL);
    FILE *f = fopen(path, "wb");

    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(bytes, 1, len, f), len);
    fclose(f);
    return path;
}

START_TEST(test_pepper_is_read)
{
    static const struct {
        const char *bytes;
        apr_size_t len, kept;
    } files[] = {
        {"0123456789abcdef", 16, 16},
        {"0123456789abcdef\n", 17, 16},
        {"0123456789abcdef\n\n", 18, 17}, /* one newline is the editor's, two are not */
        {"\0\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17", 16, 16},
        {"\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n", 17, 16},
    };
    unsigned char *pepper = NULL;
    apr_size_t len = 0;
    const char *why = NULL;

    ck_assert_int_eq(ak_pepper_read(pepper_file(files[_i].bytes, files[_i].len), &pepper, &len, &why, pool),
                     APR_SUCCESS);
    ck_assert_uint_eq(len, files[_i].kept);
    ck_assert_mem_eq(pepper, files[_i].bytes, len);
}
END_TEST

START_TEST(test_pepper_of_a_wrong_size)
{
    static const struct {
        apr_size_t bytes;
        int good;
    } sizes[] = {{0, 0}, {1, 0}, {15, 0}, {16, 1}, {1024, 1}, {1025, 0}, {1026, 0}, {5000, 0}};
    unsigned char *pepper = NULL;
    apr_size_t len = 0;
    const char *why = NULL;
    apr_status_t rv = ak_pepper_read(pepper_file(repeated('\x7f', sizes[_i].bytes), sizes[_i].bytes), &pepper,
                                     &len, &why, pool);

    ck_assert_int_eq(rv, sizes[_i].good ? APR_SUCCESS : APR_EINVAL);
    if (!sizes[_i].good) {
        ck_assert_ptr_null(pepper);
        ck_assert_ptr_nonnull(strstr(why, "openssl rand -hex 32"));
        ck_assert_ptr_null(strchr(why, '\x7f')); /* no byte of it is told; no file's name has this one */
    }
}
END_TEST

START_TEST(test_longest_pepper_with_its_newline)
{
    char *bytes = repeated('Q', 1025);
    unsigned char *pepper;
    apr_size_t len;
    const char *why;

    bytes[1024] = '\n';
    ck_assert_int_eq(ak_pepper_read(pepper_file(bytes, 1025), &pepper, &len, &why, pool), APR_SUCCESS);
    ck_assert_uint_eq(len, 1024);
}
END_TEST

START_TEST(test_pepper_that_cannot_be_read)
{
    unsigned char *pepper = NULL;
    apr_size_t len = 0;
    const char *why = NULL;

    ck_assert_int_ne(ak_pepper_read(apr_pstrcat(pool, dir, "/none", NULL), &pepper, &len, &why, pool),
                     APR_SUCCESS);
    ck_assert_ptr_nonnull(strstr(why, "/none"));
    ck_assert_ptr_nonnull(strstr(why, "openssl rand -hex 32"));
    why = NULL;
    ck_assert_int_ne(ak_pepper_read(dir, &pepper, &len, &why, pool), APR_SUCCESS);
    ck_assert_ptr_nonnull(why);
    ck_assert_ptr_null(pepper);
}
END_TEST

Suite *suite_digest(void)
{
    Suite *suite = suite_create("digest");
    TCase *tc = tcase_create("digest");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, test_sha256_vectors, 0, 6);
    tcase_add_loop_test(tc, test_hmac_vectors, 0, 6);
    tcase_add_test(tc, test_two_digesters_do_not_mix);
    tcase_add_test(tc, test_imported);
    tcase_add_test(tc, test_one_digester_many_threads);
    tcase_add_test(tc, test_equal_sees_every_bit);
    tcase_add_test(tc, test_hex);
    tcase_add_test(tc, test_hex_refuses_every_other_byte);
    tcase_add_loop_test(tc, test_pepper_is_read, 0, 5);
    tcase_add_loop_test(tc, test_pepper_of_a_wrong_size, 0, 8);
    tcase_add_test(tc, test_longest_pepper_with_its_newline);
    tcase_add_test(tc, test_pepper_that_cannot_be_read);
    suite_add_tcase(suite, tc);
    return suite;
}
