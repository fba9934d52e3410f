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

#include <apr_network_io.h>
#include <apr_strings.h>
#include <libmemcached/memcached.h>

#include "ak_rate.h"

#define COUNTER_KEY_MAX 64
#define GRACE_SEC 60 /* a counter outlives its window by this: clocks of nodes differ */

typedef struct {
    memcached_st *master;   /* the configuration; threads work on clones of it */
    pthread_key_t of_thread;
} store_t;

static void free_clone(void *mc)
{
    memcached_free(mc);
}

static apr_status_t store_free(void *baton)
{
    store_t *store = baton;
    memcached_st *mine = pthread_getspecific(store->of_thread);

    if (mine) {
        memcached_free(mine);
    }
    pthread_key_delete(store->of_thread);
    memcached_free(store->master);
    return APR_SUCCESS;
}

static memcached_st *client_of_thread(store_t *store)
{
    memcached_st *mc = pthread_getspecific(store->of_thread);

    if (!mc) {
        mc = memcached_clone(NULL, store->master);
        if (mc && pthread_setspecific(store->of_thread, mc) != 0) {
            memcached_free(mc);
            mc = NULL;
        }
    }
    return mc;
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

static void give_back(memcached_st *mc, const char *key, apr_size_t len)
{
    uint64_t ignored;

    memcached_decrement(mc, key, len, 1, &ignored);
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

static apr_status_t mc_take(ak_rate_t *rate, const ak_slot_ref_t *ref, const char *key_id,
                            const ak_limits_t *limits, apr_time_t now, ak_rate_result_t *out)
{
    memcached_st *mc = client_of_thread(rate->baton);
    char key[AK_WINDOW_COUNT][COUNTER_KEY_MAX];
    apr_size_t len[AK_WINDOW_COUNT];
    uint64_t total;
    int w;

    if (!mc) {
        return APR_ENOMEM;
    }
    out->admitted = 1;
    for (w = AK_WINDOW_MINUTE; w <= AK_WINDOW_HOUR; w++) {
        apr_status_t rv;

        len[w] = counter_key(key[w], w, key_id, now);
        if (out->admitted) {
            rv = increment(mc, key[w], len[w], w, &total);
        }
        else {
            rv = read_total(mc, key[w], len[w], &total); /* for the headers alone */
        }
        if (rv != APR_SUCCESS) {
            if (w == AK_WINDOW_HOUR && out->admitted) {
                give_back(mc, key[AK_WINDOW_MINUTE], len[AK_WINDOW_MINUTE]);
            }
            return rv;
        }
        if (out->admitted && total > limit_of(limits, w)) {
            out->admitted = 0;
            out->refused_by = w;
            give_back(mc, key[w], len[w]);
            if (w == AK_WINDOW_HOUR) {
                give_back(mc, key[AK_WINDOW_MINUTE], len[AK_WINDOW_MINUTE]);
                out->window[AK_WINDOW_MINUTE].remaining++;
            }
        }
        set_window(&out->window[w], w, limit_of(limits, w), total, now);
    }
    return APR_SUCCESS;
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

apr_status_t ak_rate_memcached_create(ak_rate_t **out, const char *servers,
                                      apr_interval_time_t timeout, const char **why, apr_pool_t *p)
{
    store_t *store = apr_pcalloc(p, sizeof *store);
    ak_rate_t *rate = apr_pcalloc(p, sizeof *rate);
    char *state = NULL, *copy = apr_pstrdup(p, servers), *server;

    store->master = memcached_create(NULL);
    if (!store->master || pthread_key_create(&store->of_thread, free_clone) != 0) {
        *why = "no memory for a memcached client";
        return APR_ENOMEM;
    }
    apr_pool_cleanup_register(p, store, store_free, apr_pool_cleanup_null);
    set_behaviour(store->master, timeout);
    for (server = apr_strtok(copy, " ", &state); server; server = apr_strtok(NULL, " ", &state)) {
        char *host = NULL, *scope = NULL;
        apr_port_t port = 0;

        if (apr_parse_addr_port(&host, &scope, &port, server, p) != APR_SUCCESS || !host || !port
            || memcached_server_add(store->master, host, port) != MEMCACHED_SUCCESS) {
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
