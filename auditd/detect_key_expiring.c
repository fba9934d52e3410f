/* detect_key_expiring.c - a key's expiry draws near: 30 days, 7 days, 1 day before
 *
 * Each stage is told once a key and expiry.  A key that was made for less than a
 * stage's length is not told of that stage, and one that has a successor not at all.
 */
#include <apr_strings.h>
#include <stdio.h>

#include "auditd.h"

#define DAY_SEC 86400
#define TICK_MAX 500 /* keys looked at in one tick */

static const int stages[] = {1, 7, 30}; /* days, the nearest first */
#define STAGES ((int)(sizeof(stages) / sizeof(stages[0])))

/* The stage that a key is in, as an index; -1: none. */
static int stage_of(apr_int64_t now, apr_int64_t created, apr_int64_t expires)
{
    for (int i = 0; i < STAGES; i++)
        if (expires - now <= (apr_int64_t)stages[i] * DAY_SEC)
            return expires - created > (apr_int64_t)stages[i] * DAY_SEC ? i : -1;
    return -1;
}

static apr_status_t tell(tx_t *tx, const detector_t *self, const ak_rows_t *rows, int row, int days)
{
    const char *key = ak_rows_text(rows, row, 0);
    apr_int64_t expires = ak_rows_number(rows, row, 5, 0);
    alert_t alert = {
        .account_id = ak_rows_text(rows, row, 1),
        .key_id = key,
        .subject = key,
        .message = apr_psprintf(tx->p,
            "Key %s (%s, \"%s\") expires at %s, in %s. %s",
            key, ak_rows_text(rows, row, 2), ak_rows_text(rows, row, 3), alert_time(tx->p, expires),
            alert_span(tx->p, expires - tx->now_sec),
            ak_rows_number(rows, row, 8, 0) ?
            "It is to renew itself before then, and nothing needs to be done. If it is to end, switch its auto_renew "
            "off or revoke it." :
            "From then on its requests are refused with expired_key. Extend its expiry, or rotate it and give its "
            "clients the new key before."),
        .details = json_pack("{s:s, s:i}", "expires_at", alert_time(tx->p, expires), "days", days),
        .count = 1,
        .first_sec = tx->now_sec,
        .last_sec = tx->now_sec,
    };
    /* each stage is a notice of its own */
    apr_status_t rv = alert_resolve(tx, self->kind, key);

    return rv == APR_SUCCESS ? alert_raise(tx, self, &alert) : rv;
}

/* The memory of a key is "EXPIRY DAYS": a stage is told once for an expiry, and a
 * smaller one after a larger one only. */
static int is_told(const char *state, apr_int64_t expires, int days)
{
    apr_int64_t told_expires;
    int told_days;

    return sscanf(state, "%" APR_INT64_T_FMT " %d", &told_expires, &told_days) == 2 && told_expires == expires &&
           told_days <= days;
}

static apr_status_t look_at(tx_t *tx, const detector_t *self, const ak_rows_t *rows, int row)
{
    const char *key = ak_rows_text(rows, row, 0), *state = ak_rows_text(rows, row, 7);
    apr_int64_t created = ak_rows_number(rows, row, 4, 0), expires = ak_rows_number(rows, row, 5, 0);
    int stage = stage_of(tx->now_sec, created, expires);
    apr_status_t rv;

    if (stage < 0 || is_told(state, expires, stages[stage]))
        return APR_SUCCESS;
    rv = tell(tx, self, rows, row, stages[stage]);
    if (rv != APR_SUCCESS)
        return rv;
    state = apr_psprintf(tx->p, "%" APR_INT64_T_FMT " %d", expires, stages[stage]);
    return detect_state_put(tx, self->kind, key, state, STATE_FOR_GOOD);
}

static apr_status_t tick(tx_t *tx, const detector_t *self)
{
    apr_int64_t from = tx->now_sec + 1, to = tx->now_sec + (apr_int64_t)stages[STAGES - 1] * DAY_SEC;
    apr_int64_t seq = 0;
    ak_rows_t rows;
    apr_status_t rv = lifecycle_settle(tx, self->kind);

    if (rv != APR_SUCCESS)
        return rv;
    do {
        rv = TX_SELECT(tx, AK_SQL_AUD_KEYS_EXPIRING, &rows, self->kind, TX_NUMBER(tx, from), TX_NUMBER(tx, from),
                       TX_NUMBER(tx, seq), TX_NUMBER(tx, to), TX_NUMBER(tx, TICK_MAX));
        for (int i = 0; i < rows.count && rv == APR_SUCCESS; i++) {
            rv = look_at(tx, self, &rows, i);
            from = ak_rows_number(&rows, i, 5, from);
            seq = ak_rows_number(&rows, i, 6, seq);
        }
    } while (rv == APR_SUCCESS && rows.count == TICK_MAX);
    return rv;
}

const detector_t detect_key_expiring = {"key_expiring", "warning", NULL, NULL, NULL, tick, 20};
