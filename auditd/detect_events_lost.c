/* detect_events_lost.c - a producer's numbers have a gap that nothing fills
 *
 * Batches come in any order, so a gap means nothing until it has stood for the grace.
 * That clock runs only while batches can be taken: what waits in syslog-ng during an
 * outage of ours is not lost.  Events that come after all are counted, and the alert
 * is resolved when the last of them has.
 */
#include <apr_strings.h>
#include <limits.h>

#include "auditd.h"

#define TICK_MAX 100 /* producers in one tick */

static apr_status_t tell(tx_t *tx, const detector_t *self, const producer_t *p, apr_uint64_t lost)
{
    alert_t alert = {
        .subject = p->name,
        .message = apr_psprintf(tx->p,
            "%" APR_UINT64_T_FMT " events of producer %s (NODE.PID.START of an httpd process, seen since %s) have not "
            "come: its numbers have a gap, and none is expected. The usage figures lack these requests. See in the "
            "node's error log and metrics whether events could not be written; if its segment files are still "
            "there, feed them again: what was counted is not counted twice.",
            p->lost, p->name, alert_time(tx->p, p->first_seen)),
        .details = json_pack("{s:s, s:I, s:I}", "producer", p->name, "missing", (json_int_t)p->lost,
                             "counted_up_to", (json_int_t)p->runs.contiguous),
        .count = lost,
        .first_sec = tx->now_sec,
        .last_sec = tx->now_sec,
    };
    return alert_raise(tx, self, &alert);
}

/* What a batch did: gaps given up are told at once, gaps filled may end an alert. */
static apr_status_t flush(tx_t *tx, const detector_t *self, void *baton)
{
    apr_hash_index_t *i = tx->producers ? apr_hash_first(tx->p, tx->producers) : NULL;
    apr_status_t rv = APR_SUCCESS;

    for (; i && rv == APR_SUCCESS; i = apr_hash_next(i)) {
        producer_t *p = apr_hash_this_val(i);

        if (p->runs.given_up > 0)
            rv = tell(tx, self, p, dedupe_tell_gaps(p, 0, INT_MAX));
        else if (p->recovered && p->lost == 0)
            rv = alert_resolve(tx, self->kind, p->name);
    }
    return rv;
}

static int may_judge(const tx_t *tx)
{
    const engine_t *engine = tx->engine;
    apr_time_t grace = apr_time_from_sec(tx->conf->events_lost_grace_sec);

    return engine->replaying ||
           (engine->healthy_since != 0 && ak_monotonic_usec() - engine->healthy_since >= grace);
}

static apr_status_t tick(tx_t *tx, const detector_t *self)
{
    ak_rows_t rows;
    apr_status_t rv;

    if (!may_judge(tx))
        return APR_SUCCESS;
    rv = TX_SELECT(tx, AK_SQL_AUD_PRODUCERS_WITH_GAPS, &rows,
                   TX_NUMBER(tx, tx->now_sec - tx->conf->events_lost_grace_sec), TX_NUMBER(tx, TICK_MAX));
    for (int i = 0; i < rows.count && rv == APR_SUCCESS; i++) {
        producer_t *p;
        apr_uint64_t lost;

        rv = dedupe_load(tx, ak_rows_text(&rows, i, 0), &p);
        if (rv != APR_SUCCESS)
            break;
        lost = dedupe_tell_gaps(p, tx->now_sec, tx->conf->events_lost_grace_sec);
        rv = dedupe_save(tx, p);
        if (rv == APR_SUCCESS && lost > 0)
            rv = tell(tx, self, p, lost);
    }
    return rv;
}

const detector_t detect_events_lost = {"events_lost", "critical", NULL, NULL, flush, tick, 0};
