/* mod_apikey_manage_webhooks.c - where an account's alerts are sent to, and what came of it
 *
 * The endpoints only write what auditd then does: a test goes through the outbox like
 * any alert, so that it shows the whole way.
 */
#include <apr_strings.h>

#include "ak_draft.h"
#include "ak_store_webhooks.h"
#include "ak_token.h"
#include "ak_webhook.h"
#include "mod_apikey_manage.h"
#include "mod_apikey_manage_io.h"

#define GRACE_DEFAULT_SEC 86400
#define GRACE_MAX_SEC 2592000 /* 30 days */

/* --- out ----------------------------------------------------------------------------------- */

/* webhook_json - a webhook; secret: whole, in the one answer that tells it, or NULL */
static json_t *webhook_json(const ak_webhook_t *webhook, const char *secret)
{
    json_t *object = json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:s}", "id", webhook->id, "account_id",
                               webhook->account_id, "url", webhook->url, "description", webhook->description,
                               "status", webhook->status, "old_secret_until",
                               manage_json_time(webhook->old_secret_until), "created_at",
                               manage_json_time(webhook->created_at), "created_by", webhook->created_by);

    if (object && secret)
        json_object_set_new(object, "secret", json_string(secret));
    return object;
}

void manage_webhook_list(manage_t *m)
{
    const char *account_id, *after = NULL;
    ak_webhook_t **webhooks;
    int limit, count, i;
    json_t *data;
    apr_status_t rv;

    if (manage_param_limit(m, &limit) || manage_param_account(m, &account_id)
        || manage_param_id(m, "after", "hook_", &after))
        return;
    rv = ak_store_webhook_list(m->node->store, account_id, after, limit + 1, &webhooks, &count, m->p);
    if (rv == APR_NOTFOUND) {
        manage_refuse_param(m, "after", "names no webhook");
        return;
    }
    if (rv != APR_SUCCESS) {
        manage_refuse_store(m, rv, "listing webhooks");
        return;
    }
    data = json_array();
    for (i = 0; i < count && i < limit; i++)
        json_array_append_new(data, webhook_json(webhooks[i], NULL));
    manage_answer_page(m, data, count > limit,
                       manage_json_text(count > limit ? webhooks[limit - 1]->id : NULL));
}

/* webhook_of_path - the webhook, if it is the caller's; NULL: answered */
static ak_webhook_t *webhook_of_path(manage_t *m)
{
    ak_webhook_t *webhook;
    apr_status_t rv = ak_store_webhook_get(m->node->store, manage_confined(m), m->id, &webhook, m->p);

    if (rv == APR_SUCCESS)
        return webhook;
    manage_refuse_store(m, rv, "reading a webhook");
    return NULL;
}

void manage_webhook_show(manage_t *m)
{
    ak_webhook_t *webhook = webhook_of_path(m);

    if (webhook)
        manage_answer(m, HTTP_OK, webhook_json(webhook, NULL));
}

static json_t *delivery_json(const ak_delivery_t *d)
{
    return json_pack("{s:I, s:s, s:s, s:o, s:I, s:s, s:o, s:s?, s:I, s:o}", "id", (json_int_t)d->seq,
                     "alert_id", d->alert_id, "kind", d->kind, "at", manage_json_time(d->at), "attempt",
                     (json_int_t)d->attempt, "outcome", d->outcome, "http_status",
                     manage_json_number(d->http_status), "error", d->error, "duration_ms",
                     (json_int_t)d->duration_ms, "next_attempt_at", manage_json_time(d->next_at));
}

void manage_webhook_deliveries(manage_t *m)
{
    apr_int64_t before = 0;
    ak_delivery_t *rows;
    int limit, count, i;
    json_t *data;
    apr_status_t rv;

    if (manage_param_limit(m, &limit) || manage_param_number(m, "before", 1, APR_INT64_MAX, &before)
        || !webhook_of_path(m))
        return;
    rv = ak_store_deliveries(m->node->store, m->id, before, limit + 1, &rows, &count, m->p);
    if (rv != APR_SUCCESS) {
        manage_refuse_store(m, rv, "reading deliveries");
        return;
    }
    data = json_array();
    for (i = 0; i < count && i < limit; i++)
        json_array_append_new(data, delivery_json(&rows[i]));
    manage_answer_page(m, data, count > limit,
                       count > limit ? json_integer(rows[limit - 1].seq) : json_null());
}

/* --- in --------------------------------------------------------------------------------------- */

/* read_text - a member that is text and passes a check; absent ones are left alone */
static void read_text(manage_t *m, json_t *body, const char *name, const char *(*check)(const char *text),
                      const char **out)
{
    json_t *value = json_object_get(body, name);
    const char *text, *fault;

    if (!value || manage_get_text(m, value, name, &text))
        return;
    if ((fault = check(text)) != NULL)
        manage_field_error(m, name, fault);
    *out = text;
}

static const char *account_fault(const char *id)
{
    return ak_id_ok(id, "acct_") ? NULL : "Must be the id of an account.";
}

static int read_webhook(manage_t *m, json_t *body, ak_webhook_t *webhook)
{
    static const char *const names[] = {"url", "description", "account_id", NULL};

    manage_only_members(m, body, "", names);
    if (!json_object_get(body, "url"))
        manage_field_error(m, "url", "Is required.");
    read_text(m, body, "url", ak_webhook_url_fault, &webhook->url);
    read_text(m, body, "description", ak_description_fault, &webhook->description);
    read_text(m, body, "account_id", account_fault, &webhook->account_id);
    return manage_refuse_errors(m)
           || (!m->admin && strcmp(webhook->account_id, m->actor.account_id)
               && manage_refuse_scope(m, "admin:*"));
}

/* --- changes -------------------------------------------------------------------------------------- */

/* fresh_secret - NULL: refused, because there is no randomness */
static const char *fresh_secret(manage_t *m)
{
    const char *secret = ak_webhook_secret_make(m->p);

    if (!secret)
        manage_refuse(m, AK_INTERNAL_ERROR, NULL);
    return secret;
}

static int refuse_creation(manage_t *m, apr_status_t rv)
{
    if (rv == APR_EEXIST)
        return manage_refuse(m, AK_CONFLICT, "The account has as many webhooks as it may have: delete one first.");
    if (rv == APR_NOTFOUND) {
        manage_field_error(m, "account_id", "There is no such account.");
        return manage_refuse_errors(m);
    }
    return rv != APR_SUCCESS && manage_refuse_store(m, rv, "making a webhook");
}

void manage_webhook_create(manage_t *m)
{
    ak_webhook_t webhook = {.description = "", .account_id = m->actor.account_id, .status = "active"};
    const char *secret;
    json_t *body;

    if (manage_read_object(m, 1, &body) || read_webhook(m, body, &webhook) || !(secret = fresh_secret(m)))
        return;
    if (!(webhook.id = ak_id_make(m->p, "hook_"))) {
        manage_refuse(m, AK_INTERNAL_ERROR, NULL);
        return;
    }
    webhook.created_at = m->now;
    webhook.created_by = m->actor.actor;
    if (refuse_creation(m, ak_store_webhook_create(m->node->store, &m->actor, &webhook, secret, m->now, m->p)))
        return;
    apr_table_setn(m->r->headers_out, "Location", apr_pstrcat(m->p, m->base, "webhooks/", webhook.id, NULL));
    manage_answer(m, HTTP_CREATED, webhook_json(&webhook, secret));
}

static int read_grace(manage_t *m, apr_int64_t *grace)
{
    static const char *const names[] = {"grace_seconds", NULL};
    json_t *body, *value;

    *grace = GRACE_DEFAULT_SEC;
    if (manage_read_object(m, 0, &body))
        return 1;
    manage_only_members(m, body, "", names);
    if ((value = json_object_get(body, "grace_seconds")) != NULL)
        manage_get_number(m, value, "grace_seconds", 0, GRACE_MAX_SEC, grace);
    return manage_refuse_errors(m);
}

void manage_webhook_rotate(manage_t *m)
{
    ak_webhook_t *webhook;
    const char *secret;
    apr_int64_t grace;
    apr_status_t rv;

    if (read_grace(m, &grace) || !(webhook = webhook_of_path(m)) || !(secret = fresh_secret(m)))
        return;
    rv = ak_store_webhook_rotate(m->node->store, &m->actor, webhook, secret, m->now + grace, m->now, m->p);
    if (rv != APR_SUCCESS) {
        manage_refuse_store(m, rv, "rotating a webhook's secret");
        return;
    }
    webhook->old_secret_until = m->now + grace;
    manage_answer(m, HTTP_OK, webhook_json(webhook, secret));
}

void manage_webhook_remove(manage_t *m)
{
    ak_webhook_t *webhook = webhook_of_path(m);
    apr_status_t rv;

    if (!webhook)
        return;
    rv = ak_store_webhook_remove(m->node->store, &m->actor, webhook, m->now, m->p);
    if (rv != APR_SUCCESS)
        manage_refuse_store(m, rv, "deleting a webhook");
    else
        manage_answer_nothing(m);
}

/* test_body - what a test delivers, in the shape of an alert */
static const char *test_body(manage_t *m, const ak_webhook_t *webhook, const char *id)
{
    char now[AK_RFC3339_SIZE];
    json_t *body = json_pack("{s:s, s:s, s:s, s:s, s:n, s:s, s:s, s:{}, s:i, s:s, s:s}", "id", id, "kind",
                             "webhook_test", "severity", "info", "account_id", webhook->account_id, "key_id",
                             "subject", webhook->id, "message",
                             "This is a test of the webhook. Nothing has happened, nothing is to be done.",
                             "details", "count", 1, "first_seen", ak_rfc3339(now, m->now), "last_seen", now);
    const char *text = manage_json_dump(m, body);

    json_decref(body);
    return text;
}

void manage_webhook_test(manage_t *m)
{
    const char *id = ak_id_make(m->p, "alert_"), *text;
    ak_webhook_t *webhook;
    json_t *body;
    apr_status_t rv;

    if (manage_read_object(m, 0, &body))
        return;
    manage_only_members(m, body, "", (const char *const[]){NULL});
    if (manage_refuse_errors(m) || !(webhook = webhook_of_path(m)))
        return;
    if (strcmp(webhook->status, "active")) {
        manage_refuse(m, AK_CONFLICT, "The webhook is disabled: delete it and make another.");
        return;
    }
    text = id ? test_body(m, webhook, id) : NULL;
    if (!text) {
        manage_refuse(m, AK_INTERNAL_ERROR, NULL);
        return;
    }
    rv = ak_store_webhook_test(m->node->store, &m->actor, webhook, id, text, m->now, m->p);
    if (rv != APR_SUCCESS)
        manage_refuse_store(m, rv, "testing a webhook");
    else
        manage_answer(m, HTTP_ACCEPTED, json_pack("{s:s, s:s}", "alert_id", id, "deliveries",
                                                  apr_pstrcat(m->p, m->base, "webhooks/", webhook->id,
                                                              "/deliveries", NULL)));
}
