/* renew.c - keys with auto_renew of enterprise accounts get a new expiry before the old one comes
 *
 * The key is changed through ak_store, which has transactions of its own, so a renewal
 * takes three: it is planned, done, and told.  A crash after the first leaves a key that is
 * still due; one after the second leaves a plan that the key's expiry proves fulfilled.
 */
#include <apr_strings.h>
#include <stdio.h>

#include "auditd.h"

#define PLANNED "key_renewed.planned" /* detector_state: "OLD-EXPIRY NEW-EXPIRY", until it is told */
#define DONE "key_renewed"            /* detector_state: "EXPIRY LIFETIME" of the last renewal */

typedef struct {
    const char *key;
    apr_int64_t from, to; /* expiries */
} renewal_t;

/* --- planning -------------------------------------------------------------------------------- */

/* By how much a key is renewed: as long as it was last given, by us or by whoever set its expiry. */
static apr_status_t lifetime_of(tx_t *tx, const ak_rows_t *rows, int row, apr_int64_t *lifetime)
{
    apr_int64_t expires = ak_rows_number(rows, row, 1, 0), since = ak_rows_number(rows, row, 2, 0), told, set_at;
    ak_rows_t set;
    apr_status_t rv;

    if (sscanf(ak_rows_text(rows, row, 3), "%" APR_INT64_T_FMT " %" APR_INT64_T_FMT, &told, lifetime) == 2 &&
        told == expires && *lifetime > 0)
        return APR_SUCCESS;
    rv = TX_SELECT(tx, AK_SQL_AUD_EXPIRY_SET_AT, &set, ak_rows_text(rows, row, 0));
    set_at = rv == APR_SUCCESS && set.count > 0 ? ak_rows_number(&set, 0, 0, 0) : 0;
    *lifetime = expires - (set_at > since && set_at < expires ? set_at : since);
    return rv;
}

static apr_status_t plan_key(tx_t *tx, const ak_rows_t *rows, int row)
{
    apr_int64_t expires = ak_rows_number(rows, row, 1, 0), left = expires - tx->now_sec, lifetime;
    apr_status_t rv = lifetime_of(tx, rows, row, &lifetime);

    if (rv != APR_SUCCESS || lifetime <= 0 || left > lifetime / 2 + lifetime % 2)
        return rv;
    return detect_state_put(tx, PLANNED, ak_rows_text(rows, row, 0),
                            apr_psprintf(tx->p, "%" APR_INT64_T_FMT " %" APR_INT64_T_FMT, expires, expires + lifetime),
                            STATE_FOR_GOOD);
}

/* Plan what is due, and hand back every plan that is open. */
static apr_status_t plan(tx_t *tx, void *data)
{
    apr_array_header_t *renewals = data;
    ak_rows_t rows;
    apr_status_t rv = TX_SELECT(tx, AK_SQL_AUD_KEYS_TO_RENEW, &rows, DONE, TX_NUMBER(tx, tx->now_sec),
                                TX_NUMBER(tx, tx->now_sec + tx->conf->renew_before_sec));

    for (int i = 0; rv == APR_SUCCESS && i < rows.count; i++)
        rv = plan_key(tx, &rows, i);
    if (rv == APR_SUCCESS)
        rv = TX_SELECT(tx, AK_SQL_AUD_STATES_OF, &rows, PLANNED);
    for (int i = 0; rv == APR_SUCCESS && i < rows.count; i++) {
        renewal_t r = {.key = ak_rows_text(&rows, i, 0)};

        (void)sscanf(ak_rows_text(&rows, i, 1), "%" APR_INT64_T_FMT " %" APR_INT64_T_FMT, &r.from, &r.to);
        APR_ARRAY_PUSH(renewals, renewal_t) = r;
    }
    return rv;
}

/* --- doing ------------------------------------------------------------------------------------- */

static apr_status_t renew(engine_t *engine, const renewal_t *r, apr_int64_t now, apr_pool_t *p)
{
    const ak_actor_t actor = {"auditd", NULL, NULL};
    ak_key_record_t *key;
    apr_status_t rv = ak_store_key_get(engine->store, NULL, r->key, &key, p);

    if (rv == APR_NOTFOUND)
        return APR_SUCCESS;
    if (rv != APR_SUCCESS)
        return rv;
    /* fulfilled, or overtaken by whoever changed the key since */
    if (key->expires_at != r->from || key->expires_at <= now || key->status != AK_STATUS_ACTIVE || !key->auto_renew ||
        key->rotated_to)
        return APR_SUCCESS;
    key->expires_at = r->to;
    rv = ak_store_key_update(engine->store, &actor, key, "key.renew",
                             apr_psprintf(p, "{\"expires_at\":{\"from\":\"%s\",\"to\":\"%s\"}}",
                                          alert_time(p, r->from), alert_time(p, r->to)), now, NULL, p);
    return rv == AK_ECHANGED ? APR_SUCCESS : rv; /* changed this moment: the next tick plans anew */
}

/* --- telling ------------------------------------------------------------------------------------- */

static apr_status_t tell_key(tx_t *tx, const renewal_t *r, const ak_rows_t *key)
{
    alert_t alert = {
        .account_id = ak_rows_text(key, 0, 0),
        .key_id = r->key,
        .subject = r->key,
        .message = apr_psprintf(tx->p,
            "Key %s (%s, \"%s\") was renewed: it would have expired at %s and is now good until %s, for another %s, as "
            "its auto_renew asks. Its clients need nothing. If it is to end, switch auto_renew off or revoke it.",
            r->key, ak_rows_text(key, 0, 1), ak_rows_text(key, 0, 2), alert_time(tx->p, r->from),
            alert_time(tx->p, r->to), alert_span(tx->p, r->to - r->from)),
        .details = json_pack("{s:s, s:s}", "expired_at", alert_time(tx->p, r->from), "expires_at",
                             alert_time(tx->p, r->to)),
        .count = 1,
        .first_sec = tx->now_sec,
        .last_sec = tx->now_sec,
    };
    apr_status_t rv = alert_resolve(tx, detect_key_expiring.kind, r->key);

    if (rv != APR_SUCCESS)
        return rv;
    return lifecycle_notice(tx, &detect_key_renewed, &alert,
                            apr_psprintf(tx->p, "%" APR_INT64_T_FMT " %" APR_INT64_T_FMT, r->to, r->to - r->from));
}

static apr_status_t tell(tx_t *tx, void *data)
{
    const apr_array_header_t *renewals = data;
    apr_status_t rv = APR_SUCCESS;

    for (int i = 0; i < renewals->nelts && rv == APR_SUCCESS; i++) {
        const renewal_t *r = &APR_ARRAY_IDX(renewals, i, renewal_t);
        ak_rows_t key;

        rv = TX_SELECT(tx, AK_SQL_AUD_KEY_EXPIRY, &key, r->key);
        if (rv == APR_SUCCESS && key.count > 0 && r->to > 0 && ak_rows_number(&key, 0, 3, 0) == r->to)
            rv = tell_key(tx, r, &key);
        if (rv == APR_SUCCESS)
            rv = detect_state_drop(tx, PLANNED, r->key);
    }
    return rv;
}

apr_status_t renew_run(engine_t *engine, apr_int64_t now_sec, apr_pool_t *p)
{
    apr_array_header_t *renewals = apr_array_make(p, 4, sizeof(renewal_t));
    apr_int64_t now = now_sec ? now_sec : apr_time_sec(apr_time_now());
    apr_status_t rv = engine_run(engine, plan, renewals, now, p);

    if (rv != APR_SUCCESS || renewals->nelts == 0)
        return rv;
    pthread_mutex_lock(&engine->lock);
    for (int i = 0; i < renewals->nelts && rv == APR_SUCCESS; i++)
        rv = renew(engine, &APR_ARRAY_IDX(renewals, i, renewal_t), now, p);
    pthread_mutex_unlock(&engine->lock);
    return rv == APR_SUCCESS ? engine_run(engine, tell, renewals, now, p) : rv;
}
