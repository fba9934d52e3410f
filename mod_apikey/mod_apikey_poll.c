/* mod_apikey_poll.c - the thread that follows the change log
 *
 * Each child runs one; the one that holds the node's office (in the table, so that
 * a killed holder is replaced within a few intervals) reads the log and drops what
 * was changed from the table all children share.  What it stamps on the table is the
 * time at which its read began: every change committed before then has been dropped.
 */
#include <pthread.h>
#include <signal.h>
#include <time.h>

#include <apr_allocator.h>
#include <apr_thread_mutex.h>

#include "mod_apikey.h"
#include "apikey_tally.h"

#define POLLS_PER_BOUND 5     /* 50 ms of 250 */
#define CHANGES_AT_ONCE 1000
#define REPORT_EVERY apr_time_from_sec(10)
#define JOIN_SECONDS 2

typedef struct {
    apikey_node_t *node;
    server_rec *server;
    ak_store_t *store;        /* the poller's own connection: a storm of look-ups cannot starve it */
    apr_pool_t *pool;         /* the thread's own */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    int stop;
    int met_log;              /* this process has compared the table with the log */
    int met_registry;         /* this process has read the registry itself */
    apr_uint32_t epoch;       /* of the table when the registry was read */
    apr_int64_t reported_usec;
    apr_uint64_t reported;    /* sequence last reported to SQL */
} poller_t;

/* --- one poll ----------------------------------------------------------------------------- */

static void apply(poller_t *poller, const ak_change_t *changes, int count)
{
    ak_table_t *table = poller->node->table;
    int i;

    for (i = 0; i < count; i++) {
        if (changes[i].all || !changes[i].has_digest) {
            ak_table_drop_all(table);
        }
        else {
            ak_table_drop(table, changes[i].digest);
        }
    }
    if (count) {
        ak_table_set_applied(table, (apr_uint64_t)changes[count - 1].sequence);
        ak_table_tally(table, APIKEY_TALLY_CHANGES_APPLIED, (apr_uint64_t)count);
    }
}

/* Other nodes' writers wait for our word that a change is applied here. */
static void report(poller_t *poller, apr_pool_t *p)
{
    ak_table_t *table = poller->node->table;
    apr_uint64_t applied = ak_table_applied(table);
    apr_int64_t now = ak_monotonic_usec();

    if (applied == poller->reported && now - poller->reported_usec < REPORT_EVERY) {
        return;
    }
    if (ak_store_node_report(poller->store, ak_table_node(table),
                             (int)apr_time_as_msec(poller->node->server->bound),
                             (apr_int64_t)applied, p) == APR_SUCCESS) {
        poller->reported = applied;
        poller->reported_usec = now;
    }
}

/* A table that has seen more of a log than there is has followed another database. */
static apr_status_t meet_log(poller_t *poller, apr_pool_t *p)
{
    apr_int64_t last;
    apr_status_t rv = ak_store_last_change(poller->store, &last, p);

    if (rv == APR_SUCCESS) {
        if ((apr_uint64_t)last < ak_table_applied(poller->node->table)) {
            ak_table_restart_log(poller->node->table, (apr_uint64_t)last);
        }
        poller->met_log = 1;
    }
    return rv;
}

/* What was pruned from the log before we read it is unknown: forget everything. */
static apr_status_t skip_gap(poller_t *poller, apr_pool_t *p)
{
    apr_int64_t last;
    apr_status_t rv = ak_store_last_change(poller->store, &last, p);

    if (rv == APR_SUCCESS) {
        ak_table_restart_log(poller->node->table, (apr_uint64_t)last);
    }
    return rv;
}

static apr_status_t poll_once(poller_t *poller, apr_pool_t *p)
{
    ak_table_t *table = poller->node->table;
    apr_int64_t began = ak_monotonic_usec();
    ak_change_t *changes;
    int count = 0, gap;
    apr_status_t rv;

    if (!poller->met_log && (rv = meet_log(poller, p)) != APR_SUCCESS) {
        return rv;
    }
    do {
        rv = ak_store_changes(poller->store, (apr_int64_t)ak_table_applied(table), CHANGES_AT_ONCE,
                              &changes, &count, &gap, p);
        if (rv == APR_SUCCESS && gap) {
            rv = skip_gap(poller, p);
            count = 0;
        }
        if (rv != APR_SUCCESS) {
            return rv;
        }
        apply(poller, changes, count);
    } while (count == CHANGES_AT_ONCE);
    ak_table_set_stamp(table, began);
    report(poller, p);
    return APR_SUCCESS;
}

/* Scopes may have changed whenever everything was dropped.  A process that was started
 * while SQL was down has its parent's registry, or none. */
static void refresh_registry(poller_t *poller, apr_pool_t *p)
{
    apr_uint32_t epoch = ak_table_epoch(poller->node->table);
    ak_registry_t *registry;

    if (poller->met_registry && epoch == poller->epoch) {
        return;
    }
    /* Readers may hold the old one: registries live as long as the child. */
    if (ak_store_registry(poller->store, &registry, poller->pool) == APR_SUCCESS) {
        __atomic_store_n(&poller->node->registry, registry, __ATOMIC_RELEASE);
        apikey_resolve_scopes(poller->node->pconf, registry);
        poller->epoch = epoch;
        poller->met_registry = 1;
    }
}

/* --- the thread ------------------------------------------------------------------------------ */

static int wait_interval(poller_t *poller, apr_interval_time_t interval)
{
    struct timespec until;
    int stop;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (long)(interval % APR_USEC_PER_SEC) * 1000;
    until.tv_sec += (time_t)(interval / APR_USEC_PER_SEC) + until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&poller->lock);
    while (!poller->stop && pthread_cond_timedwait(&poller->wake, &poller->lock, &until) == 0) {
    }
    stop = poller->stop;
    pthread_mutex_unlock(&poller->lock);
    return !stop;
}

static void *poll_thread(void *baton)
{
    poller_t *poller = baton;
    apikey_node_t *node = poller->node;
    apr_interval_time_t interval = node->server->bound / POLLS_PER_BOUND;
    apr_pool_t *scratch;
    apr_status_t rv;

    apr_pool_create(&scratch, poller->pool);
    do {
        if (ak_table_elect(node->table, 3 * interval)) {
            rv = poll_once(poller, scratch);
            __atomic_store_n(&node->store_failed_usec, rv == APR_SUCCESS ? 0 : ak_monotonic_usec(),
                             __ATOMIC_RELAXED);
            if (rv != APR_SUCCESS) {
                apikey_log_store(node, poller->server, rv, "reading the change log");
            }
        }
        refresh_registry(poller, scratch);
        apr_pool_clear(scratch);
    } while (wait_interval(poller, interval));
    ak_table_resign(node->table);
    apr_pool_destroy(scratch);
    return NULL;
}

static apr_status_t stop_thread(void *baton)
{
    poller_t *poller = baton;
    struct timespec until;

    pthread_mutex_lock(&poller->lock);
    poller->stop = 1;
    pthread_cond_signal(&poller->wake);
    pthread_mutex_unlock(&poller->lock);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += JOIN_SECONDS;
    /* A database that hangs must not hang the child's end; its exit ends the thread. */
    if (pthread_timedjoin_np(poller->thread, NULL, &until) == 0) {
        apr_pool_destroy(poller->pool);
    }
    return APR_SUCCESS;
}

/* The thread's memory is its own: in prefork httpd's pools are made for one thread. */
static apr_pool_t *private_pool(void)
{
    apr_allocator_t *allocator;
    apr_thread_mutex_t *mutex;
    apr_pool_t *pool;

    if (apr_allocator_create(&allocator) != APR_SUCCESS
        || apr_pool_create_ex(&pool, NULL, NULL, allocator) != APR_SUCCESS) {
        return NULL;
    }
    apr_allocator_owner_set(allocator, pool);
    if (apr_thread_mutex_create(&mutex, APR_THREAD_MUTEX_DEFAULT, pool) == APR_SUCCESS) {
        apr_allocator_mutex_set(allocator, mutex);
    }
    return pool;
}

static int start_thread(poller_t *poller)
{
    pthread_condattr_t attributes;
    sigset_t all, before;
    int rv;

    pthread_mutex_init(&poller->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&poller->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    sigfillset(&all); /* signals are the main thread's business */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rv = pthread_create(&poller->thread, NULL, poll_thread, poller);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rv;
}

void apikey_poll_start(apikey_node_t *node, server_rec *s, apr_pool_t *p)
{
    poller_t *poller = apr_pcalloc(p, sizeof *poller);
    const char *why = "no memory";
    apr_status_t rv = APR_ENOMEM;

    poller->node = node;
    poller->server = s;
    poller->epoch = ak_table_epoch(node->table);
    if ((poller->pool = private_pool())) {
        rv = ak_store_open(&poller->store, node->server->db_driver, node->server->db_params, 1, &why,
                           poller->pool);
    }
    if (rv == APR_SUCCESS) {
        rv = start_thread(poller);
    }
    if (rv != APR_SUCCESS) {
        /* Without a poller every request reads SQL: slower, and as right as ever. */
        ap_log_error(APLOG_MARK, APLOG_CRIT, rv, s, "mod_apikey: no thread to follow changes (%s)", why);
        return;
    }
    apr_pool_pre_cleanup_register(p, poller, stop_thread);
}
