/* ak_store_webhooks.h - receivers of an account's alerts, as SQL holds them: typed calls
 *
 * As in ak_store.h: results in p; APR_NOTFOUND also for what is another account's;
 * each change writes its row of the audit log in the same transaction.
 */
#ifndef AK_STORE_WEBHOOKS_H
#define AK_STORE_WEBHOOKS_H

#include "ak_store.h"

/* A record never holds the secret: only auditd reads it, to sign. */
typedef struct {
    apr_int64_t seq;
    const char *id, *account_id, *url, *description;
    const char *status;            /* active, disabled */
    apr_int64_t old_secret_until;  /* until then two secrets sign; 0: one does */
    apr_int64_t created_at;
    const char *created_by;
} ak_webhook_t;

typedef struct {
    apr_int64_t seq;
    const char *alert_id, *kind;
    apr_int64_t at, attempt;
    const char *outcome;           /* delivered, failed, given_up, disabled */
    apr_int64_t http_status;       /* AK_UNSET: no answer came */
    const char *error;             /* NULL: none */
    apr_int64_t duration_ms, next_at; /* next_at 0: no other attempt */
} ak_delivery_t;

/* APR_NOTFOUND: there is no such account.  APR_EEXIST: it has AK_WEBHOOKS_PER_ACCOUNT already. */
apr_status_t ak_store_webhook_create(ak_store_t *store, const ak_actor_t *actor, const ak_webhook_t *webhook,
                                     const char *secret, apr_int64_t now, apr_pool_t *p);
apr_status_t ak_store_webhook_get(ak_store_t *store, const char *account_id, const char *id, ak_webhook_t **webhook,
                                  apr_pool_t *p);
/* Newest first; account_id NULL: all.  APR_NOTFOUND: `after` is no webhook of this account. */
apr_status_t ak_store_webhook_list(ak_store_t *store, const char *account_id, const char *after, int limit,
                                   ak_webhook_t ***webhooks, int *count, apr_pool_t *p);
/* A new secret; the one of before signs too, until a second (now: no longer). */
apr_status_t ak_store_webhook_rotate(ak_store_t *store, const ak_actor_t *actor, const ak_webhook_t *webhook,
                                     const char *secret, apr_int64_t old_until, apr_int64_t now, apr_pool_t *p);
/* With all that waits for it, and its log. */
apr_status_t ak_store_webhook_remove(ak_store_t *store, const ak_actor_t *actor, const ak_webhook_t *webhook,
                                     apr_int64_t now, apr_pool_t *p);
/* Have auditd deliver a message to one webhook, as it delivers alerts. */
apr_status_t ak_store_webhook_test(ak_store_t *store, const ak_actor_t *actor, const ak_webhook_t *webhook,
                                   const char *message_id, const char *body, apr_int64_t now, apr_pool_t *p);
/* Newest first; before: a seq, or 0. */
apr_status_t ak_store_deliveries(ak_store_t *store, const char *webhook_id, apr_int64_t before, int limit,
                                 ak_delivery_t **rows, int *count, apr_pool_t *p);

#endif
