/* mod_apikey_lookup.c - what is known of a digest: from the table, or else from SQL
 *
 * A cached key is used only while the table's stamp is young: then every change
 * committed longer than the bound ago has been dropped.  Otherwise SQL is asked.
 * An unknown key is remembered for a moment, so that repeating it costs no SQL.
 */
#include "mod_apikey.h"
#include "apikey_tally.h"

#define UNKNOWN_TTL apr_time_from_sec(2)
#define STORE_PAUSE apr_time_from_sec(2) /* after a failure: known keys do not wait for SQL to fail again */

apr_status_t apikey_reserve(apikey_node_t *node, apikey_request_t *ctx)
{
    apr_uint64_t ticket;
    apr_status_t rv = ak_table_reserve(node->table, ctx->key.digest, ctx->now, &ctx->slot, &ticket);

    ctx->has_slot = rv == APR_SUCCESS;
    return rv;
}

/* Cache what SQL said, unless anything was dropped since before it was asked: the mark
 * covers the time up to the reservation, the ticket the time after it. */
static void cache(apikey_node_t *node, apikey_request_t *ctx, apr_uint64_t mark, request_rec *r)
{
    apr_uint64_t ticket;
    apr_status_t rv = ak_table_reserve(node->table, ctx->key.digest, ctx->now, &ctx->slot, &ticket);

    ctx->has_slot = rv == APR_SUCCESS;
    if (ctx->has_slot && ak_table_mark(node->table) == mark) {
        ak_table_fill(node->table, &ctx->slot, &ctx->key, ticket);
    }
    if (rv == APR_ENOSPC) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                      "mod_apikey: the key table has no room for another key in use: name more slots with "
                      "APIKeyTable (now %u)", ak_table_slots(node->table));
    }
}

static ak_lookup_e ask_store(request_rec *r, apikey_node_t *node, apikey_request_t *ctx,
                             const unsigned char *digest)
{
    apr_uint64_t mark = ak_table_mark(node->table);
    apr_status_t rv;

    ak_table_tally(node->table, APIKEY_TALLY_LOOKUP_STORE, 1);
    rv = ak_store_lookup(node->store, digest, apikey_registry(node), &ctx->key, r->pool);
    if (rv == APR_SUCCESS) {
        cache(node, ctx, mark, r);
        return AK_LOOKUP_FOUND;
    }
    if (rv == APR_NOTFOUND) {
        ak_table_note_unknown(node->table, digest, mark);
        return AK_LOOKUP_UNKNOWN;
    }
    if (rv == APR_TIMEUP) {
        ak_table_tally(node->table, APIKEY_TALLY_LOOKUP_SHED, 1);
    }
    else {
        __atomic_store_n(&node->store_failed_usec, ak_monotonic_usec(), __ATOMIC_RELAXED);
    }
    apikey_log_store(node, r->server, rv, "looking up a key");
    return AK_LOOKUP_UNAVAILABLE;
}

static int store_has_failed(const apikey_node_t *node)
{
    apr_int64_t failed = __atomic_load_n(&node->store_failed_usec, __ATOMIC_RELAXED);

    return failed && ak_monotonic_usec() - failed < STORE_PAUSE;
}

/* While SQL cannot be asked, the operator may prefer what was known to no answer. */
static int stale_usable(const apikey_node_t *node)
{
    apr_int64_t stamp = ak_table_stamp(node->table);

    return stamp && node->server->stale && ak_monotonic_usec() - stamp <= node->server->stale;
}

static ak_lookup_e find_cached(apikey_node_t *node, apikey_request_t *ctx, const unsigned char *digest)
{
    if (ak_table_find(node->table, digest, &ctx->key, &ctx->slot) != AK_TABLE_HIT) {
        return AK_LOOKUP_NONE;
    }
    ctx->has_slot = 1;
    ak_table_tally(node->table, APIKEY_TALLY_LOOKUP_CACHED, 1);
    return AK_LOOKUP_FOUND;
}

/* An address that has failed too often gets no look-up in SQL. */
static int failed_too_often(request_rec *r, apikey_node_t *node, const apikey_request_t *ctx)
{
    const apikey_dir_t *dir = apikey_dir(r);
    unsigned char addr[16];

    if (!dir->failure_limit) {
        return 0;
    }
    apikey_client_address(r, addr);
    return ak_table_failures(node->table, addr, 0, dir->failure_window_sec, apr_time_sec(ctx->now))
        >= (apr_uint32_t)dir->failure_limit;
}

ak_lookup_e apikey_lookup(request_rec *r, apikey_request_t *ctx, const unsigned char *digest)
{
    apikey_node_t *node = apikey_server(r->server)->node;
    ak_lookup_e found;

    if (!apikey_registry(node)->quantity) {
        return AK_LOOKUP_UNAVAILABLE; /* without the registry no permission means anything */
    }
    if (apikey_cache_usable(node)) {
        if (find_cached(node, ctx, digest) == AK_LOOKUP_FOUND) {
            return AK_LOOKUP_FOUND;
        }
        if (ak_table_is_unknown(node->table, digest, UNKNOWN_TTL)) {
            ak_table_tally(node->table, APIKEY_TALLY_LOOKUP_UNKNOWN, 1);
            return AK_LOOKUP_UNKNOWN;
        }
    }
    if (failed_too_often(r, node, ctx)) {
        return AK_LOOKUP_NONE;
    }
    if (store_has_failed(node) && stale_usable(node) && find_cached(node, ctx, digest) == AK_LOOKUP_FOUND) {
        return AK_LOOKUP_FOUND;
    }
    found = ask_store(r, node, ctx, digest);
    if (found == AK_LOOKUP_UNAVAILABLE && stale_usable(node)
        && find_cached(node, ctx, digest) == AK_LOOKUP_FOUND) {
        return AK_LOOKUP_FOUND;
    }
    return found;
}
