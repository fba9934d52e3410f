/* detect_environment_mismatch.c - a test key is sent to live routes
 *
 * Nearly always a client that went into production with the configuration of its
 * tests: its owner wants to hear of it before the customers do.
 */
#include <apr_strings.h>
#include <string.h>

#include "auditd.h"

static apr_status_t observe(tx_t *tx, const detector_t *self, void **baton, const ak_event_t *e)
{
    if (e->decision != AK_ENVIRONMENT_MISMATCH || e->key[0] == '\0' || strcmp(e->environment, "test") != 0)
        return APR_SUCCESS;
    return watch_hit(tx, (apr_hash_t **)baton, self->kind, e->key, e, tx->conf->environment_mismatch_window_sec,
                     (apr_uint32_t)tx->conf->environment_mismatch);
}

static apr_status_t tell(tx_t *tx, const detector_t *self, const sighting_t *s)
{
    const settings_t *conf = tx->conf;
    alert_t alert = {
        .account_id = s->account,
        .key_id = s->subject,
        .subject = s->subject,
        .message = apr_psprintf(tx->p,
            "Test key %s was sent to live routes %u times within %s, the last time at %s from %s; a test key is "
            "expected in the sandbox alone. Every request was refused. Give the client a live key, or point it at "
            "the sandbox.",
            detect_key_words(tx, s->subject), s->peak, alert_span(tx->p, conf->environment_mismatch_window_sec),
            alert_time(tx->p, apr_time_sec(s->last)), s->address),
        .details = json_pack("{s:I, s:i, s:i, s:s}", "refused", (json_int_t)s->peak, "threshold",
                             conf->environment_mismatch, "window_seconds", conf->environment_mismatch_window_sec,
                             "address", s->address),
        .count = s->over,
        .first_sec = apr_time_sec(s->first),
        .last_sec = apr_time_sec(s->last),
    };
    return alert_raise(tx, self, &alert);
}

static apr_status_t flush(tx_t *tx, const detector_t *self, void *baton)
{
    apr_status_t rv = watch_save(tx, baton, self->kind, tx->conf->environment_mismatch_window_sec);

    return rv == APR_SUCCESS ? watch_each(tx, self, baton, tell) : rv;
}

const detector_t detect_environment_mismatch = {"environment_mismatch", "info", NULL, observe, flush, NULL, 0};
