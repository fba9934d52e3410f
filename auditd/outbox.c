/* outbox.c - alerts wait in SQL until their receivers have them
 *
 * A row is written in the transaction that opened the alert and removed after its
 * receiver took it: whatever is killed in between, the alert is delivered, once or
 * more often, always with the same id.
 */
#include <apr_strings.h>
#include <string.h>

#include "auditd.h"

#define PASS_MAX 50       /* rows of one look at the outbox */
#define BACKOFF_MAX_SEC 300

const sink_t *const sinks[] = {&sink_syslog, &sink_file};
const int sink_count = (int)(sizeof(sinks) / sizeof(sinks[0]));

apr_status_t outbox_add(tx_t *tx, const char *alert_id, const char *body)
{
    apr_status_t rv = APR_SUCCESS;

    for (int i = 0; i < sink_count && rv == APR_SUCCESS; i++)
        if (sinks[i]->enabled(tx->conf)) {
            rv = TX_EXEC(tx, AK_SQL_AUD_OUTBOX_ADD, NULL, sinks[i]->name, alert_id, body,
                         TX_NUMBER(tx, tx->now_sec));
            tx->notes++;
        }
    return rv;
}

int outbox_backoff(apr_int64_t attempts)
{
    int wait = 1;

    while (attempts-- > 1 && wait < BACKOFF_MAX_SEC)
        wait *= 2;
    return wait < BACKOFF_MAX_SEC ? wait : BACKOFF_MAX_SEC;
}

/* --- one look at the outbox ------------------------------------------------------------ */

static apr_status_t read_due(tx_t *tx, void *data)
{
    return TX_SELECT(tx, AK_SQL_AUD_OUTBOX_DUE, (ak_rows_t *)data, TX_NUMBER(tx, tx->now_sec),
                     TX_NUMBER(tx, PASS_MAX));
}

typedef struct {
    const char *seq;
    apr_int64_t attempts; /* that failed; 0: delivered */
} outcome_t;

static apr_status_t write_outcomes(tx_t *tx, void *data)
{
    const apr_array_header_t *outcomes = data;
    apr_status_t rv = APR_SUCCESS;

    for (int i = 0; i < outcomes->nelts && rv == APR_SUCCESS; i++) {
        const outcome_t *o = &APR_ARRAY_IDX(outcomes, i, outcome_t);
        rv = o->attempts == 0
                 ? TX_EXEC(tx, AK_SQL_AUD_OUTBOX_DONE, NULL, o->seq)
                 : TX_EXEC(tx, AK_SQL_AUD_OUTBOX_LATER, NULL, TX_NUMBER(tx, o->attempts),
                           TX_NUMBER(tx, tx->now_sec + outbox_backoff(o->attempts)), o->seq);
    }
    return rv;
}

static const sink_t *sink_by_name(const char *name)
{
    for (int i = 0; i < sink_count; i++)
        if (strcmp(sinks[i]->name, name) == 0)
            return sinks[i];
    return NULL;
}

/* Hand one row to its sink.  A sink that is no longer wanted lets its rows go. */
static apr_status_t deliver(engine_t *engine, const settings_t *conf, const char *sink_name, note_t *note,
                            apr_pool_t *p)
{
    static log_limit_t limit = LOG_LIMIT_INIT;
    const sink_t *sink = sink_by_name(sink_name);
    const char *why = "the row's text is no JSON";
    apr_status_t rv = APR_EINVAL;

    if (!sink || !sink->enabled(conf)) {
        log_say(LOG_LEVEL_WARNING, "alert %s is not sent: %s is not configured any more", note->alert_id, sink_name);
        return APR_SUCCESS;
    }
    note->alert = json_loads(note->body, 0, NULL);
    if (note->alert)
        rv = sink->deliver(conf, note, &why, p);
    json_decref(note->alert);
    if (rv == APR_SUCCESS) {
        atomic_fetch_add(&engine->metrics.notes_sent, 1);
    } else {
        atomic_fetch_add(&engine->metrics.notes_failed, 1);
        log_limited(&limit, LOG_LEVEL_WARNING, "alert %s cannot be sent to %s and will be tried again: %s",
                    note->alert_id, sink_name, why);
    }
    return rv;
}

static int any_enabled(const settings_t *conf)
{
    for (int i = 0; i < sink_count; i++)
        if (sinks[i]->enabled(conf))
            return 1;
    return 0;
}

/* How many rows were due; -1: the database could not be read. */
static int pass(engine_t *engine, apr_pool_t *p)
{
    ak_rows_t rows = {0};
    apr_array_header_t *outcomes = apr_array_make(p, PASS_MAX, sizeof(outcome_t));
    const settings_t *conf = engine_settings(engine);

    if (!any_enabled(conf))
        return 0;
    if (engine_run(engine, read_due, &rows, 0, p) != APR_SUCCESS)
        return -1;
    for (int i = 0; i < rows.count && !atomic_load(&engine->stopping); i++) {
        note_t note = {.alert_id = ak_rows_text(&rows, i, 2), .body = ak_rows_text(&rows, i, 3)};
        outcome_t o = {ak_rows_text(&rows, i, 0), 0};

        if (deliver(engine, conf, ak_rows_text(&rows, i, 1), &note, p) != APR_SUCCESS)
            o.attempts = ak_rows_number(&rows, i, 4, 0) + 1;
        APR_ARRAY_PUSH(outcomes, outcome_t) = o;
    }
    if (outcomes->nelts > 0)
        engine_run(engine, write_outcomes, outcomes, 0, p);
    return rows.count;
}

/* --- the thread -------------------------------------------------------------------------- */

void outbox_wake(engine_t *engine)
{
    pthread_mutex_lock(&engine->outbox_lock);
    engine->outbox_due = 1;
    pthread_cond_signal(&engine->outbox_wake);
    pthread_mutex_unlock(&engine->outbox_lock);
}

/* Until something was put in the outbox, or a second has passed: what failed comes due again. */
static void wait_for_work(engine_t *engine)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec++;
    pthread_mutex_lock(&engine->outbox_lock);
    while (!engine->outbox_due && !atomic_load(&engine->stopping) &&
           pthread_cond_timedwait(&engine->outbox_wake, &engine->outbox_lock, &until) == 0)
        continue;
    engine->outbox_due = 0;
    pthread_mutex_unlock(&engine->outbox_lock);
}

void *outbox_run(void *data)
{
    engine_t *engine = data;
    apr_pool_t *p;

    apr_pool_create(&p, NULL);
    while (!atomic_load(&engine->stopping)) {
        wait_for_work(engine);
        if (atomic_load(&engine->stopping) || (engine->single && !single_is_held(engine->single)))
            continue;
        while (pass(engine, p) == PASS_MAX)
            apr_pool_clear(p);
        apr_pool_clear(p);
    }
    apr_pool_destroy(p);
    return NULL;
}
