/* output - answers as JSON or as tables, and errors */
#include <apr_strings.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ak_text.h"
#include "ak_window.h"
#include "ctl.h"

/* --- values ------------------------------------------------------------------------------ */

json_t *ctl_json_time(apr_int64_t sec)
{
    char text[AK_RFC3339_SIZE];

    return sec == 0 ? json_null() : json_string(ak_rfc3339(text, sec));
}

json_t *ctl_json_number(apr_int64_t n)
{
    return n == AK_UNSET ? json_null() : json_integer(n);
}

json_t *ctl_json_words(apr_pool_t *p, const char *list)
{
    json_t *words;
    char *rest, *word;

    if (list == NULL)
        return json_null();
    words = json_array();
    for (word = apr_strtok(apr_pstrdup(p, list), " ", &rest); word != NULL; word = apr_strtok(NULL, " ", &rest))
        json_array_append_new(words, json_string(word));
    return words;
}

json_t *ctl_json_limits(apr_int64_t per_hour, apr_int64_t per_minute)
{
    if (per_hour == AK_UNSET && per_minute == AK_UNSET)
        return json_null();
    return json_pack("{s:o, s:o}", "per_hour", ctl_json_number(per_hour), "per_minute", ctl_json_number(per_minute));
}

const char *ctl_key_status(const ctl_t *ctl, const ak_key_record_t *key)
{
    if (key->status == AK_STATUS_REVOKED)
        return "revoked";
    return key->expires_at != 0 && key->expires_at <= ctl->now ? "expired" : "active";
}

json_t *ctl_json_key(ctl_t *ctl, const ak_key_record_t *key)
{
    json_t *object = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:o}", "id", key->id, "name", key->name,
                               "description", key->description, "account_id", key->account_id, "prefix", key->prefix,
                               "last_four", key->last_four, "environment",
                               key->environment == AK_ENV_TEST ? "test" : "live", "status", ctl_key_status(ctl, key),
                               "permissions", ctl_json_words(ctl->p, key->permissions), "allowed_ips",
                               ctl_json_words(ctl->p, key->allowed_ips));
    json_t *rest = json_pack("{s:o, s:b, s:b, s:o, s:s?, s:o, s:o, s:o, s:s?, s:s?}", "rate_limit",
                             ctl_json_limits(key->per_hour, key->per_minute), "auto_renew", key->auto_renew,
                             "imported", key->imported, "created_at", ctl_json_time(key->created_at), "created_by",
                             key->created_by, "last_used", ctl_json_time(key->last_used), "expires_at",
                             ctl_json_time(key->expires_at), "revoked_at", ctl_json_time(key->revoked_at),
                             "rotated_from", key->rotated_from, "rotated_to", key->rotated_to);

    json_object_update_missing(object, rest);
    json_decref(rest);
    return object;
}

/* --- for people ----------------------------------------------------------------------------- */

/* A value as people read it, in p. */
static const char *shown(apr_pool_t *p, const json_t *value)
{
    const char *all = "";
    json_t *item;
    size_t i;

    switch (json_typeof(value)) {
    case JSON_STRING:
        return json_string_value(value)[0] != '\0' ? json_string_value(value) : "-";
    case JSON_INTEGER:
        return apr_psprintf(p, "%" APR_INT64_T_FMT, (apr_int64_t)json_integer_value(value));
    case JSON_TRUE:
        return "yes";
    case JSON_FALSE:
        return "no";
    case JSON_ARRAY:
        json_array_foreach (value, i, item)
            all = apr_pstrcat(p, all, i > 0 ? " " : "", shown(p, item), NULL);
        return all[0] != '\0' ? all : "-";
    default:
        return "-";
    }
}

static int width_of(const char *text)
{
    int width = ak_text_length(text, 1);

    return width < 0 ? (int)strlen(text) : width;
}

static void pad(const char *text, int width)
{
    fputs(text, stdout);
    for (width -= width_of(text); width > 0; width--)
        putchar(' ');
}

/* Members of an object, one a line; those of an object within it behind a dot. */
static void print_object(apr_pool_t *p, json_t *object, const char *prefix)
{
    const char *name;
    json_t *value;

    json_object_foreach (object, name, value) {
        const char *title = apr_pstrcat(p, prefix, name, NULL);

        if (json_is_object(value)) {
            print_object(p, value, apr_pstrcat(p, title, ".", NULL));
        } else {
            pad(title, 24);
            printf(" %s\n", shown(p, value));
        }
    }
}

static const char *cell(apr_pool_t *p, json_t *row, const ctl_column_t *column)
{
    const json_t *value = json_object_get(row, column->member);

    return value != NULL ? shown(p, value) : "-";
}

static void print_row(apr_pool_t *p, json_t *row, const ctl_column_t *columns, const int *widths)
{
    for (int c = 0; columns[c].member != NULL; c++) {
        const char *text = row != NULL ? cell(p, row, &columns[c]) : columns[c].title;

        if (columns[c + 1].member == NULL)
            printf("%s\n", text);
        else {
            pad(text, widths != NULL ? widths[c] : 0);
            fputs("  ", stdout);
        }
    }
}

#define COLUMNS_MAX 12

static void print_table(apr_pool_t *p, json_t *rows, const ctl_column_t *columns)
{
    int widths[COLUMNS_MAX], width;
    json_t *row;
    size_t i;

    for (int c = 0; columns[c].member != NULL; c++) {
        widths[c] = width_of(columns[c].title);
        json_array_foreach (rows, i, row) {
            width = width_of(cell(p, row, &columns[c]));
            if (width > widths[c])
                widths[c] = width;
        }
    }
    print_row(p, NULL, columns, widths);
    json_array_foreach (rows, i, row)
        print_row(p, row, columns, widths);
}

/* --- answers ---------------------------------------------------------------------------------- */

static void print_json(json_t *answer, size_t flags)
{
    char *text = json_dumps(answer, flags);

    if (text != NULL) {
        puts(text);
        explicit_bzero(text, strlen(text)); /* it may hold a new key */
    }
    free(text);
}

/* An answer that nobody has got must not look like one. */
static int written(ctl_t *ctl)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return CTL_DONE;
    return ctl_fail(ctl, CTL_REFUSED, "the answer could not be written to standard output");
}

int ctl_answer(ctl_t *ctl, json_t *answer, const ctl_column_t *columns)
{
    if (ctl->json)
        print_json(answer, JSON_INDENT(2));
    else if (columns != NULL)
        print_table(ctl->p, json_object_get(answer, "data"), columns);
    else
        print_object(ctl->p, answer, "");
    json_decref(answer);
    return written(ctl);
}

int ctl_row(ctl_t *ctl, json_t *row, const ctl_column_t *columns)
{
    if (ctl->json)
        print_json(row, JSON_COMPACT);
    else
        print_row(ctl->p, row, columns, NULL);
    json_decref(row);
    return written(ctl);
}

/* --- failures ---------------------------------------------------------------------------------- */

static void tell(ctl_t *ctl, int status, const char *message, const ak_field_error_t *errors, int count)
{
    json_t *object;
    char *text;

    if (!ctl->json) {
        fprintf(stderr, "apikeyctl: %s\n", message);
        for (int i = 0; i < count; i++)
            fprintf(stderr, "  %s: %s\n", errors[i].field, errors[i].message);
        return;
    }
    object = json_pack("{s:s, s:i}", "error", message, "exit", status);
    if (count > 0)
        json_object_set_new(object, "errors", json_array());
    for (int i = 0; i < count; i++)
        json_array_append_new(json_object_get(object, "errors"),
                              json_pack("{s:s, s:s}", "field", errors[i].field, "message", errors[i].message));
    text = json_dumps(object, JSON_COMPACT);
    fprintf(stderr, "%s\n", text != NULL ? text : "{}");
    free(text);
    json_decref(object);
}

int ctl_fail(ctl_t *ctl, int status, const char *format, ...)
{
    va_list args;
    const char *message;

    va_start(args, format);
    message = apr_pvsprintf(ctl->p, format, args);
    va_end(args);
    tell(ctl, status, message, NULL, 0);
    return status;
}

int ctl_fail_fields(ctl_t *ctl, const ak_field_error_t *errors, int count)
{
    tell(ctl, CTL_REFUSED, "the key cannot be made like this:", errors, count);
    return CTL_REFUSED;
}

int ctl_fail_store(ctl_t *ctl, apr_status_t rv, const char *what)
{
    if (rv == APR_NOTFOUND)
        return ctl_fail(ctl, CTL_REFUSED, "there is no %s", what);
    if (rv == APR_EEXIST)
        return ctl_fail(ctl, CTL_REFUSED, "%s exists already", what);
    if (rv == AK_ECHANGED)
        return ctl_fail(ctl, CTL_REFUSED, "%s was changed by somebody else meanwhile: look at it and try again", what);
    return ctl_fail(ctl, CTL_UNREACHABLE, "the database failed: %s", ak_store_problem(ctl->store, ctl->p));
}

void ctl_note(ctl_t *ctl, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fprintf(stderr, "apikeyctl: %s\n", apr_pvsprintf(ctl->p, format, args));
    va_end(args);
}
