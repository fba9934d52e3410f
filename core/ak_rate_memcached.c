/* ak_rate_memcached.c - rate limits counted in memcached: exact over many nodes
 *
 * A window is one counter, "ak:m:<minute>:<key>" or "ak:h:<hour>:<key>".  An
 * increment is atomic in the server, so a total is handed out once; a request
 * whose total is within the limit is admitted, any other gives its unit back.
 * A missing counter is made by add, never by set: of many who find it missing one
 * wins, and the others' increments follow (incr-then-set admits more than the limit).
 * A trip that times out counts as not granted, though the server may have counted it:
 * the error is on the safe side.
 *
 * Servers that do not answer are never taken out of the ring: to move a counter to
 * another server would begin its window anew.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <apr_network_io.h>
#include <apr_strings.h>
#include <libmemcached/memcached.h>

#include "ak_rate.h"

#define HOST_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_"
#define COUNTER_KEY_MAX 64
#define GRACE_SEC 60 /* a counter outlives its window by this: clocks of nodes differ */

typedef struct {
    memcached_st *master;   /* the configuration; threads work on clones of it */
    pthread_key_t of_thread;
} store_t;

/* A connection is one process's: two that shared it after a fork would read each other's
 * totals, and admit by them. */
typedef struct {
    memcached_st *mc;
    pid_t process;
} client_t;

static void free_client(void *baton)
{
    client_t *client = baton;

    if (client->process == getpid()) { /* else its connections are the parent's to end */
        memcached_free(client->mc);
    }
    free(client);
}

static apr_status_t store_free(void *baton)
{
    store_t *store = baton;
    client_t *mine = pthread_getspecific(store->of_thread);

    if (mine) {
        free_client(mine);
    }
    pthread_key_delete(store->of_thread);
    memcached_free(store->master);
    return APR_SUCCESS;
}

static memcached_st *new_client(store_t *store)
{
    client_t *client = malloc(sizeof *client);

    if (!client) {
        return NULL;
    }
    client->process = getpid();
    client->mc = memcached_clone(NULL, store->master);
    if (!client->mc || pthread_setspecific(store->of_thread, client) != 0) {
        memcached_free(client->mc);
        free(client);
        return NULL;
    }
    return client->mc;
}

static memcached_st *client_of_thread(store_t *store)
{
    client_t *client = pthread_getspecific(store->of_thread);

    if (client && client->process == getpid()) {
        return client->mc;
    }
    if (client) {
        pthread_setspecific(store->of_thread, NULL);
        free_client(client);
    }
    return new_client(store);
}

static apr_size_t counter_key(char *out, ak_window_e w, const char *key_id, apr_time_t now)
{
    return (apr_size_t)apr_snprintf(out, COUNTER_KEY_MAX, "ak:%c:%" APR_INT64_T_FMT ":%s",
                                    w == AK_WINDOW_MINUTE ? 'm' : 'h', ak_window_index(w, now),
                                    key_id);
}

/* Add one to a counter, making it if need be; its new total. */
static apr_status_t increment(memcached_st *mc, const char *key, apr_size_t len, ak_window_e w,
                              uint64_t *total)
{
    memcached_return_t rc;
    int tries;

    for (tries = 0; tries < 3; tries++) {
        rc = memcached_increment(mc, key, len, 1, total);
        if (rc == MEMCACHED_SUCCESS) {
            return APR_SUCCESS;
        }
        if (rc != MEMCACHED_NOTFOUND) {
            return APR_EGENERAL;
        }
        rc = memcached_add(mc, key, len, "1", 1, AK_WINDOW_SEC(w) + GRACE_SEC, 0);
        if (rc == MEMCACHED_SUCCESS) {
            *total = 1;
            return APR_SUCCESS;
        }
        if (rc != MEMCACHED_NOTSTORED && rc != MEMCACHED_DATA_EXISTS) {
            return APR_EGENERAL;
        }
    }
    return APR_EGENERAL; /* found missing and present in turn: evictions; not granted */
}

static void set_window(ak_rate_window_t *out, ak_window_e w, apr_uint32_t limit, uint64_t total,
                       apr_time_t now)
{
    out->limit = limit;
    out->remaining = total >= limit ? 0 : limit - (apr_uint32_t)total;
    out->reset_sec = ak_window_reset_sec(w, now);
}

static apr_uint32_t limit_of(const ak_limits_t *limits, ak_window_e w)
{
    return w == AK_WINDOW_MINUTE ? limits->per_minute : limits->per_hour;
}

/* What a counter stands at; a missing one stands at 0. */
static apr_status_t read_total(memcached_st *mc, const char *key, apr_size_t len, uint64_t *total)
{
    memcached_return_t rc;
    uint32_t flags;
    size_t size;
    char *value = memcached_get(mc, key, len, &size, &flags, &rc);

    *total = value ? strtoull(value, NULL, 10) : 0;
    free(value);
    return rc == MEMCACHED_SUCCESS || rc == MEMCACHED_NOTFOUND ? APR_SUCCESS : APR_EGENERAL;
}

static apr_status_t mc_peek(ak_rate_t *rate, const ak_slot_ref_t *ref, const char *key_id,
                            const ak_limits_t *limits, apr_time_t now, ak_rate_result_t *out)
{
    memcached_st *mc = client_of_thread(rate->baton);
    char key[COUNTER_KEY_MAX];
    uint64_t total;
    int w;

    if (!mc) {
        return APR_ENOMEM;
    }
    out->admitted = 1;
    for (w = AK_WINDOW_MINUTE; w <= AK_WINDOW_HOUR; w++) {
        apr_status_t rv = read_total(mc, key, counter_key(key, w, key_id, now), &total);
        if (rv != APR_SUCCESS) {
            return rv;
        }
        set_window(&out->window[w], w, limit_of(limits, w), total, now);
        if (!out->window[w].remaining) {
            out->admitted = 0;
            out->refused_by = w;
        }
    }
    return APR_SUCCESS;
}

/* A reading of the clock from before a long stop: its counter may be gone, and would be begun
 * anew, with the whole limit. */
static apr_time_t not_long_ago(apr_time_t now)
{
    apr_time_t fresh = apr_time_now();

    return fresh - now > apr_time_from_sec(GRACE_SEC / 2) ? fresh : now;
}

/* The trips of one request: where it stands, for each window. */
typedef struct {
    memcached_st *mc;
    char key[AK_WINDOW_COUNT][COUNTER_KEY_MAX];
    apr_size_t len[AK_WINDOW_COUNT];
} trip_t;

static void give_back(trip_t *trip, ak_window_e w)
{
    uint64_t ignored;

    memcached_decrement(trip->mc, trip->key[w], trip->len[w], 1, &ignored);
}

/* The minute refused: is the hour used up as well?  Then waiting for that is what helps. */
static apr_status_t look_at_hour(trip_t *trip, const ak_limits_t *limits, apr_time_t now, ak_rate_result_t *out)
{
    uint64_t total;
    apr_status_t rv = read_total(trip->mc, trip->key[AK_WINDOW_HOUR], trip->len[AK_WINDOW_HOUR], &total);

    if (rv == APR_SUCCESS) {
        set_window(&out->window[AK_WINDOW_HOUR], AK_WINDOW_HOUR, limits->per_hour, total, now);
        out->refused_by = out->window[AK_WINDOW_HOUR].remaining ? AK_WINDOW_MINUTE : AK_WINDOW_HOUR;
    }
    return rv;
}

/* One unit of a window, or none: a refused one is given back at once. */
static apr_status_t take_window(trip_t *trip, ak_window_e w, const ak_limits_t *limits, apr_time_t now,
                                ak_rate_result_t *out)
{
    uint64_t total;
    apr_status_t rv = increment(trip->mc, trip->key[w], trip->len[w], w, &total);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (total > limit_of(limits, w)) {
        out->admitted = 0;
        out->refused_by = w;
        give_back(trip, w);
    }
    set_window(&out->window[w], w, limit_of(limits, w), total, now);
    return APR_SUCCESS;
}

static apr_status_t mc_take(ak_rate_t *rate, const ak_slot_ref_t *ref, const char *key_id,
                            const ak_limits_t *limits, apr_time_t now, ak_rate_result_t *out)
{
    trip_t trip = {client_of_thread(rate->baton), {{0}}, {0}};
    apr_status_t rv;
    int w;

    if (!trip.mc) {
        return APR_ENOMEM;
    }
    now = not_long_ago(now);
    for (w = AK_WINDOW_MINUTE; w <= AK_WINDOW_HOUR; w++) {
        trip.len[w] = counter_key(trip.key[w], w, key_id, now);
    }
    out->admitted = 1;
    rv = take_window(&trip, AK_WINDOW_MINUTE, limits, now, out);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (!out->admitted) {
        return look_at_hour(&trip, limits, now, out);
    }
    rv = take_window(&trip, AK_WINDOW_HOUR, limits, now, out);
    if (rv != APR_SUCCESS || !out->admitted) {
        give_back(&trip, AK_WINDOW_MINUTE);
        out->window[AK_WINDOW_MINUTE].remaining++;
    }
    return rv;
}

static const ak_rate_vtable_t memcached_vtable = {"memcached", mc_take, mc_peek};

/* Options once, before the first clone: see the head of this file for the ring. */
static void set_behaviour(memcached_st *mc, apr_interval_time_t timeout)
{
    uint64_t ms = (uint64_t)apr_time_as_msec(timeout);

    memcached_behavior_set(mc, MEMCACHED_BEHAVIOR_DISTRIBUTION, MEMCACHED_DISTRIBUTION_CONSISTENT);
    memcached_behavior_set(mc, MEMCACHED_BEHAVIOR_HASH, MEMCACHED_HASH_MURMUR);
    memcached_behavior_set(mc, MEMCACHED_BEHAVIOR_TCP_NODELAY, 1);
    memcached_behavior_set(mc, MEMCACHED_BEHAVIOR_NO_BLOCK, 1);
    memcached_behavior_set(mc, MEMCACHED_BEHAVIOR_POLL_TIMEOUT, ms);
    memcached_behavior_set(mc, MEMCACHED_BEHAVIOR_CONNECT_TIMEOUT, ms);
    memcached_behavior_set(mc, MEMCACHED_BEHAVIOR_RETRY_TIMEOUT, 1);
    memcached_behavior_set(mc, MEMCACHED_BEHAVIOR_DEAD_TIMEOUT, 1);
}

/* "host:port" or "[address]:port"; a name of other characters was meant otherwise, such as a
 * list with commas. */
static int add_server(memcached_st *mc, const char *server, apr_pool_t *p)
{
    char *host = NULL, *scope = NULL;
    apr_port_t port = 0;

    return apr_parse_addr_port(&host, &scope, &port, server, p) == APR_SUCCESS && host && port && !scope
        && (server[0] == '[' || host[strspn(host, HOST_CHARACTERS)] == '\0')
        && memcached_server_add(mc, host, port) == MEMCACHED_SUCCESS;
}

apr_status_t ak_rate_memcached_create(ak_rate_t **out, const char *servers,
                                      apr_interval_time_t timeout, const char **why, apr_pool_t *p)
{
    store_t *store = apr_pcalloc(p, sizeof *store);
    ak_rate_t *rate = apr_pcalloc(p, sizeof *rate);
    char *state = NULL, *copy = apr_pstrdup(p, servers), *server;

    store->master = memcached_create(NULL);
    if (!store->master || pthread_key_create(&store->of_thread, free_client) != 0) {
        *why = "no memory for a memcached client";
        return APR_ENOMEM;
    }
    apr_pool_cleanup_register(p, store, store_free, apr_pool_cleanup_null);
    set_behaviour(store->master, timeout);
    for (server = apr_strtok(copy, " ", &state); server; server = apr_strtok(NULL, " ", &state)) {
        if (!add_server(store->master, server, p)) {
            *why = apr_psprintf(p, "\"%s\" is no memcached server: write HOST:PORT", server);
            return APR_EINVAL;
        }
    }
    if (memcached_server_count(store->master) == 0) {
        *why = "no memcached server is named: write HOST:PORT, several if there are several";
        return APR_EINVAL;
    }
    rate->v = &memcached_vtable;
    rate->baton = store;
    *out = rate;
    return APR_SUCCESS;
}
