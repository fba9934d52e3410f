/* detect_credential_stuffing.c - somebody tries a hoard of keys, or a key goes the rounds
 *
 * Four views of it, each slower and wider than auth_failures:
 *   one source, many keys     a hoard is tried out            T1110.004
 *   many sources, one key     a leaked key is passed around   T1110.003
 *   one source, unknown keys  guesses of the right form       T1110.001
 *   many sources, likewise    the same, dealt out             T1110.001
 * Only refused keys count: one address of a company or a mobile carrier may well hold
 * many keys that are good.  A key of the right form has our prefix and a right
 * checksum, so that no mistyped one is taken for a guess.
 */
#include <apr_strings.h>

#include "auditd.h"

#define BY_SOURCE "credential_stuffing.source"
#define BY_KEY "credential_stuffing.key"
#define UNKNOWN "credential_stuffing.unknown"
#define EVERYWHERE "credential_stuffing.everywhere"

typedef struct {
    apr_hash_t *by_source, *by_key, *unknown, *everywhere; /* of sighting_t */
} stuffing_t;

static apr_status_t observe_unknown(tx_t *tx, stuffing_t *s, const char *source, const char *network,
                                    const ak_event_t *e)
{
    const settings_t *conf = tx->conf;
    apr_status_t rv = watch_hit(tx, &s->unknown, UNKNOWN, source, e, conf->stuffing_window_sec,
                                (apr_uint32_t)conf->stuffing_unknown);

    if (rv != APR_SUCCESS)
        return rv;
    return crowd_hit(tx, &s->everywhere, EVERYWHERE, "everywhere", network, e, conf->stuffing_window_sec,
                     conf->stuffing_unknown_sources);
}

static apr_status_t observe_known(tx_t *tx, stuffing_t *s, const char *source, const char *network,
                                  const ak_event_t *e)
{
    const settings_t *conf = tx->conf;
    apr_status_t rv = crowd_hit(tx, &s->by_source, BY_SOURCE, source, e->key, e, conf->stuffing_window_sec,
                                conf->stuffing_keys);

    if (rv != APR_SUCCESS)
        return rv;
    return crowd_hit(tx, &s->by_key, BY_KEY, e->key, network, e, conf->stuffing_window_sec, conf->stuffing_sources);
}

static apr_status_t observe(tx_t *tx, const detector_t *self, void **baton, const ak_event_t *e)
{
    int dead = e->decision == AK_EXPIRED_KEY || e->decision == AK_REVOKED_KEY || e->decision == AK_IP_NOT_ALLOWED;
    char source[AK_CIDR_TEXT], network[AK_CIDR_TEXT];

    if ((!dead || e->key[0] == '\0') && e->decision != AK_UNKNOWN_KEY)
        return APR_SUCCESS;
    if (watch_source(e->address, source)[0] == '\0' || watch_network(e->address, network)[0] == '\0')
        return APR_SUCCESS;
    if (!*baton)
        *baton = apr_pcalloc(tx->p, sizeof(stuffing_t));
    return dead ? observe_known(tx, *baton, source, network, e) : observe_unknown(tx, *baton, source, network, e);
}

static json_t *details_of(const settings_t *conf, const sighting_t *s, const char *what, int threshold,
                          const char *attack)
{
    return json_pack("{s:s, s:I, s:i, s:i, s:s}", "address", s->address, what, (json_int_t)s->peak, "threshold",
                     threshold, "window_seconds", conf->stuffing_window_sec, "attack", attack);
}

static apr_status_t raise_of(tx_t *tx, const detector_t *self, const sighting_t *s, const char *view,
                             const char *message, json_t *details)
{
    alert_t alert = {
        .subject = apr_pstrcat(tx->p, view, s->subject, NULL),
        .message = message,
        .details = details,
        .count = s->over,
        .first_sec = apr_time_sec(s->first),
        .last_sec = apr_time_sec(s->last),
    };
    return alert_raise(tx, self, &alert);
}

static apr_status_t tell_source(tx_t *tx, const detector_t *self, const sighting_t *s)
{
    const settings_t *conf = tx->conf;

    return raise_of(tx, self, s, "source ", apr_psprintf(tx->p,
        "From %s came %u%s different keys within %s that are expired, revoked or not allowed from there, the last "
        "at %s; fewer than %d are expected. Somebody tries out a hoard of keys, and some of it may still be good. "
        "Look at which keys were admitted from there, rotate them, and shut the address out at the firewall.",
        s->subject, s->peak, s->peak >= CROWD_MAX ? " or more" : "", alert_span(tx->p, conf->stuffing_window_sec),
        alert_time(tx->p, apr_time_sec(s->last)), conf->stuffing_keys),
        details_of(conf, s, "keys", conf->stuffing_keys, "T1110.004"));
}

static apr_status_t tell_key(tx_t *tx, const detector_t *self, const sighting_t *s)
{
    const settings_t *conf = tx->conf;
    alert_t alert = {
        .account_id = s->account,
        .key_id = s->subject,
        .subject = apr_pstrcat(tx->p, "key ", s->subject, NULL),
        .message = apr_psprintf(tx->p,
            "Key %s was refused from %u%s different networks within %s, the last time at %s from %s; fewer than %d "
            "are expected of a key that is expired, revoked or bound to its networks. It is being passed around: "
            "find where it was published, and rotate whatever else was stored beside it.",
            detect_key_words(tx, s->subject), s->peak, s->peak >= CROWD_MAX ? " or more" : "",
            alert_span(tx->p, conf->stuffing_window_sec), alert_time(tx->p, apr_time_sec(s->last)), s->address,
            conf->stuffing_sources),
        .details = details_of(conf, s, "networks", conf->stuffing_sources, "T1110.003"),
        .count = s->over,
        .first_sec = apr_time_sec(s->first),
        .last_sec = apr_time_sec(s->last),
    };
    return alert_raise(tx, self, &alert);
}

static apr_status_t tell_unknown(tx_t *tx, const detector_t *self, const sighting_t *s)
{
    const settings_t *conf = tx->conf;

    return raise_of(tx, self, s, "unknown ", apr_psprintf(tx->p,
        "From %s came %u well-formed keys within %s that do not exist, the last at %s; fewer than %d are expected. "
        "Their checksums are right, so none was mistyped: somebody makes keys up, or a client has the keys of "
        "another system. Ask the owner of the address, or shut it out at the firewall.",
        s->subject, s->peak, alert_span(tx->p, conf->stuffing_window_sec),
        alert_time(tx->p, apr_time_sec(s->last)), conf->stuffing_unknown),
        details_of(conf, s, "unknown_keys", conf->stuffing_unknown, "T1110.001"));
}

static apr_status_t tell_everywhere(tx_t *tx, const detector_t *self, const sighting_t *s)
{
    const settings_t *conf = tx->conf;

    return raise_of(tx, self, s, "unknown ", apr_psprintf(tx->p,
        "Well-formed keys that do not exist came from %u%s different networks within %s, the last at %s from %s; "
        "fewer than %d networks are expected. Somebody deals guesses out over many addresses. A guess hits with no "
        "likelihood worth the name; lower APIKeyFailureLimit if the requests themselves are a burden.",
        s->peak, s->peak >= CROWD_MAX ? " or more" : "", alert_span(tx->p, conf->stuffing_window_sec),
        alert_time(tx->p, apr_time_sec(s->last)), s->address, conf->stuffing_unknown_sources),
        details_of(conf, s, "networks", conf->stuffing_unknown_sources, "T1110.001"));
}

static apr_status_t flush(tx_t *tx, const detector_t *self, void *baton)
{
    stuffing_t *s = baton;
    int window_sec = tx->conf->stuffing_window_sec;
    apr_status_t rv;

    if (!s)
        return APR_SUCCESS;
    if ((rv = crowd_save(tx, s->by_source, BY_SOURCE, window_sec)) != APR_SUCCESS ||
        (rv = crowd_save(tx, s->by_key, BY_KEY, window_sec)) != APR_SUCCESS ||
        (rv = watch_save(tx, s->unknown, UNKNOWN, window_sec)) != APR_SUCCESS ||
        (rv = crowd_save(tx, s->everywhere, EVERYWHERE, window_sec)) != APR_SUCCESS ||
        (rv = watch_each(tx, self, s->by_source, tell_source)) != APR_SUCCESS ||
        (rv = watch_each(tx, self, s->by_key, tell_key)) != APR_SUCCESS ||
        (rv = watch_each(tx, self, s->unknown, tell_unknown)) != APR_SUCCESS)
        return rv;
    return watch_each(tx, self, s->everywhere, tell_everywhere);
}

const detector_t detect_credential_stuffing = {"credential_stuffing", "critical", "T1110", observe, flush, NULL, 0};
