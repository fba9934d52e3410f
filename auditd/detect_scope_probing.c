/* detect_scope_probing.c - a key is tried on one thing after another that it may not do
 *
 * A client that lacks a scope meets the same refusal again and again; whoever found a
 * key and wants to know what it opens meets many different ones.
 */
#include <apr_strings.h>

#include "auditd.h"

static apr_status_t observe(tx_t *tx, const detector_t *self, void **baton, const ak_event_t *e)
{
    if (e->decision != AK_INSUFFICIENT_SCOPE || e->key[0] == '\0' || e->scope[0] == '\0')
        return APR_SUCCESS;
    return crowd_hit(tx, (apr_hash_t **)baton, self->kind, e->key, e->scope, e, tx->conf->scope_probing_window_sec,
                     tx->conf->scope_probing_scopes);
}

static apr_status_t tell(tx_t *tx, const detector_t *self, const sighting_t *s)
{
    const settings_t *conf = tx->conf;
    alert_t alert = {
        .account_id = s->account,
        .key_id = s->subject,
        .subject = s->subject,
        .message = apr_psprintf(tx->p,
            "Key %s was refused for want of %u%s different scopes within %s, the last time at %s from %s; fewer than "
            "%d are expected, as a client asks for what it was made for. Somebody may be finding out what the key "
            "opens. Ask whoever works from there; if nobody knows of it, rotate the key.",
            detect_key_words(tx, s->subject), s->peak, s->peak >= CROWD_MAX ? " or more" : "",
            alert_span(tx->p, conf->scope_probing_window_sec), alert_time(tx->p, apr_time_sec(s->last)), s->address,
            conf->scope_probing_scopes),
        .details = json_pack("{s:I, s:i, s:i, s:s}", "scopes", (json_int_t)s->peak, "threshold",
                             conf->scope_probing_scopes, "window_seconds", conf->scope_probing_window_sec, "address",
                             s->address),
        .count = s->over,
        .first_sec = apr_time_sec(s->first),
        .last_sec = apr_time_sec(s->last),
    };
    return alert_raise(tx, self, &alert);
}

static apr_status_t flush(tx_t *tx, const detector_t *self, void *baton)
{
    apr_status_t rv = crowd_save(tx, baton, self->kind, tx->conf->scope_probing_window_sec);

    return rv == APR_SUCCESS ? watch_each(tx, self, baton, tell) : rv;
}

const detector_t detect_scope_probing = {"scope_probing", "warning", "T1069", observe, flush, NULL, 0};
