/* detect_unused_key.c - a key that nobody uses is only good for a thief
 *
 * Told once for a spell of silence; a use ends the spell and the alert.
 */
#include <apr_strings.h>

#include "auditd.h"

#define DAY_SEC ((apr_int64_t)86400)
#define TICK_MAX 500 /* keys told in one tick */

static apr_status_t tell(tx_t *tx, const detector_t *self, const ak_rows_t *rows, int row)
{
    const char *key = ak_rows_text(rows, row, 0);
    apr_int64_t made = ak_rows_number(rows, row, 4, 0), since = ak_rows_number(rows, row, 5, made);
    int never = ak_rows_text_or_null(rows, row, 5) == NULL;
    alert_t alert = {
        .account_id = ak_rows_text(rows, row, 1),
        .key_id = key,
        .subject = key,
        .message = apr_psprintf(tx->p,
            "Key %s (%s, \"%s\") %s at %s, %s ago; a key is expected to be used at least every %d days. If nothing "
            "needs it any more, revoke it: nobody would notice its theft.",
            key, ak_rows_text(rows, row, 2), ak_rows_text(rows, row, 3),
            never ? "was never used since it was made" : "was last used", alert_time(tx->p, since),
            alert_span(tx->p, tx->now_sec - since), tx->conf->unused_days),
        .details = json_pack("{s:s, s:s?, s:i}", "created_at", alert_time(tx->p, made), "last_used",
                             never ? NULL : alert_time(tx->p, since), "days", tx->conf->unused_days),
        .count = 1,
        .first_sec = since,
        .last_sec = tx->now_sec,
    };
    return lifecycle_notice(tx, self, &alert, TX_NUMBER(tx, since));
}

/* Keys that were used since they were told of. */
static apr_status_t let_go(tx_t *tx, const detector_t *self)
{
    ak_rows_t rows;
    apr_status_t rv = TX_SELECT(tx, AK_SQL_AUD_KEYS_USED_AGAIN, &rows, self->kind);

    for (int i = 0; rv == APR_SUCCESS && i < rows.count; i++) {
        const char *key = ak_rows_text(&rows, i, 0);

        rv = alert_resolve(tx, self->kind, key);
        if (rv == APR_SUCCESS)
            rv = detect_state_drop(tx, self->kind, key);
    }
    return rv == APR_SUCCESS ? lifecycle_settle(tx, self->kind) : rv;
}

static apr_status_t tick(tx_t *tx, const detector_t *self)
{
    const char *before = TX_NUMBER(tx, tx->now_sec - tx->conf->unused_days * DAY_SEC);
    ak_rows_t rows = {0};
    apr_status_t rv = let_go(tx, self);

    if (rv == APR_SUCCESS)
        rv = TX_SELECT(tx, AK_SQL_AUD_KEYS_UNUSED, &rows, self->kind, TX_NUMBER(tx, tx->now_sec), before, before,
                       TX_NUMBER(tx, TICK_MAX));
    for (int i = 0; rv == APR_SUCCESS && i < rows.count; i++)
        rv = tell(tx, self, &rows, i);
    return rv;
}

const detector_t detect_unused_key = {"unused_key", "info", NULL, NULL, NULL, tick, 60};
