/* mod_apikey_authn.c - who is it: from the header to the facts of a key
 *
 * Runs in the check_user_id phase for AuthType APIKey.  A request is checked once,
 * the first time that it meets a protected place; the facts hang on the request as
 * it was received, and all its sub-requests and internal redirects share them.
 */
#include <string.h>

#include <apr_lib.h>
#include <apr_strings.h>

#include "mod_apikey.h"
#include "apikey_tally.h"

#include "ak_cidr.h"
#include "ak_token.h"

/* --- the request's facts --------------------------------------------------------------- */

/* What the client sent: the first of a chain of internal redirects and sub-requests. */
static const request_rec *as_received(const request_rec *r)
{
    while (r->main || r->prev) {
        r = r->main ? r->main : r->prev;
    }
    return r;
}

apikey_request_t *apikey_request(const request_rec *r)
{
    return ap_get_module_config(as_received(r)->request_config, &apikey_module);
}

void apikey_client_address(const request_rec *r, unsigned char addr[16])
{
    const apr_sockaddr_t *sa = r->useragent_addr;

    memset(addr, 0, 16);
    if (sa->family == APR_INET) {
        addr[10] = addr[11] = 0xff;
        memcpy(addr + 12, sa->ipaddr_ptr, 4);
    }
    else if (sa->ipaddr_len == 16) {
        memcpy(addr, sa->ipaddr_ptr, 16);
    }
}

/* Management calls have a budget of their own.  SetHandler is applied only after
 * authorization, so its value is read where the core keeps it. */
static ak_class_e class_of(request_rec *r)
{
    const core_dir_config *core = ap_get_core_module_config(r->per_dir_config);
    const char *err = NULL, *handler = core->handler;

    if (core->expr_handler) {
        handler = ap_expr_str_exec(r, core->expr_handler, &err);
    }
    return !err && handler && strcmp(handler, APIKEY_HANDLER_MANAGE) == 0 ? AK_CLASS_MANAGE : AK_CLASS_API;
}

static apikey_request_t *new_request(request_rec *r)
{
    const request_rec *received = as_received(r);
    apikey_request_t *ctx = apr_pcalloc(received->pool, sizeof *ctx);

    ctx->now = apr_time_now();
    ctx->klass = class_of(r);
    ap_set_module_config(received->request_config, &apikey_module, ctx);
    return ctx;
}

/* --- what was presented ----------------------------------------------------------------- */

/* The token in a header's value: behind "Bearer " (RFC 6750 section 2.1; the scheme's
 * name has no case, RFC 9110 section 11.1), or all of it in a header that is only for keys. */
static const char *token_in(const char *header, const char *value)
{
    if (strcasecmp(header, "Authorization") != 0) {
        return value;
    }
    if (strncasecmp(value, "Bearer", 6) != 0 || value[6] != ' ') {
        return NULL;
    }
    value += 6;
    while (*value == ' ') {
        value++;
    }
    return value;
}

static ak_presented_e find_token(request_rec *r, const apikey_dir_t *dir, const char **token)
{
    ak_presented_e presented = AK_PRESENTED_NOTHING;
    int i;

    for (i = 0; i < dir->headers->nelts; i++) {
        const char *header = APR_ARRAY_IDX(dir->headers, i, const char *);
        const char *value = apr_table_get(r->headers_in, header);

        if (!value) {
            continue;
        }
        if ((*token = token_in(header, value))) {
            return AK_PRESENTED_KEY;
        }
        presented = AK_PRESENTED_MALFORMED;
    }
    return presented;
}

/* The digest under which the store would know this token, if it has a key's shape. */
static ak_presented_e digest_token(apikey_node_t *node, const apikey_dir_t *dir, const char *token,
                                   unsigned char *digest)
{
    apr_size_t len = strlen(token);
    unsigned char sha256[AK_DIGEST_BYTES];
    ak_env_e environment;

    if (ak_token_parse(token, len, node->server->prefix, &environment) == AK_TOKEN_VALID) {
        return ak_digest(node->digester, token, len, digest) == APR_SUCCESS ? AK_PRESENTED_KEY
                                                                           : AK_PRESENTED_MALFORMED;
    }
    if (!dir->accept_imported || len < AK_IMPORTED_MIN || len > AK_IMPORTED_MAX
        || ak_sha256(token, len, sha256) != APR_SUCCESS
        || ak_digest_imported(node->digester, sha256, digest) != APR_SUCCESS) {
        return AK_PRESENTED_MALFORMED;
    }
    return AK_PRESENTED_KEY;
}

static void strip_credentials(request_rec *r, const apikey_dir_t *dir)
{
    int i;

    for (i = 0; dir->strip && i < dir->headers->nelts; i++) {
        apr_table_unset(r->headers_in, APR_ARRAY_IDX(dir->headers, i, const char *));
    }
}

/* --- the decision -------------------------------------------------------------------------- */

static void identify(request_rec *r, apikey_request_t *ctx)
{
    ctx->identified = 1;
    ctx->key_id = apr_pstrcat(r->pool, "key_", apr_pstrndup(r->pool, ctx->key.id, AK_ID_SUFFIX), NULL);
    ctx->account_id = apr_pstrcat(r->pool, "acct_",
                                  apr_pstrndup(r->pool, ctx->key.account, AK_ID_SUFFIX), NULL);
}

/* A list too long for the table's slot is read from SQL. */
static apr_status_t long_cidr_list(request_rec *r, apikey_node_t *node, const apikey_request_t *ctx,
                                   ak_authn_facts_t *facts)
{
    ak_cidr_t *cidrs = apr_palloc(r->pool, AK_CIDR_MAX * sizeof *cidrs);
    const char *list, *bad;
    apr_status_t rv = ak_store_allowed_ips(node->store, ctx->key_id, &list, r->pool);

    if (rv == APR_SUCCESS) {
        rv = ak_cidr_list_parse(cidrs, AK_CIDR_MAX, &facts->cidr_count, list, &bad, r->pool);
    }
    facts->cidrs = cidrs;
    return rv;
}

static ak_code_e decide(request_rec *r, apikey_node_t *node, apikey_request_t *ctx, const char *token,
                        ak_presented_e presented)
{
    ak_authn_facts_t facts = {0};
    unsigned char digest[AK_DIGEST_BYTES];

    facts.presented = presented;
    facts.now_sec = apr_time_sec(ctx->now);
    apikey_client_address(r, facts.client);
    if (presented == AK_PRESENTED_KEY) {
        facts.presented = digest_token(node, apikey_dir(r), token, digest);
    }
    if (facts.presented == AK_PRESENTED_KEY) {
        facts.lookup = apikey_lookup(r, ctx, digest);
        if (facts.lookup == AK_LOOKUP_NONE) {
            return AK_TOO_MANY_FAILURES;
        }
    }
    if (facts.lookup == AK_LOOKUP_FOUND) {
        identify(r, ctx);
        facts.key = &ctx->key;
        facts.cidrs = ctx->key.cidr;
        facts.cidr_count = ctx->key.cidr_count;
        if (facts.cidr_count > AK_CIDR_INLINE && long_cidr_list(r, node, ctx, &facts) != APR_SUCCESS) {
            return AK_STORE_UNAVAILABLE;
        }
    }
    return ak_decide_authn(&facts);
}

/* Count a failed authentication; past the limit the answer becomes 429. */
static ak_code_e count_failure(request_rec *r, apikey_node_t *node, apikey_request_t *ctx, ak_code_e code)
{
    const apikey_dir_t *dir = apikey_dir(r);
    unsigned char addr[16];
    apr_uint32_t failures;

    if (code == AK_TOO_MANY_FAILURES || ak_problem_of(code)->status != 401 || code == AK_MISSING_CREDENTIALS
        || !dir->failure_limit) {
        return code;
    }
    apikey_client_address(r, addr);
    failures = ak_table_failures(node->table, addr, 1, dir->failure_window_sec, apr_time_sec(ctx->now));
    return failures > (apr_uint32_t)dir->failure_limit ? AK_TOO_MANY_FAILURES : code;
}

/* --- the hook --------------------------------------------------------------------------------- */

/* A browser asks before a cross-origin request, and may send no credentials with the
 * question (Fetch standard, CORS-preflight fetch). */
static int is_preflight(request_rec *r, const apikey_dir_t *dir)
{
    return dir->preflight_pass && r->method_number == M_OPTIONS && apr_table_get(r->headers_in, "Origin")
        && apr_table_get(r->headers_in, "Access-Control-Request-Method")
        && !apr_table_get(r->headers_in, "Authorization");
}

static int set_user(request_rec *r, const apikey_request_t *ctx)
{
    r->user = ctx->preflight ? apr_pstrdup(r->pool, "-") : apr_pstrdup(r->pool, ctx->key_id);
    r->ap_auth_type = (char *)APIKEY_AUTH_TYPE;
    return OK;
}

int apikey_check_authn(request_rec *r)
{
    const char *type = ap_auth_type(r), *token = NULL;
    const apikey_dir_t *dir = apikey_dir(r);
    apikey_node_t *node = apikey_server(r->server)->node;
    apikey_request_t *ctx;
    ak_presented_e presented;

    if (!type || strcasecmp(type, APIKEY_AUTH_TYPE) != 0) {
        return DECLINED;
    }
    if ((ctx = apikey_request(r))) { /* an earlier request of this chain was checked */
        return ctx->authenticated || ctx->preflight ? set_user(r, ctx) : apikey_refuse(r, ctx, ctx->code);
    }
    ctx = new_request(r);
    if (!node || !node->store) {
        return apikey_refuse(r, ctx, AK_STORE_UNAVAILABLE);
    }
    if (is_preflight(r, dir)) {
        ctx->preflight = 1;
        return set_user(r, ctx);
    }
    apikey_event_arm(r, ctx);
    presented = find_token(r, dir, &token);
    ctx->code = count_failure(r, node, ctx, decide(r, node, ctx, token, presented));
    strip_credentials(r, dir);
    if (ctx->code != AK_OK) {
        return apikey_refuse(r, ctx, ctx->code);
    }
    ctx->authenticated = 1;
    return set_user(r, ctx);
}
