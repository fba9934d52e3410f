/* detect_revoked_key_used.c - a key that was revoked is still presented */
#include <apr_strings.h>

#include "auditd.h"

static apr_status_t observe(tx_t *tx, const detector_t *self, void **baton, const ak_event_t *e)
{
    if (e->decision != AK_REVOKED_KEY || e->key[0] == '\0')
        return APR_SUCCESS;
    return watch_hit(tx, (apr_hash_t **)baton, NULL, e->key, e, 1, 1);
}

static apr_status_t tell(tx_t *tx, const detector_t *self, const sighting_t *s)
{
    alert_t alert = {
        .account_id = s->account,
        .key_id = s->subject,
        .subject = s->subject,
        .message = apr_psprintf(tx->p,
            "Key %s, which is revoked, was presented %u time%s, the last time at %s from %s; a revoked key is "
            "expected to be gone. Every request was refused. Find the client that still has it; if it is none of "
            "yours, the key has leaked: look in the audit log for why it was revoked, and at what else was stored "
            "beside it.",
            detect_key_words(tx, s->subject), s->hits, s->hits == 1 ? "" : "s",
            alert_time(tx->p, apr_time_sec(s->last)), s->address),
        .details = json_pack("{s:s}", "address", s->address),
        .count = s->hits,
        .first_sec = apr_time_sec(s->first),
        .last_sec = apr_time_sec(s->last),
    };
    return alert_raise(tx, self, &alert);
}

static apr_status_t flush(tx_t *tx, const detector_t *self, void *baton)
{
    return watch_each(tx, self, baton, tell);
}

const detector_t detect_revoked_key_used = {"revoked_key_used", "critical", "T1078", observe, flush, NULL, 0};
