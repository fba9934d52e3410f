/* courier.c - threads that carry alerts to their receivers
 *
 * Each sink has threads of its own, and only they wait for a network: a receiver that
 * hangs delays neither the taking of events nor another sink.  Jobs come from the outbox
 * and go back to it; only it speaks to the database.
 */
#include <apr_strings.h>

#include "auditd.h"

#define COURIERS_MAX 32

typedef struct {
    job_t *first, *last;
    pthread_cond_t wake;
} queue_t;

typedef struct couriers_t {
    engine_t *engine;
    pthread_mutex_t lock; /* guards all below */
    queue_t queue[SINKS_MAX];
    job_t *done, *done_last;
    int ending;
    pthread_t thread[COURIERS_MAX];
    int count;
} couriers_t;

typedef struct {
    couriers_t *couriers;
    queue_t *queue;
} courier_t;

static void put(job_t **first, job_t **last, job_t *job)
{
    job->next = NULL;
    if (*first)
        (*last)->next = job;
    else
        *first = job;
    *last = job;
}

/* The next job of a queue; NULL: it is time to end. */
static job_t *wait_for_job(couriers_t *c, queue_t *queue)
{
    job_t *job = NULL;

    pthread_mutex_lock(&c->lock);
    while (!queue->first && !c->ending)
        pthread_cond_wait(&queue->wake, &c->lock);
    if (!c->ending) {
        job = queue->first;
        queue->first = job->next;
    }
    pthread_mutex_unlock(&c->lock);
    return job;
}

static void deliver(job_t *job)
{
    apr_time_t begun = ak_monotonic_usec();

    job->reply.why = "the row's text is no JSON";
    job->rv = NOTE_REFUSED;
    job->note.alert = json_loads(job->note.body, 0, NULL);
    if (job->note.alert) {
        const char *kind = json_string_value(json_object_get(job->note.alert, "kind"));
        job->kind = kind ? apr_pstrdup(job->p, kind) : "";
        job->reply.why = "";
        job->rv = job->sink->deliver(job->conf, &job->note, &job->reply, job->p);
    }
    json_decref(job->note.alert);
    job->note.alert = NULL;
    job->took = ak_monotonic_usec() - begun;
}

static void *courier_run(void *data)
{
    courier_t *me = data;
    couriers_t *c = me->couriers;
    job_t *job;

    while ((job = wait_for_job(c, me->queue)) != NULL) {
        deliver(job);
        pthread_mutex_lock(&c->lock);
        put(&c->done, &c->done_last, job);
        pthread_mutex_unlock(&c->lock);
        outbox_wake(c->engine);
    }
    return NULL;
}

apr_status_t couriers_start(couriers_t **out, engine_t *engine, apr_pool_t *p)
{
    couriers_t *c = apr_pcalloc(p, sizeof(*c));

    c->engine = engine;
    pthread_mutex_init(&c->lock, NULL);
    *out = c;
    for (int s = 0; s < sink_count; s++) {
        pthread_cond_init(&c->queue[s].wake, NULL);
        for (int i = 0; i < sinks[s]->couriers; i++) {
            courier_t *courier = apr_palloc(p, sizeof(*courier));
            courier->couriers = c;
            courier->queue = &c->queue[s];
            int error = pthread_create(&c->thread[c->count], NULL, courier_run, courier);
            if (error != 0)
                return error;
            c->count++;
        }
    }
    return APR_SUCCESS;
}

void couriers_give(couriers_t *c, job_t *job)
{
    int s = 0;

    while (sinks[s] != job->sink)
        s++;
    pthread_mutex_lock(&c->lock);
    put(&c->queue[s].first, &c->queue[s].last, job);
    pthread_cond_signal(&c->queue[s].wake);
    pthread_mutex_unlock(&c->lock);
}

job_t *couriers_take(couriers_t *c)
{
    job_t *done;

    pthread_mutex_lock(&c->lock);
    done = c->done;
    c->done = c->done_last = NULL;
    pthread_mutex_unlock(&c->lock);
    return done;
}

void couriers_stop(couriers_t *c)
{
    pthread_mutex_lock(&c->lock);
    c->ending = 1;
    for (int s = 0; s < sink_count; s++)
        pthread_cond_broadcast(&c->queue[s].wake);
    pthread_mutex_unlock(&c->lock);
    for (int i = 0; i < c->count; i++)
        pthread_join(c->thread[i], NULL);
}
