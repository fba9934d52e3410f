/* ak_webhook.h - what the endpoints and auditd both know of a webhook: its URL, its secret
 *
 * Signatures are those of Standard Webhooks 1.0: HMAC-SHA-256 over "ID.TIMESTAMP.BODY",
 * under a secret that is written "whsec_" and base64.  Pure but for the making of a
 * secret (the system's CSPRNG); thread-safe.
 */
#ifndef AK_WEBHOOK_H
#define AK_WEBHOOK_H

#include "ak_types.h"

#define AK_WEBHOOK_URL_MAX 2048
#define AK_WEBHOOK_SECRET_BYTES_MIN 24
#define AK_WEBHOOK_SECRET_BYTES_MAX 64
#define AK_WEBHOOKS_PER_ACCOUNT 10

/* What is wrong with a URL, as a sentence; NULL: it is http or https, with a host, without a
 * user's name and password, in visible ASCII.  Which addresses it leads to is not asked here. */
const char *ak_webhook_url_fault(const char *url);

/* A fresh secret of 32 bytes; NULL: the system gives no random bytes. */
const char *ak_webhook_secret_make(apr_pool_t *p);
int ak_webhook_secret_ok(const char *secret);

/* "v1,BASE64".  APR_EINVAL: not such a secret. */
apr_status_t ak_webhook_sign(const char **signature, const char *secret, const char *id, apr_int64_t timestamp,
                             const char *body, apr_pool_t *p);

#endif
