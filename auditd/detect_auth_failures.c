/* detect_auth_failures.c - many refused keys from one address, or many refusals of one key
 *
 * Missing credentials do not count: a browser or a health check that forgets its key
 * guesses nothing.  An IPv6 address stands for its /64, which one host owns whole.
 */
#include <apr_strings.h>

#include "auditd.h"

#define BY_ADDRESS "auth_failures.address"
#define BY_KEY "auth_failures.key"

typedef struct {
    apr_hash_t *by_address, *by_key; /* of sighting_t */
} failures_t;

static int is_failure(ak_code_e decision)
{
    return decision == AK_MALFORMED_KEY || decision == AK_UNKNOWN_KEY || decision == AK_EXPIRED_KEY ||
           decision == AK_REVOKED_KEY || decision == AK_IP_NOT_ALLOWED || decision == AK_TOO_MANY_FAILURES;
}

static apr_status_t observe(tx_t *tx, const detector_t *self, void **baton, const ak_event_t *e)
{
    failures_t *f = *baton;
    char source[AK_CIDR_TEXT];
    apr_status_t rv = APR_SUCCESS;

    if (!is_failure(e->decision))
        return APR_SUCCESS;
    if (!f)
        *baton = f = apr_pcalloc(tx->p, sizeof(*f));
    if (watch_source(e->address, source)[0] != '\0')
        rv = watch_hit(tx, &f->by_address, BY_ADDRESS, source, e, tx->conf->auth_failures_window_sec,
                       (apr_uint32_t)tx->conf->auth_failures_address);
    if (rv == APR_SUCCESS && e->key[0] != '\0')
        rv = watch_hit(tx, &f->by_key, BY_KEY, e->key, e, tx->conf->auth_failures_window_sec,
                       (apr_uint32_t)tx->conf->auth_failures_key);
    return rv;
}

static json_t *details_of(const settings_t *conf, const sighting_t *s, int threshold)
{
    return json_pack("{s:s, s:I, s:I, s:i}", "address", s->address, "failures", (json_int_t)s->peak, "threshold",
                     (json_int_t)threshold, "window_seconds", conf->auth_failures_window_sec);
}

static apr_status_t tell_address(tx_t *tx, const detector_t *self, const sighting_t *s)
{
    const settings_t *conf = tx->conf;
    alert_t alert = {
        .subject = apr_pstrcat(tx->p, "address ", s->subject, NULL),
        .message = apr_psprintf(tx->p,
            "From %s came %u requests with keys that were refused (malformed, unknown, expired, revoked or not "
            "allowed from there) within %s, the last at %s; fewer than %d are expected. Somebody guesses keys, or a "
            "client has lost its own. Ask the owner of the address, or shut it out at the firewall.",
            s->subject, s->peak, alert_span(tx->p, conf->auth_failures_window_sec),
            alert_time(tx->p, apr_time_sec(s->last)), conf->auth_failures_address),
        .details = details_of(conf, s, conf->auth_failures_address),
        .count = s->over,
        .first_sec = apr_time_sec(s->first),
        .last_sec = apr_time_sec(s->last),
    };
    return alert_raise(tx, self, &alert);
}

static apr_status_t tell_key(tx_t *tx, const detector_t *self, const sighting_t *s)
{
    const settings_t *conf = tx->conf;
    alert_t alert = {
        .account_id = s->account,
        .key_id = s->subject,
        .subject = apr_pstrcat(tx->p, "key ", s->subject, NULL),
        .message = apr_psprintf(tx->p,
            "Key %s was refused %u times within %s, the last time at %s from %s; fewer than %d refusals are "
            "expected. It is expired, revoked or presented from a network that it is not allowed from. Find the "
            "client that still has it and give it a new key; if there is none of yours, the key has leaked.",
            detect_key_words(tx, s->subject), s->peak, alert_span(tx->p, conf->auth_failures_window_sec),
            alert_time(tx->p, apr_time_sec(s->last)), s->address, conf->auth_failures_key),
        .details = details_of(conf, s, conf->auth_failures_key),
        .count = s->over,
        .first_sec = apr_time_sec(s->first),
        .last_sec = apr_time_sec(s->last),
    };
    return alert_raise(tx, self, &alert);
}

static apr_status_t flush(tx_t *tx, const detector_t *self, void *baton)
{
    failures_t *f = baton;
    int window_sec = tx->conf->auth_failures_window_sec;
    apr_status_t rv;

    if (!f)
        return APR_SUCCESS;
    if ((rv = watch_save(tx, f->by_address, BY_ADDRESS, window_sec)) != APR_SUCCESS ||
        (rv = watch_save(tx, f->by_key, BY_KEY, window_sec)) != APR_SUCCESS ||
        (rv = watch_each(tx, self, f->by_address, tell_address)) != APR_SUCCESS)
        return rv;
    return watch_each(tx, self, f->by_key, tell_key);
}

const detector_t detect_auth_failures = {"auth_failures", "warning", "T1110", observe, flush, NULL, 0};
