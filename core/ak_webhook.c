/* ak_webhook - URLs, secrets and signatures of webhooks */
#include "ak_webhook.h"

#include <apr_strings.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <string.h>
#include <strings.h>

#include "ak_digest.h"

#define SECRET_HEAD "whsec_"
#define SECRET_HEAD_LEN (sizeof(SECRET_HEAD) - 1)
#define SECRET_MADE_BYTES 32
#define BASE64_LEN(bytes) (((bytes) + 2) / 3 * 4)

/* --- the URL ---------------------------------------------------------------------------- */

static const char *port_fault(const char *port, const char *end)
{
    apr_int64_t number = 0;

    for (; port < end; port++) {
        if (*port < '0' || *port > '9' || number > 65535)
            return "The port must be a number from 1 to 65535.";
        number = number * 10 + (*port - '0');
    }
    return number < 1 || number > 65535 ? "The port must be a number from 1 to 65535." : NULL;
}

/* host[:port] between two places; an IPv6 address stands in brackets. */
static const char *authority_fault(const char *host, const char *end)
{
    const char *colon, *host_end;

    if (memchr(host, '@', (apr_size_t)(end - host)) != NULL)
        return "Must hold no user name and no password.";
    host_end = host < end && *host == '[' ? memchr(host, ']', (apr_size_t)(end - host)) : host;
    if (host_end == NULL)
        return "The bracket of the address is not closed.";
    colon = memchr(host_end, ':', (apr_size_t)(end - host_end));
    if (host == end || colon == host)
        return "Must name a host.";
    return colon != NULL ? port_fault(colon + 1, end) : NULL;
}

const char *ak_webhook_url_fault(const char *url)
{
    const char *host;

    if (strlen(url) > AK_WEBHOOK_URL_MAX)
        return "Must be at most 2048 bytes.";
    for (const char *at = url; *at != '\0'; at++)
        if (*at <= ' ' || *at > '~' || strchr("\"<>\\^`{|}#", *at) != NULL)
            return "Must hold visible ASCII characters only: no blanks, no fragment.";
    if (strncasecmp(url, "https://", 8) == 0)
        host = url + 8;
    else if (strncasecmp(url, "http://", 7) == 0)
        host = url + 7;
    else
        return "Must begin with https:// or http://.";
    return authority_fault(host, host + strcspn(host, "/?"));
}

/* --- the secret --------------------------------------------------------------------------- */

/* The bytes of a secret; their number, or 0: it is none.  out: AK_WEBHOOK_SECRET_BYTES_MAX + 2. */
static int secret_bytes(const char *secret, unsigned char *out)
{
    apr_size_t len;
    int padding = 0, count;

    if (strncmp(secret, SECRET_HEAD, SECRET_HEAD_LEN) != 0)
        return 0;
    secret += SECRET_HEAD_LEN;
    len = strlen(secret);
    if (len == 0 || len % 4 != 0 || len > BASE64_LEN(AK_WEBHOOK_SECRET_BYTES_MAX))
        return 0;
    while (padding < 2 && secret[len - 1 - (apr_size_t)padding] == '=')
        padding++;
    if (strspn(secret, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") !=
        len - (apr_size_t)padding)
        return 0;
    count = EVP_DecodeBlock(out, (const unsigned char *)secret, (int)len) - padding;
    return count >= AK_WEBHOOK_SECRET_BYTES_MIN && count <= AK_WEBHOOK_SECRET_BYTES_MAX ? count : 0;
}

const char *ak_webhook_secret_make(apr_pool_t *p)
{
    unsigned char bytes[SECRET_MADE_BYTES], text[BASE64_LEN(SECRET_MADE_BYTES) + 1];
    const char *secret = NULL;

    if (RAND_bytes(bytes, sizeof bytes) == 1) {
        EVP_EncodeBlock(text, bytes, sizeof bytes);
        secret = apr_pstrcat(p, SECRET_HEAD, (const char *)text, NULL);
    }
    OPENSSL_cleanse(bytes, sizeof bytes);
    OPENSSL_cleanse(text, sizeof text);
    return secret;
}

int ak_webhook_secret_ok(const char *secret)
{
    unsigned char bytes[AK_WEBHOOK_SECRET_BYTES_MAX + 2];
    int ok = secret_bytes(secret, bytes) > 0;

    OPENSSL_cleanse(bytes, sizeof bytes);
    return ok;
}

/* --- the signature ---------------------------------------------------------------------------- */

apr_status_t ak_webhook_sign(const char **signature, const char *secret, const char *id, apr_int64_t timestamp,
                             const char *body, apr_pool_t *p)
{
    const char *signed_text = apr_psprintf(p, "%s.%" APR_INT64_T_FMT ".%s", id, timestamp, body);
    unsigned char key[AK_WEBHOOK_SECRET_BYTES_MAX + 2], mac[AK_DIGEST_BYTES], text[BASE64_LEN(AK_DIGEST_BYTES) + 1];
    unsigned int mac_len = sizeof mac;
    int key_len = secret_bytes(secret, key);
    apr_status_t rv = key_len > 0 ? APR_SUCCESS : APR_EINVAL;

    if (rv == APR_SUCCESS &&
        HMAC(EVP_sha256(), key, key_len, (const unsigned char *)signed_text, strlen(signed_text), mac,
             &mac_len) == NULL)
        rv = APR_EGENERAL;
    OPENSSL_cleanse(key, sizeof key);
    if (rv != APR_SUCCESS)
        return rv;
    EVP_EncodeBlock(text, mac, (int)mac_len);
    *signature = apr_pstrcat(p, "v1,", (const char *)text, NULL);
    return APR_SUCCESS;
}
