/* detect_key_expired.c - a key has expired: told once a key and expiry
 *
 * A key that was rotated has a successor, and its owner knows; of what expired long
 * before anybody watched nothing is said.
 */
#include <apr_strings.h>

#include "auditd.h"

#define TICK_MAX 500                          /* keys told in one tick */
#define LATE_SEC (30 * (apr_int64_t)86400)    /* what expired before is no news */

static apr_status_t tell(tx_t *tx, const detector_t *self, const ak_rows_t *rows, int row)
{
    const char *key = ak_rows_text(rows, row, 0), *used = ak_rows_text_or_null(rows, row, 5);
    apr_int64_t expires = ak_rows_number(rows, row, 4, 0);
    alert_t alert = {
        .account_id = ak_rows_text(rows, row, 1),
        .key_id = key,
        .subject = key,
        .message = apr_psprintf(tx->p,
            "Key %s (%s, \"%s\") has expired at %s; it was %s. Its requests are refused with expired_key. If it is "
            "still needed, extend its expiry or give its clients a new key; if not, revoke it.",
            key, ak_rows_text(rows, row, 2), ak_rows_text(rows, row, 3), alert_time(tx->p, expires),
            used ? apr_pstrcat(tx->p, "last used at ", alert_time(tx->p, ak_rows_number(rows, row, 5, 0)), NULL)
                 : "never used"),
        .details = json_pack("{s:s}", "expires_at", alert_time(tx->p, expires)),
        .count = 1,
        .first_sec = expires,
        .last_sec = expires,
    };
    apr_status_t rv = alert_resolve(tx, detect_key_expiring.kind, key);

    return rv == APR_SUCCESS ? lifecycle_notice(tx, self, &alert, TX_NUMBER(tx, expires)) : rv;
}

static apr_status_t tick(tx_t *tx, const detector_t *self)
{
    ak_rows_t rows = {0};
    apr_status_t rv = lifecycle_settle(tx, self->kind);

    if (rv == APR_SUCCESS)
        rv = TX_SELECT(tx, AK_SQL_AUD_KEYS_EXPIRED, &rows, self->kind, TX_NUMBER(tx, tx->now_sec - LATE_SEC),
                       TX_NUMBER(tx, tx->now_sec), TX_NUMBER(tx, TICK_MAX));
    for (int i = 0; rv == APR_SUCCESS && i < rows.count; i++)
        rv = tell(tx, self, &rows, i);
    return rv;
}

const detector_t detect_key_expired = {"key_expired", "warning", NULL, NULL, NULL, tick, 5};
