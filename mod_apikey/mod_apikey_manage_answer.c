/* mod_apikey_manage_answer.c - what a management endpoint answers: JSON, or a problem */
#include <apr_strings.h>
#include <util_filter.h>

#include "ak_window.h"
#include "mod_apikey_manage_io.h"

#define DRAIN_MAX (1024 * 1024) /* bytes of a refused body that are read and dropped */
#define DRAIN_STEP 16384



/* text_free - forget a text; it may have held the one copy of a new key */
static apr_status_t text_free(void *text)
{
    explicit_bzero(text, strlen(text));
    free(text);
    return APR_SUCCESS;
}

/* settle_body - take what is left of the body off the connection, or give the connection up.
 * Some clients miss an answer that comes while they still send, so a little is waited for. */
static void settle_body(manage_t *m)
{
    apr_bucket_brigade *bb = apr_brigade_create(m->p, m->r->connection->bucket_alloc);
    apr_off_t length, drained = 0;

    while (!m->body_ended && drained < DRAIN_MAX) {
        if (ap_get_brigade(m->r->input_filters, bb, AP_MODE_READBYTES, APR_BLOCK_READ, DRAIN_STEP)
                != APR_SUCCESS || apr_brigade_length(bb, 1, &length) != APR_SUCCESS)
            break;
        m->body_ended = !APR_BRIGADE_EMPTY(bb) && APR_BUCKET_IS_EOS(APR_BRIGADE_LAST(bb));
        drained += length;
        apr_brigade_cleanup(bb);
    }
    if (!m->body_ended)
        m->r->connection->keepalive = AP_CONN_CLOSE;
    m->body_ended = 1;
}

static void set_common_headers(manage_t *m)
{
    apr_table_setn(m->r->headers_out, "Cache-Control", "no-store");
    apr_table_setn(m->r->headers_out, "X-Content-Type-Options", "nosniff");
    /* Secrets and what clients choose do not share a compressed stream (BREACH). */
    apr_table_setn(m->r->subprocess_env, "no-gzip", "1");
    apr_table_setn(m->r->subprocess_env, "no-brotli", "1");
}

char *manage_json_dump(manage_t *m, json_t *value)
{
    char *text = value ? json_dumps(value, JSON_COMPACT) : NULL;

    if (text)
        apr_pool_cleanup_register(m->p, text, text_free, apr_pool_cleanup_null);
    return text;
}

/* write_json - send a value as the whole body; it is stolen */
static int write_json(manage_t *m, int status, const char *type, json_t *body)
{
    const char *text = manage_json_dump(m, body);
    apr_size_t length;

    json_decref(body);
    if (!text)
        return 0;
    length = strlen(text);
    m->r->status = status; /* first: a client that waits for 100 Continue must not get it with a refusal */
    settle_body(m);
    set_common_headers(m);
    ap_set_content_type(m->r, type);
    ap_set_content_length(m->r, (apr_off_t)length);
    ap_rwrite(text, (int)length, m->r);
    return 1;
}

void manage_answer(manage_t *m, int status, json_t *body)
{
    if (!write_json(m, status, "application/json", body)) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, m->r, "mod_apikey: %s %s could not be told in JSON",
                      m->route->method, m->route->path);
        manage_refuse(m, AK_INTERNAL_ERROR, NULL);
    }
}

void manage_answer_nothing(manage_t *m)
{
    m->r->status = HTTP_NO_CONTENT;
    settle_body(m);
    set_common_headers(m);
}

void manage_answer_page(manage_t *m, json_t *data, int has_more, json_t *next)
{
    manage_answer(m, HTTP_OK, json_pack("{s:o, s:b, s:o}", "data", data, "has_more", has_more,
                                        "next", next));
}

/* problem_json - the body of a problem (RFC 9457) with our members beside the standard ones */
static json_t *problem_json(const ak_problem_t *problem, const char *detail, json_t *members)
{
    json_t *body = json_pack("{s:s, s:s, s:i, s:s, s:s, s:s}", "type", "about:blank", "title",
                             problem->title, "status", problem->status, "detail", detail, "message",
                             detail, "code", problem->slug);

    if (body && members)
        json_object_update_missing(body, members);
    json_decref(members);
    return body;
}

int manage_refuse_with(manage_t *m, ak_code_e code, const char *detail, json_t *members)
{
    const ak_problem_t *problem = ak_problem_of(code);
    const char *challenge = ak_problem_challenge(m->p, code, apikey_dir(m->r)->realm,
                                                 m->route ? m->route->scope : NULL);

    if (!detail)
        detail = problem->detail;
    if (m->facts)
        m->facts->code = code; /* for the event */
    apr_table_setn(m->r->subprocess_env, "APIKEY_DECISION", problem->slug);
    if (challenge)
        apr_table_setn(m->r->headers_out, "WWW-Authenticate", challenge);
    if (code == AK_STORE_UNAVAILABLE)
        /* Spread over five seconds, so that clients do not come back all at once. */
        apr_table_setn(m->r->headers_out, "Retry-After",
                       apr_psprintf(m->p, "%d", 1 + (int)(m->r->request_time % 5)));
    if (!write_json(m, problem->status, "application/problem+json",
                    problem_json(problem, detail, members)))
        m->result = HTTP_INTERNAL_SERVER_ERROR;
    return 1;
}

int manage_refuse(manage_t *m, ak_code_e code, const char *detail)
{
    return manage_refuse_with(m, code, detail, NULL);
}

int manage_refuse_scope(manage_t *m, const char *scope)
{
    const manage_route_t *route = m->route;
    manage_route_t wanted = *route;

    wanted.scope = scope;
    m->route = &wanted;
    if (m->facts)
        m->facts->scope_wanted = scope;
    manage_refuse(m, AK_INSUFFICIENT_SCOPE,
                  apr_psprintf(m->p, "This needs the permission %s.", scope));
    m->route = route;
    return 1;
}

int manage_refuse_store(manage_t *m, apr_status_t rv, const char *what)
{
    if (rv == APR_NOTFOUND)
        return manage_refuse(m, AK_NOT_FOUND, NULL);
    if (rv == AK_ECHANGED) {
        if (apr_table_get(m->r->headers_in, "If-Match"))
            return manage_refuse(m, AK_PRECONDITION_FAILED, NULL);
        return manage_refuse(m, AK_CONFLICT, "It was changed by someone else meanwhile: read it again.");
    }
    apikey_log_store(m->node, m->r->server, rv, what);
    return manage_refuse(m, AK_STORE_UNAVAILABLE, NULL);
}

void manage_etag(manage_t *m, apr_int64_t version)
{
    apr_table_setn(m->r->headers_out, "ETag", apr_psprintf(m->p, "\"%" APR_INT64_T_FMT "\"", version));
}

int manage_refuse_unmatched(manage_t *m, apr_int64_t version)
{
    const char *wanted = apr_table_get(m->r->headers_in, "If-Match");
    const char *tag = apr_psprintf(m->p, "\"%" APR_INT64_T_FMT "\"", version);

    if (!wanted || !strcmp(wanted, "*") || ap_find_etag_strong(m->p, wanted, tag))
        return 0;
    return manage_refuse(m, AK_PRECONDITION_FAILED, NULL);
}

json_t *manage_json_text(const char *text)
{
    return text ? json_string(text) : json_null();
}

json_t *manage_json_time(apr_int64_t sec)
{
    char text[AK_RFC3339_SIZE];

    return sec ? json_string(ak_rfc3339(text, sec)) : json_null();
}

json_t *manage_json_number(apr_int64_t number)
{
    return number == AK_UNSET ? json_null() : json_integer(number);
}

json_t *manage_json_words(apr_pool_t *p, const char *list)
{
    json_t *array = json_array();
    char *rest, *word;

    for (word = apr_strtok(apr_pstrdup(p, list), " ", &rest); word; word = apr_strtok(NULL, " ", &rest))
        json_array_append_new(array, json_string(word));
    return array;
}

json_t *manage_json_stored(const char *text)
{
    json_t *value = text ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;

    return value ? value : json_null();
}

json_t *manage_json_limits(apr_int64_t per_hour, apr_int64_t per_minute)
{
    if (per_hour == AK_UNSET && per_minute == AK_UNSET)
        return json_null();
    return json_pack("{s:o, s:o}", "per_hour", manage_json_number(per_hour), "per_minute",
                     manage_json_number(per_minute));
}

json_t *manage_json_changes(json_t *patch, json_t *before, json_t *after)
{
    json_t *changes = json_object(), *value;
    const char *name;

    json_object_foreach (patch, name, value) {
        json_t *from = json_object_get(before, name), *to = json_object_get(after, name);
        if (!json_equal(from, to))
            json_object_set_new(changes, name, json_pack("{s:O, s:O}", "from", from, "to", to));
    }
    return changes;
}

int manage_refuse_errors(manage_t *m)
{
    json_t *errors = m->errors;

    if (!errors)
        return 0;
    m->errors = NULL;
    return manage_refuse_with(m, AK_VALIDATION_FAILED, NULL, json_pack("{s:o}", "errors", errors));
}

void manage_field_error(manage_t *m, const char *field, const char *message)
{
    if (!m->errors)
        m->errors = json_array();
    json_array_append_new(m->errors, json_pack("{s:s, s:s}", "field", field, "message", message));
}
