/* mod_apikey_manage.c - the handler of the management endpoints: who calls which route */
#include <apr_strings.h>

#include "ak_token.h"
#include "mod_apikey_manage.h"
#include "mod_apikey_manage_io.h"


static const manage_route_t routes[] = {
    {"GET", "api-keys", NULL, "api-keys:read", "limit after status environment search account_id", 0,
     manage_key_list},
    {"POST", "api-keys", NULL, "api-keys:write", NULL, 0, manage_key_create},
    {"GET", "api-keys/*", "key_", "api-keys:read", NULL, 0, manage_key_show},
    {"PATCH", "api-keys/*", "key_", "api-keys:write", NULL, 0, manage_key_update},
    {"DELETE", "api-keys/*", "key_", "api-keys:delete", NULL, 0, manage_key_revoke},
    {"POST", "api-keys/*/rotate", "key_", "api-keys:write", NULL, 0, manage_key_rotate},
    {"GET", "api-keys/*/networks", "key_", "api-keys:read", NULL, 0, manage_key_networks},
    {"GET", "rate-limit", NULL, NULL, NULL, 0, manage_rate_limit},
    {"GET", "permissions", NULL, NULL, NULL, 0, manage_permissions},
    {"GET", "usage", NULL, "api-keys:read", "key_id account_id environment granularity from to", 0,
     manage_usage},
    {"GET", "alerts", NULL, "alerts:read", "limit after status kind severity key_id account_id", 1,
     manage_alert_list},
    {"GET", "alerts/*", "alert_", "alerts:read", NULL, 1, manage_alert_show},
    {"PATCH", "alerts/*", "alert_", "alerts:write", NULL, 1, manage_alert_update},
    {"GET", "webhooks", NULL, "alerts:read", "limit after account_id", 1, manage_webhook_list},
    {"POST", "webhooks", NULL, "alerts:write", NULL, 1, manage_webhook_create},
    {"GET", "webhooks/*", "hook_", "alerts:read", NULL, 1, manage_webhook_show},
    {"DELETE", "webhooks/*", "hook_", "alerts:write", NULL, 1, manage_webhook_remove},
    {"POST", "webhooks/*/rotate", "hook_", "alerts:write", NULL, 1, manage_webhook_rotate},
    {"POST", "webhooks/*/test", "hook_", "alerts:write", NULL, 1, manage_webhook_test},
    {"GET", "webhooks/*/deliveries", "hook_", "alerts:read", "limit before", 1, manage_webhook_deliveries},
    {"GET", "audit-log", NULL, "audit:read", "limit before target action account_id", 1,
     manage_audit_list},
    {"GET", "accounts", NULL, "admin:*", "limit after", 1, manage_account_list},
    {"POST", "accounts", NULL, "admin:*", NULL, 1, manage_account_create},
    {"GET", "accounts/*", "acct_", NULL, NULL, 0, manage_account_show},
    {"PATCH", "accounts/*", "acct_", "admin:*", NULL, 1, manage_account_update},
};
#define ROUTES ((int)(sizeof(routes) / sizeof(routes[0])))

/* --- which route ------------------------------------------------------------------- */

/* match_path - does a path have a pattern's form?  *id: what stands for the star */
static int match_path(apr_pool_t *p, const char *pattern, const char *path, const char **id)
{
    const char *star = strchr(pattern, '*'), *end;

    *id = NULL;
    if (!star)
        return !strcmp(pattern, path);
    if (strncmp(pattern, path, star - pattern))
        return 0;
    path += star - pattern;
    end = path + strcspn(path, "/");
    *id = apr_pstrmemdup(p, path, end - path);
    return end > path && !strcmp(star + 1, end);
}

/* find_route - set m->route; what a path allows otherwise is in *allow, NULL: no such path */
static void find_route(manage_t *m, const char *path, const char **allow)
{
    const char *method = m->r->header_only ? "GET" : m->r->method, *id;
    int i;

    *allow = NULL;
    for (i = 0; i < ROUTES; i++) {
        if (!match_path(m->p, routes[i].path, path, &id))
            continue;
        m->id = id;
        if (!strcmp(routes[i].method, method)) {
            m->route = &routes[i];
            return;
        }
        *allow = apr_pstrcat(m->p, *allow ? *allow : "OPTIONS", ", ", routes[i].method,
                             strcmp(routes[i].method, "GET") ? "" : ", HEAD", NULL);
    }
}

/* refuse_route - 404, 405 or the answer to OPTIONS, where no function serves the request */
static int refuse_route(manage_t *m)
{
    const char *path = strstr(m->r->uri, "/v1/"), *allow = NULL;

    if (path) {
        m->base = apr_pstrmemdup(m->p, m->r->uri, path + 4 - m->r->uri);
        find_route(m, path + 4, &allow);
    }
    if (m->route && (!m->id || ak_id_ok(m->id, m->route->id_prefix)))
        return 0;
    if (m->route || !allow)
        return manage_refuse(m, AK_NOT_FOUND, NULL);
    apr_table_setn(m->r->headers_out, "Allow", allow);
    if (m->r->method_number != M_OPTIONS)
        return manage_refuse(m, AK_METHOD_NOT_ALLOWED, NULL);
    manage_answer_nothing(m);
    return 1;
}

/* --- who calls ---------------------------------------------------------------------- */

static void set_client(manage_t *m)
{
    m->actor.address = m->r->useragent_ip;
    m->admin = ak_scopes_is_admin(&m->held);
}

static int identify_key(manage_t *m, apikey_request_t *facts)
{
    m->facts = facts;
    m->actor.actor = facts->key_id;
    m->actor.account_id = facts->account_id;
    m->held = facts->key.scopes;
    m->test = facts->key.environment == AK_ENV_TEST;
    set_client(m);
    return 0;
}

/* mapped_user - the entry of APIKeyMapUser that is for this user, or NULL */
static const apikey_mapped_user_t *mapped_user(const request_rec *r)
{
    const apr_array_header_t *users = apikey_dir(r)->mapped_users;
    int i;

    for (i = 0; users && i < users->nelts; i++) {
        const apikey_mapped_user_t *user = &APR_ARRAY_IDX(users, i, apikey_mapped_user_t);
        if (!strcmp(user->user, "*") || !strcmp(user->user, r->user))
            return user;
    }
    return NULL;
}

static int identify_user(manage_t *m, const apikey_mapped_user_t *user)
{
    const char *bad;

    m->actor.actor = apr_pstrcat(m->p, "user:", ap_escape_logitem(m->p, m->r->user), NULL);
    m->actor.account_id = user->account_id;
    m->permissions = user->permissions;
    /* A scope that has left the registry since the start is simply not held. */
    ak_scopes_parse(&m->held, m->registry, user->permissions, &bad, m->p);
    set_client(m);
    return 0;
}

/* refuse_caller - settle who calls; 401 for nobody, 403 for a user who is not mapped */
static int refuse_caller(manage_t *m)
{
    apikey_request_t *facts = apikey_request(m->r);
    const apikey_mapped_user_t *user;

    if (facts && facts->authenticated)
        return identify_key(m, facts);
    m->facts = facts;
    if (facts && facts->preflight)
        return 0; /* it is an OPTIONS request, which no route serves */
    if (!m->r->user || !m->r->ap_auth_type || !strcmp(m->r->ap_auth_type, APIKEY_AUTH_TYPE))
        return manage_refuse(m, AK_MISSING_CREDENTIALS, NULL);
    if (!(user = mapped_user(m->r)))
        return manage_refuse(m, AK_FORBIDDEN, "This user may not manage API keys here.");
    m->facts = NULL;
    return identify_user(m, user);
}

/* is_own_origin - is Origin the scheme and host that this request was sent to? */
static int is_own_origin(manage_t *m, const char *origin)
{
    const char *host = apr_table_get(m->r->headers_in, "Host");

    return host && !ap_cstr_casecmp(origin, apr_pstrcat(m->p, ap_http_scheme(m->r), "://", host, NULL));
}

/* refuse_forgery - 403 when a browser may have sent a change for another site.  A key is
 * presented on purpose; a password or a certificate a browser adds by itself. */
static int refuse_forgery(manage_t *m)
{
    const char *site = apr_table_get(m->r->headers_in, "Sec-Fetch-Site");
    const char *origin = apr_table_get(m->r->headers_in, "Origin");

    if (m->facts || !strcmp(m->route->method, "GET"))
        return 0;
    if (site && strcmp(site, "same-origin") && strcmp(site, "none"))
        return manage_refuse(m, AK_FORBIDDEN, "Another site may not change keys for its visitor.");
    if (origin && !is_own_origin(m, origin))
        return manage_refuse(m, AK_FORBIDDEN, "Another site may not change keys for its visitor.");
    if (!site && !origin && !apr_table_get(m->r->headers_in, "X-Requested-With"))
        return manage_refuse(m, AK_FORBIDDEN,
                             "A user's change needs Sec-Fetch-Site, Origin or X-Requested-With.");
    return 0;
}

/* refuse_scope - 403 when the caller may not use the route at all */
static int refuse_scope(manage_t *m)
{
    const manage_route_t *route = m->route;

    if (m->facts && route->scope)
        m->facts->scope_wanted = route->scope;
    if (route->scope && !m->admin) {
        int bit = ak_registry_bit(m->registry, route->scope);
        if (bit < 0 || !ak_scopes_has(&m->held, bit))
            return manage_refuse_scope(m, route->scope);
    }
    if (route->live_only && m->test)
        return manage_refuse(m, AK_ENVIRONMENT_MISMATCH, "A test key manages test keys only.");
    return 0;
}

int apikey_manage_handler(request_rec *r)
{
    manage_t m = {0};

    if (!r->handler || strcmp(r->handler, APIKEY_HANDLER_MANAGE))
        return DECLINED;
    m.r = r;
    m.p = r->pool;
    m.now = apr_time_sec(r->request_time);
    m.result = OK;
    m.node = apikey_server(r->server)->node;
    if (!m.node)
        return HTTP_NOT_FOUND; /* no APIKeyDatabase: this server has no keys */
    if (!m.node->store)
        return HTTP_SERVICE_UNAVAILABLE; /* this process could not be set up; its log says why */
    m.registry = apikey_registry(m.node);
    if (!refuse_caller(&m) && !refuse_route(&m) && !refuse_scope(&m) && !refuse_forgery(&m)
        && !manage_read_query(&m))
        m.route->serve(&m);
    if (m.errors)
        json_decref(m.errors);
    return m.result;
}
