/* detect_rotation_due.c - a key is old enough to be rotated, and still is at each reminder
 *
 * What is remembered is when the next reminder is due, so that a clock that leaps
 * ahead skips stages and one that goes back repeats none.
 */
#include <apr_strings.h>
#include <string.h>

#include "auditd.h"

#define DAY_SEC ((apr_int64_t)86400)
#define TICK_MAX 500 /* keys told in one tick */

static apr_status_t tell(tx_t *tx, const detector_t *self, const ak_rows_t *rows, int row)
{
    const char *key = ak_rows_text(rows, row, 0), *environment = ak_rows_text(rows, row, 4);
    int days = strcmp(environment, "live") == 0 ? tx->conf->rotation_live_days : tx->conf->rotation_test_days;
    apr_int64_t made = ak_rows_number(rows, row, 5, 0), due = made + days * DAY_SEC;
    apr_int64_t interval = tx->conf->rotation_reminder_days * DAY_SEC, reminder = (tx->now_sec - due) / interval;
    alert_t alert = {
        .account_id = ak_rows_text(rows, row, 1),
        .key_id = key,
        .subject = key,
        .message = apr_psprintf(tx->p,
            "Key %s (%s, \"%s\") is in service since %s, for %s; a %s key is expected to be rotated every %d days. "
            "Rotate it (POST /v1/api-keys/%s/rotate), give its clients the new key while the old one still works, "
            "and see that the old one falls silent.",
            key, ak_rows_text(rows, row, 2), ak_rows_text(rows, row, 3), alert_time(tx->p, made),
            alert_span(tx->p, tx->now_sec - made), environment, days, key),
        .details = json_pack("{s:s, s:i, s:I}", "created_at", alert_time(tx->p, made), "days", days, "reminder",
                             (json_int_t)reminder),
        .count = 1,
        .first_sec = due,
        .last_sec = tx->now_sec,
    };
    return lifecycle_notice(tx, self, &alert, TX_NUMBER(tx, due + (reminder + 1) * interval));
}

static apr_status_t tick(tx_t *tx, const detector_t *self)
{
    const char *now = TX_NUMBER(tx, tx->now_sec);
    ak_rows_t rows = {0};
    apr_status_t rv = lifecycle_settle(tx, self->kind);

    if (rv == APR_SUCCESS)
        rv = TX_SELECT(tx, AK_SQL_AUD_KEYS_TO_ROTATE, &rows, self->kind, now,
                       TX_NUMBER(tx, tx->now_sec - tx->conf->rotation_live_days * DAY_SEC),
                       TX_NUMBER(tx, tx->now_sec - tx->conf->rotation_test_days * DAY_SEC), now,
                       TX_NUMBER(tx, TICK_MAX));
    for (int i = 0; rv == APR_SUCCESS && i < rows.count; i++)
        rv = tell(tx, self, &rows, i);
    return rv;
}

const detector_t detect_rotation_due = {"rotation_due", "info", NULL, NULL, NULL, tick, 60};
