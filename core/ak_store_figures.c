/* ak_store_figures - usage, networks, alerts and the audit log, as they are read */
#include <apr_strings.h>
#include <string.h>

#include "ak_store_private.h"
#include "ak_text.h"
#include "ak_window.h"

/* --- usage ------------------------------------------------------------------------------ */

apr_status_t ak_store_key_usage(ak_store_t *store, const char *key_id, apr_int64_t now, apr_int64_t *today,
                                apr_int64_t *month, apr_pool_t *p)
{
    const char *args[] = {ak_dbd_number(p, ak_day_start_sec(now)), key_id,
                          ak_dbd_number(p, ak_month_start_sec(ak_month_number(now)))};
    ak_rows_t rows;
    apr_status_t rv = ak_store_select(store, AK_SQL_KEY_USAGE, args, &rows, p);

    if (rv != APR_SUCCESS)
        return rv;
    *today = ak_rows_number(&rows, 0, 0, 0);
    *month = ak_rows_number(&rows, 0, 1, 0);
    return APR_SUCCESS;
}

/* The statement that serves a filter, and its arguments. */
static ak_sql_e usage_statement(const ak_usage_filter_t *filter, const char *args[7], apr_pool_t *p)
{
    const char *environment = filter->environment;
    int n = 0, key = filter->key_id != NULL, account = filter->account_id != NULL;

    if (!key && environment == NULL)
        environment = "live";
    if (key || account)
        args[n++] = key ? filter->key_id : filter->account_id;
    args[n++] = ak_dbd_number(p, filter->from);
    args[n++] = ak_dbd_number(p, filter->to);
    args[n++] = environment;
    args[n++] = environment;
    if (key) {
        args[n++] = filter->account_id;
        args[n++] = filter->account_id;
        return filter->by_day ? AK_SQL_USAGE_DAY_OF_KEY : AK_SQL_USAGE_HOUR_OF_KEY;
    }
    if (account)
        return filter->by_day ? AK_SQL_USAGE_DAY_OF_ACCOUNT : AK_SQL_USAGE_HOUR_OF_ACCOUNT;
    return filter->by_day ? AK_SQL_USAGE_DAY_OF_ALL : AK_SQL_USAGE_HOUR_OF_ALL;
}

apr_status_t ak_store_usage(ak_store_t *store, const ak_usage_filter_t *filter, ak_usage_t **result, int *count,
                            apr_pool_t *p)
{
    const char *args[7];
    ak_sql_e statement = usage_statement(filter, args, p);
    ak_rows_t rows;
    apr_status_t rv = ak_store_select(store, statement, args, &rows, p);

    *count = 0;
    if (rv != APR_SUCCESS)
        return rv;
    *count = rows.count;
    *result = apr_pcalloc(p, (rows.count + 1) * sizeof **result);
    for (int i = 0; i < rows.count; i++) {
        (*result)[i].start = ak_rows_number(&rows, i, 0, 0);
        (*result)[i].decision = ak_rows_text(&rows, i, 1);
        (*result)[i].requests = ak_rows_number(&rows, i, 2, 0);
    }
    return APR_SUCCESS;
}

apr_status_t ak_store_networks(ak_store_t *store, const char *key_id, ak_network_t **result, int *count,
                               apr_pool_t *p)
{
    const char *args[] = {key_id};
    ak_rows_t rows;
    apr_status_t rv = ak_store_select(store, AK_SQL_NETWORKS_OF_KEY, args, &rows, p);

    *count = 0;
    if (rv != APR_SUCCESS)
        return rv;
    *count = rows.count;
    *result = apr_pcalloc(p, (rows.count + 1) * sizeof **result);
    for (int i = 0; i < rows.count; i++) {
        (*result)[i].network = ak_rows_text(&rows, i, 0);
        (*result)[i].first_seen = ak_rows_number(&rows, i, 1, 0);
        (*result)[i].last_seen = ak_rows_number(&rows, i, 2, 0);
        (*result)[i].requests = ak_rows_number(&rows, i, 3, 0);
    }
    return APR_SUCCESS;
}

apr_status_t ak_store_producers(ak_store_t *store, ak_producer_t **result, int *count, apr_pool_t *p)
{
    ak_rows_t rows;
    apr_status_t rv = ak_store_select(store, AK_SQL_PRODUCERS, NULL, &rows, p);

    *count = 0;
    if (rv != APR_SUCCESS)
        return rv;
    *count = rows.count;
    *result = apr_pcalloc(p, (rows.count + 1) * sizeof **result);
    for (int i = 0; i < rows.count; i++) {
        (*result)[i].name = ak_rows_text(&rows, i, 0);
        (*result)[i].contiguous = (apr_uint64_t)ak_rows_number(&rows, i, 1, 0);
        (*result)[i].beyond = ak_rows_text(&rows, i, 2);
        (*result)[i].lost = (apr_uint64_t)ak_rows_number(&rows, i, 3, 0);
        (*result)[i].first_seen = ak_rows_number(&rows, i, 4, 0);
        (*result)[i].last_seen = ak_rows_number(&rows, i, 5, 0);
    }
    return APR_SUCCESS;
}

/* --- alerts ------------------------------------------------------------------------------- */

static ak_alert_t *alert_of(const ak_rows_t *rows, int row, apr_pool_t *p)
{
    ak_alert_t *alert = apr_pcalloc(p, sizeof *alert);

    alert->seq = ak_rows_number(rows, row, 0, 0);
    alert->id = ak_rows_text(rows, row, 1);
    alert->kind = ak_rows_text(rows, row, 2);
    alert->severity = ak_rows_text(rows, row, 3);
    alert->status = ak_rows_text(rows, row, 4);
    alert->account_id = ak_rows_text_or_null(rows, row, 5);
    alert->key_id = ak_rows_text_or_null(rows, row, 6);
    alert->subject = ak_rows_text(rows, row, 7);
    alert->message = ak_rows_text(rows, row, 8);
    alert->details = ak_rows_text(rows, row, 9);
    alert->count = ak_rows_number(rows, row, 10, 0);
    alert->first_seen = ak_rows_number(rows, row, 11, 0);
    alert->last_seen = ak_rows_number(rows, row, 12, 0);
    alert->acknowledged_by = ak_rows_text_or_null(rows, row, 13);
    return alert;
}

apr_status_t ak_store_alert_list(ak_store_t *store, const ak_alert_filter_t *filter, ak_alert_t ***alerts,
                                 int *count, apr_pool_t *p)
{
    const char *args[11];
    ak_sql_e statement = AK_SQL_ALERT_LIST_ALL;
    apr_int64_t before;
    ak_rows_t rows;
    int n = 0;
    apr_status_t rv = ak_store_seq_of(store, AK_SQL_ALERT_GET, filter->after, filter->account_id, &before, p);

    *count = 0;
    if (rv != APR_SUCCESS)
        return rv;
    args[n++] = ak_dbd_number(p, before);
    for (int i = 0; i < 2; i++)
        args[n++] = filter->kind;
    for (int i = 0; i < 2; i++)
        args[n++] = filter->status;
    for (int i = 0; i < 2; i++)
        args[n++] = filter->severity;
    if (filter->key_id != NULL) {
        statement = AK_SQL_ALERT_LIST_KEY;
        args[n++] = filter->key_id;
        args[n++] = filter->account_id;
        args[n++] = filter->account_id;
    } else if (filter->account_id != NULL) {
        statement = AK_SQL_ALERT_LIST_ACCOUNT;
        args[n++] = filter->account_id;
    }
    args[n++] = ak_dbd_number(p, filter->limit);
    rv = ak_store_select(store, statement, args, &rows, p);
    if (rv != APR_SUCCESS)
        return rv;
    *count = rows.count;
    *alerts = apr_pcalloc(p, (rows.count + 1) * sizeof **alerts);
    for (int i = 0; i < rows.count; i++)
        (*alerts)[i] = alert_of(&rows, i, p);
    return APR_SUCCESS;
}

apr_status_t ak_store_alert_get(ak_store_t *store, const char *account_id, const char *id, ak_alert_t **alert,
                                apr_pool_t *p)
{
    const char *args[] = {id, account_id, account_id};
    ak_rows_t rows;
    apr_status_t rv;

    if (!ak_utf8_ok(id))
        return APR_NOTFOUND;
    rv = ak_store_select(store, AK_SQL_ALERT_GET, args, &rows, p);
    if (rv != APR_SUCCESS)
        return rv;
    if (rows.count == 0)
        return APR_NOTFOUND;
    *alert = alert_of(&rows, 0, p);
    return APR_SUCCESS;
}

/* Who stands behind a status: an open alert has nobody, a resolved one keeps its name. */
static const char *handler_of(const ak_alert_t *alert, const char *status, const char *actor)
{
    if (strcmp(status, "open") == 0)
        return NULL;
    return strcmp(status, "resolved") == 0 && alert->acknowledged_by != NULL ? alert->acknowledged_by : actor;
}

apr_status_t ak_store_alert_set_status(ak_store_t *store, const ak_actor_t *actor, const char *id,
                                       const char *status, apr_int64_t now, apr_pool_t *p)
{
    const char *get[] = {id, NULL, NULL};
    const char *set[] = {status, NULL, id};
    ak_alert_t *alert = NULL;
    ak_dbd_handle_t *h;
    ak_rows_t rows;
    int affected = 0;
    apr_status_t rv = ak_store_begin(store, &h, p);

    if (rv != APR_SUCCESS)
        return rv;
    rv = ak_dbd_select(h, AK_SQL_ALERT_GET, get, &rows, p);
    if (rv == APR_SUCCESS && rows.count == 0)
        rv = APR_NOTFOUND;
    if (rv == APR_SUCCESS)
        alert = alert_of(&rows, 0, p);
    if (rv != APR_SUCCESS || strcmp(alert->status, status) == 0)
        return ak_store_end(h, rv, p);
    set[1] = handler_of(alert, status, actor->actor);
    rv = ak_dbd_exec(h, AK_SQL_ALERT_SET_STATUS, set, &affected, p);
    if (rv == APR_SUCCESS && affected == 0)
        rv = APR_EEXIST;
    if (rv == APR_SUCCESS)
        rv = ak_store_log_audit(h, actor, alert->account_id, "alert.update", id,
                                apr_psprintf(p, "{\"status\":\"%s\"}", status), now, p);
    return ak_store_end(h, rv, p);
}

/* --- the audit log ------------------------------------------------------------------------ */

apr_status_t ak_store_log_audit(ak_dbd_handle_t *h, const ak_actor_t *actor, const char *account_id,
                                const char *action, const char *target, const char *details, apr_int64_t now,
                                apr_pool_t *p)
{
    const char *args[] = {ak_dbd_number(p, now), actor->actor, account_id, action, target, actor->address, details};

    return ak_dbd_exec(h, AK_SQL_AUDIT_ADD, args, NULL, p);
}

apr_status_t ak_store_audit_write(ak_store_t *store, const ak_actor_t *actor, const char *account_id,
                                  const char *action, const char *target, const char *details, apr_int64_t now,
                                  apr_pool_t *p)
{
    ak_dbd_handle_t *h;
    apr_status_t rv = ak_dbd_acquire(store->db, &h);

    if (rv != APR_SUCCESS)
        return rv;
    rv = ak_store_log_audit(h, actor, account_id, action, target, details, now, p);
    ak_dbd_release(h);
    return rv;
}

apr_status_t ak_store_audit_list(ak_store_t *store, const ak_audit_filter_t *filter, ak_audit_t ***result,
                                 int *count, apr_pool_t *p)
{
    const char *args[7];
    ak_sql_e statement = AK_SQL_AUDIT_LIST_ALL;
    ak_rows_t rows;
    int n = 0;
    apr_status_t rv;

    args[n++] = ak_dbd_number(p, filter->before > 0 ? filter->before : AK_SEQ_END);
    args[n++] = filter->action;
    args[n++] = filter->action;
    if (filter->target != NULL) {
        statement = AK_SQL_AUDIT_LIST_TARGET;
        args[n++] = filter->target;
        args[n++] = filter->account_id;
        args[n++] = filter->account_id;
    } else if (filter->account_id != NULL) {
        statement = AK_SQL_AUDIT_LIST_ACCOUNT;
        args[n++] = filter->account_id;
    }
    args[n++] = ak_dbd_number(p, filter->limit);
    rv = ak_store_select(store, statement, args, &rows, p);
    *count = 0;
    if (rv != APR_SUCCESS)
        return rv;
    *count = rows.count;
    *result = apr_pcalloc(p, (rows.count + 1) * sizeof **result);
    for (int i = 0; i < rows.count; i++) {
        ak_audit_t *entry = (*result)[i] = apr_pcalloc(p, sizeof *entry);

        entry->seq = ak_rows_number(&rows, i, 0, 0);
        entry->at = ak_rows_number(&rows, i, 1, 0);
        entry->actor = ak_rows_text(&rows, i, 2);
        entry->account_id = ak_rows_text_or_null(&rows, i, 3);
        entry->action = ak_rows_text(&rows, i, 4);
        entry->target = ak_rows_text(&rows, i, 5);
        entry->address = ak_rows_text_or_null(&rows, i, 6);
        entry->details = ak_rows_text_or_null(&rows, i, 7);
    }
    return APR_SUCCESS;
}
