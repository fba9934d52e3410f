/* ak_dbd_statement - statements and transactions on a handle, and the rows that come back */
#include <apr_strings.h>
#include <string.h>

#include "ak_dbd_private.h"
#include "ak_table.h" /* ak_monotonic_usec */

#define RETRY_BELOW (250 * APR_TIME_C(1000))     /* a failure slower than this is not tried again */

/* Whether a statement ends in ON CONFLICT DO NOTHING is asked of its text once a call:
 * few statements are execs, and none is on the hot path. */
static int is_conditional(ak_sql_e statement)
{
    return strstr(ak_sql_text[statement], "DO NOTHING") != NULL;
}

/* --- statements --------------------------------------------------------------------- */

static apr_status_t prepare(ak_dbd_handle_t *h, ak_sql_e statement)
{
    int code;

    if (h->prepared[statement] != NULL)
        return APR_SUCCESS;
    code = apr_dbd_prepare(h->db->driver, h->pool, h->conn, ak_sql_text[statement],
                           apr_pstrcat(h->pool, "ak_", ak_sql_name[statement], NULL), &h->prepared[statement]);
    if (code == 0)
        return APR_SUCCESS;
    h->prepared[statement] = NULL;
    return ak_dbd_failed(h, ak_sql_name[statement], code, NULL, 0);
}

/* Copy a cell.  The plain getter of the pgsql driver gives "" for NULL. */
static const char *cell_of(const apr_dbd_driver_t *driver, apr_dbd_row_t *row, int column, apr_pool_t *p)
{
    const char *text = NULL;

    if (apr_dbd_datum_get(driver, row, column, APR_DBD_TYPE_STRING, (void *)&text) != APR_SUCCESS)
        return NULL;
    return apr_pstrdup(p, text);
}

/* Read all rows.  PostgreSQL's result dies when one reads past its end: cells are copies. */
static apr_status_t drain(ak_dbd_handle_t *h, apr_dbd_results_t *res, ak_rows_t *rows, apr_pool_t *p)
{
    const apr_dbd_driver_t *driver = h->db->driver;
    int count = apr_dbd_num_tuples(driver, res), r, c;
    apr_dbd_row_t *row = NULL;

    rows->count = count > 0 ? count : 0;
    rows->columns = apr_dbd_num_cols(driver, res);
    rows->cell = apr_pcalloc(p, ((apr_size_t)rows->count * rows->columns + 1) * sizeof *rows->cell);
    for (r = 0; r < rows->count; r++) {
        if (apr_dbd_get_row(driver, p, res, &row, -1) != 0)
            return ak_dbd_failed(h, "rows", 0, NULL, 0);
        for (c = 0; c < rows->columns; c++)
            rows->cell[r * rows->columns + c] = cell_of(driver, row, c, p);
    }
    apr_dbd_get_row(driver, p, res, &row, -1); /* past the end: the driver frees its result */
    return APR_SUCCESS;
}

static apr_status_t select_once(ak_dbd_handle_t *h, ak_sql_e statement, const char *const *args,
                                ak_rows_t *rows, apr_pool_t *p)
{
    apr_dbd_results_t *res = NULL;
    apr_status_t rv = prepare(h, statement);
    int code;

    if (rv != APR_SUCCESS)
        return rv;
    code = apr_dbd_pselect(h->db->driver, p, h->conn, &res, h->prepared[statement], 1,
                           ak_sql_arguments[statement], (const char **)args);
    if (code != 0)
        return ak_dbd_failed(h, ak_sql_name[statement], code, args, ak_sql_arguments[statement]);
    return drain(h, res, rows, p);
}

/* Is it worth a second try on a new connection: is this the first thing done with a
 * connection that lay idle, and did it fail at once? */
static int may_retry(const ak_dbd_handle_t *h, apr_int64_t began)
{
    return !h->fresh && h->used == 1 && ak_monotonic_usec() - began < RETRY_BELOW;
}

apr_status_t ak_dbd_select(ak_dbd_handle_t *h, ak_sql_e statement, const char *const *args,
                           ak_rows_t *rows, apr_pool_t *p)
{
    apr_int64_t began = ak_monotonic_usec();
    apr_status_t rv;

    rows->count = rows->columns = 0;
    rows->cell = NULL;
    if (h->broken || h->conn == NULL)
        return APR_EGENERAL;
    h->used++;
    rv = select_once(h, statement, args, rows, p);
    if (rv != APR_SUCCESS && may_retry(h, began)) {
        rv = ak_dbd_reconnect(h);
        if (rv == APR_SUCCESS)
            rv = select_once(h, statement, args, rows, p);
    }
    return rv;
}

apr_status_t ak_dbd_exec(ak_dbd_handle_t *h, ak_sql_e statement, const char *const *args,
                         int *affected, apr_pool_t *p)
{
    int code, count = 0;
    apr_status_t rv;

    if (h->broken || h->conn == NULL)
        return APR_EGENERAL;
    h->used++;
    rv = prepare(h, statement);
    if (rv != APR_SUCCESS)
        return rv;
    code = apr_dbd_pquery(h->db->driver, p, h->conn, &count, h->prepared[statement], ak_sql_arguments[statement],
                          (const char **)args);
    if (code != 0)
        return ak_dbd_failed(h, ak_sql_name[statement], code, args, ak_sql_arguments[statement]);
    if (affected != NULL)
        *affected = count;
    return count == 0 && is_conditional(statement) ? APR_EEXIST : APR_SUCCESS;
}

static apr_status_t run_text(ak_dbd_handle_t *h, const char *sql)
{
    int code, count = 0;

    if (h->broken || h->conn == NULL)
        return APR_EGENERAL;
    h->used++;
    code = apr_dbd_query(h->db->driver, h->conn, &count, sql);
    return code == 0 ? APR_SUCCESS : ak_dbd_failed(h, NULL, code, NULL, 0);
}

apr_status_t ak_dbd_exec_text(ak_dbd_handle_t *h, const char *sql, apr_pool_t *p)
{
    h->stale = 1;
    return run_text(h, sql);
}

apr_status_t ak_dbd_use_wal(ak_dbd_handle_t *h)
{
    apr_dbd_results_t *res = NULL; /* the mode comes back as a row, which an exec takes for a failure */
    int code;

    if (!h->db->sqlite)
        return APR_SUCCESS;
    if (h->broken || h->conn == NULL)
        return APR_EGENERAL;
    h->stale = 1;
    code = apr_dbd_select(h->db->driver, h->pool, h->conn, &res, "PRAGMA journal_mode = WAL", 1);
    return code == 0 ? APR_SUCCESS : ak_dbd_failed(h, "journal_mode", code, NULL, 0);
}

/* --- transactions: as SQL, because the pgsql driver's own call crashes on a dead handle --- */

/* Open a transaction in which what is prepared is good.  APR_EAGAIN: the handle is too old. */
static apr_status_t begin_once(ak_dbd_handle_t *h)
{
    apr_int64_t schema;
    apr_status_t rv = run_text(h, h->db->sqlite ? "BEGIN IMMEDIATE" : "BEGIN");

    if (rv != APR_SUCCESS)
        return rv;
    h->in_transaction = 1;
    rv = ak_dbd_read_schema(h, &schema);
    return rv == APR_SUCCESS && schema != h->schema ? APR_EAGAIN : rv;
}

apr_status_t ak_dbd_begin(ak_dbd_handle_t *h, apr_pool_t *p)
{
    apr_int64_t began = ak_monotonic_usec();
    apr_status_t rv = begin_once(h);

    if (rv == APR_EAGAIN || (rv != APR_SUCCESS && may_retry(h, began))) {
        rv = ak_dbd_reconnect(h);
        if (rv == APR_SUCCESS)
            rv = begin_once(h);
    }
    return rv;
}

/* A COMMIT that fails leaves the handle within its transaction: it is broken then. */
apr_status_t ak_dbd_commit(ak_dbd_handle_t *h, apr_pool_t *p)
{
    apr_status_t rv = run_text(h, "COMMIT");

    if (rv == APR_SUCCESS)
        h->in_transaction = 0;
    return rv;
}

apr_status_t ak_dbd_rollback(ak_dbd_handle_t *h, apr_pool_t *p)
{
    apr_status_t rv = run_text(h, "ROLLBACK");

    if (rv == APR_SUCCESS)
        h->in_transaction = 0;
    return rv;
}

/* --- cells and arguments ------------------------------------------------------------ */

const char *ak_rows_text_or_null(const ak_rows_t *rows, int row, int column)
{
    if (row < 0 || row >= rows->count || column < 0 || column >= rows->columns)
        return NULL;
    return rows->cell[row * rows->columns + column];
}

const char *ak_rows_text(const ak_rows_t *rows, int row, int column)
{
    const char *text = ak_rows_text_or_null(rows, row, column);

    return text != NULL ? text : "";
}

apr_int64_t ak_rows_number(const ak_rows_t *rows, int row, int column, apr_int64_t missing)
{
    const char *text = ak_rows_text_or_null(rows, row, column);

    return text != NULL ? apr_atoi64(text) : missing;
}

const char *ak_dbd_number(apr_pool_t *p, apr_int64_t n)
{
    return apr_psprintf(p, "%" APR_INT64_T_FMT, n);
}

const char *ak_dbd_number_or_null(apr_pool_t *p, apr_int64_t n, apr_int64_t null)
{
    return n == null ? NULL : ak_dbd_number(p, n);
}
