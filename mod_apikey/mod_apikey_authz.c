/* mod_apikey_authz.c - may they: the Require providers, and the last word on the verdict
 *
 * mod_authz_core combines Require lines, whoever provides them.  Two things it cannot
 * do for us: it answers 401 where an authenticated key lacks a scope, and nothing may
 * be billed to a rate limit before all of Require has agreed.  So our auth_checker
 * runs first, asks the others by running the hook once more from inside (and declines
 * that inner call), and translates their verdict.
 */
#include <string.h>

#include <apr_strings.h>
#include <ap_provider.h>
#include <mod_auth.h>

#include "mod_apikey.h"

#define NEEDS_KEY "mod_apikey needs"
#define ACTIONS 3

/* One Require line. Scopes are named by the configuration and known by bits once the
 * registry is read; -1 stands for a scope that no registry has. */
typedef struct {
    const char *names; /* space-separated, as written */
    int count;
    const char **scope;
    int *bit;          /* written by the thread that reads a new registry, read by all */
    int by_method;     /* scope[] holds read, write, delete of one resource */
    unsigned mask;     /* environments or plans */
} need_t;

/* --- what Require lines there are ----------------------------------------------------------- */

static apr_array_header_t *needs_of(apr_pool_t *pconf)
{
    void *needs = NULL;

    apr_pool_userdata_get(&needs, NEEDS_KEY, pconf);
    if (!needs) {
        needs = apr_array_make(pconf, 8, sizeof(need_t *));
        apr_pool_userdata_setn(needs, NEEDS_KEY, NULL, pconf);
    }
    return needs;
}

int apikey_is_required(apr_pool_t *pconf)
{
    return needs_of(pconf)->nelts > 0;
}

const char *apikey_resolve_scopes(apr_pool_t *pconf, const ak_registry_t *registry)
{
    apr_array_header_t *needs = needs_of(pconf);
    const char *unknown = NULL;
    int i, j, found;

    for (i = 0; i < needs->nelts; i++) {
        need_t *need = APR_ARRAY_IDX(needs, i, need_t *);

        for (j = 0, found = 0; j < need->count; j++) {
            int bit = ak_registry_bit(registry, need->scope[j]);

            __atomic_store_n(&need->bit[j], bit, __ATOMIC_RELAXED);
            found += bit >= 0;
            if (bit < 0 && !need->by_method && !unknown) {
                unknown = need->scope[j];
            }
        }
        if (need->by_method && !found && !unknown) {
            unknown = need->scope[0]; /* a resource without any action is a slip of the pen */
        }
    }
    return unknown;
}

static need_t *new_need(cmd_parms *cmd, const char *line)
{
    need_t *need = apr_pcalloc(cmd->pool, sizeof *need);

    need->names = line;
    APR_ARRAY_PUSH(needs_of(cmd->pool), need_t *) = need;
    return need;
}

static void set_scopes(need_t *need, apr_array_header_t *names, apr_pool_t *p)
{
    int i;

    need->count = names->nelts;
    need->scope = (const char **)names->elts;
    need->bit = apr_palloc(p, sizeof(int) * (apr_size_t)names->nelts);
    for (i = 0; i < names->nelts; i++) {
        need->bit[i] = -1;
    }
}

/* --- reading Require lines -------------------------------------------------------------------- */

static const char *parse_scope(cmd_parms *cmd, const char *line, const void **parsed)
{
    apr_array_header_t *names = apr_array_make(cmd->pool, 4, sizeof(const char *));
    const char *word, *rest = line;
    need_t *need;

    while (*(word = ap_getword_conf(cmd->pool, &rest))) {
        if (!ak_scope_name_ok(word, strcmp(word, "admin:*") == 0)) {
            return apr_psprintf(cmd->pool, "Require apikey-scope \"%s\": write scopes as resource:action, "
                                           "such as tasks:read", word);
        }
        APR_ARRAY_PUSH(names, const char *) = word;
    }
    if (!names->nelts) {
        return "Require apikey-scope: name at least one scope, such as tasks:read";
    }
    need = new_need(cmd, line);
    set_scopes(need, names, cmd->pool);
    *parsed = need;
    return NULL;
}

static const char *parse_resource(cmd_parms *cmd, const char *line, const void **parsed)
{
    static const char *const actions[ACTIONS] = {"read", "write", "delete"};
    apr_array_header_t *names = apr_array_make(cmd->pool, ACTIONS, sizeof(const char *));
    const char *rest = line, *resource = ap_getword_conf(cmd->pool, &rest);
    need_t *need;
    int i;

    if (!*resource || *rest || !ak_scope_name_ok(apr_pstrcat(cmd->pool, resource, ":read", NULL), 0)) {
        return apr_psprintf(cmd->pool, "Require apikey-resource \"%s\": name one resource, such as tasks", line);
    }
    for (i = 0; i < ACTIONS; i++) {
        APR_ARRAY_PUSH(names, const char *) = apr_pstrcat(cmd->pool, resource, ":", actions[i], NULL);
    }
    need = new_need(cmd, line);
    need->by_method = 1;
    set_scopes(need, names, cmd->pool);
    *parsed = need;
    return NULL;
}

/* One or more words out of a list of names, as a mask of their places in it. */
static const char *parse_words(cmd_parms *cmd, const char *line, const char *const *names, int count,
                               const char *usage, const void **parsed)
{
    const char *word, *rest = line;
    need_t *need = new_need(cmd, line);
    int i;

    while (*(word = ap_getword_conf(cmd->pool, &rest))) {
        for (i = 0; i < count && strcmp(word, names[i]) != 0; i++) {
        }
        if (i == count) {
            return apr_psprintf(cmd->pool, "%s, not \"%s\"", usage, word);
        }
        need->mask |= 1u << i;
    }
    *parsed = need;
    return need->mask ? NULL : usage;
}

static const char *parse_environment(cmd_parms *cmd, const char *line, const void **parsed)
{
    static const char *const names[] = {"live", "test"}; /* as ak_env_e */

    return parse_words(cmd, line, names, 2, "Require apikey-env: write live or test", parsed);
}

static const char *parse_plan(cmd_parms *cmd, const char *line, const void **parsed)
{
    static const char *const names[] = {"free", "professional", "enterprise"}; /* as ak_plan_e */

    return parse_words(cmd, line, names, AK_PLAN_COUNT,
                       "Require apikey-plan: write free, professional or enterprise", parsed);
}

/* --- answering for one Require line ---------------------------------------------------------------- */

/* The facts of a request that may be asked about scopes; NULL: *status is the answer. */
static apikey_request_t *facts_of(request_rec *r, authz_status *status)
{
    apikey_request_t *ctx = apikey_request(r);

    if (!ctx) {
        *status = r->user ? AUTHZ_DENIED : AUTHZ_DENIED_NO_USER;
        return NULL;
    }
    if (ctx->preflight) {
        *status = AUTHZ_GRANTED;
        return NULL;
    }
    if (!ctx->authenticated) {
        *status = AUTHZ_DENIED_NO_USER;
        return NULL;
    }
    return ctx;
}

static authz_status answer(apikey_request_t *ctx, ak_code_e code)
{
    if (code == AK_OK) {
        return AUTHZ_GRANTED;
    }
    ctx->denied_by = code;
    return AUTHZ_DENIED;
}

static authz_status deny_scope(request_rec *r, apikey_request_t *ctx, const char *names)
{
    ctx->scopes_denied = ctx->scopes_denied ? apr_pstrcat(r->pool, ctx->scopes_denied, " ", names, NULL) : names;
    return answer(ctx, AK_INSUFFICIENT_SCOPE);
}

static authz_status check_scope(request_rec *r, const char *line, const void *parsed)
{
    const need_t *need = parsed;
    authz_status status;
    apikey_request_t *ctx = facts_of(r, &status);

    if (!ctx) {
        return status;
    }
    if (!ctx->scope_wanted) {
        ctx->scope_wanted = need->scope[0];
    }
    if (ak_decide_scope(&ctx->key, need->bit, need->count) == AK_OK) {
        return answer(ctx, AK_OK);
    }
    return deny_scope(r, ctx, need->names);
}

static authz_status check_resource(request_rec *r, const char *line, const void *parsed)
{
    const need_t *need = parsed;
    authz_status status;
    apikey_request_t *ctx = facts_of(r, &status);
    const char *action;
    int i;

    if (!ctx) {
        return status;
    }
    if (!(action = ak_scope_action(r->method))) { /* a method that stands for no action */
        return deny_scope(r, ctx, "admin:*");
    }
    i = *action == 'r' ? 0 : *action == 'w' ? 1 : 2;
    if (!ctx->scope_wanted) {
        ctx->scope_wanted = need->scope[i];
    }
    if (ak_decide_scope(&ctx->key, &need->bit[i], 1) == AK_OK) {
        return answer(ctx, AK_OK);
    }
    return deny_scope(r, ctx, need->scope[i]);
}

static authz_status check_environment(request_rec *r, const char *line, const void *parsed)
{
    const need_t *need = parsed;
    authz_status status;
    apikey_request_t *ctx = facts_of(r, &status);

    if (!ctx) {
        return status;
    }
    if (need->mask == (1u << AK_ENV_LIVE | 1u << AK_ENV_TEST)) {
        return AUTHZ_GRANTED;
    }
    return answer(ctx, ak_decide_environment(&ctx->key, need->mask & 1u ? AK_ENV_LIVE : AK_ENV_TEST));
}

static authz_status check_plan(request_rec *r, const char *line, const void *parsed)
{
    const need_t *need = parsed;
    authz_status status;
    apikey_request_t *ctx = facts_of(r, &status);

    return ctx ? answer(ctx, ak_decide_plan(&ctx->key, need->mask)) : status;
}

static const struct {
    const char *name;
    authz_provider provider;
} providers[] = {
    {"apikey-scope", {check_scope, parse_scope}},
    {"apikey-resource", {check_resource, parse_resource}},
    {"apikey-env", {check_environment, parse_environment}},
    {"apikey-plan", {check_plan, parse_plan}},
};

void apikey_register_providers(apr_pool_t *p)
{
    apr_size_t i;

    for (i = 0; i < sizeof providers / sizeof providers[0]; i++) {
        ap_register_auth_provider(p, AUTHZ_PROVIDER_GROUP, providers[i].name, AUTHZ_PROVIDER_VERSION,
                                  &providers[i].provider, AP_AUTH_INTERNAL_PER_CONF);
    }
}

/* --- the last word -------------------------------------------------------------------------------------- */

int apikey_check_authz(request_rec *r)
{
    apikey_request_t *ctx = apikey_request(r);
    ak_code_e code;
    int verdict;

    if (!ctx || ctx->in_authz || !(ctx->authenticated || ctx->preflight)) {
        return DECLINED;
    }
    ctx->denied_by = AK_OK;
    ctx->scopes_denied = NULL;
    ctx->in_authz = 1;
    verdict = ap_run_auth_checker(r);
    ctx->in_authz = 0;
    if (verdict == HTTP_UNAUTHORIZED || verdict == HTTP_FORBIDDEN) {
        return apikey_refuse(r, ctx, ctx->denied_by == AK_OK ? AK_FORBIDDEN : ctx->denied_by);
    }
    if (verdict != OK || ctx->charged || ctx->preflight) {
        return verdict;
    }
    ctx->charged = 1;
    code = apikey_take(r, ctx);
    return code == AK_OK ? OK : apikey_refuse(r, ctx, code);
}
