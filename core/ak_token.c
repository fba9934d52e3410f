/* ak_token.c - make, parse and checksum API keys
 *
 * Nothing here allocates on the way of a request, and no byte of a presented
 * token is copied anywhere.
 */
#include "ak_token.h"

#include <string.h>
#include <sys/random.h>

#include <apr_strings.h>
#include <zlib.h>

#define SHOWN 3 /* random characters that people see */

static const char base62[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
static const char base36[] = "0123456789abcdefghijklmnopqrstuvwxyz";

static int is_base62(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static int is_lower_or_digit(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z');
}

int ak_token_prefix_ok(const char *prefix)
{
    apr_size_t i;

    if (!(prefix[0] >= 'a' && prefix[0] <= 'z')) {
        return 0;
    }
    for (i = 0; prefix[i]; i++) {
        if (i >= AK_PREFIX_MAX || !is_lower_or_digit((unsigned char)prefix[i])) {
            return 0;
        }
    }
    return 1;
}

/* CRC-32 as six base62 digits, most significant first; 62^6 > 2^32, so they always fit. */
static void checksum(const char *data, apr_size_t len, char out[AK_TOKEN_CHECK])
{
    unsigned long crc = crc32(0L, (const Bytef *)data, (uInt)len);
    int i;

    for (i = AK_TOKEN_CHECK - 1; i >= 0; i--) {
        out[i] = base62[crc % 62];
        crc /= 62;
    }
}

ak_token_e ak_token_parse(const char *token, apr_size_t len, const char *prefix, ak_env_e *env)
{
    apr_size_t head = strlen(prefix), body = len - AK_TOKEN_CHECK, i;
    char check[AK_TOKEN_CHECK];
    ak_env_e found;

    if (len != head + 6 + AK_TOKEN_RANDOM + AK_TOKEN_CHECK || memcmp(token, prefix, head) != 0) {
        return AK_TOKEN_BAD_SHAPE;
    }
    if (memcmp(token + head, "_live_", 6) == 0) {
        found = AK_ENV_LIVE;
    }
    else if (memcmp(token + head, "_test_", 6) == 0) {
        found = AK_ENV_TEST;
    }
    else {
        return AK_TOKEN_BAD_SHAPE;
    }
    for (i = head + 6; i < len; i++) {
        if (!is_base62((unsigned char)token[i])) {
            return AK_TOKEN_BAD_SHAPE;
        }
    }
    checksum(token, body, check);
    if (memcmp(token + body, check, AK_TOKEN_CHECK) != 0) {
        return AK_TOKEN_BAD_CHECKSUM;
    }
    *env = found;
    return AK_TOKEN_VALID;
}

/* Fill out with count characters of an alphabet, each equally likely: bytes past the
 * largest multiple of the alphabet's size are thrown away. */
static apr_status_t random_text(char *out, apr_size_t count, const char *alphabet, unsigned size)
{
    unsigned char bytes[64];
    unsigned fair = 256 - 256 % size;
    apr_size_t made = 0, i;

    while (made < count) {
        if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes) {
            return APR_EGENERAL;
        }
        for (i = 0; i < sizeof bytes && made < count; i++) {
            if (bytes[i] < fair) {
                out[made++] = alphabet[bytes[i] % size];
            }
        }
    }
    explicit_bzero(bytes, sizeof bytes);
    return APR_SUCCESS;
}

apr_status_t ak_token_make(char *out, const char *prefix, ak_env_e env)
{
    apr_size_t head = strlen(prefix);
    apr_status_t rv;

    if (!ak_token_prefix_ok(prefix)) {
        return APR_EINVAL;
    }
    memcpy(out, prefix, head);
    memcpy(out + head, env == AK_ENV_TEST ? "_test_" : "_live_", 6);
    if ((rv = random_text(out + head + 6, AK_TOKEN_RANDOM, base62, 62)) != APR_SUCCESS) {
        return rv;
    }
    checksum(out, head + 6 + AK_TOKEN_RANDOM, out + head + 6 + AK_TOKEN_RANDOM);
    out[head + 6 + AK_TOKEN_RANDOM + AK_TOKEN_CHECK] = '\0';
    return APR_SUCCESS;
}

/* Three of a key's random characters may be shown; of a secret too short to spare them, none. */
const char *ak_token_shown(apr_pool_t *p, const char *token)
{
    const char *mark = strchr(token, '_');
    apr_size_t shown = 0;

    mark = mark ? strchr(mark + 1, '_') : NULL;
    if (mark && strlen(mark + 1) >= SHOWN + AK_IMPORTED_MIN) {
        shown = (apr_size_t)(mark - token) + 1 + SHOWN;
    }
    return apr_pstrcat(p, apr_pstrmemdup(p, token, shown), "...", NULL);
}

const char *ak_id_make(apr_pool_t *p, const char *prefix)
{
    char suffix[AK_ID_SUFFIX + 1] = "";

    if (random_text(suffix, AK_ID_SUFFIX, base36, 36) != APR_SUCCESS) {
        return NULL;
    }
    return apr_pstrcat(p, prefix, suffix, NULL);
}

int ak_id_ok(const char *s, const char *prefix)
{
    apr_size_t head = strlen(prefix), i;

    if (strncmp(s, prefix, head) != 0 || !s[head]) {
        return 0;
    }
    for (i = 0; s[head + i]; i++) {
        unsigned char c = (unsigned char)s[head + i];
        if (i >= AK_ID_SUFFIX || !(is_lower_or_digit(c) || c == '_')) {
            return 0;
        }
    }
    return 1;
}
