/* detect.c - the table of detectors, and what they share
 *
 * A detector is one file and one line here.  It observes events (of keys known and
 * unknown, each once), flushes at the end of a batch in the batch's transaction,
 * and ticks by the clock.
 */
#include <apr_strings.h>

#include "auditd.h"

const detector_t *const detectors[] = {
    &detect_new_ip,           &detect_auth_failures,   &detect_revoked_key_used, &detect_expired_key_used,
    &detect_rate_limit_hits,  &detect_quota_exceeded,  &detect_events_lost,      &detect_key_expiring,
    &detect_credential_stuffing, &detect_scope_probing, &detect_ip_not_allowed,  &detect_environment_mismatch,
    &detect_quota_warning,    &detect_key_expired,     &detect_key_renewed,      &detect_rotation_due,
    &detect_unused_key,
};
const int detector_count = (int)(sizeof(detectors) / sizeof(detectors[0]));

apr_status_t detect_observe(tx_t *tx, const ak_event_t *event)
{
    apr_status_t rv = APR_SUCCESS;

    for (int i = 0; i < detector_count && rv == APR_SUCCESS; i++)
        if (detectors[i]->observe)
            rv = detectors[i]->observe(tx, detectors[i], &tx->baton[i], event);
    return rv;
}

apr_status_t detect_flush(tx_t *tx)
{
    apr_status_t rv = APR_SUCCESS;

    for (int i = 0; i < detector_count && rv == APR_SUCCESS; i++)
        if (detectors[i]->flush)
            rv = detectors[i]->flush(tx, detectors[i], tx->baton[i]);
    return rv;
}

static int is_due(tx_t *tx, int i)
{
    apr_time_t *last = &tx->engine->ticked[i], now = ak_monotonic_usec();

    if (*last != 0 && now - *last < apr_time_from_sec(detectors[i]->tick_sec))
        return 0;
    *last = now;
    return 1;
}

apr_status_t detect_tick(tx_t *tx)
{
    apr_status_t rv = APR_SUCCESS;

    for (int i = 0; i < detector_count && rv == APR_SUCCESS; i++)
        if (detectors[i]->tick && is_due(tx, i))
            rv = detectors[i]->tick(tx, detectors[i]);
    return rv;
}

const char *detect_key_words(tx_t *tx, const char *key_id)
{
    ak_rows_t rows;

    if (TX_SELECT(tx, AK_SQL_AUD_KEY_NAME, &rows, key_id) != APR_SUCCESS || rows.count == 0)
        return key_id; /* a handle on which something failed commits nothing anyway */
    return apr_psprintf(tx->p, "%s (%s, \"%s\")", key_id, ak_rows_text(&rows, 0, 0), ak_rows_text(&rows, 0, 1));
}

apr_status_t detect_state_get(tx_t *tx, const char *detector, const char *subject, const char **state)
{
    ak_rows_t rows;
    apr_status_t rv = TX_SELECT(tx, AK_SQL_AUD_STATE_GET, &rows, detector, subject);

    *state = rv == APR_SUCCESS && rows.count > 0 ? ak_rows_text(&rows, 0, 0) : "";
    return rv;
}

apr_status_t detect_state_put(tx_t *tx, const char *detector, const char *subject, const char *state,
                              apr_int64_t expires_sec)
{
    return TX_EXEC(tx, AK_SQL_AUD_STATE_PUT, NULL, detector, subject, state, TX_NUMBER(tx, expires_sec));
}

apr_status_t detect_state_drop(tx_t *tx, const char *detector, const char *subject)
{
    return TX_EXEC(tx, AK_SQL_AUD_STATE_DROP, NULL, detector, subject);
}
