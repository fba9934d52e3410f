/* ak_store_accounts - accounts, their plans and limits */
#include <apr_strings.h>
#include <jansson.h>
#include <string.h>

#include "ak_store_private.h"
#include "ak_text.h"
#include "ak_window.h"

/* Columns of account_get and account_list. */
enum { A_SEQ, A_ID, A_NAME, A_CONTACT, A_PLAN, A_PER_HOUR, A_PER_MINUTE, A_QUOTA, A_QUOTA_USED, A_CREATED,
       A_VERSION, A_REQUESTS };

static ak_account_t *account_of(const ak_rows_t *rows, int row, int month, apr_pool_t *p)
{
    ak_account_t *account = apr_pcalloc(p, sizeof *account);

    account->seq = ak_rows_number(rows, row, A_SEQ, 0);
    account->id = ak_rows_text(rows, row, A_ID);
    account->name = ak_rows_text(rows, row, A_NAME);
    account->contact = ak_rows_text_or_null(rows, row, A_CONTACT);
    account->plan = ak_plan_of(ak_rows_text(rows, row, A_PLAN));
    account->per_hour = ak_rows_number(rows, row, A_PER_HOUR, AK_UNSET);
    account->per_minute = ak_rows_number(rows, row, A_PER_MINUTE, AK_UNSET);
    account->quota_month = ak_rows_number(rows, row, A_QUOTA, AK_UNSET);
    account->quota_exceeded = ak_rows_number(rows, row, A_QUOTA_USED, 0) == month;
    account->requests_this_month = ak_rows_number(rows, row, A_REQUESTS, 0);
    account->created_at = ak_rows_number(rows, row, A_CREATED, 0);
    account->version = ak_rows_number(rows, row, A_VERSION, 0);
    return account;
}

apr_status_t ak_store_account_get(ak_store_t *store, const char *id, apr_int64_t now, ak_account_t **account,
                                  apr_pool_t *p)
{
    int month = ak_month_number(now);
    const char *args[] = {ak_dbd_number(p, month), id};
    ak_rows_t rows;
    apr_status_t rv;

    if (!ak_utf8_ok(id))
        return APR_NOTFOUND;
    rv = ak_store_select(store, AK_SQL_ACCOUNT_GET, args, &rows, p);
    if (rv != APR_SUCCESS)
        return rv;
    if (rows.count == 0)
        return APR_NOTFOUND;
    *account = account_of(&rows, 0, month, p);
    return APR_SUCCESS;
}

apr_status_t ak_store_account_list(ak_store_t *store, const char *after, int limit, apr_int64_t now,
                                   ak_account_t ***accounts, int *count, apr_pool_t *p)
{
    int month = ak_month_number(now);
    const char *args[] = {ak_dbd_number(p, month), NULL, ak_dbd_number(p, limit)};
    apr_int64_t before;
    ak_rows_t rows;
    apr_status_t rv = ak_store_seq_of(store, AK_SQL_ACCOUNT_SEQ, after, NULL, &before, p);

    *count = 0;
    if (rv != APR_SUCCESS)
        return rv;
    args[1] = ak_dbd_number(p, before);
    rv = ak_store_select(store, AK_SQL_ACCOUNT_LIST, args, &rows, p);
    if (rv != APR_SUCCESS)
        return rv;
    *count = rows.count;
    *accounts = apr_pcalloc(p, (rows.count + 1) * sizeof **accounts);
    for (int i = 0; i < rows.count; i++)
        (*accounts)[i] = account_of(&rows, i, month, p);
    return APR_SUCCESS;
}

static const char *account_details(const ak_account_t *account, apr_pool_t *p)
{
    json_t *object = json_object();
    char *text;
    const char *copy = NULL;

    json_object_set_new(object, "name", json_string(account->name));
    json_object_set_new(object, "plan", json_string(ak_plan_name(account->plan)));
    text = json_dumps(object, JSON_COMPACT);
    if (text != NULL)
        copy = apr_pstrdup(p, text);
    free(text);
    json_decref(object);
    return copy;
}

apr_status_t ak_store_account_create(ak_store_t *store, const ak_actor_t *actor, const ak_account_t *account,
                                     apr_int64_t now, apr_pool_t *p)
{
    const char *args[] = {
        account->id, account->name, account->contact, ak_plan_name(account->plan),
        ak_dbd_number_or_null(p, account->per_hour, AK_UNSET),
        ak_dbd_number_or_null(p, account->per_minute, AK_UNSET),
        ak_dbd_number_or_null(p, account->quota_month, AK_UNSET), ak_dbd_number(p, now)
    };
    ak_dbd_handle_t *h;
    apr_status_t rv = ak_store_begin(store, &h, p);

    if (rv != APR_SUCCESS)
        return rv;
    rv = ak_dbd_exec(h, AK_SQL_ACCOUNT_ADD, args, NULL, p);
    if (rv == APR_SUCCESS)
        rv = ak_store_log_audit(h, actor, account->id, "account.create", account->id,
                                account_details(account, p), now, p);
    return ak_store_end(h, rv, p);
}

apr_status_t ak_store_account_update(ak_store_t *store, const ak_actor_t *actor, const ak_account_t *account,
                                     const char *changes, apr_int64_t now, apr_int64_t *sequence, apr_pool_t *p)
{
    const char *month = ak_dbd_number(p, ak_month_number(now));
    const char *marks[] = {month, month, account->id};
    const char *args[] = {
        account->name, account->contact, ak_plan_name(account->plan),
        ak_dbd_number_or_null(p, account->per_hour, AK_UNSET),
        ak_dbd_number_or_null(p, account->per_minute, AK_UNSET),
        ak_dbd_number_or_null(p, account->quota_month, AK_UNSET), account->id,
        ak_dbd_number(p, account->version)
    };
    ak_dbd_handle_t *h;
    int affected = 0;
    apr_status_t rv = ak_store_begin(store, &h, p);

    if (rv != APR_SUCCESS)
        return rv;
    rv = ak_dbd_exec(h, AK_SQL_ACCOUNT_UPDATE, args, &affected, p);
    if (rv == APR_SUCCESS && affected == 0)
        rv = AK_ECHANGED;
    if (rv == APR_SUCCESS)
        rv = ak_dbd_exec(h, AK_SQL_ACCOUNT_QUOTA_MARK, marks, NULL, p);
    if (rv == APR_SUCCESS)
        rv = ak_store_log_audit(h, actor, account->id, "account.update", account->id, changes, now, p);
    if (rv == APR_SUCCESS)
        rv = ak_store_log_account_change(store, h, account->id, now, sequence, p);
    return ak_store_end(h, rv, p);
}
