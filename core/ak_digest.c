/* ak_digest.c - HMAC-SHA-256 and SHA-256 with kept contexts
 *
 * HMAC is H(outer || H(inner || key)): both paddings are absorbed once, when the
 * digester is made, and a thread's own context starts from a copy of that state.
 * The pepper itself is not kept.
 */
#include "ak_digest.h"

#include <pthread.h>
#include <string.h>

#include <apr_file_io.h>
#include <apr_strings.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#define SHA256_BLOCK 64

struct ak_digester_t {
    int peppered;
    EVP_MD_CTX *inner, *outer; /* read only once made */
};

/* --- the thread's own context ---------------------------------------------------- */

static pthread_key_t context_key;
static pthread_once_t context_once = PTHREAD_ONCE_INIT;
static int context_key_made;

static void context_free(void *context)
{
    EVP_MD_CTX_free(context);
}

static void context_key_make(void)
{
    context_key_made = pthread_key_create(&context_key, context_free) == 0;
}

static EVP_MD_CTX *context_of_thread(void)
{
    EVP_MD_CTX *context;

    pthread_once(&context_once, context_key_make);
    if (!context_key_made) {
        return NULL;
    }
    context = pthread_getspecific(context_key);
    if (!context) {
        context = EVP_MD_CTX_new();
        if (context && pthread_setspecific(context_key, context) != 0) {
            EVP_MD_CTX_free(context);
            context = NULL;
        }
    }
    return context;
}

/* Go on from an absorbed state, take data, give the hash. */
static apr_status_t finish_from(const EVP_MD_CTX *state, const void *data, apr_size_t len,
                                unsigned char *out)
{
    EVP_MD_CTX *context = context_of_thread();

    if (!context || EVP_MD_CTX_copy_ex(context, state) != 1
        || EVP_DigestUpdate(context, data, len) != 1
        || EVP_DigestFinal_ex(context, out, NULL) != 1) {
        return APR_EGENERAL;
    }
    return APR_SUCCESS;
}

/* --- the digester ------------------------------------------------------------------ */

static EVP_MD_CTX *absorb(const unsigned char *block, apr_size_t len)
{
    EVP_MD_CTX *state = EVP_MD_CTX_new();

    if (state
        && (EVP_DigestInit_ex(state, EVP_sha256(), NULL) != 1
            || (len && EVP_DigestUpdate(state, block, len) != 1))) {
        EVP_MD_CTX_free(state);
        state = NULL;
    }
    return state;
}

static EVP_MD_CTX *absorb_padded(const unsigned char key[SHA256_BLOCK], unsigned char pad)
{
    unsigned char block[SHA256_BLOCK];
    EVP_MD_CTX *state;
    int i;

    for (i = 0; i < SHA256_BLOCK; i++) {
        block[i] = key[i] ^ pad;
    }
    state = absorb(block, sizeof block);
    OPENSSL_cleanse(block, sizeof block);
    return state;
}

static apr_status_t digester_free(void *baton)
{
    ak_digester_t *d = baton;

    EVP_MD_CTX_free(d->inner); /* cleansed by OpenSSL */
    EVP_MD_CTX_free(d->outer);
    return APR_SUCCESS;
}

apr_status_t ak_digester_create(ak_digester_t **out, const unsigned char *pepper, apr_size_t len,
                                apr_pool_t *p)
{
    ak_digester_t *d = apr_pcalloc(p, sizeof *d);
    unsigned char key[SHA256_BLOCK] = {0};

    apr_pool_cleanup_register(p, d, digester_free, apr_pool_cleanup_null);
    d->peppered = pepper != NULL;
    if (!d->peppered) {
        d->inner = absorb(NULL, 0);
    }
    else {
        if (len > SHA256_BLOCK) {
            ak_sha256(pepper, len, key);
        }
        else {
            memcpy(key, pepper, len);
        }
        d->inner = absorb_padded(key, 0x36);
        d->outer = absorb_padded(key, 0x5c);
        OPENSSL_cleanse(key, sizeof key);
    }
    if (!d->inner || (d->peppered && !d->outer)) {
        return APR_ENOMEM;
    }
    *out = d;
    return APR_SUCCESS;
}

apr_status_t ak_digest(const ak_digester_t *d, const char *key, apr_size_t len,
                       unsigned char out[AK_DIGEST_BYTES])
{
    unsigned char inner[AK_DIGEST_BYTES];
    apr_status_t rv;

    if (!d->peppered) {
        return finish_from(d->inner, key, len, out);
    }
    if ((rv = finish_from(d->inner, key, len, inner)) != APR_SUCCESS) {
        return rv;
    }
    return finish_from(d->outer, inner, sizeof inner, out);
}

apr_status_t ak_digest_imported(const ak_digester_t *d, const unsigned char sha256[AK_DIGEST_BYTES],
                                unsigned char out[AK_DIGEST_BYTES])
{
    if (!d->peppered) {
        memcpy(out, sha256, AK_DIGEST_BYTES);
        return APR_SUCCESS;
    }
    return ak_digest(d, (const char *)sha256, AK_DIGEST_BYTES, out);
}

apr_status_t ak_sha256(const void *data, apr_size_t len, unsigned char out[AK_DIGEST_BYTES])
{
    return EVP_Digest(data, len, out, NULL, EVP_sha256(), NULL) == 1 ? APR_SUCCESS : APR_EGENERAL;
}

int ak_digest_equal(const unsigned char *a, const unsigned char *b)
{
    return CRYPTO_memcmp(a, b, AK_DIGEST_BYTES) == 0;
}

/* --- hex ---------------------------------------------------------------------------- */

void ak_digest_to_hex(const unsigned char digest[AK_DIGEST_BYTES], char *out)
{
    static const char digits[] = "0123456789abcdef";
    int i;

    for (i = 0; i < AK_DIGEST_BYTES; i++) {
        out[2 * i] = digits[digest[i] >> 4];
        out[2 * i + 1] = digits[digest[i] & 15];
    }
    out[AK_DIGEST_HEX] = '\0';
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    return -1;
}

apr_status_t ak_digest_from_hex(const char *s, unsigned char digest[AK_DIGEST_BYTES])
{
    int i, high, low;

    if (strlen(s) != AK_DIGEST_HEX) {
        return APR_EINVAL;
    }
    for (i = 0; i < AK_DIGEST_BYTES; i++) {
        high = hex_value(s[2 * i]);
        low = hex_value(s[2 * i + 1]);
        if (high < 0 || low < 0) {
            return APR_EINVAL;
        }
        digest[i] = (unsigned char)(high << 4 | low);
    }
    return APR_SUCCESS;
}

/* --- the pepper's file ------------------------------------------------------------ */

/* The pepper is wiped with the pool that holds it. */
static apr_status_t wipe(void *pepper)
{
    OPENSSL_cleanse(pepper, AK_PEPPER_MAX + 2);
    return APR_SUCCESS;
}

apr_status_t ak_pepper_read(const char *file, unsigned char **pepper, apr_size_t *len,
                            const char **why, apr_pool_t *p)
{
    unsigned char *bytes = apr_pcalloc(p, AK_PEPPER_MAX + 2);
    apr_size_t got = 0;
    apr_file_t *f;
    apr_status_t rv;

    rv = apr_file_open(&f, file, APR_FOPEN_READ | APR_FOPEN_BINARY, APR_FPROT_OS_DEFAULT, p);
    if (rv != APR_SUCCESS) {
        *why = apr_psprintf(p, "pepper file %s cannot be read (%pm): make one with "
                               "\"openssl rand -hex 32\" and mode 0600", file, &rv);
        return rv;
    }
    apr_pool_cleanup_register(p, bytes, wipe, apr_pool_cleanup_null);
    rv = apr_file_read_full(f, bytes, AK_PEPPER_MAX + 2, &got);
    apr_file_close(f);
    if (rv != APR_SUCCESS && !APR_STATUS_IS_EOF(rv)) {
        *why = apr_psprintf(p, "pepper file %s cannot be read (%pm)", file, &rv);
        return rv;
    }
    if (got && bytes[got - 1] == '\n') {
        got--;
    }
    if (got < AK_PEPPER_MIN || got > AK_PEPPER_MAX) {
        *why = apr_psprintf(p, "pepper file %s must hold %d to %d bytes: make one with "
                               "\"openssl rand -hex 32\"", file, AK_PEPPER_MIN, AK_PEPPER_MAX);
        return APR_EINVAL;
    }
    *pepper = bytes;
    *len = got;
    return APR_SUCCESS;
}
