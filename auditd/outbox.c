/* outbox.c - alerts wait in SQL until their receivers have them
 *
 * A row is written in the transaction that opened the alert and removed after its
 * receiver took it: whatever is killed in between, the alert is delivered, once or
 * more often, always with the same id.
 *
 * One thread reads what is due, hands it to couriers and writes down what came of it.
 * Of each receiver one alert is under way at a time, the oldest that is due.
 */
#include <apr_general.h>
#include <apr_strings.h>
#include <string.h>

#include "auditd.h"

#define PASS_MAX 500 /* receivers served by one look at the outbox */
#define BACKOFF_MAX_SEC 300

const sink_t *const sinks[] = {&sink_syslog, &sink_file, &sink_webhook, &sink_email};
const int sink_count = (int)(sizeof(sinks) / sizeof(sinks[0]));

/* Columns of aud_outbox_due. */
enum { O_SEQ, O_SINK, O_TARGET, O_ALERT, O_BODY, O_ATTEMPTS, O_CREATED, O_URL, O_SECRET, O_OLD_SECRET, O_STATUS,
       O_CONTACT, O_LANE_ATTEMPTS };

typedef struct {
    engine_t *engine;
    apr_pool_t *p;
    struct couriers_t *couriers;
    apr_hash_t *busy;  /* lane → the job that is under way */
    job_t *done;       /* not yet written down */
    const settings_t *gone[SINKS_MAX]; /* under these settings a sink's own receiver said that it is gone */
    log_limit_t limit[SINKS_MAX];
} outbox_t;

apr_status_t outbox_add(tx_t *tx, const char *alert_id, const char *account_id, const char *body)
{
    const char *now = TX_NUMBER(tx, tx->now_sec);
    apr_status_t rv = APR_SUCCESS;
    int added;

    for (int i = 0; i < sink_count && rv == APR_SUCCESS; i++) {
        const sink_t *sink = sinks[i];
        if (sink->enabled(tx->conf)) {
            rv = TX_EXEC(tx, AK_SQL_AUD_OUTBOX_ADD, NULL, sink->name, alert_id, body, now, now);
            tx->notes++;
        }
        if (rv == APR_SUCCESS && account_id && sink->accounts && sink->accounts(tx->conf)) {
            added = 0;
            rv = TX_EXEC(tx, sink->add, &added, alert_id, body, now, now, account_id);
            tx->notes += (unsigned)added;
        }
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

/* --- what came of a job ----------------------------------------------------------------- */

static int sink_index(const sink_t *sink)
{
    int i = 0;

    while (sinks[i] != sink)
        i++;
    return i;
}

static int is_dropped(const job_t *job, apr_int64_t now)
{
    return job->rv == NOTE_GONE || job->rv == NOTE_REFUSED ||
           (job->rv != APR_SUCCESS && job->sink->give_up_sec > 0 && now - job->created_sec >= job->sink->give_up_sec);
}

/* In the log of a webhook's deliveries.  A webhook that is gone has none. */
static apr_status_t log_delivery(tx_t *tx, const job_t *job, const char *outcome, apr_int64_t next_sec)
{
    if (job->sink != &sink_webhook || job->note.target[0] == '\0')
        return APR_SUCCESS;
    return TX_EXEC(tx, AK_SQL_AUD_DELIVERY_ADD, NULL, job->note.alert_id, job->kind, TX_NUMBER(tx, tx->now_sec),
                   TX_NUMBER(tx, job->attempts + 1), outcome,
                   job->reply.http_status ? TX_NUMBER(tx, job->reply.http_status) : NULL,
                   job->rv == APR_SUCCESS ? NULL : job->reply.why, TX_NUMBER(tx, apr_time_as_msec(job->took)),
                   next_sec ? TX_NUMBER(tx, next_sec) : NULL, job->note.target);
}

/* The receiver answered that it is gone: it gets nothing more. */
static apr_status_t disable(tx_t *tx, const job_t *job)
{
    const char *target = job->note.target;
    int affected = 0;
    ak_rows_t rows;
    apr_status_t rv = TX_EXEC(tx, AK_SQL_AUD_OUTBOX_DROP, NULL, job->sink->name, target);

    if (rv == APR_SUCCESS)
        rv = TX_EXEC(tx, AK_SQL_AUD_WEBHOOK_DISABLE, &affected, target);
    if (rv != APR_SUCCESS || affected == 0)
        return rv;
    rv = TX_SELECT(tx, AK_SQL_AUD_WEBHOOK_ACCOUNT, &rows, target);
    if (rv == APR_SUCCESS)
        rv = TX_EXEC(tx, AK_SQL_AUDIT_ADD, NULL, TX_NUMBER(tx, tx->now_sec), "auditd",
                     ak_rows_text(&rows, 0, 0), "webhook.disable", target, NULL, "{\"http_status\":410}");
    return rv;
}

/* Up to a tenth sooner or later, so that receivers which failed together are not tried together. */
static apr_int64_t with_jitter(int sec)
{
    apr_uint32_t random = 0;

    apr_generate_random_bytes((unsigned char *)&random, sizeof(random));
    return sec - sec / 10 + (apr_int64_t)(random % (apr_uint32_t)(sec / 5 + 1));
}

static apr_status_t write_later(tx_t *tx, const job_t *job)
{
    apr_int64_t next = tx->now_sec + with_jitter(job->sink->backoff(job->lane_attempts + 1));
    const char *at = TX_NUMBER(tx, next);
    apr_status_t rv = TX_EXEC(tx, AK_SQL_AUD_OUTBOX_HOLD, NULL, at, job->sink->name, job->note.target, at);

    if (rv == APR_SUCCESS)
        rv = TX_EXEC(tx, AK_SQL_AUD_OUTBOX_LATER, NULL, TX_NUMBER(tx, job->attempts + 1), at, job->seq);
    return rv == APR_SUCCESS ? log_delivery(tx, job, "failed", next) : rv;
}

static apr_status_t write_outcome(tx_t *tx, const job_t *job)
{
    const char *now = TX_NUMBER(tx, tx->now_sec);
    apr_status_t rv;

    if (job->rv != APR_SUCCESS && !is_dropped(job, tx->now_sec))
        return write_later(tx, job);
    rv = log_delivery(tx, job, job->rv == APR_SUCCESS ? "delivered" : job->rv == NOTE_GONE ? "disabled" : "given_up",
                      0);
    if (rv == APR_SUCCESS)
        rv = TX_EXEC(tx, AK_SQL_AUD_OUTBOX_DONE, NULL, job->seq);
    if (rv == APR_SUCCESS && job->rv == NOTE_GONE)
        rv = disable(tx, job);
    if (rv == APR_SUCCESS && job->rv == APR_SUCCESS && job->lane_attempts > 0)
        rv = TX_EXEC(tx, AK_SQL_AUD_OUTBOX_RELEASE, NULL, now, job->sink->name, job->note.target, now);
    return rv;
}

/* What the log is told, once a job is done and before it is written down. */
static void tell_outcome(outbox_t *o, job_t *job)
{
    metrics_t *m = &o->engine->metrics;
    const char *where = job->note.target[0] ? job->note.target : "the receiver of the configuration";
    log_limit_t *limit = &o->limit[sink_index(job->sink)];

    if (job->rv == APR_SUCCESS) {
        atomic_fetch_add(&m->notes_sent, 1);
        return;
    }
    atomic_fetch_add(&m->notes_failed, 1);
    if (!is_dropped(job, apr_time_sec(apr_time_now()))) {
        log_limited(limit, LOG_LEVEL_WARNING, "alert %s cannot be sent to %s (%s) and will be tried again: %s",
                    job->note.alert_id, job->sink->name, where, job->reply.why);
        return;
    }
    atomic_fetch_add(&m->notes_dropped, 1);
    if (job->rv == NOTE_GONE) {
        if (job->note.target[0] == '\0')
            o->gone[sink_index(job->sink)] = job->conf;
        log_say(LOG_LEVEL_WARNING, "%s (%s) is disabled: it answered that it is gone", job->sink->name, where);
    } else {
        log_limited(limit, LOG_LEVEL_WARNING, "alert %s is not sent to %s (%s): %s", job->note.alert_id,
                    job->sink->name, where, job->reply.why);
    }
}

static void collect(outbox_t *o)
{
    job_t *job = couriers_take(o->couriers), *next;

    for (; job; job = next) {
        next = job->next;
        tell_outcome(o, job);
        job->next = o->done;
        o->done = job;
    }
}

/* --- one look at the outbox ------------------------------------------------------------ */

typedef struct {
    outbox_t *o;
    ak_rows_t due;
    int ending;
} pass_t;

static apr_status_t pass_work(tx_t *tx, void *data)
{
    pass_t *pass = data;
    const char *now = TX_NUMBER(tx, tx->now_sec);
    apr_status_t rv = APR_SUCCESS;

    for (const job_t *job = pass->o->done; job && rv == APR_SUCCESS; job = job->next)
        rv = write_outcome(tx, job);
    if (rv == APR_SUCCESS && !pass->ending)
        rv = TX_SELECT(tx, AK_SQL_AUD_OUTBOX_DUE, &pass->due, now, now, TX_NUMBER(tx, PASS_MAX));
    return rv;
}

static const sink_t *sink_by_name(const char *name)
{
    for (int i = 0; i < sink_count; i++)
        if (strcmp(sinks[i]->name, name) == 0)
            return sinks[i];
    return NULL;
}

/* A job of a row, in a pool of its own; the texts are copied. */
static job_t *job_make(outbox_t *o, const settings_t *conf, const ak_rows_t *rows, int row, const char *lane)
{
#define COPY(column) apr_pstrdup(p, ak_rows_text_or_null(rows, row, column))
    apr_pool_t *p;
    job_t *job;

    apr_pool_create(&p, NULL);
    job = apr_pcalloc(p, sizeof(*job));
    job->p = p;
    job->sink = sink_by_name(ak_rows_text(rows, row, O_SINK));
    job->conf = conf;
    job->seq = COPY(O_SEQ);
    job->lane = apr_pstrdup(p, lane);
    job->kind = "";
    job->attempts = ak_rows_number(rows, row, O_ATTEMPTS, 0);
    job->lane_attempts = ak_rows_number(rows, row, O_LANE_ATTEMPTS, 0);
    job->created_sec = ak_rows_number(rows, row, O_CREATED, 0);
    job->note.alert_id = COPY(O_ALERT);
    job->note.target = apr_pstrdup(p, ak_rows_text(rows, row, O_TARGET));
    job->note.body = COPY(O_BODY);
    job->note.url = COPY(O_URL);
    job->note.secret = COPY(O_SECRET);
    job->note.old_secret = COPY(O_OLD_SECRET);
    job->note.disabled = strcmp(ak_rows_text(rows, row, O_STATUS), "disabled") == 0;
    job->note.contact = COPY(O_CONTACT);
    job->note.stopping = &o->engine->stopping;
    return job;
#undef COPY
}

/* Has this row a receiver under the settings of now? */
static int is_wanted(const outbox_t *o, const settings_t *conf, const sink_t *sink, const char *target)
{
    if (!sink)
        return 0;
    if (target[0])
        return sink->accounts && sink->accounts(conf);
    return sink->enabled(conf) && o->gone[sink_index(sink)] != conf;
}

/* Hand one row on.  One that has no receiver any more is done with at once. */
static void dispatch(outbox_t *o, const settings_t *conf, const ak_rows_t *rows, int row, apr_pool_t *p)
{
    const char *name = ak_rows_text(rows, row, O_SINK), *target = ak_rows_text(rows, row, O_TARGET);
    const char *lane = apr_pstrcat(p, name, " ", target, NULL);
    const sink_t *sink = sink_by_name(name);
    job_t *job;

    if (apr_hash_get(o->busy, lane, APR_HASH_KEY_STRING))
        return;
    job = job_make(o, conf, rows, row, lane);
    apr_hash_set(o->busy, job->lane, APR_HASH_KEY_STRING, job);
    if (is_wanted(o, conf, sink, target)) {
        couriers_give(o->couriers, job);
        return;
    }
    log_say(LOG_LEVEL_WARNING, "alert %s is not sent: %s is not configured any more", job->note.alert_id, name);
    if (!sink)
        job->sink = sinks[0]; /* for its name only: the row is done with */
    job->next = o->done;
    o->done = job;
    outbox_wake(o->engine);
}

/* The outcomes are in the database: their receivers are free again. */
static void release(outbox_t *o)
{
    job_t *job = o->done, *next;

    for (; job; job = next) {
        next = job->next;
        apr_hash_set(o->busy, job->lane, APR_HASH_KEY_STRING, NULL);
        apr_pool_destroy(job->p);
    }
    o->done = NULL;
}

static void pass_run(outbox_t *o, int ending, apr_pool_t *p)
{
    const settings_t *conf = engine_settings(o->engine);
    pass_t pass = {.o = o, .ending = ending};

    collect(o);
    if (ending && !o->done)
        return;
    if (engine_run(o->engine, pass_work, &pass, 0, p) != APR_SUCCESS)
        return; /* the outcomes are kept, and written down by the next pass */
    release(o);
    for (int i = 0; i < pass.due.count; i++)
        dispatch(o, conf, &pass.due, i, p);
}

/* --- the thread -------------------------------------------------------------------------- */

void outbox_wake(engine_t *engine)
{
    pthread_mutex_lock(&engine->outbox_lock);
    engine->outbox_due = 1;
    pthread_cond_signal(&engine->outbox_wake);
    pthread_mutex_unlock(&engine->outbox_lock);
}

/* Until something was put in the outbox or delivered, or a second has passed: what failed comes due again. */
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

static int may_work(const engine_t *engine)
{
    return !engine->single || single_is_held(engine->single);
}

static void outbox_loop(outbox_t *o)
{
    apr_pool_t *p;

    apr_pool_create(&p, o->p);
    while (!atomic_load(&o->engine->stopping)) {
        wait_for_work(o->engine);
        if (!atomic_load(&o->engine->stopping) && may_work(o->engine))
            pass_run(o, 0, p);
        apr_pool_clear(p);
    }
    couriers_stop(o->couriers);
    if (may_work(o->engine))
        pass_run(o, 1, p);
}

void *outbox_run(void *data)
{
    outbox_t *o;
    apr_pool_t *p;

    apr_pool_create(&p, NULL);
    o = apr_pcalloc(p, sizeof(*o));
    o->engine = data;
    o->p = p;
    o->busy = apr_hash_make(p);
    for (int i = 0; i < SINKS_MAX; i++)
        pthread_mutex_init(&o->limit[i].lock, NULL);
    if (couriers_start(&o->couriers, o->engine, p) == APR_SUCCESS)
        outbox_loop(o);
    else
        log_say(LOG_LEVEL_ERROR, "threads cannot be started: alerts stay in the outbox");
    apr_pool_destroy(p);
    return NULL;
}
