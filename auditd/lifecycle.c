/* lifecycle.c - the passing of time: notices about keys, and rows that nobody needs any more */
#include "auditd.h"

#define DELIVERIES_KEEP_SEC (30 * 86400)

apr_status_t lifecycle_settle(tx_t *tx, const char *kind)
{
    return TX_EXEC(tx, AK_SQL_AUD_ALERTS_SETTLE, NULL, kind);
}

apr_status_t lifecycle_notice(tx_t *tx, const detector_t *self, const alert_t *alert, const char *state)
{
    apr_status_t rv = alert_resolve(tx, self->kind, alert->subject);

    if (rv == APR_SUCCESS)
        rv = alert_raise(tx, self, alert);
    return rv == APR_SUCCESS ? detect_state_put(tx, self->kind, alert->subject, state, STATE_FOR_GOOD) : rv;
}

apr_status_t lifecycle_prune(tx_t *tx)
{
    apr_status_t rv = TX_EXEC(tx, AK_SQL_AUD_STATE_PRUNE, NULL, TX_NUMBER(tx, tx->now_sec));

    if (rv == APR_SUCCESS)
        rv = TX_EXEC(tx, AK_SQL_AUD_PRODUCERS_PRUNE, NULL, TX_NUMBER(tx, tx->now_sec - tx->conf->producer_keep_sec));
    if (rv == APR_SUCCESS)
        rv = TX_EXEC(tx, AK_SQL_AUD_DELIVERIES_PRUNE, NULL, TX_NUMBER(tx, tx->now_sec - DELIVERIES_KEEP_SEC));
    return rv;
}
