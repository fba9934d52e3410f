/* detect_quota_warning.c - most of an account's month is used up: there is time to do something
 *
 * Told once a month and quota: who raises a quota hears of the new one in its turn.
 * The figure is at hand in quota.c, which calls this.
 */
#include <apr_strings.h>
#include <string.h>

#include "auditd.h"

static apr_status_t tell(tx_t *tx, const quota_use_t *q)
{
    alert_t alert = {
        .account_id = q->account,
        .subject = apr_pstrcat(tx->p, q->account, " ", q->month_name, NULL),
        .message = apr_psprintf(tx->p,
            "Account %s (\"%s\") has used %" APR_INT64_T_FMT " of the %" APR_INT64_T_FMT " requests of its quota for "
            "%s, %d %% or more, and the month ends at %s. When the quota is used up its live keys are refused with "
            "quota_exceeded. Raise the account's quota or plan in time, or slow its clients down.",
            q->account, q->account_name, q->used, q->quota, q->month_name, tx->conf->quota_warning_percent,
            alert_time(tx->p, q->ends_sec)),
        .details = json_pack("{s:s, s:I, s:I, s:i}", "month", q->month_name, "quota", (json_int_t)q->quota, "requests",
                             (json_int_t)q->used, "percent", tx->conf->quota_warning_percent),
        .count = 1,
        .first_sec = tx->now_sec,
        .last_sec = tx->now_sec,
    };

    return alert_raise(tx, &detect_quota_warning, &alert);
}

apr_status_t quota_warn(tx_t *tx, const quota_use_t *q)
{
    const char *kind = detect_quota_warning.kind, *told, *now;
    apr_status_t rv;

    if ((double)q->used * 100 < (double)q->quota * tx->conf->quota_warning_percent)
        return APR_SUCCESS;
    now = apr_psprintf(tx->p, "%s %" APR_INT64_T_FMT, q->month_name, q->quota);
    rv = detect_state_get(tx, kind, q->account, &told);
    if (rv != APR_SUCCESS || strcmp(told, now) == 0)
        return rv;
    rv = tell(tx, q);
    return rv == APR_SUCCESS ? detect_state_put(tx, kind, q->account, now, STATE_FOR_GOOD) : rv;
}

const detector_t detect_quota_warning = {"quota_warning", "info", NULL, NULL, NULL, NULL, 0};
