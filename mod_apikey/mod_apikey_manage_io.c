/* mod_apikey_manage_io.c - what a management endpoint is given: body, members, parameters */
#include <apr_lib.h>
#include <apr_strings.h>
#include <util_filter.h>

#include "ak_draft.h"
#include "ak_token.h"
#include "ak_window.h"
#include "mod_apikey_manage_io.h"
#include "mod_apikey_manage_keys.h"


/* --- the body ---------------------------------------------------------------------- */

static apr_status_t json_free(void *value)
{
    json_decref(value);
    return APR_SUCCESS;
}

/* is_json_type - application/json or any application/…+json, in UTF-8 */
static int is_json_type(apr_pool_t *p, const char *type)
{
    char *name = apr_pstrdup(p, type), *parameters;
    const char *charset;
    apr_size_t len;

    apr_collapse_spaces(name, type);
    ap_str_tolower(name);
    if ((parameters = strchr(name, ';')) != NULL)
        *parameters++ = '\0';
    len = strlen(name);
    if (strcmp(name, "application/json")
        && (strncmp(name, "application/", 12) || len < 18 || strcmp(name + len - 5, "+json")))
        return 0;
    if (!parameters || !(charset = strstr(parameters, "charset=")))
        return 1;
    charset += strlen("charset=");
    charset += *charset == '"';
    return !strncmp(charset, "utf-8", 5) || !strncmp(charset, "utf8", 4);
}

/* refuse_type - 415 unless the body says it is JSON, or a key's caller says nothing of it */
static int refuse_type(manage_t *m)
{
    const char *type = apr_table_get(m->r->headers_in, "Content-Type");
    const char *coding = apr_table_get(m->r->headers_in, "Content-Encoding");

    if (coding && ap_cstr_casecmp(coding, "identity"))
        return manage_refuse(m, AK_UNSUPPORTED_MEDIA_TYPE, "Send the body without Content-Encoding.");
    /* A browser sends a body without a type to another site unasked: users must say it. */
    if (type ? is_json_type(m->p, type) : m->facts != NULL)
        return 0;
    return manage_refuse(m, AK_UNSUPPORTED_MEDIA_TYPE, "Send JSON, with Content-Type: application/json.");
}

/* fetch_body - read at most MANAGE_BODY_MAX bytes; longer is 413 */
static int fetch_body(manage_t *m, char **body, apr_size_t *length)
{
    apr_bucket_brigade *bb = apr_brigade_create(m->p, m->r->connection->bucket_alloc);
    apr_size_t room = MANAGE_BODY_MAX + 1, used = 0, part;
    apr_status_t rv;

    *body = apr_palloc(m->p, room);
    while (!m->body_ended && used < room) {
        rv = ap_get_brigade(m->r->input_filters, bb, AP_MODE_READBYTES, APR_BLOCK_READ,
                            (apr_off_t)(room - used));
        if (rv != APR_SUCCESS) {
            m->body_ended = 1;
            m->result = ap_map_http_request_error(rv, HTTP_BAD_REQUEST);
            return 1;
        }
        m->body_ended = !APR_BRIGADE_EMPTY(bb) && APR_BUCKET_IS_EOS(APR_BRIGADE_LAST(bb));
        part = room - used;
        if (apr_brigade_flatten(bb, *body + used, &part) != APR_SUCCESS) {
            m->result = HTTP_BAD_REQUEST;
            return 1;
        }
        used += part;
        apr_brigade_cleanup(bb);
    }
    *length = used;
    return used > MANAGE_BODY_MAX && manage_refuse(m, AK_BODY_TOO_LARGE, NULL);
}

/* parse_object - bytes to a JSON object; what the parser says of them is not repeated,
 * because it quotes the body, which may hold a key */
static int parse_object(manage_t *m, const char *bytes, apr_size_t length, json_t **body)
{
    json_error_t error;

    *body = json_loadb(bytes, length, JSON_REJECT_DUPLICATES, &error);
    if (!*body)
        return manage_refuse(m, AK_INVALID_JSON,
                             apr_psprintf(m->p, "The body is not valid JSON (line %d, column %d).",
                                          error.line, error.column));
    apr_pool_cleanup_register(m->p, *body, json_free, apr_pool_cleanup_null);
    if (!json_is_object(*body))
        return manage_refuse(m, AK_INVALID_JSON, "The body must be a JSON object.");
    return 0;
}

int manage_read_object(manage_t *m, int required, json_t **body)
{
    const char *length = apr_table_get(m->r->headers_in, "Content-Length");
    char *bytes;
    apr_size_t used = 0;

    if (length && apr_atoi64(length) > MANAGE_BODY_MAX)
        return manage_refuse(m, AK_BODY_TOO_LARGE, NULL);
    if ((required || (length && strcmp(length, "0"))) && refuse_type(m))
        return 1;
    if (fetch_body(m, &bytes, &used))
        return 1;
    if (!used && !required)
        return parse_object(m, "{}", 2, body);
    if (!used)
        return manage_refuse(m, AK_INVALID_JSON, "The body is empty: send a JSON object.");
    return parse_object(m, bytes, used, body);
}

/* --- its members --------------------------------------------------------------------- */

void manage_only_members(manage_t *m, json_t *object, const char *prefix, const char *const *names)
{
    const char *name;
    json_t *value;
    int i;

    json_object_foreach (object, name, value) {
        for (i = 0; names[i] && strcmp(names[i], name); i++)
            ;
        if (!names[i])
            manage_field_error(m, apr_pstrcat(m->p, prefix, name, NULL), "There is no such member.");
    }
}

int manage_get_text(manage_t *m, json_t *value, const char *field, const char **out)
{
    if (!json_is_string(value)) {
        manage_field_error(m, field, "Must be a string.");
        return 1;
    }
    *out = json_string_value(value);
    return 0;
}

int manage_get_flag(manage_t *m, json_t *value, const char *field, int *out)
{
    if (!json_is_boolean(value)) {
        manage_field_error(m, field, "Must be true or false.");
        return 1;
    }
    *out = json_is_true(value);
    return 0;
}

int manage_get_number(manage_t *m, json_t *value, const char *field, apr_int64_t min,
                      apr_int64_t max, apr_int64_t *out)
{
    if (!json_is_integer(value) || json_integer_value(value) < min || json_integer_value(value) > max) {
        manage_field_error(m, field, apr_psprintf(m->p, "Must be a whole number from %" APR_INT64_T_FMT
                                                  " to %" APR_INT64_T_FMT ".", min, max));
        return 1;
    }
    *out = json_integer_value(value);
    return 0;
}

int manage_get_limits(manage_t *m, json_t *value, const char *field, apr_int64_t *per_hour,
                      apr_int64_t *per_minute)
{
    static const char *const names[] = {"per_hour", "per_minute", NULL};
    apr_int64_t *const out[] = {per_hour, per_minute};
    int i, bad = 0;

    *per_hour = *per_minute = AK_UNSET;
    if (json_is_null(value))
        return 0;
    if (!json_is_object(value)) {
        manage_field_error(m, field, "Must be null or an object with per_hour and per_minute.");
        return 1;
    }
    manage_only_members(m, value, apr_pstrcat(m->p, field, ".", NULL), names);
    for (i = 0; names[i]; i++) {
        json_t *limit = json_object_get(value, names[i]);
        if (limit && !json_is_null(limit))
            bad |= manage_get_number(m, limit, apr_pstrcat(m->p, field, ".", names[i], NULL), 1,
                                     AK_LIMIT_MAX, out[i]);
    }
    return bad;
}

/* --- the query -------------------------------------------------------------------------- */

int manage_refuse_param(manage_t *m, const char *name, const char *what)
{
    return manage_refuse_with(m, AK_INVALID_REQUEST,
                              apr_psprintf(m->p, "The parameter %s %s.", name, what),
                              json_pack("{s:s}", "parameter", name));
}

/* decode - undo the percent-coding of a name or a value in place; NULL: not UTF-8, or broken */
static char *decode(char *text)
{
    json_t *valid;

    if (ap_unescape_urlencoded(text) != OK || !(valid = json_string(text)))
        return NULL;
    json_decref(valid);
    return text;
}

static int read_param(manage_t *m, char *pair)
{
    char *value = strchr(pair, '='), *name;

    if (value)
        *value++ = '\0';
    if (!(name = decode(pair)) || !m->route->query || !manage_has_word(m->route->query, name))
        return manage_refuse(m, AK_INVALID_REQUEST,
                             name ? apr_psprintf(m->p, "There is no parameter %.64s here.", name)
                                  : "The name of a parameter is not readable.");
    if (!value || !*value)
        return manage_refuse_param(m, name, "has no value");
    if (!decode(value))
        return manage_refuse_param(m, name, "is not UTF-8 in percent-coding");
    if (apr_table_get(m->query, name))
        return manage_refuse_param(m, name, "is given twice");
    apr_table_setn(m->query, name, value);
    return 0;
}

int manage_read_query(manage_t *m)
{
    char *rest, *pair;

    m->query = apr_table_make(m->p, 8);
    if (!m->r->args)
        return 0;
    for (pair = apr_strtok(apr_pstrdup(m->p, m->r->args), "&", &rest); pair;
         pair = apr_strtok(NULL, "&", &rest))
        if (read_param(m, pair))
            return 1;
    return 0;
}

const char *manage_param(const manage_t *m, const char *name)
{
    return apr_table_get(m->query, name);
}

int manage_param_number(manage_t *m, const char *name, apr_int64_t min, apr_int64_t max, apr_int64_t *out)
{
    const char *text = manage_param(m, name);
    apr_int64_t number;
    apr_size_t digits;

    if (!text)
        return 0;
    digits = strspn(text, "0123456789");
    number = digits < 19 ? apr_atoi64(text) : -1;
    if (!digits || text[digits] || number < min || number > max)
        return manage_refuse_param(m, name, apr_psprintf(m->p, "must be a whole number from %"
                                   APR_INT64_T_FMT " to %" APR_INT64_T_FMT, min, max));
    *out = number;
    return 0;
}

int manage_param_time(manage_t *m, const char *name, apr_int64_t *out)
{
    const char *text = manage_param(m, name);

    if (!text || ak_rfc3339_parse(text, out) == APR_SUCCESS)
        return 0;
    return manage_refuse_param(m, name, "must be a time such as 2025-10-14T10:30:00Z");
}

int manage_param_choice(manage_t *m, const char *name, const char *const *choices, const char **out)
{
    const char *text = manage_param(m, name), *all = "";
    int i;

    if (!text)
        return 0;
    for (i = 0; choices[i]; i++) {
        if (!strcmp(choices[i], text)) {
            *out = choices[i];
            return 0;
        }
        all = apr_pstrcat(m->p, all, i ? ", " : "", choices[i], NULL);
    }
    return manage_refuse_param(m, name, apr_psprintf(m->p, "must be one of %s", all));
}

int manage_param_id(manage_t *m, const char *name, const char *prefix, const char **out)
{
    const char *text = manage_param(m, name);

    if (!text)
        return 0;
    if (!ak_id_ok(text, prefix))
        return manage_refuse_param(m, name, apr_psprintf(m->p, "must be an id that begins with %s", prefix));
    *out = text;
    return 0;
}

int manage_param_account(manage_t *m, const char **out)
{
    const char *wanted = NULL;

    *out = manage_confined(m);
    if (manage_param_id(m, "account_id", "acct_", &wanted))
        return 1;
    if (!wanted)
        return 0;
    if (!m->admin && strcmp(wanted, m->actor.account_id))
        return manage_refuse_scope(m, "admin:*");
    *out = wanted;
    return 0;
}

int manage_param_limit(manage_t *m, int *limit)
{
    apr_int64_t number = MANAGE_PAGE_DEFAULT;

    if (manage_param_number(m, "limit", 1, MANAGE_PAGE_MAX, &number))
        return 1;
    *limit = (int)number;
    return 0;
}
