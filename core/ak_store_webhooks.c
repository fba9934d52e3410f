/* ak_store_webhooks - receivers of an account's alerts, and what was delivered to them */
#include "ak_store_webhooks.h"

#include <apr_strings.h>
#include <jansson.h>
#include <stdlib.h>

#include "ak_store_private.h"
#include "ak_text.h"
#include "ak_webhook.h"

static ak_webhook_t *webhook_of(const ak_rows_t *rows, int row, apr_pool_t *p)
{
    ak_webhook_t *webhook = apr_pcalloc(p, sizeof *webhook);

    webhook->seq = ak_rows_number(rows, row, 0, 0);
    webhook->id = ak_rows_text(rows, row, 1);
    webhook->account_id = ak_rows_text(rows, row, 2);
    webhook->url = ak_rows_text(rows, row, 3);
    webhook->description = ak_rows_text(rows, row, 4);
    webhook->status = ak_rows_text(rows, row, 5);
    webhook->old_secret_until = ak_rows_number(rows, row, 6, 0);
    webhook->created_at = ak_rows_number(rows, row, 7, 0);
    webhook->created_by = ak_rows_text(rows, row, 8);
    return webhook;
}

/* What the audit log says of a webhook: where it leads. */
static const char *details_of(const ak_webhook_t *webhook, apr_pool_t *p)
{
    json_t *object = json_pack("{s:s}", "url", webhook->url);
    char *text = json_dumps(object, JSON_COMPACT);
    const char *copy = text != NULL ? apr_pstrdup(p, text) : NULL;

    free(text);
    json_decref(object);
    return copy;
}

/* --- reading ------------------------------------------------------------------------------ */

apr_status_t ak_store_webhook_get(ak_store_t *store, const char *account_id, const char *id, ak_webhook_t **webhook,
                                  apr_pool_t *p)
{
    const char *args[] = {id, account_id, account_id};
    ak_rows_t rows;
    apr_status_t rv;

    if (!ak_utf8_ok(id))
        return APR_NOTFOUND;
    rv = ak_store_select(store, AK_SQL_WEBHOOK_GET, args, &rows, p);
    if (rv != APR_SUCCESS)
        return rv;
    if (rows.count == 0)
        return APR_NOTFOUND;
    *webhook = webhook_of(&rows, 0, p);
    return APR_SUCCESS;
}

apr_status_t ak_store_webhook_list(ak_store_t *store, const char *account_id, const char *after, int limit,
                                   ak_webhook_t ***webhooks, int *count, apr_pool_t *p)
{
    const char *args[3];
    apr_int64_t before;
    ak_rows_t rows;
    int n = 0;
    apr_status_t rv = ak_store_seq_of(store, AK_SQL_WEBHOOK_GET, after, account_id, &before, p);

    *count = 0;
    if (rv != APR_SUCCESS)
        return rv;
    args[n++] = ak_dbd_number(p, before);
    if (account_id != NULL)
        args[n++] = account_id;
    args[n++] = ak_dbd_number(p, limit);
    rv = ak_store_select(store, account_id != NULL ? AK_SQL_WEBHOOK_LIST_ACCOUNT : AK_SQL_WEBHOOK_LIST_ALL, args,
                         &rows, p);
    if (rv != APR_SUCCESS)
        return rv;
    *count = rows.count;
    *webhooks = apr_pcalloc(p, (rows.count + 1) * sizeof **webhooks);
    for (int i = 0; i < rows.count; i++)
        (*webhooks)[i] = webhook_of(&rows, i, p);
    return APR_SUCCESS;
}

apr_status_t ak_store_deliveries(ak_store_t *store, const char *webhook_id, apr_int64_t before, int limit,
                                 ak_delivery_t **result, int *count, apr_pool_t *p)
{
    const char *args[] = {webhook_id, ak_dbd_number(p, before > 0 ? before : AK_SEQ_END), ak_dbd_number(p, limit)};
    ak_rows_t rows;
    apr_status_t rv = ak_store_select(store, AK_SQL_WEBHOOK_DELIVERIES, args, &rows, p);

    *count = 0;
    if (rv != APR_SUCCESS)
        return rv;
    *count = rows.count;
    *result = apr_pcalloc(p, (rows.count + 1) * sizeof **result);
    for (int i = 0; i < rows.count; i++) {
        ak_delivery_t *d = &(*result)[i];

        d->seq = ak_rows_number(&rows, i, 0, 0);
        d->alert_id = ak_rows_text(&rows, i, 1);
        d->kind = ak_rows_text(&rows, i, 2);
        d->at = ak_rows_number(&rows, i, 3, 0);
        d->attempt = ak_rows_number(&rows, i, 4, 0);
        d->outcome = ak_rows_text(&rows, i, 5);
        d->http_status = ak_rows_number(&rows, i, 6, AK_UNSET);
        d->error = ak_rows_text_or_null(&rows, i, 7);
        d->duration_ms = ak_rows_number(&rows, i, 8, 0);
        d->next_at = ak_rows_number(&rows, i, 9, 0);
    }
    return APR_SUCCESS;
}

/* --- changing --------------------------------------------------------------------------------- */

/* APR_NOTFOUND: no such account; APR_EEXIST: it has as many webhooks as it may have. */
static apr_status_t room_for_one(ak_dbd_handle_t *h, const char *account_id, apr_pool_t *p)
{
    const char *args[] = {account_id};
    ak_rows_t rows;
    apr_status_t rv = ak_dbd_select(h, AK_SQL_ACCOUNT_SEQ, args, &rows, p);

    if (rv == APR_SUCCESS && rows.count == 0)
        return APR_NOTFOUND;
    if (rv == APR_SUCCESS)
        rv = ak_dbd_select(h, AK_SQL_WEBHOOK_COUNT, args, &rows, p);
    if (rv == APR_SUCCESS && ak_rows_number(&rows, 0, 0, 0) >= AK_WEBHOOKS_PER_ACCOUNT)
        return APR_EEXIST;
    return rv;
}

apr_status_t ak_store_webhook_create(ak_store_t *store, const ak_actor_t *actor, const ak_webhook_t *webhook,
                                     const char *secret, apr_int64_t now, apr_pool_t *p)
{
    const char *args[] = {webhook->id, webhook->account_id, webhook->url, webhook->description, secret,
                          ak_dbd_number(p, now), actor->actor};
    ak_dbd_handle_t *h;
    apr_status_t rv = ak_store_begin(store, &h, p);

    if (rv != APR_SUCCESS)
        return rv;
    rv = room_for_one(h, webhook->account_id, p);
    if (rv == APR_SUCCESS)
        rv = ak_dbd_exec(h, AK_SQL_WEBHOOK_ADD, args, NULL, p);
    if (rv == APR_SUCCESS)
        rv = ak_store_log_audit(h, actor, webhook->account_id, "webhook.create", webhook->id, details_of(webhook, p),
                                now, p);
    return ak_store_end(h, rv, p);
}

apr_status_t ak_store_webhook_rotate(ak_store_t *store, const ak_actor_t *actor, const ak_webhook_t *webhook,
                                     const char *secret, apr_int64_t old_until, apr_int64_t now, apr_pool_t *p)
{
    const char *args[] = {ak_dbd_number(p, old_until), secret, webhook->id};
    ak_dbd_handle_t *h;
    int affected = 0;
    apr_status_t rv = ak_store_begin(store, &h, p);

    if (rv != APR_SUCCESS)
        return rv;
    rv = ak_dbd_exec(h, AK_SQL_WEBHOOK_ROTATE, args, &affected, p);
    if (rv == APR_SUCCESS && affected == 0)
        rv = APR_NOTFOUND;
    if (rv == APR_SUCCESS)
        rv = ak_store_log_audit(h, actor, webhook->account_id, "webhook.rotate", webhook->id, NULL, now, p);
    return ak_store_end(h, rv, p);
}

apr_status_t ak_store_webhook_remove(ak_store_t *store, const ak_actor_t *actor, const ak_webhook_t *webhook,
                                     apr_int64_t now, apr_pool_t *p)
{
    const char *args[] = {webhook->id};
    ak_dbd_handle_t *h;
    int affected = 0;
    apr_status_t rv = ak_store_begin(store, &h, p);

    if (rv != APR_SUCCESS)
        return rv;
    rv = ak_dbd_exec(h, AK_SQL_WEBHOOK_REMOVE, args, &affected, p);
    if (rv == APR_SUCCESS && affected == 0)
        rv = APR_NOTFOUND;
    if (rv == APR_SUCCESS)
        rv = ak_dbd_exec(h, AK_SQL_WEBHOOK_OUTBOX_REMOVE, args, NULL, p);
    if (rv == APR_SUCCESS)
        rv = ak_dbd_exec(h, AK_SQL_WEBHOOK_DELIVERIES_REMOVE, args, NULL, p);
    if (rv == APR_SUCCESS)
        rv = ak_store_log_audit(h, actor, webhook->account_id, "webhook.delete", webhook->id, details_of(webhook, p),
                                now, p);
    return ak_store_end(h, rv, p);
}

apr_status_t ak_store_webhook_test(ak_store_t *store, const ak_actor_t *actor, const ak_webhook_t *webhook,
                                   const char *message_id, const char *body, apr_int64_t now, apr_pool_t *p)
{
    const char *at = ak_dbd_number(p, now);
    const char *args[] = {webhook->id, message_id, body, at, at};
    ak_dbd_handle_t *h;
    apr_status_t rv = ak_store_begin(store, &h, p);

    if (rv != APR_SUCCESS)
        return rv;
    rv = ak_dbd_exec(h, AK_SQL_WEBHOOK_TEST, args, NULL, p);
    if (rv == APR_SUCCESS)
        rv = ak_store_log_audit(h, actor, webhook->account_id, "webhook.test", webhook->id, NULL, now, p);
    return ak_store_end(h, rv, p);
}
