/* ak_store_private.h - what the files of the store share among themselves */
#ifndef AK_STORE_PRIVATE_H
#define AK_STORE_PRIVATE_H

#include "ak_store.h"

struct ak_store_t {
    ak_dbd_t *db;
};

#define AK_SEQ_END APR_INT64_C(9223372036854775807) /* after the newest row */
#define AK_IDEMPOTENCY_SEC 86400                    /* how long an idempotency key is remembered */

/* One statement on a handle of its own. */
apr_status_t ak_store_select(ak_store_t *store, ak_sql_e statement, const char *const *args,
                             ak_rows_t *rows, apr_pool_t *p);
apr_status_t ak_store_exec(ak_store_t *store, ak_sql_e statement, const char *const *args, int *affected,
                           apr_pool_t *p);

/* A transaction: begin gives the handle, end commits when rv is APR_SUCCESS, else rolls
 * back, gives the handle back, and returns what came of it all. */
apr_status_t ak_store_begin(ak_store_t *store, ak_dbd_handle_t **h, apr_pool_t *p);
apr_status_t ak_store_end(ak_dbd_handle_t *h, apr_status_t rv, apr_pool_t *p);

/* Within a transaction: log that a key (NULL: everything) changed.  *sequence may be NULL.
 * From here to the commit the log is held: do it last. */
apr_status_t ak_store_log_change(ak_store_t *store, ak_dbd_handle_t *h, const char *key_id, apr_int64_t now,
                                 apr_int64_t *sequence, apr_pool_t *p);
apr_status_t ak_store_log_account_change(ak_store_t *store, ak_dbd_handle_t *h, const char *account_id,
                                         apr_int64_t now, apr_int64_t *sequence, apr_pool_t *p);
apr_status_t ak_store_log_audit(ak_dbd_handle_t *h, const ak_actor_t *actor, const char *account_id,
                                const char *action, const char *target, const char *details, apr_int64_t now,
                                apr_pool_t *p);

/* A row of the view key_records. The texts are the rows' own. */
ak_key_record_t *ak_key_record_of(const ak_rows_t *rows, int row, apr_pool_t *p);

/* Where a page begins: the seq of the row that the page before ended with (id NULL: past the
 * newest).  APR_NOTFOUND: no such row of this account.  statement: takes id, account, account. */
apr_status_t ak_store_seq_of(ak_store_t *store, ak_sql_e statement, const char *id, const char *account_id,
                             apr_int64_t *seq, apr_pool_t *p);

/* Texts of enums as they stand in SQL. An unknown plan is taken for the least one. */
const char *ak_environment_text(ak_env_e environment);
ak_env_e ak_environment_of(const char *text);
ak_plan_e ak_plan_of(const char *text);

#endif
