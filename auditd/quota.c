/* quota.c - an account's month is used up: mark it, and tell every node
 *
 * The mark and the rows of the change log stand in the transaction that counted the
 * request which crossed the quota, so that each node refuses from its next look at
 * the log on.  Raising a quota or changing a plan opens the month again (ak_store).
 */
#include <apr_strings.h>

#include "auditd.h"

static apr_status_t mark_account(tx_t *tx, const char *account, int month)
{
    const char *number = TX_NUMBER(tx, month);
    ak_rows_t rows;
    apr_status_t rv = TX_EXEC(tx, AK_SQL_AUD_QUOTA_MARK, NULL, number, account, number);

    if (rv == APR_SUCCESS && !ak_dbd_is_sqlite(tx->engine->db))
        rv = TX_SELECT(tx, AK_SQL_CHANGE_LOCK, &rows, NULL);
    if (rv == APR_SUCCESS)
        rv = TX_EXEC(tx, AK_SQL_CHANGE_ADD_ACCOUNT, NULL, TX_NUMBER(tx, tx->now_sec), account);
    return rv;
}

static apr_status_t tell(tx_t *tx, const quota_use_t *q)
{
    alert_t alert = {
        .account_id = q->account,
        .subject = apr_pstrcat(tx->p, q->account, " ", q->month_name, NULL),
        .message = apr_psprintf(tx->p,
            "Account %s (\"%s\") has used up its quota for %s: %" APR_INT64_T_FMT " requests of live keys were "
            "admitted and the quota is %" APR_INT64_T_FMT ". Its live keys are refused with quota_exceeded "
            "until %s. Raise the account's quota or plan, or wait for the month to end.",
            q->account, q->account_name, q->month_name, q->used, q->quota, alert_time(tx->p, q->ends_sec)),
        .details = json_pack("{s:s, s:I, s:I}", "month", q->month_name, "quota", (json_int_t)q->quota, "requests",
                             (json_int_t)q->used),
        .count = 1,
        .first_sec = tx->now_sec,
        .last_sec = tx->now_sec,
    };
    /* the warning has said what this says more plainly */
    apr_status_t rv = alert_resolve(tx, detect_quota_warning.kind, alert.subject);

    return rv == APR_SUCCESS ? alert_raise(tx, &detect_quota_exceeded, &alert) : rv;
}

apr_status_t quota_check(tx_t *tx, const char *account, int month)
{
    quota_use_t q = {.account = account, .month_name = apr_psprintf(tx->p, "%04d-%02d", month / 12, month % 12 + 1),
                     .ends_sec = ak_month_start_sec(month + 1)};
    ak_rows_t rows;
    apr_status_t rv;

    if (month < ak_month_number(tx->now_sec))
        return APR_SUCCESS; /* late events of a month that is over refuse nobody */
    rv = TX_SELECT(tx, AK_SQL_AUD_QUOTA_GET, &rows, TX_NUMBER(tx, month), account);
    if (rv != APR_SUCCESS || rows.count == 0 || !ak_rows_text_or_null(&rows, 0, 1))
        return rv;
    if (ak_rows_number(&rows, 0, 0, 0) >= month)
        return APR_SUCCESS;
    q.quota = ak_rows_number(&rows, 0, 1, 0);
    q.used = ak_rows_number(&rows, 0, 2, 0);
    q.account_name = ak_rows_text(&rows, 0, 3);
    if (q.used < q.quota)
        return quota_warn(tx, &q);
    rv = mark_account(tx, account, month);
    return rv == APR_SUCCESS ? tell(tx, &q) : rv;
}
