/* ak_digest.h - what stands for a key at rest, and comparison in constant time
 *
 * HMAC-SHA-256 (RFC 2104, FIPS 180-4) under the site's pepper, or plain SHA-256
 * where the site has none.  A digester is made once and shared by all threads:
 * each keeps its own hash context, because a fresh one costs five times the hash.
 */
#ifndef AK_DIGEST_H
#define AK_DIGEST_H

#include "ak_types.h"

#define AK_PEPPER_MIN 16   /* bytes */
#define AK_PEPPER_MAX 1024
#define AK_DIGEST_HEX (2 * AK_DIGEST_BYTES) /* without NUL */

typedef struct ak_digester_t ak_digester_t;

/* pepper NULL: plain SHA-256.  The pepper is absorbed, not kept; it is wiped with p. */
apr_status_t ak_digester_create(ak_digester_t **d, const unsigned char *pepper, apr_size_t len,
                                apr_pool_t *p);

/* Digest a presented key. Thread-safe. */
apr_status_t ak_digest(const ak_digester_t *d, const char *key, apr_size_t len,
                       unsigned char out[AK_DIGEST_BYTES]);

/* The digest of a key brought over from elsewhere, of which we were told only
 * SHA-256(key): that hash itself without a pepper, else HMAC(pepper, hash). */
apr_status_t ak_digest_imported(const ak_digester_t *d, const unsigned char sha256[AK_DIGEST_BYTES],
                                unsigned char out[AK_DIGEST_BYTES]);

/* Plain SHA-256, whatever the pepper: the first step for a presented imported key. */
apr_status_t ak_sha256(const void *data, apr_size_t len, unsigned char out[AK_DIGEST_BYTES]);

/* Compare in constant time; non-zero when equal. */
int ak_digest_equal(const unsigned char *a, const unsigned char *b);

/* Lower-case hex; out: AK_DIGEST_HEX + 1 bytes. */
void ak_digest_to_hex(const unsigned char digest[AK_DIGEST_BYTES], char *out);
/* APR_EINVAL unless s is exactly 64 hex digits. */
apr_status_t ak_digest_from_hex(const char *s, unsigned char digest[AK_DIGEST_BYTES]);

/* Read a pepper file: all its bytes, less one trailing newline.  On failure
 * *why says in a sentence what to do; the file's bytes are never in it. */
apr_status_t ak_pepper_read(const char *file, unsigned char **pepper, apr_size_t *len,
                            const char **why, apr_pool_t *p);

#endif
