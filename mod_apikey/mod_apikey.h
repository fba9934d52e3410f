/* mod_apikey.h - what the files of the module share
 *
 * The glue between httpd and core/: hooks gather facts, core decides, hooks
 * translate the answer.  One request passes the files in this order:
 *   _authn (who) -> _authz (may they; _rate) -> the handler -> _event (tell it)
 */
#ifndef MOD_APIKEY_H
#define MOD_APIKEY_H

#include <httpd.h>

#include <http_config.h>
#include <http_core.h>
#include <http_log.h>
#include <http_protocol.h>
#include <http_request.h>

#include "ak_decide.h"
#include "ak_digest.h"
#include "ak_event.h"
#include "ak_problem.h"
#include "ak_rate.h"
#include "ak_scope.h"
#include "ak_segment.h"
#include "ak_store.h"
#include "ak_table.h"

extern module AP_MODULE_DECLARE_DATA apikey_module;
#ifndef APIKEY_MODULE_RECORD /* the record declares its own log index */
APLOG_USE_MODULE(apikey);
#endif

#define APIKEY_AUTH_TYPE "APIKey"
#define APIKEY_HANDLER_MANAGE "apikey-manage"
#define APIKEY_HANDLER_METRICS "apikey-metrics"
#define APIKEY_HANDLER_HEALTH "apikey-health"

/* --- settings of the server (one node): main server only ---------------------- */
typedef struct {
    const char *prefix;
    const char *pepper_file;
    const char *db_driver, *db_params;
    const char *table_file;
    apr_uint32_t table_slots;
    const char *rate_store;        /* "shm" or "memcached" */
    const char *memcached;         /* "host:port host:port", or NULL */
    const char *event_dir;         /* NULL: no events */
    apr_interval_time_t bound;     /* APIKeyRevocationBound */
    apr_interval_time_t stale;     /* use of cached keys while SQL is down; 0: deny */
    apr_uint32_t manage_per_minute;
    struct apikey_node_t *node;    /* made at start; NULL where no APIKeyDatabase is set */
} apikey_server_t;

/* --- what a running process holds: opened at start, per child where it must be --- */
typedef struct apikey_node_t {
    ak_store_t *store;
    ak_table_t *table;
    ak_digester_t *digester;
    ak_rate_t *rate;
    ak_segment_t *segment;         /* NULL: no events */
    const ak_registry_t *registry; /* replaced as a whole when the scopes change; read with apikey_registry() */
    const apikey_server_t *server;
    apr_pool_t *pconf;             /* of this configuration */
    apr_pool_t *pool;              /* of this process */
    apr_int64_t store_failed_usec; /* monotonic: when the store last failed this process; 0: it works */
} apikey_node_t;

/* --- settings of a folder ---------------------------------------------------------- */
typedef enum {
    APIKEY_HEADERS_NONE = 0,
    APIKEY_HEADERS_LEGACY = 1,
    APIKEY_HEADERS_IETF = 2,
    APIKEY_HEADERS_BOTH = 3
} apikey_headers_e;
typedef enum {
    APIKEY_FORWARD_ID = 1,
    APIKEY_FORWARD_ACCOUNT = 2,
    APIKEY_FORWARD_SCOPES = 4,
    APIKEY_FORWARD_ENVIRONMENT = 8,
    APIKEY_FORWARD_PLAN = 16
} apikey_forward_e;

/* An httpd user who may use the management endpoints (APIKeyMapUser). */
typedef struct {
    const char *user;              /* "*": anyone whom httpd has authenticated */
    const char *account_id;
    const char *permissions;       /* space-separated */
} apikey_mapped_user_t;

typedef struct {
    apr_array_header_t *headers;   /* of const char *: where a key may stand, in this order */
    const char *realm;
    apr_array_header_t *mapped_users; /* of apikey_mapped_user_t */
    apikey_headers_e rate_headers;
    unsigned forward;              /* of apikey_forward_e */
    int failure_limit, failure_window_sec; /* limit 0: off */
    unsigned rate_limit : 1, strip : 1, accept_imported : 1, problem_json : 1, preflight_pass : 1;
    unsigned headers_set : 1, realm_set : 1, mapped_users_set : 1, rate_headers_set : 1, forward_set : 1,
        failure_set : 1, rate_limit_set : 1, strip_set : 1, accept_imported_set : 1,
        problem_json_set : 1, preflight_set : 1;
} apikey_dir_t;

/* --- what is known of a request ------------------------------------------------------ */
typedef struct {
    ak_code_e code;                /* the decision so far; AK_OK until something refuses */
    const char *problem_detail;    /* NULL: the table's sentence */
    int authenticated;             /* key holds the presented key's facts and it may be used */
    int identified;                /* key holds the facts of a key that may have been refused */
    ak_key_t key;
    const char *key_id, *account_id; /* whole ids, with prefix; NULL until identified */
    ak_slot_ref_t slot;
    int has_slot;
    ak_class_e klass;
    int charged;                   /* the rate limits have been asked */
    int has_rate;                  /* rate holds the figures of this request */
    ak_rate_result_t rate;
    apr_time_t now;                /* one reading of the clock serves the whole request */
    int preflight;                 /* a CORS preflight that passes without a key */
    int in_authz;                  /* the other authorizers are being asked; do not ask ourselves */
    ak_code_e denied_by;           /* what the last failing Require of ours said */
    const char *scopes_denied;     /* scopes, any of which would have done; for the challenge */
    const char *scope_wanted;      /* the first scope asked for; for the event */
    int event_due;                 /* an event is still to be written */
    apr_int64_t retry_after_sec;   /* 0: none */
} apikey_request_t;

/* mod_apikey_config.c */
void *apikey_create_server(apr_pool_t *p, server_rec *s);
void *apikey_merge_server(apr_pool_t *p, void *base, void *add);
void *apikey_create_dir(apr_pool_t *p, char *dir);
void *apikey_merge_dir(apr_pool_t *p, void *base, void *add);
extern const command_rec apikey_commands[];
static inline apikey_server_t *apikey_server(const server_rec *s)
{
    return ap_get_module_config(s->module_config, &apikey_module);
}
static inline apikey_dir_t *apikey_dir(const request_rec *r)
{
    return ap_get_module_config(r->per_dir_config, &apikey_module);
}

/* mod_apikey_node.c: what is opened at start, and what of it in each child */
int apikey_check_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s);
int apikey_post_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s);
void apikey_child_init(apr_pool_t *p, server_rec *s);
/* The registry in force; never NULL. */
const ak_registry_t *apikey_registry(const apikey_node_t *node);
/* A key was changed here: drop it from this node's table, then wait until every node
 * has dropped it (or its bound has passed).  Call after commit, before the answer.
 * key_id NULL: every key (an account's, a plan's). */
void apikey_changed(apikey_node_t *node, const char *key_id, apr_int64_t sequence, apr_pool_t *p);
/* Is the table's stamp young enough for cached keys (true also under APIKeyOnStoreFailure stale)? */
int apikey_cache_usable(const apikey_node_t *node);
/* Log a trouble of the store once a minute and process. */
void apikey_log_store(const apikey_node_t *node, server_rec *s, apr_status_t rv, const char *what);

/* mod_apikey_poll.c: the thread that follows the change log */
void apikey_poll_start(apikey_node_t *node, server_rec *s, apr_pool_t *p);

/* mod_apikey_lookup.c: what is known of a digest, from the table or else from SQL */
ak_lookup_e apikey_lookup(request_rec *r, apikey_request_t *ctx, const unsigned char *digest);
/* A place for the key's counters, where it has none (any more). */
apr_status_t apikey_reserve(apikey_node_t *node, apikey_request_t *ctx);

/* mod_apikey_authn.c */
int apikey_check_authn(request_rec *r);
/* What is known of the request that r is, or is a part of (as a sub-request or an
 * internal redirect); NULL where it has met no protected place yet. */
apikey_request_t *apikey_request(const request_rec *r);
/* The client's address in the 16-byte form (mod_remoteip's, where it is used). */
void apikey_client_address(const request_rec *r, unsigned char addr[16]);

/* mod_apikey_authz.c */
void apikey_register_providers(apr_pool_t *p);
/* Look the scopes named by Require up in a registry (at start, and when it changes).
 * Returns the first name that it does not know, or NULL. */
const char *apikey_resolve_scopes(apr_pool_t *pconf, const ak_registry_t *registry);
/* Does any Require of ours stand in this configuration? */
int apikey_is_required(apr_pool_t *pconf);
int apikey_check_authz(request_rec *r);

/* mod_apikey_rate.c */
ak_code_e apikey_take(request_rec *r, apikey_request_t *ctx);
/* The figures now, spending nothing. */
apr_status_t apikey_peek(apikey_node_t *node, const apikey_request_t *ctx, apr_time_t now, ak_rate_result_t *out);

/* mod_apikey_identity.c: environment variables and headers for what comes behind us */
int apikey_fixups(request_rec *r);

/* mod_apikey_problem.c: refuse with a code; returns the status for a hook to return.
 * Sets the challenge, Retry-After and the problem+json body. */
int apikey_refuse(request_rec *r, apikey_request_t *ctx, ak_code_e code);
void apikey_insert_error_filter(request_rec *r);
void apikey_register_problem_filter(void);

/* mod_apikey_event.c */
void apikey_register_event_filter(void);
void apikey_event_arm(request_rec *r, apikey_request_t *ctx);
int apikey_log_transaction(request_rec *r);

/* mod_apikey_manage.c: the handler of the management endpoints */
int apikey_manage_handler(request_rec *r);
/* mod_apikey_status.c: /metrics, /healthz, /readyz */
int apikey_metrics_handler(request_rec *r);
int apikey_health_handler(request_rec *r);

#endif
