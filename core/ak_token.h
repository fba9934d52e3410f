/* ak_token.h - the shape of an API key: make, parse, checksum
 *
 * PREFIX_live_ or PREFIX_test_, 32 base62 characters from the system's CSPRNG
 * (190 bits), 6 base62 characters of CRC-32 (IEEE 802.3) over all before them.
 * The checksum lets a scanner and this module drop a mistyped or invented key
 * without any look-up; it is no secret and authenticates nothing.
 */
#ifndef AK_TOKEN_H
#define AK_TOKEN_H

#include "ak_types.h"

#define AK_TOKEN_RANDOM 32
#define AK_TOKEN_CHECK 6
#define AK_PREFIX_MAX 16
#define AK_TOKEN_MAX (AK_PREFIX_MAX + 6 + AK_TOKEN_RANDOM + AK_TOKEN_CHECK) /* without NUL */
/* An imported key has any shape, within these bounds (bytes). */
#define AK_IMPORTED_MIN 8
#define AK_IMPORTED_MAX 512

typedef enum { AK_TOKEN_VALID = 0, AK_TOKEN_BAD_SHAPE, AK_TOKEN_BAD_CHECKSUM } ak_token_e;

/* Is prefix a usable key prefix: 1 to 16 of [a-z0-9], a letter first? */
int ak_token_prefix_ok(const char *prefix);

/* Check len bytes at token; any bytes are safe.  env is set when AK_TOKEN_VALID. */
ak_token_e ak_token_parse(const char *token, apr_size_t len, const char *prefix, ak_env_e *env);

/* Make a fresh key of the given prefix and environment.  out: AK_TOKEN_MAX + 1 bytes. */
apr_status_t ak_token_make(char *out, const char *prefix, ak_env_e env);

/* The part shown to people: "sk_live_abc...".  Allocated in p. */
const char *ak_token_shown(apr_pool_t *p, const char *token);

/* A fresh id: prefix ("key_") + 20 of [a-z0-9] from the CSPRNG.  Allocated in p;
 * NULL only when the system gives no random bytes. */
const char *ak_id_make(apr_pool_t *p, const char *prefix);

/* Is s an id of this prefix: the prefix and 1 to AK_ID_SUFFIX of [a-z0-9_]? */
int ak_id_ok(const char *s, const char *prefix);

#endif
