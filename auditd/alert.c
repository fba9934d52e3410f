/* alert.c - one open alert a kind and subject; a repeat raises its count */
#include <apr_strings.h>
#include <string.h>

#include "ak_token.h"
#include "auditd.h"

const char *alert_time(apr_pool_t *p, apr_int64_t sec)
{
    return ak_rfc3339(apr_palloc(p, AK_RFC3339_SIZE), sec);
}

const char *alert_span(apr_pool_t *p, apr_int64_t sec)
{
    static const struct {
        apr_int64_t sec;
        const char *name;
    } units[] = {{86400, "day"}, {3600, "hour"}, {60, "minute"}, {1, "second"}};
    size_t u = 0;

    /* the largest unit of which there are two, or exactly one */
    while (u < 3 && sec < 2 * units[u].sec && sec != units[u].sec)
        u++;
    apr_int64_t n = (sec + units[u].sec / 2) / units[u].sec;
    return apr_psprintf(p, "%" APR_INT64_T_FMT " %s%s", n, units[u].name, n == 1 ? "" : "s");
}

/* A name out of the database that is not UTF-8 must not keep a batch from being counted. */
static const char *as_utf8(apr_pool_t *p, const char *text)
{
    json_t *try = json_string(text);
    char *copy;

    if (try) {
        json_decref(try);
        return text;
    }
    copy = apr_pstrdup(p, text);
    for (char *c = copy; *c; c++)
        if ((unsigned char)*c >= 0x80)
            *c = '?';
    return copy;
}

/* A JSON text allocated in p; the value is given up. */
static const char *dump(apr_pool_t *p, json_t *value)
{
    char *text = value ? json_dumps(value, JSON_COMPACT) : NULL;
    const char *copy = text ? apr_pstrdup(p, text) : NULL;

    json_decref(value);
    free(text);
    return copy;
}

static const char *body_of(tx_t *tx, const detector_t *detector, const alert_t *a, const char *id,
                           const char *message, json_t *details)
{
    return dump(tx->p, json_pack("{s:s, s:s, s:s, s:s?, s:s?, s:s, s:s, s:O, s:I, s:s, s:s}", "id", id, "kind",
                                 detector->kind, "severity", detector->severity, "account_id", a->account_id,
                                 "key_id", a->key_id, "subject", a->subject, "message", message, "details", details,
                                 "count", (json_int_t)a->count, "first_seen", alert_time(tx->p, a->first_sec),
                                 "last_seen", alert_time(tx->p, a->last_sec)));
}

static apr_status_t open_alert(tx_t *tx, const detector_t *detector, const alert_t *a, const char *message,
                               json_t *details, const char *details_text)
{
    const char *id = ak_id_make(tx->p, "alert_");
    const char *body = id ? body_of(tx, detector, a, id, message, details) : NULL;
    apr_status_t rv;

    if (!body)
        return APR_ENOMEM;
    rv = TX_EXEC(tx, AK_SQL_AUD_ALERT_ADD, NULL, id, detector->kind, detector->severity, a->account_id, a->key_id,
                 a->subject, message, details_text, TX_NUMBER(tx, a->count), TX_NUMBER(tx, a->first_sec),
                 TX_NUMBER(tx, a->last_sec));
    return rv == APR_SUCCESS ? outbox_add(tx, id, a->account_id, body) : rv;
}

apr_status_t alert_raise(tx_t *tx, const detector_t *detector, const alert_t *a)
{
    const char *message = as_utf8(tx->p, a->message), *last = TX_NUMBER(tx, a->last_sec), *text;
    int affected = 0;
    apr_status_t rv;

    if (!a->details)
        return APR_ENOMEM;
    if (detector->attack && !json_object_get(a->details, "attack")) /* a detector may know better */
        json_object_set_new(a->details, "attack", json_string(detector->attack));
    text = dump(tx->p, json_incref(a->details));
    rv = text ? TX_EXEC(tx, AK_SQL_AUD_ALERT_REPEAT, &affected, TX_NUMBER(tx, a->count), message, text, last, last,
                        detector->kind, a->subject)
              : APR_ENOMEM;
    if (rv == APR_SUCCESS && affected == 0)
        rv = open_alert(tx, detector, a, message, a->details, text);
    json_decref(a->details);
    tx->alerts++;
    return rv;
}

apr_status_t alert_resolve(tx_t *tx, const char *kind, const char *subject)
{
    return TX_EXEC(tx, AK_SQL_AUD_ALERT_RESOLVE, NULL, kind, subject);
}
