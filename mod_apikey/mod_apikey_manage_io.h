/* mod_apikey_manage_io.h - what comes into a management endpoint and what goes out
 *
 * Whoever gives an answer says so: the int functions here return non-zero when they
 * have refused the request, and the endpoint then simply returns.  JSON values
 * that are read live as long as the request; those handed to an answer are stolen.
 */
#ifndef MOD_APIKEY_MANAGE_IO_H
#define MOD_APIKEY_MANAGE_IO_H

#include "mod_apikey_manage.h"

#define MANAGE_BODY_MAX (64 * 1024) /* bytes */

/* --- in: the body --------------------------------------------------------------- */
/* The body as a JSON object; *body is an empty object where `required` is 0 and none came. */
int manage_read_object(manage_t *m, int required, json_t **body);
/* Note a member of the body that is wrong, by name; manage_refuse_errors then answers 422. */
void manage_field_error(manage_t *m, const char *field, const char *message);
/* Answer 422 if any field is wrong. */
int manage_refuse_errors(manage_t *m);
/* Note every member of object that is not in names (NULL-terminated); prefix: of nested ones, or "". */
void manage_only_members(manage_t *m, json_t *object, const char *prefix, const char *const *names);
/* Values by type; a wrong one is noted as the field's error and returns non-zero. */
int manage_get_text(manage_t *m, json_t *value, const char *field, const char **out);
int manage_get_flag(manage_t *m, json_t *value, const char *field, int *out);
int manage_get_number(manage_t *m, json_t *value, const char *field, apr_int64_t min,
                      apr_int64_t max, apr_int64_t *out);
/* {"per_hour":…,"per_minute":…}, either may be absent or null: AK_UNSET. */
int manage_get_limits(manage_t *m, json_t *value, const char *field, apr_int64_t *per_hour,
                      apr_int64_t *per_minute);

/* --- in: the query ---------------------------------------------------------------- */
/* Decode r->args into m->query; only the route's parameters, each once, in UTF-8. */
int manage_read_query(manage_t *m);
/* NULL where it was not given. */
const char *manage_param(const manage_t *m, const char *name);
/* *out keeps its value where the parameter was not given. */
int manage_param_number(manage_t *m, const char *name, apr_int64_t min, apr_int64_t max, apr_int64_t *out);
int manage_param_time(manage_t *m, const char *name, apr_int64_t *out);
/* choices: NULL-terminated. */
int manage_param_choice(manage_t *m, const char *name, const char *const *choices, const char **out);
int manage_param_id(manage_t *m, const char *name, const char *prefix, const char **out);
/* `account_id`: an administrator's choice of one account; *out is NULL for all. */
int manage_param_account(manage_t *m, const char **out);
/* `limit`: the size of a page. */
int manage_param_limit(manage_t *m, int *limit);
int manage_refuse_param(manage_t *m, const char *name, const char *what);

/* --- in: conditions ------------------------------------------------------------- */
/* Answer 412 unless If-Match is absent or names this version. */
int manage_refuse_unmatched(manage_t *m, apr_int64_t version);
/* Set the ETag that If-Match takes. */
void manage_etag(manage_t *m, apr_int64_t version);

/* --- out ------------------------------------------------------------------------- */
void manage_answer(manage_t *m, int status, json_t *body);
void manage_answer_nothing(manage_t *m);
/* A page: the first `limit` of `count` items in data; next is the cursor behind the last of them. */
void manage_answer_page(manage_t *m, json_t *data, int has_more, json_t *next);
/* detail NULL: the table's sentence.  Returns non-zero, so that it can be returned. */
int manage_refuse(manage_t *m, ak_code_e code, const char *detail);
/* The same with further members of the problem, which are stolen. */
int manage_refuse_with(manage_t *m, ak_code_e code, const char *detail, json_t *members);
/* 403 for want of a scope. */
int manage_refuse_scope(manage_t *m, const char *scope);
/* Answer for a failed call of the store: 404 for APR_NOTFOUND, 412 or 409 for AK_ECHANGED, else 503. */
int manage_refuse_store(manage_t *m, apr_status_t rv, const char *what);

/* JSON values; NULL or 0 (time), AK_UNSET (number) give null. */
json_t *manage_json_text(const char *text);
json_t *manage_json_time(apr_int64_t sec);
json_t *manage_json_number(apr_int64_t number);
json_t *manage_json_words(apr_pool_t *p, const char *list);
/* A value as compact text that lives as long as the request; NULL for NULL. */
char *manage_json_dump(manage_t *m, json_t *value);
/* Stored JSON text as a value; null where there is none or it is broken. */
json_t *manage_json_stored(const char *text);
/* {"member": {"from": …, "to": …}} for the members of a patch that differ before and after. */
json_t *manage_json_changes(json_t *patch, json_t *before, json_t *after);
/* {"per_hour", "per_minute"}, or null where neither is set. */
json_t *manage_json_limits(apr_int64_t per_hour, apr_int64_t per_minute);

#endif
