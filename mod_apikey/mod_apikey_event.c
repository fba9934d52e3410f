/* mod_apikey_event.c - tell what became of a request, before its answer's first byte
 *
 * A filter that httpd calls with the first of the response writes the event and goes
 * away: a killed child cannot have answered without its record.  It is of the protocol
 * kind, so it outlives internal redirects and error responses.  A request that sends
 * nothing through filters (its client has gone) is told when it is logged.
 */
#include <apr_strings.h>

#include "mod_apikey.h"
#include "apikey_tally.h"

#define FILTER_NAME "APIKEY_EVENT"

static void set_identity(ak_event_t *event, const apikey_request_t *ctx)
{
    if (!ctx->identified) {
        return;
    }
    apr_cpystrn(event->key, ctx->key_id, sizeof event->key);
    apr_cpystrn(event->account, ctx->account_id, sizeof event->account);
    apr_cpystrn(event->environment, ctx->key.environment == AK_ENV_TEST ? "test" : "live",
                sizeof event->environment);
}

static void write_event(request_rec *r, apikey_request_t *ctx)
{
    apikey_node_t *node = apikey_server(r->server)->node;
    ak_event_t event = {0};
    apr_status_t rv;

    ctx->event_due = 0;
    ak_table_tally(node->table, APIKEY_TALLY_DECISIONS + (int)ctx->code, 1);
    if (!node->segment) {
        return;
    }
    event.time = ctx->now;
    event.klass = ctx->klass;
    event.decision = ctx->code;
    event.status = r->status;
    set_identity(&event, ctx);
    apr_cpystrn(event.address, r->useragent_ip, sizeof event.address);
    apr_cpystrn(event.method, r->method, sizeof event.method);
    apr_cpystrn(event.scope, ctx->scope_wanted ? ctx->scope_wanted : "", sizeof event.scope);
    rv = ak_segment_append(node->segment, &event);
    ak_table_tally(node->table, rv == APR_SUCCESS ? APIKEY_TALLY_EVENTS_WRITTEN : APIKEY_TALLY_EVENTS_FAILED, 1);
    if (rv != APR_SUCCESS) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, rv, r,
                      "mod_apikey: a usage event could not be written to %s: it is missing from the figures",
                      node->server->event_dir);
    }
}

static apr_status_t event_filter(ap_filter_t *f, apr_bucket_brigade *bb)
{
    apikey_request_t *ctx = apikey_request(f->r);

    if (f->r->status < 200 && f->r->status != HTTP_SWITCHING_PROTOCOLS) {
        return ap_pass_brigade(f->next, bb); /* an interim response (RFC 9110 section 15.2) */
    }
    if (ctx && ctx->event_due) {
        write_event(f->r, ctx);
    }
    ap_remove_output_filter(f);
    return ap_pass_brigade(f->next, bb);
}

void apikey_register_event_filter(void)
{
    ap_register_output_filter(FILTER_NAME, event_filter, NULL, AP_FTYPE_PROTOCOL);
}

void apikey_event_arm(request_rec *r, apikey_request_t *ctx)
{
    ctx->event_due = 1;
    if (!r->main) { /* a sub-request's answer is part of another's; that one is told when logged */
        ap_add_output_filter(FILTER_NAME, NULL, r, r->connection);
    }
}

int apikey_log_transaction(request_rec *r)
{
    apikey_request_t *ctx = apikey_request(r);

    if (ctx && ctx->event_due) {
        while (r->next) {
            r = r->next;
        }
        write_event(r, ctx);
    }
    return DECLINED;
}
