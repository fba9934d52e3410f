/* ak_dbd.h - a pool of database handles over apr_dbd
 *
 * Why not mod_dbd's: its pool waits for ever, cannot drop a broken handle, and
 * loses prepared statements when a server restarts.  Ours waits a bounded time,
 * destroys a handle on which anything failed, and prepares each named statement
 * once a handle, on first use.  The pool is thread-safe, a handle is not.
 *
 * Statements stand in sql/queries.sql ("-- name: key_by_digest"); the build turns
 * them into ak_sql_e and ak_sql_text (build/ak_sql.h).  Arguments bind as text: a
 * number is CAST in the statement.  NULL binds NULL.  Rows come back whole, so
 * that none is ever left undrained.
 */
#ifndef AK_DBD_H
#define AK_DBD_H

#include "ak_sql.h"
#include "ak_types.h"

typedef struct ak_dbd_t ak_dbd_t;
typedef struct ak_dbd_handle_t ak_dbd_handle_t;

typedef struct {
    int count;
    int columns;
    const char **cell; /* row-major; NULL stands for SQL's NULL */
} ak_rows_t;

/* driver: "sqlite3" (params: the file) or "pgsql" (params: a libpq connection string;
 * "@FILE" reads the string from a file, so that a password stands in no configuration).
 * Opens no connection yet.  wait bounds the wait for a free handle.  *why on failure. */
apr_status_t ak_dbd_create(ak_dbd_t **db, const char *driver, const char *params, int max_handles,
                           apr_interval_time_t wait, const char **why, apr_pool_t *p);
int ak_dbd_is_sqlite(const ak_dbd_t *db);

const char *ak_dbd_driver(const ak_dbd_t *db); /* "sqlite3" or "pgsql" */
/* The SQLite file; for PostgreSQL NULL. */
const char *ak_dbd_file(const ak_dbd_t *db);

/* APR_TIMEUP: no handle in time.  APR_ENOENT: the SQLite file is missing (it is never
 * made here).  Others: the database is not to be had; ak_dbd_problem says why.  After a
 * slow failure the next calls fail at once, for as long as it took (a second at most). */
apr_status_t ak_dbd_acquire(ak_dbd_t *db, ak_dbd_handle_t **h);
/* Back to the pool, or to nothing if anything failed on it or it is in a transaction. */
void ak_dbd_release(ak_dbd_handle_t *h);
/* What the database said of the last failure on this handle (never an argument's value). */
const char *ak_dbd_error(ak_dbd_handle_t *h);
/* The same over all handles and attempts to connect; "" when there was none. In p. */
const char *ak_dbd_problem(ak_dbd_t *db, apr_pool_t *p);

/* args: as many as the statement has %s, in order.  The first statement on a handle that
 * lay idle is repeated on a fresh connection when the old one proves dead (a select or
 * a begin, never an exec).  After any failure the handle is good for release alone. */
apr_status_t ak_dbd_select(ak_dbd_handle_t *h, ak_sql_e statement, const char *const *args,
                           ak_rows_t *rows, apr_pool_t *p);
/* affected may be NULL.  APR_EEXIST: a statement with ON CONFLICT DO NOTHING wrote nothing,
 * which is no failure of the handle.  A uniqueness rule broken without it is a failure. */
apr_status_t ak_dbd_exec(ak_dbd_handle_t *h, ak_sql_e statement, const char *const *args,
                         int *affected, apr_pool_t *p);
/* One statement of SQL text, no ";" behind it: for migrations only. */
apr_status_t ak_dbd_exec_text(ak_dbd_handle_t *h, const char *sql, apr_pool_t *p);

/* Have an SQLite database of ours keep its log beside it (WAL), so that readers and a writer
 * work side by side; one restored from a dump has forgotten it.  Nothing on PostgreSQL. */
apr_status_t ak_dbd_use_wal(ak_dbd_handle_t *h);

/* On SQLite a transaction takes the write lock at once (BEGIN IMMEDIATE). */
apr_status_t ak_dbd_begin(ak_dbd_handle_t *h, apr_pool_t *p);
apr_status_t ak_dbd_commit(ak_dbd_handle_t *h, apr_pool_t *p);
apr_status_t ak_dbd_rollback(ak_dbd_handle_t *h, apr_pool_t *p);

/* A cell, "" for NULL; a cell as a number, missing for NULL. */
const char *ak_rows_text(const ak_rows_t *rows, int row, int column);
const char *ak_rows_text_or_null(const ak_rows_t *rows, int row, int column);
apr_int64_t ak_rows_number(const ak_rows_t *rows, int row, int column, apr_int64_t missing);
/* Number as text for an argument, allocated in p; ak_dbd_null_or_number gives NULL for `null`. */
const char *ak_dbd_number(apr_pool_t *p, apr_int64_t n);
const char *ak_dbd_number_or_null(apr_pool_t *p, apr_int64_t n, apr_int64_t null);

#endif
