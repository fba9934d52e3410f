/* detect_rate_limit_hits.c - a key runs against its rate limit again and again
 *
 * Now and then a limit is met by a client that then waits; one that does not wait, or
 * whose work has outgrown its plan, is worth a word to its owner.
 */
#include <apr_strings.h>

#include "auditd.h"

static apr_status_t observe(tx_t *tx, const detector_t *self, void **baton, const ak_event_t *e)
{
    if (e->decision != AK_RATE_LIMIT_EXCEEDED || e->key[0] == '\0' || e->klass != AK_CLASS_API)
        return APR_SUCCESS;
    return watch_hit(tx, (apr_hash_t **)baton, self->kind, e->key, e, tx->conf->rate_limit_hits_window_sec,
                     (apr_uint32_t)tx->conf->rate_limit_hits);
}

static apr_status_t tell(tx_t *tx, const detector_t *self, const sighting_t *s)
{
    const settings_t *conf = tx->conf;
    alert_t alert = {
        .account_id = s->account,
        .key_id = s->subject,
        .subject = s->subject,
        .message = apr_psprintf(tx->p,
            "Key %s had %u requests refused by its rate limit within %s, the last at %s; fewer than %d are expected. "
            "Let the client wait as long as Retry-After says and spread its requests, or raise the key's limit or "
            "the account's plan.",
            detect_key_words(tx, s->subject), s->peak, alert_span(tx->p, conf->rate_limit_hits_window_sec),
            alert_time(tx->p, apr_time_sec(s->last)), conf->rate_limit_hits),
        .details = json_pack("{s:I, s:i, s:i, s:s}", "refused", (json_int_t)s->peak, "threshold",
                             conf->rate_limit_hits, "window_seconds", conf->rate_limit_hits_window_sec, "address",
                             s->address),
        .count = s->over,
        .first_sec = apr_time_sec(s->first),
        .last_sec = apr_time_sec(s->last),
    };
    return alert_raise(tx, self, &alert);
}

static apr_status_t flush(tx_t *tx, const detector_t *self, void *baton)
{
    apr_status_t rv = watch_save(tx, baton, self->kind, tx->conf->rate_limit_hits_window_sec);

    return rv == APR_SUCCESS ? watch_each(tx, self, baton, tell) : rv;
}

const detector_t detect_rate_limit_hits = {"rate_limit_hits", "info", NULL, observe, flush, NULL, 0};
