/* mod_apikey_problem.c - refuse a request with a code
 *
 * The refusal goes httpd's own way: a hook returns the status, httpd makes the error
 * response, ErrorDocument is honoured where one is configured.  Otherwise a filter
 * puts our problem+json (RFC 9457) in the place of httpd's page.
 */
#include <string.h>

#include <apr_strings.h>

#include "mod_apikey.h"

#include <mod_core.h>

#define FILTER_NAME "APIKEY_PROBLEM"
#define STORE_RETRY_SEC 2

int apikey_refuse(request_rec *r, apikey_request_t *ctx, ak_code_e code)
{
    const ak_problem_t *problem = ak_problem_of(code);
    const char *challenge = ak_problem_challenge(r->pool, code, apikey_dir(r)->realm, ctx->scopes_denied);

    ctx->code = code;
    if (challenge) {
        apr_table_setn(r->err_headers_out, "WWW-Authenticate", challenge);
    }
    if (code == AK_STORE_UNAVAILABLE && !ctx->retry_after_sec) {
        ctx->retry_after_sec = STORE_RETRY_SEC;
    }
    if (code == AK_TOO_MANY_FAILURES) {
        int window = apikey_dir(r)->failure_window_sec;
        ctx->retry_after_sec = window - apr_time_sec(ctx->now) % window;
    }
    if (ctx->retry_after_sec) {
        apr_table_setn(r->err_headers_out, "Retry-After",
                       apr_psprintf(r->pool, "%" APR_INT64_T_FMT, ctx->retry_after_sec));
    }
    apr_table_setn(r->subprocess_env, "APIKEY_DECISION", problem->slug);
    if (ctx->key_id) { /* so that a log of refusals tells whose */
        apr_table_setn(r->subprocess_env, "APIKEY_ID", ctx->key_id);
        apr_table_setn(r->subprocess_env, "APIKEY_ACCOUNT", ctx->account_id);
    }
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, "mod_apikey: %s%s%s", problem->slug, ctx->key_id ? ", " : "",
                  ctx->key_id ? ctx->key_id : "");
    return problem->status;
}

/* --- the body --------------------------------------------------------------------------------- */

void apikey_insert_error_filter(request_rec *r)
{
    const apikey_request_t *ctx = apikey_request(r);

    if (!ctx || ctx->code == AK_OK || r->status != ak_problem_of(ctx->code)->status
        || !apikey_dir(r)->problem_json || ap_response_code_string(r, ap_index_of_response(r->status))) {
        return;
    }
    ap_add_output_filter(FILTER_NAME, NULL, r, r->connection);
}

/* Our body and the end of the stream, in the place of whatever came first; the rest of
 * httpd's page is dropped. */
static apr_status_t problem_filter(ap_filter_t *f, apr_bucket_brigade *in)
{
    request_rec *r = f->r;
    const apikey_request_t *ctx = apikey_request(r);
    apr_bucket_brigade *out;
    const char *body;

    apr_brigade_cleanup(in);
    if (f->ctx || !ctx) {
        return APR_SUCCESS;
    }
    f->ctx = f; /* said */
    body = ak_problem_body(r->pool, ctx->code, ctx->problem_detail);
    ap_set_content_type(r, "application/problem+json");
    ap_set_content_length(r, (apr_off_t)strlen(body));
    apr_table_unset(r->headers_out, "Content-Language");
    out = apr_brigade_create(r->pool, f->c->bucket_alloc);
    APR_BRIGADE_INSERT_TAIL(out, apr_bucket_pool_create(body, strlen(body), r->pool, f->c->bucket_alloc));
    APR_BRIGADE_INSERT_TAIL(out, apr_bucket_eos_create(f->c->bucket_alloc));
    return ap_pass_brigade(f->next, out);
}

void apikey_register_problem_filter(void)
{
    ap_register_output_filter(FILTER_NAME, problem_filter, NULL, AP_FTYPE_RESOURCE);
}
