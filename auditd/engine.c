/* engine.c - the database, and one transaction at a time
 *
 * A lock of ours keeps batches, ticks and the outbox apart within the process,
 * single.c keeps other processes away.  Whatever fails undoes the whole transaction.
 */
#include <apr_strings.h>

#include "auditd.h"

#define HANDLES 2 /* one for the work, one that holds PostgreSQL's advisory lock */
#define PRUNE_INTERVAL_SEC 60

apr_status_t engine_create(engine_t **out, const settings_t *settings, const char **why, apr_pool_t *p)
{
    engine_t *engine = apr_pcalloc(p, sizeof(*engine));
    apr_status_t rv;

    engine->pool = p;
    engine->settings = settings;
    engine->ticked = apr_pcalloc(p, sizeof(apr_time_t) * (apr_size_t)detector_count);
    pthread_mutex_init(&engine->lock, NULL);
    pthread_mutex_init(&engine->outbox_lock, NULL);
    pthread_cond_init(&engine->outbox_wake, NULL);
    pthread_mutex_init(&engine->trouble.lock, NULL);
    pthread_mutex_init(&engine->quarantine_trouble.lock, NULL);
    rv = ak_store_open(&engine->store, settings->database_driver, settings->database_params, HANDLES, why, p);
    if (rv == APR_SUCCESS)
        engine->db = ak_store_dbd(engine->store);
    *out = engine;
    return rv;
}

const settings_t *engine_settings(engine_t *engine)
{
    const settings_t *settings;

    pthread_mutex_lock(&engine->lock);
    settings = engine->settings;
    pthread_mutex_unlock(&engine->lock);
    return settings;
}

void engine_reconfigure(engine_t *engine, const settings_t *settings)
{
    pthread_mutex_lock(&engine->lock);
    engine->settings = settings;
    pthread_mutex_unlock(&engine->lock);
}

/* --- a transaction -------------------------------------------------------------------- */

/* On PostgreSQL a transaction waits for the one before, even if that is of an auditd
 * which has lost its right to be the only one and does not know it yet. */
static apr_status_t begin(tx_t *tx)
{
    ak_rows_t rows;
    apr_status_t rv = ak_dbd_begin(tx->h, tx->p);

    if (rv == APR_SUCCESS && !ak_dbd_is_sqlite(tx->engine->db))
        rv = TX_SELECT(tx, AK_SQL_AUD_SERIALISE, &rows, NULL);
    return rv;
}

static apr_status_t work_and_commit(tx_t *tx, tx_work_t work, void *data)
{
    apr_status_t rv = begin(tx);

    if (rv == APR_SUCCESS)
        rv = work(tx, data);
    if (rv == APR_SUCCESS)
        rv = ak_dbd_commit(tx->h, tx->p);
    else
        ak_dbd_rollback(tx->h, tx->p);
    return rv;
}

static void note_outcome(engine_t *engine, const tx_t *tx, apr_status_t rv)
{
    metrics_t *m = &engine->metrics;

    if (rv != APR_SUCCESS) {
        const char *said = ak_dbd_problem(engine->db, tx->p);
        engine->healthy_since = 0;
        atomic_store(&m->database_ok, 0);
        log_limited(&engine->trouble, LOG_LEVEL_ERROR,
                    "the database cannot be used, events wait where they are: %s", said[0] ? said : "unknown");
        return;
    }
    if (engine->healthy_since == 0)
        engine->healthy_since = ak_monotonic_usec();
    if (atomic_exchange(&m->database_ok, 1) == 0)
        log_say(LOG_LEVEL_INFO, "the database can be used");
    atomic_store(&m->last_commit_sec, apr_time_sec(apr_time_now()));
    atomic_fetch_add(&m->alerts_raised, tx->alerts);
}

static apr_status_t run_locked(engine_t *engine, tx_work_t work, void *data, apr_int64_t now_sec, apr_pool_t *p)
{
    tx_t tx = {.engine = engine, .conf = engine->settings, .p = p,
               .now_sec = now_sec ? now_sec : apr_time_sec(apr_time_now()),
               .baton = apr_pcalloc(p, sizeof(void *) * (apr_size_t)detector_count)};
    apr_status_t rv = ak_dbd_acquire(engine->db, &tx.h);

    if (rv == APR_SUCCESS) {
        rv = work_and_commit(&tx, work, data);
        ak_dbd_release(tx.h);
    }
    note_outcome(engine, &tx, rv);
    if (rv == APR_SUCCESS && tx.notes > 0)
        outbox_wake(engine);
    return rv;
}

apr_status_t engine_run(engine_t *engine, tx_work_t work, void *data, apr_int64_t now_sec, apr_pool_t *p)
{
    apr_status_t rv;

    pthread_mutex_lock(&engine->lock);
    rv = run_locked(engine, work, data, now_sec, p);
    pthread_mutex_unlock(&engine->lock);
    return rv;
}

/* --- the clock ---------------------------------------------------------------------------- */

static apr_status_t tick_work(tx_t *tx, void *data)
{
    return detect_tick(tx);
}

static apr_status_t prune_work(tx_t *tx, void *data)
{
    return lifecycle_prune(tx);
}

apr_status_t engine_tick(engine_t *engine, apr_int64_t now_sec)
{
    apr_pool_t *p;
    apr_status_t rv;

    apr_pool_create(&p, NULL);
    rv = engine->replaying ? APR_SUCCESS : renew_run(engine, now_sec, p); /* before notices of what it averts */
    if (rv == APR_SUCCESS)
        rv = engine_run(engine, tick_work, NULL, now_sec, p);
    if (rv == APR_SUCCESS && !engine->replaying &&
        ak_monotonic_usec() - engine->pruned >= apr_time_from_sec(PRUNE_INTERVAL_SEC)) {
        rv = engine_run(engine, prune_work, NULL, now_sec, p);
        if (rv == APR_SUCCESS) /* the log of changes, nodes that are gone, idempotency keys */
            rv = ak_store_prune(engine->store, apr_time_sec(apr_time_now()), p);
        engine->pruned = ak_monotonic_usec();
    }
    apr_pool_destroy(p);
    return rv;
}
