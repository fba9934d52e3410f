/* dedupe.c - which events have been counted, by producer and number
 *
 * Batches may arrive in any order and more than once.  What has been counted stands in
 * table producers and changes in the transaction that counts.  A gap that stays open for
 * longer than the grace is told, and still filled if its events come late.
 */
#include <apr_strings.h>
#include <string.h>

#include "auditd.h"

apr_status_t dedupe_load(tx_t *tx, const char *name, producer_t **out)
{
    producer_t *p = apr_pcalloc(tx->p, sizeof(*p));
    ak_rows_t rows;
    apr_status_t rv = TX_SELECT(tx, AK_SQL_AUD_PRODUCER_GET, &rows, name);

    if (rv != APR_SUCCESS)
        return rv;
    apr_cpystrn(p->name, name, sizeof(p->name));
    ak_runs_init(&p->runs, rows.count > 0 ? (apr_uint64_t)ak_rows_number(&rows, 0, 0, 0) : 0, tx->p);
    p->first_seen = tx->now_sec;
    if (rows.count > 0) {
        p->lost = (apr_uint64_t)ak_rows_number(&rows, 0, 2, 0);
        p->first_seen = ak_rows_number(&rows, 0, 3, tx->now_sec);
        rv = ak_runs_parse(&p->runs, ak_rows_text(&rows, 0, 1));
        if (rv != APR_SUCCESS) {
            log_say(LOG_LEVEL_ERROR, "the row of producer %s in table producers is malformed: correct "
                    "its column \"beyond\" or delete the row", name);
            return rv;
        }
    }
    *out = p;
    return APR_SUCCESS;
}

apr_status_t dedupe_save(tx_t *tx, const producer_t *p)
{
    return TX_EXEC(tx, AK_SQL_AUD_PRODUCER_PUT, NULL, p->name, TX_NUMBER(tx, p->runs.contiguous),
                   ak_runs_text(&p->runs, tx->p), TX_NUMBER(tx, p->lost),
                   ak_dbd_number_or_null(tx->p, ak_runs_gap_since(&p->runs), 0), TX_NUMBER(tx, p->first_seen),
                   TX_NUMBER(tx, tx->now_sec));
}

static int take(producer_t *p, apr_uint64_t seq, apr_int64_t now_sec)
{
    ak_runs_e answer = ak_runs_take(&p->runs, seq, now_sec);

    if (answer == AK_RUNS_LATE && p->lost > 0) {
        p->lost--;
        p->recovered = 1;
    }
    return answer != AK_RUNS_SEEN;
}

apr_uint64_t dedupe_tell_gaps(producer_t *p, apr_int64_t now_sec, int grace_sec)
{
    apr_uint64_t lost = ak_runs_tell_gaps(&p->runs, now_sec, grace_sec);

    p->lost += lost;
    return lost;
}

apr_status_t dedupe_take(tx_t *tx, const ak_event_t *event, int *is_new)
{
    producer_t *p = tx->last_producer;
    apr_status_t rv;

    if (!p || strcmp(p->name, event->producer) != 0) {
        if (!tx->producers)
            tx->producers = apr_hash_make(tx->p);
        p = apr_hash_get(tx->producers, event->producer, APR_HASH_KEY_STRING);
        if (!p) {
            rv = dedupe_load(tx, event->producer, &p);
            if (rv != APR_SUCCESS)
                return rv;
            apr_hash_set(tx->producers, p->name, APR_HASH_KEY_STRING, p);
        }
        tx->last_producer = p;
    }
    *is_new = take(p, event->seq, tx->now_sec);
    return APR_SUCCESS;
}

apr_status_t dedupe_flush(tx_t *tx)
{
    apr_hash_index_t *i = tx->producers ? apr_hash_first(tx->p, tx->producers) : NULL;
    apr_status_t rv = APR_SUCCESS;

    for (; i && rv == APR_SUCCESS; i = apr_hash_next(i))
        rv = dedupe_save(tx, apr_hash_this_val(i));
    return rv;
}
