/* ak_store_changes - the change log that every node follows, and the nodes themselves */
#include <apr_strings.h>
#include <string.h>

#include "ak_digest.h"
#include "ak_store_private.h"
#include "ak_table.h" /* ak_monotonic_usec */

#define NODE_GONE_SEC 3600            /* a node not seen for so long is forgotten */
#define NODE_SILENT_SEC 60            /* ... and so long, not waited for: its bound is far past */
#define CHANGES_KEPT_SEC 86400
#define WAIT_STEP (4 * APR_TIME_C(1000))

static apr_int64_t now_sec(void)
{
    return apr_time_sec(apr_time_now());
}

/* --- writing ------------------------------------------------------------------------- */

/* Rows of the log become visible in the order of their numbers; see change_lock. */
static apr_status_t lock_log(ak_store_t *store, ak_dbd_handle_t *h, apr_pool_t *p)
{
    ak_rows_t rows;

    return ak_dbd_is_sqlite(store->db) ? APR_SUCCESS : ak_dbd_select(h, AK_SQL_CHANGE_LOCK, NULL, &rows, p);
}

apr_status_t ak_store_log_change(ak_store_t *store, ak_dbd_handle_t *h, const char *key_id, apr_int64_t now,
                                 apr_int64_t *sequence, apr_pool_t *p)
{
    const char *args[] = {key_id, ak_dbd_number(p, now)};
    ak_rows_t rows;
    apr_status_t rv = lock_log(store, h, p);

    if (rv == APR_SUCCESS)
        rv = ak_dbd_select(h, AK_SQL_CHANGE_ADD, args, &rows, p);
    if (rv == APR_SUCCESS && sequence != NULL)
        *sequence = ak_rows_number(&rows, 0, 0, 0);
    return rv;
}

apr_status_t ak_store_log_account_change(ak_store_t *store, ak_dbd_handle_t *h, const char *account_id,
                                         apr_int64_t now, apr_int64_t *sequence, apr_pool_t *p)
{
    const char *args[] = {ak_dbd_number(p, now), account_id};
    ak_rows_t rows;
    apr_status_t rv = lock_log(store, h, p);

    if (rv == APR_SUCCESS)
        rv = ak_dbd_exec(h, AK_SQL_CHANGE_ADD_ACCOUNT, args, NULL, p);
    if (rv == APR_SUCCESS)
        rv = ak_dbd_select(h, AK_SQL_CHANGE_LAST, NULL, &rows, p);
    if (rv == APR_SUCCESS && sequence != NULL)
        *sequence = ak_rows_number(&rows, 0, 0, 0);
    return rv;
}

/* --- following ------------------------------------------------------------------------ */

apr_status_t ak_store_last_change(ak_store_t *store, apr_int64_t *sequence, apr_pool_t *p)
{
    ak_rows_t rows;
    apr_status_t rv = ak_store_select(store, AK_SQL_CHANGE_LAST, NULL, &rows, p);

    if (rv == APR_SUCCESS)
        *sequence = ak_rows_number(&rows, 0, 0, 0);
    return rv;
}

/* The row `after` is not there: was the log pruned past it, is it another log, or has
 * the database only skipped that number? */
static apr_status_t look_for_gap(ak_dbd_handle_t *h, apr_int64_t after, int *gap, apr_pool_t *p)
{
    ak_rows_t rows;
    apr_int64_t oldest, newest;
    apr_status_t rv = ak_dbd_select(h, AK_SQL_CHANGE_BOUNDS, NULL, &rows, p);

    if (rv != APR_SUCCESS)
        return rv;
    oldest = ak_rows_number(&rows, 0, 0, 0);
    newest = ak_rows_number(&rows, 0, 1, 0);
    *gap = after > newest || (newest > 0 && oldest > after + 1);
    return APR_SUCCESS;
}

static void fill_change(ak_change_t *change, const ak_rows_t *rows, int row)
{
    const char *digest = ak_rows_text_or_null(rows, row, 2);

    change->sequence = ak_rows_number(rows, row, 0, 0);
    change->all = ak_rows_text_or_null(rows, row, 1) == NULL;
    change->has_digest = digest != NULL && ak_digest_from_hex(digest, change->digest) == APR_SUCCESS;
}

apr_status_t ak_store_changes(ak_store_t *store, apr_int64_t after, int limit, ak_change_t **changes, int *count,
                              int *gap, apr_pool_t *p)
{
    /* From `after` itself on: the newest row is never pruned, so an idle node sees just
     * its own row and has asked once. */
    const char *args[] = {ak_dbd_number(p, after), ak_dbd_number(p, (apr_int64_t)limit + 1)};
    ak_dbd_handle_t *h;
    ak_rows_t rows;
    int first;
    apr_status_t rv = ak_dbd_acquire(store->db, &h);

    *count = *gap = 0;
    if (rv != APR_SUCCESS)
        return rv;
    rv = ak_dbd_select(h, AK_SQL_CHANGES, args, &rows, p);
    first = ak_rows_number(&rows, 0, 0, -1) == after;
    if (rv == APR_SUCCESS && !first)
        rv = look_for_gap(h, after, gap, p);
    ak_dbd_release(h);
    if (rv != APR_SUCCESS)
        return rv;
    *changes = apr_pcalloc(p, (rows.count + 1) * sizeof **changes);
    for (int i = first; i < rows.count && *count < limit; i++)
        fill_change(&(*changes)[(*count)++], &rows, i);
    return APR_SUCCESS;
}

apr_status_t ak_store_changes_prune(ak_store_t *store, apr_int64_t older_than, apr_pool_t *p)
{
    const char *args[] = {ak_dbd_number(p, older_than)};

    return ak_store_exec(store, AK_SQL_CHANGES_PRUNE, args, NULL, p);
}

apr_status_t ak_store_prune(ak_store_t *store, apr_int64_t now, apr_pool_t *p)
{
    const char *nodes[] = {ak_dbd_number(p, now - NODE_GONE_SEC)};
    const char *repeats[] = {ak_dbd_number(p, now - AK_IDEMPOTENCY_SEC)};
    apr_status_t rv = ak_store_changes_prune(store, now - CHANGES_KEPT_SEC, p);

    if (rv == APR_SUCCESS)
        rv = ak_store_exec(store, AK_SQL_NODES_PRUNE, nodes, NULL, p);
    if (rv == APR_SUCCESS)
        rv = ak_store_exec(store, AK_SQL_IDEMPOTENCY_PRUNE, repeats, NULL, p);
    return rv;
}

/* --- nodes ------------------------------------------------------------------------------ */

apr_status_t ak_store_node_report(ak_store_t *store, const char *node, int bound_ms, apr_int64_t applied,
                                  apr_pool_t *p)
{
    const char *args[] = {node, ak_dbd_number(p, bound_ms), ak_dbd_number(p, applied), ak_dbd_number(p, now_sec())};

    return ak_store_exec(store, AK_SQL_NODE_REPORT, args, NULL, p);
}

apr_status_t ak_store_node_remove(ak_store_t *store, const char *node, apr_pool_t *p)
{
    const char *args[] = {node};

    return ak_store_exec(store, AK_SQL_NODE_REMOVE, args, NULL, p);
}

apr_status_t ak_store_nodes(ak_store_t *store, ak_node_t **nodes, int *count, apr_pool_t *p)
{
    ak_rows_t rows;
    apr_status_t rv = ak_store_select(store, AK_SQL_NODES, NULL, &rows, p);

    if (rv != APR_SUCCESS)
        return rv;
    *count = rows.count;
    *nodes = apr_pcalloc(p, (rows.count + 1) * sizeof **nodes);
    for (int i = 0; i < rows.count; i++) {
        (*nodes)[i].id = ak_rows_text(&rows, i, 0);
        (*nodes)[i].bound_ms = (int)ak_rows_number(&rows, i, 1, 0);
        (*nodes)[i].applied = ak_rows_number(&rows, i, 2, 0);
        (*nodes)[i].seen_at = ak_rows_number(&rows, i, 3, 0);
    }
    return APR_SUCCESS;
}

/* How many other nodes have not applied a change, and the longest of their bounds. */
static apr_status_t count_behind(ak_store_t *store, apr_int64_t sequence, const char *self, int *behind,
                                 apr_interval_time_t *bound, apr_pool_t *p)
{
    const char *args[] = {ak_dbd_number(p, sequence), ak_dbd_number(p, now_sec() - NODE_SILENT_SEC),
                          self != NULL ? self : ""};
    ak_rows_t rows;
    apr_status_t rv = ak_store_select(store, AK_SQL_NODES_BEHIND, args, &rows, p);

    *behind = (int)ak_rows_number(&rows, 0, 0, 0);
    *bound = apr_time_from_msec(ak_rows_number(&rows, 0, 1, 0));
    return rv;
}

apr_status_t ak_store_wait_applied(ak_store_t *store, apr_int64_t sequence, const char *self, apr_pool_t *p)
{
    apr_int64_t began = ak_monotonic_usec();
    apr_interval_time_t bound, longest = 0;
    apr_pool_t *scratch;
    int behind = 1;
    apr_status_t rv = apr_pool_create(&scratch, p);

    if (rv != APR_SUCCESS)
        return rv;
    rv = count_behind(store, sequence, self, &behind, &longest, scratch);
    while (rv == APR_SUCCESS && behind > 0 && ak_monotonic_usec() - began < longest) {
        apr_sleep(WAIT_STEP);
        apr_pool_clear(scratch);
        if (count_behind(store, sequence, self, &behind, &bound, scratch) != APR_SUCCESS)
            behind = 1; /* cannot be asked: the bound decides */
        else if (bound > longest)
            longest = bound;
    }
    apr_pool_destroy(scratch);
    return rv;
}
