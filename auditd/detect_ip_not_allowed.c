/* detect_ip_not_allowed.c - a key is presented from outside the networks it is bound to
 *
 * Whoever presents it holds the whole key, so this tells of a leak, or of a client
 * that moved; a single slip raises nothing.
 */
#include <apr_strings.h>

#include "auditd.h"

static apr_status_t observe(tx_t *tx, const detector_t *self, void **baton, const ak_event_t *e)
{
    if (e->decision != AK_IP_NOT_ALLOWED || e->key[0] == '\0')
        return APR_SUCCESS;
    return watch_hit(tx, (apr_hash_t **)baton, self->kind, e->key, e, tx->conf->ip_not_allowed_window_sec,
                     (apr_uint32_t)tx->conf->ip_not_allowed);
}

static apr_status_t tell(tx_t *tx, const detector_t *self, const sighting_t *s)
{
    const settings_t *conf = tx->conf;
    alert_t alert = {
        .account_id = s->account,
        .key_id = s->subject,
        .subject = s->subject,
        .message = apr_psprintf(tx->p,
            "Key %s was presented %u times within %s from addresses outside its allowed_ips, the last time at %s from "
            "%s; fewer than %d are expected. Every request was refused. If a client of yours has moved, add its "
            "network to allowed_ips; if not, the key has leaked: rotate it.",
            detect_key_words(tx, s->subject), s->peak, alert_span(tx->p, conf->ip_not_allowed_window_sec),
            alert_time(tx->p, apr_time_sec(s->last)), s->address, conf->ip_not_allowed),
        .details = json_pack("{s:I, s:i, s:i, s:s}", "refused", (json_int_t)s->peak, "threshold",
                             conf->ip_not_allowed, "window_seconds", conf->ip_not_allowed_window_sec, "address",
                             s->address),
        .count = s->over,
        .first_sec = apr_time_sec(s->first),
        .last_sec = apr_time_sec(s->last),
    };
    return alert_raise(tx, self, &alert);
}

static apr_status_t flush(tx_t *tx, const detector_t *self, void *baton)
{
    apr_status_t rv = watch_save(tx, baton, self->kind, tx->conf->ip_not_allowed_window_sec);

    return rv == APR_SUCCESS ? watch_each(tx, self, baton, tell) : rv;
}

const detector_t detect_ip_not_allowed = {"ip_not_allowed", "warning", "T1078", observe, flush, NULL, 0};
