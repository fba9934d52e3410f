/* mod_apikey_rate.c - take a unit of the key's windows, and tell the client how it stands
 *
 * Called when all of Require has agreed, so what is refused elsewhere is billed nowhere.
 */
#include <apr_strings.h>

#include "mod_apikey.h"
#include "apikey_tally.h"

#include "ak_window.h"

#define SLOT_TRIES 3

static ak_limits_t limits_of(const ak_key_t *key)
{
    ak_limits_t limits = {key->per_minute, key->per_hour};

    return limits;
}

/* --- headers ------------------------------------------------------------------------------ */

/* err_headers_out is what survives a proxy's answer and an error alike. */
static void legacy_headers(request_rec *r, const ak_rate_window_t *window)
{
    apr_table_setn(r->err_headers_out, "X-RateLimit-Limit", apr_psprintf(r->pool, "%u", window->limit));
    apr_table_setn(r->err_headers_out, "X-RateLimit-Remaining", apr_psprintf(r->pool, "%u", window->remaining));
    apr_table_setn(r->err_headers_out, "X-RateLimit-Reset",
                   apr_psprintf(r->pool, "%" APR_INT64_T_FMT, window->reset_sec));
}

/* draft-ietf-httpapi-ratelimit-headers-11: t is seconds from now, not a date. */
static void ietf_headers(request_rec *r, const apikey_request_t *ctx)
{
    const ak_rate_window_t *hour = &ctx->rate.window[AK_WINDOW_HOUR];
    const ak_rate_window_t *minute = &ctx->rate.window[AK_WINDOW_MINUTE];

    apr_table_setn(r->err_headers_out, "RateLimit-Policy",
                   apr_psprintf(r->pool, "\"hour\";q=%u;w=3600, \"minute\";q=%u;w=60", hour->limit, minute->limit));
    apr_table_setn(r->err_headers_out, "RateLimit",
                   apr_psprintf(r->pool, "\"hour\";r=%u;t=%" APR_INT64_T_FMT ", \"minute\";r=%u;t=%" APR_INT64_T_FMT,
                                hour->remaining, ak_window_retry_after_sec(ctx->now, hour->reset_sec),
                                minute->remaining, ak_window_retry_after_sec(ctx->now, minute->reset_sec)));
}

static void tell(request_rec *r, const apikey_request_t *ctx)
{
    apikey_headers_e wanted = apikey_dir(r)->rate_headers;

    if (wanted & APIKEY_HEADERS_LEGACY) {
        legacy_headers(r, &ctx->rate.window[ctx->rate.admitted ? AK_WINDOW_HOUR : ctx->rate.refused_by]);
    }
    if (wanted & APIKEY_HEADERS_IETF) {
        ietf_headers(r, ctx);
    }
}

/* --- taking ---------------------------------------------------------------------------------- */

/* The counters of management calls: one window, the node's own. */
static ak_code_e take_manage(request_rec *r, apikey_node_t *node, apikey_request_t *ctx)
{
    apr_int64_t window = ak_window_index(AK_WINDOW_MINUTE, ctx->now);
    apr_uint32_t count;
    int tries;

    for (tries = 0; tries < SLOT_TRIES; tries++) {
        if (!ctx->has_slot && apikey_reserve(node, ctx) != APR_SUCCESS) {
            return AK_STORE_UNAVAILABLE;
        }
        switch (ak_table_take(node->table, &ctx->slot, AK_COUNT_MANAGE, window,
                              node->server->manage_per_minute, &count)) {
        case APR_SUCCESS:
            return AK_OK;
        case APR_EBUSY:
            ctx->retry_after_sec = ak_window_retry_after_sec(ctx->now, ak_window_reset_sec(AK_WINDOW_MINUTE, ctx->now));
            return AK_RATE_LIMIT_EXCEEDED;
        default:
            ctx->has_slot = 0;
        }
    }
    return AK_STORE_UNAVAILABLE;
}

/* The slot may go to another key between look-up and count: then it is looked for again. */
static apr_status_t take_windows(apikey_node_t *node, apikey_request_t *ctx)
{
    ak_limits_t limits = limits_of(&ctx->key);
    apr_status_t rv = APR_SUCCESS;
    int tries;

    for (tries = 0; tries < SLOT_TRIES; tries++) {
        if (!ctx->has_slot && (rv = apikey_reserve(node, ctx)) != APR_SUCCESS) {
            return rv;
        }
        rv = node->rate->v->take(node->rate, &ctx->slot, ctx->key_id, &limits, ctx->now, &ctx->rate);
        if (rv != AK_EGONE) {
            return rv;
        }
        ctx->has_slot = 0;
    }
    return rv;
}

static ak_code_e over_quota(apikey_request_t *ctx)
{
    int next = ak_month_number(apr_time_sec(ctx->now)) + 1;

    ctx->retry_after_sec = ak_window_retry_after_sec(ctx->now, ak_month_start_sec(next));
    return AK_QUOTA_EXCEEDED;
}

ak_code_e apikey_take(request_rec *r, apikey_request_t *ctx)
{
    apikey_node_t *node = apikey_server(r->server)->node;
    apr_status_t rv;

    if (ctx->klass == AK_CLASS_MANAGE) {
        return take_manage(r, node, ctx);
    }
    if (ak_decide_quota(&ctx->key, apr_time_sec(ctx->now)) != AK_OK) {
        return over_quota(ctx);
    }
    if (!apikey_dir(r)->rate_limit) {
        return AK_OK;
    }
    rv = take_windows(node, ctx);
    if (rv != APR_SUCCESS) {
        ak_table_tally(node->table, APIKEY_TALLY_RATE_FAILURES, 1);
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, rv, r, "mod_apikey: the %s counters cannot be reached",
                      node->rate->v->name);
        return AK_STORE_UNAVAILABLE;
    }
    ctx->has_rate = 1;
    tell(r, ctx);
    if (ctx->rate.admitted) {
        return AK_OK;
    }
    ctx->retry_after_sec = ak_window_retry_after_sec(ctx->now, ctx->rate.window[ctx->rate.refused_by].reset_sec);
    return AK_RATE_LIMIT_EXCEEDED;
}

apr_status_t apikey_peek(apikey_node_t *node, const apikey_request_t *ctx, apr_time_t now, ak_rate_result_t *out)
{
    ak_limits_t limits = limits_of(&ctx->key);

    if (!ctx->has_slot) {
        return APR_ENOSPC;
    }
    return node->rate->v->peek(node->rate, &ctx->slot, ctx->key_id, &limits, now, out);
}
