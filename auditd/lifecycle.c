/* lifecycle.c - the passing of time: rows that nobody needs any more are removed */
#include "auditd.h"

#define DELIVERIES_KEEP_SEC (30 * 86400)

apr_status_t lifecycle_prune(tx_t *tx)
{
    apr_status_t rv = TX_EXEC(tx, AK_SQL_AUD_STATE_PRUNE, NULL, TX_NUMBER(tx, tx->now_sec));

    if (rv == APR_SUCCESS)
        rv = TX_EXEC(tx, AK_SQL_AUD_PRODUCERS_PRUNE, NULL, TX_NUMBER(tx, tx->now_sec - tx->conf->producer_keep_sec));
    if (rv == APR_SUCCESS)
        rv = TX_EXEC(tx, AK_SQL_AUD_DELIVERIES_PRUNE, NULL, TX_NUMBER(tx, tx->now_sec - DELIVERIES_KEEP_SEC));
    return rv;
}
