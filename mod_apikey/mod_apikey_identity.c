/* mod_apikey_identity.c - tell what comes behind us who it is: variables and headers
 *
 * Inbound copies of the identity headers are taken off every request, protected or
 * not, in any spelling that a CGI-like backend would fold into the same name: what
 * a backend reads in them was said by us.
 */
#include <apr_lib.h>
#include <apr_strings.h>

#include "mod_apikey.h"

#define HEADER_HEAD "X-APIKey-"

/* Does a header's name fold into X_APIKEY_...? ('-' and '_' are one to CGI, RFC 3875 4.1.18) */
static int is_identity_header(const char *name)
{
    const char *head = HEADER_HEAD;

    for (; *head; head++, name++) {
        if (*head == '-' ? (*name != '-' && *name != '_') : apr_tolower(*head) != apr_tolower(*name)) {
            return 0;
        }
    }
    return 1;
}

static void remove_forged(request_rec *r)
{
    const apr_array_header_t *headers = apr_table_elts(r->headers_in);
    const apr_table_entry_t *entry = (const apr_table_entry_t *)headers->elts;
    apr_array_header_t *found = NULL;
    int i;

    for (i = 0; i < headers->nelts; i++) {
        if (entry[i].key && is_identity_header(entry[i].key)) {
            if (!found) {
                found = apr_array_make(r->pool, 4, sizeof(const char *));
            }
            APR_ARRAY_PUSH(found, const char *) = entry[i].key;
        }
    }
    for (i = 0; found && i < found->nelts; i++) {
        apr_table_unset(r->headers_in, APR_ARRAY_IDX(found, i, const char *));
    }
}

static const char *const environments[] = {"live", "test"};                  /* by ak_env_e */
static const char *const plans[] = {"free", "professional", "enterprise"};   /* by ak_plan_e */

static void tell_identity(request_rec *r, const apikey_request_t *ctx)
{
    const apikey_node_t *node = apikey_server(r->server)->node;
    unsigned forward = apikey_dir(r)->forward;
    const struct {
        unsigned flag;
        const char *variable, *header, *value;
    } facts[] = {
        {APIKEY_FORWARD_ID, "APIKEY_ID", HEADER_HEAD "Id", ctx->key_id},
        {APIKEY_FORWARD_ACCOUNT, "APIKEY_ACCOUNT", HEADER_HEAD "Account", ctx->account_id},
        {APIKEY_FORWARD_SCOPES, "APIKEY_SCOPES", HEADER_HEAD "Scopes",
         ak_scopes_names(r->pool, apikey_registry(node), &ctx->key.scopes)},
        {APIKEY_FORWARD_ENVIRONMENT, "APIKEY_ENVIRONMENT", HEADER_HEAD "Environment",
         environments[ctx->key.environment]},
        {APIKEY_FORWARD_PLAN, "APIKEY_PLAN", HEADER_HEAD "Plan", plans[ctx->key.plan]},
    };
    apr_size_t i;

    for (i = 0; i < sizeof facts / sizeof facts[0]; i++) {
        apr_table_setn(r->subprocess_env, facts[i].variable, facts[i].value);
        if (forward & facts[i].flag) {
            apr_table_setn(r->headers_in, facts[i].header, facts[i].value);
        }
    }
    apr_table_setn(r->subprocess_env, "APIKEY_DECISION", ak_problem_of(ctx->code)->slug);
}

int apikey_fixups(request_rec *r)
{
    const apikey_request_t *ctx = apikey_request(r);

    if (ap_is_initial_req(r)) {
        remove_forged(r);
    }
    if (ctx && ctx->authenticated) {
        tell_identity(r, ctx);
    }
    return DECLINED;
}
