/* mod_apikey_status.c - /metrics, /healthz and /readyz: how this node fares
 *
 * Nothing here is secret or names a key, an account or a client, so a site may let its
 * monitoring read it without credentials.
 */
#include <apr_strings.h>
#include <stdarg.h>

#include "apikey_tally.h"
#include "mod_apikey.h"


/* A poll is young for at least this long: a node that is merely busy stays ready, because
 * it then reads each key from SQL. */
#define READY_AGE_MIN_USEC (2 * APR_USEC_PER_SEC)

/* refuse_method - 405 for all but GET and HEAD */
static int refuse_method(request_rec *r)
{
    if (r->method_number == M_GET)
        return 0;
    ap_allow_standard_methods(r, REPLACE_ALLOW, M_GET, -1);
    return HTTP_METHOD_NOT_ALLOWED;
}

static int send_text(request_rec *r, int status, const char *type, const char *text)
{
    apr_size_t length = strlen(text);

    ap_discard_request_body(r);
    r->status = status;
    apr_table_setn(r->headers_out, "Cache-Control", "no-store");
    ap_set_content_type(r, type);
    ap_set_content_length(r, (apr_off_t)length);
    ap_rwrite(text, (int)length, r);
    return OK;
}

/* poll_age - microseconds since the change log was last read; -1: never since this boot */
static apr_int64_t poll_age(const apikey_node_t *node)
{
    apr_int64_t stamp = ak_table_stamp(node->table);

    return stamp ? ak_monotonic_usec() - stamp : -1;
}

/* --- metrics ---------------------------------------------------------------------------- */

typedef struct {
    apr_pool_t *p;
    apr_array_header_t *lines; /* of const char * */
} page_t;

static void add(page_t *page, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(page_t *page, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    APR_ARRAY_PUSH(page->lines, const char *) = apr_pvsprintf(page->p, format, args);
    va_end(args);
}

static void head(page_t *page, const char *name, const char *type, const char *help)
{
    add(page, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* Tallies that stand alone, and those that share a name and differ by a label. */
static const struct {
    apikey_tally_e tally;
    const char *name, *label, *help; /* help NULL: as the line before */
} counters[] = {
    {APIKEY_TALLY_EVENTS_WRITTEN, "apikey_events_total", "result=\"written\"",
     "Usage events, by what became of them."},
    {APIKEY_TALLY_EVENTS_FAILED, "apikey_events_total", "result=\"failed\"", NULL},
    {APIKEY_TALLY_LOOKUP_CACHED, "apikey_lookups_total", "result=\"cached\"",
     "Keys looked up, by where the answer came from."},
    {APIKEY_TALLY_LOOKUP_STORE, "apikey_lookups_total", "result=\"store\"", NULL},
    {APIKEY_TALLY_LOOKUP_UNKNOWN, "apikey_lookups_total", "result=\"unknown\"", NULL},
    {APIKEY_TALLY_LOOKUP_SHED, "apikey_lookups_total", "result=\"shed\"", NULL},
    {APIKEY_TALLY_STORE_FAILURES, "apikey_store_failures_total", NULL,
     "Calls to the database that failed."},
    {APIKEY_TALLY_RATE_FAILURES, "apikey_rate_failures_total", NULL,
     "Requests whose counters could not be reached."},
    {APIKEY_TALLY_CHANGES_APPLIED, "apikey_changes_applied_total", NULL,
     "Changes of keys that this node has followed."},
    {APIKEY_TALLY_KEYS_CREATED, "apikey_keys_changed_total", "change=\"created\"",
     "Changes made by the management endpoints here."},
    {APIKEY_TALLY_KEYS_CHANGED, "apikey_keys_changed_total", "change=\"changed\"", NULL},
    {APIKEY_TALLY_KEYS_REVOKED, "apikey_keys_changed_total", "change=\"revoked\"", NULL},
};

static void add_counters(page_t *page, ak_table_t *table)
{
    apr_size_t i;
    int code;

    head(page, "apikey_decisions_total", "counter", "Requests decided, by the decision.");
    for (code = 0; code < AK_CODE_COUNT; code++)
        add(page, "apikey_decisions_total{decision=\"%s\"} %" APR_UINT64_T_FMT "\n",
            ak_problem_of((ak_code_e)code)->slug,
            ak_table_tally_read(table, APIKEY_TALLY_DECISIONS + code));
    for (i = 0; i < sizeof(counters) / sizeof(counters[0]); i++) {
        const char *label = counters[i].label;
        if (counters[i].help)
            head(page, counters[i].name, "counter", counters[i].help);
        add(page, "%s%s%s%s %" APR_UINT64_T_FMT "\n", counters[i].name, label ? "{" : "",
            label ? label : "", label ? "}" : "", ak_table_tally_read(table, counters[i].tally));
    }
}

static void add_gauges(page_t *page, const apikey_node_t *node)
{
    apr_int64_t age = poll_age(node);

    head(page, "apikey_info", "gauge", "Version and node, as labels.");
    add(page, "apikey_info{version=\"%s\",node=\"%s\"} 1\n", AK_VERSION, ak_table_node(node->table));
    head(page, "apikey_table_slots", "gauge", "Places in the key table.");
    add(page, "apikey_table_slots %u\n", ak_table_slots(node->table));
    head(page, "apikey_table_slots_used", "gauge", "Places that hold a key or a running window.");
    add(page, "apikey_table_slots_used %u\n", ak_table_used(node->table));
    head(page, "apikey_store_up", "gauge", "1 when the database answers.");
    add(page, "apikey_store_up %d\n", ak_store_ping(node->store, page->p) == APR_SUCCESS);
    head(page, "apikey_revocation_bound_seconds", "gauge",
         "How long a cached key may be used without word from the database.");
    add(page, "apikey_revocation_bound_seconds %.3f\n", (double)node->server->bound / APR_USEC_PER_SEC);
    head(page, "apikey_poll_age_seconds", "gauge",
         "Time since the change log was last read; +Inf before the first time.");
    add(page, age < 0 ? "apikey_poll_age_seconds +Inf\n" : "apikey_poll_age_seconds %.6f\n",
        (double)age / APR_USEC_PER_SEC);
    head(page, "apikey_change_sequence", "gauge", "The last change that this node has followed.");
    add(page, "apikey_change_sequence %" APR_UINT64_T_FMT "\n", ak_table_applied(node->table));
}

int apikey_metrics_handler(request_rec *r)
{
    const apikey_node_t *node;
    page_t page;
    int status;

    if (!r->handler || strcmp(r->handler, APIKEY_HANDLER_METRICS))
        return DECLINED;
    if ((status = refuse_method(r)) != 0)
        return status;
    if (!(node = apikey_server(r->server)->node))
        return HTTP_NOT_FOUND;
    if (!node->store)
        return HTTP_SERVICE_UNAVAILABLE; /* this process could not be set up; its log says why */
    page.p = r->pool;
    page.lines = apr_array_make(r->pool, 64, sizeof(const char *));
    add_gauges(&page, node);
    add_counters(&page, node->table);
    return send_text(r, HTTP_OK, "text/plain; version=0.0.4; charset=utf-8",
                     apr_array_pstrcat(r->pool, page.lines, 0));
}

/* --- health and readiness ------------------------------------------------------------------- */

/* unready - why this node should get no requests now, or NULL */
static const char *unready(const apikey_node_t *node, apr_pool_t *p)
{
    apr_interval_time_t patience;
    apr_int64_t age, sequence;

    /* A database that answers is not enough: it must have what is read of it all the time. */
    if (!node || !node->store || ak_store_last_change(node->store, &sequence, p) != APR_SUCCESS)
        return "The database cannot be read.";
    patience = node->server->bound > READY_AGE_MIN_USEC ? node->server->bound : READY_AGE_MIN_USEC;
    age = poll_age(node);
    if (age < 0 || age > patience)
        return "The changes of keys have not been followed lately.";
    return NULL;
}

int apikey_health_handler(request_rec *r)
{
    const char *name, *why;
    int status;

    if (!r->handler || strcmp(r->handler, APIKEY_HANDLER_HEALTH))
        return DECLINED;
    if ((status = refuse_method(r)) != 0)
        return status;
    name = strrchr(r->uri, '/');
    if (name && !strcmp(name, "/healthz"))
        return send_text(r, HTTP_OK, "application/json", "{\"status\":\"ok\"}");
    if (!name || strcmp(name, "/readyz"))
        return HTTP_NOT_FOUND;
    if ((why = unready(apikey_server(r->server)->node, r->pool)) == NULL)
        return send_text(r, HTTP_OK, "application/json", "{\"status\":\"ok\"}");
    apr_table_setn(r->headers_out, "Retry-After", "1");
    return send_text(r, HTTP_SERVICE_UNAVAILABLE, "application/problem+json",
                     ak_problem_body(r->pool, AK_STORE_UNAVAILABLE, why));
}
