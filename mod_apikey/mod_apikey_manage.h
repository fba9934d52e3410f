/* mod_apikey_manage.h - what the files of the management endpoints share
 *
 * One request is one manage_t, made by the dispatcher in _manage.c, which has
 * settled by then who calls, which route it is and that the caller may use it.  An
 * endpoint reads its input by _manage_io.h, calls the store, and answers once.
 */
#ifndef MOD_APIKEY_MANAGE_H
#define MOD_APIKEY_MANAGE_H

#include <jansson.h>

#include "mod_apikey.h"

#define MANAGE_PAGE_DEFAULT 20
#define MANAGE_PAGE_MAX 100

struct manage_route_t;

typedef struct {
    request_rec *r;
    apr_pool_t *p;           /* r->pool: everything here lives as long as the request */
    apikey_node_t *node;
    const ak_registry_t *registry;
    apr_int64_t now;         /* seconds: one clock reading for the whole request */
    const struct manage_route_t *route;
    const char *base;        /* the path up to and with "/v1/": for Location */
    const char *id;          /* the {id} of the path, or NULL */
    apr_table_t *query;      /* decoded parameters */

    apikey_request_t *facts; /* NULL: the caller is a user whom httpd authenticated */
    ak_actor_t actor;        /* actor.account_id is the caller's own account, never NULL */
    ak_scopes_t held;
    const char *permissions; /* of a mapped user, as configured; NULL for a key */
    int admin;
    int test;                /* the caller is a test key: it manages the sandbox only */

    json_t *errors;          /* 422: what is wrong with which field; NULL: nothing yet */
    int body_ended;          /* all of the request's body has been read */
    int result;              /* what the handler returns to httpd */
} manage_t;

typedef struct manage_route_t {
    const char *method;
    const char *path;      /* behind /v1/; "*" stands for one id */
    const char *id_prefix; /* of that id; NULL: the path has none */
    const char *scope;     /* NULL: any caller that is authenticated */
    const char *query;     /* names of the parameters it takes, space-separated, or NULL */
    int live_only;         /* refused to test keys: what it shows or changes is not the sandbox's */
    void (*serve)(manage_t *m);
} manage_route_t;

/* The account that the caller is confined to; NULL for an administrator. */
static inline const char *manage_confined(const manage_t *m)
{
    return m->admin ? NULL : m->actor.account_id;
}

/* _manage_keys.c, _manage_rotate.c */
void manage_key_create(manage_t *m);
void manage_key_list(manage_t *m);
void manage_key_show(manage_t *m);
void manage_key_update(manage_t *m);
void manage_key_revoke(manage_t *m);
void manage_key_rotate(manage_t *m);
void manage_key_networks(manage_t *m);
/* A key that the caller may manage; NULL: refused (404 where it is another account's). */
ak_key_record_t *manage_key_find(manage_t *m, const char *id);

/* _manage_accounts.c */
void manage_account_list(manage_t *m);
void manage_account_create(manage_t *m);
void manage_account_show(manage_t *m);
void manage_account_update(manage_t *m);

/* _manage_usage.c */
void manage_usage(manage_t *m);
void manage_rate_limit(manage_t *m);
void manage_permissions(manage_t *m);

/* _manage_alerts.c */
void manage_alert_list(manage_t *m);
void manage_alert_show(manage_t *m);
void manage_alert_update(manage_t *m);
void manage_audit_list(manage_t *m);

/* _manage_webhooks.c */
void manage_webhook_list(manage_t *m);
void manage_webhook_create(manage_t *m);
void manage_webhook_show(manage_t *m);
void manage_webhook_remove(manage_t *m);
void manage_webhook_rotate(manage_t *m);
void manage_webhook_test(manage_t *m);
void manage_webhook_deliveries(manage_t *m);

#endif
