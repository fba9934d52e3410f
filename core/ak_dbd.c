/* ak_dbd - a pool of database handles over apr_dbd */
#include "ak_dbd.h"

#include <apr_dbd.h>
#include <apr_file_io.h>
#include <apr_reslist.h>
#include <apr_strings.h>
#include <apr_thread_mutex.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "ak_table.h" /* ak_monotonic_usec */

#define PARAMS_MAX 4096                          /* bytes of a "@FILE" */
#define HOLD_MAX APR_USEC_PER_SEC                /* longest pause after a failed connect */
#define DRIVER_BUSY 5                            /* SQLITE_BUSY, as the driver passes it on */
#define BUSY_MAX (2 * APR_USEC_PER_SEC)          /* how long a connect bears with it */
#define BUSY_PAUSE (5 * APR_TIME_C(1000))
#define RETRY_BELOW (250 * APR_TIME_C(1000))     /* a failure slower than this is not tried again */

struct ak_dbd_t {
    apr_pool_t *pool;
    const apr_dbd_driver_t *driver;
    const char *params;
    int sqlite;
    apr_reslist_t *places;
    apr_thread_mutex_t *lock; /* over the two below */
    apr_int64_t hold_until;   /* monotonic: no new connection before */
    char problem[256];
};

/* A place in the pool, with a connection or without. */
struct ak_dbd_handle_t {
    ak_dbd_t *db;
    apr_pool_t *pool; /* lives as long as the connection */
    apr_dbd_t *conn;
    dev_t device;     /* of the SQLite file, as it was when we opened it */
    ino_t inode;
    apr_int64_t schema; /* SQLite's number of the schema for which statements are prepared */
    int broken, in_transaction;
    int busy;         /* what broke it was another's lock */
    int stale;        /* the schema was changed through it: what is prepared is void */
    int fresh;        /* connected since it was acquired */
    int used;         /* statements since it was acquired */
    apr_dbd_prepared_t *prepared[AK_SQL_COUNT];
    char error[256];
};

/* Whether a statement ends in ON CONFLICT DO NOTHING is asked of its text once a call:
 * few statements are execs, and none is on the hot path. */
static int is_conditional(ak_sql_e statement)
{
    return strstr(ak_sql_text[statement], "DO NOTHING") != NULL;
}

/* --- what went wrong, in words that hold no secret ------------------------------ */

static void remember(ak_dbd_t *db, const char *problem)
{
    apr_thread_mutex_lock(db->lock);
    apr_cpystrn(db->problem, problem, sizeof db->problem);
    apr_thread_mutex_unlock(db->lock);
}

/* The first line of what the driver said, because PostgreSQL quotes the row in the next. */
static void take_line(char *line, apr_size_t size, const char *said)
{
    apr_size_t len = strcspn(said, "\r\n");

    apr_cpystrn(line, said, len < size ? len + 1 : size);
}

static void note(ak_dbd_handle_t *h, const char *said)
{
    take_line(h->error, sizeof h->error, said);
    remember(h->db, h->error);
}

static int holds_argument(const char *said, const char *const *args, int count)
{
    for (int i = 0; i < count; i++)
        if (args[i] != NULL && strlen(args[i]) >= 3 && strstr(said, args[i]) != NULL)
            return 1;
    return 0;
}

/* A statement failed, and the handle with it.  name: of the statement, NULL for a text of
 * ours.  The sqlite3 driver loses what SQLite said of a prepared one ("not an error"). */
static apr_status_t failed(ak_dbd_handle_t *h, const char *name, int code, const char *const *args, int count)
{
    char line[sizeof h->error];

    take_line(line, sizeof line, apr_dbd_error(h->db->driver, h->conn, code));
    if (holds_argument(line, args, count))
        apr_cpystrn(line, "refused, in words that hold a value", sizeof line);
    else if (strcmp(line, "not an error") == 0)
        apr_cpystrn(line, "failed", sizeof line);
    apr_snprintf(h->error, sizeof h->error, "%s: %s", name != NULL ? name : "statement", line);
    remember(h->db, h->error);
    h->broken = 1;
    h->busy = h->db->sqlite && code == DRIVER_BUSY;
    return APR_EGENERAL;
}

const char *ak_dbd_error(ak_dbd_handle_t *h)
{
    return h->error;
}

const char *ak_dbd_problem(ak_dbd_t *db, apr_pool_t *p)
{
    const char *copy;

    apr_thread_mutex_lock(db->lock);
    copy = apr_pstrdup(p, db->problem);
    apr_thread_mutex_unlock(db->lock);
    return copy;
}

/* --- the pool --------------------------------------------------------------------- */

/* A connection string from a file: its first line.  The string is never in *why. */
static apr_status_t read_params(const char **params, const char *file, const char **why, apr_pool_t *p)
{
    apr_file_t *f;
    char *text = apr_palloc(p, PARAMS_MAX + 1);
    apr_size_t len = PARAMS_MAX;
    apr_status_t rv = apr_file_open(&f, file, APR_FOPEN_READ, APR_OS_DEFAULT, p);

    if (rv == APR_SUCCESS) {
        rv = apr_file_read_full(f, text, PARAMS_MAX, &len);
        apr_file_close(f);
        if (rv == APR_EOF)
            rv = APR_SUCCESS;
    }
    if (rv != APR_SUCCESS) {
        *why = apr_psprintf(p, "%s, which should hold the connection string, cannot be read: %pm", file, &rv);
        return rv;
    }
    text[len] = '\0';
    text[strcspn(text, "\r\n")] = '\0';
    if (text[0] == '\0' || len == PARAMS_MAX) {
        *why = apr_psprintf(p, "%s must hold the connection string in its first line, such as "
                               "host=db.example.com dbname=apikey user=apikey", file);
        return APR_EINVAL;
    }
    *params = text;
    return APR_SUCCESS;
}

/* Bounds that libpq lacks by default stand before the operator's own words, which win.
 * The URI form has no such place: whoever writes one writes its bounds too. */
static const char *bounded_conninfo(const char *params, apr_pool_t *p)
{
    if (strncmp(params, "postgresql://", 13) == 0 || strncmp(params, "postgres://", 11) == 0)
        return params;
    return apr_pstrcat(p, "connect_timeout=2 tcp_user_timeout=5000 application_name=mod_apikey ", params, NULL);
}

/* Each place of the pool has an allocator of its own, so that no two threads meet in one.
 * It holds no connection: connecting happens outside the pool's lock. */
static apr_status_t make_place(void **resource, void *params, apr_pool_t *unused)
{
    ak_dbd_t *db = params;
    ak_dbd_handle_t *h = apr_pcalloc(db->pool, sizeof *h);
    apr_allocator_t *allocator;
    apr_status_t rv = apr_allocator_create(&allocator);

    if (rv != APR_SUCCESS)
        return rv;
    rv = apr_pool_create_ex(&h->pool, db->pool, NULL, allocator);
    if (rv != APR_SUCCESS) {
        apr_allocator_destroy(allocator);
        return rv;
    }
    apr_allocator_owner_set(allocator, h->pool);
    h->db = db;
    *resource = h;
    return APR_SUCCESS;
}

static apr_status_t disconnect(void *data)
{
    ak_dbd_handle_t *h = data;

    if (h->conn != NULL)
        apr_dbd_close(h->db->driver, h->conn);
    h->conn = NULL;
    h->broken = h->in_transaction = h->stale = 0;
    memset(h->prepared, 0, sizeof h->prepared);
    return APR_SUCCESS;
}

static apr_status_t drop_place(void *resource, void *params, apr_pool_t *unused)
{
    return APR_SUCCESS; /* its pool goes with ours, and its connection with that */
}

apr_status_t ak_dbd_create(ak_dbd_t **result, const char *driver, const char *params, int max_handles,
                           apr_interval_time_t wait, const char **why, apr_pool_t *p)
{
    ak_dbd_t *db = apr_pcalloc(p, sizeof *db);
    apr_status_t rv;

    db->pool = p;
    db->sqlite = strcmp(driver, "sqlite3") == 0;
    if (!db->sqlite && strcmp(driver, "pgsql") != 0) {
        *why = apr_psprintf(p, "\"%s\" is no database that mod_apikey knows: write sqlite3 or pgsql", driver);
        return APR_EINVAL;
    }
    if (!db->sqlite && params[0] == '@') {
        rv = read_params(&params, params + 1, why, p);
        if (rv != APR_SUCCESS)
            return rv;
    }
    if (params[0] == '\0') {
        *why = db->sqlite ? "the database's file is not named: write sqlite3 FILE"
                          : "the connection is not described: write pgsql \"dbname=apikey\"";
        return APR_EINVAL;
    }
    db->params = db->sqlite ? apr_pstrdup(p, params) : bounded_conninfo(params, p);
    rv = apr_dbd_init(p);
    if (rv == APR_SUCCESS)
        rv = apr_dbd_get_driver(p, driver, &db->driver);
    if (rv != APR_SUCCESS) {
        *why = apr_psprintf(p, "the driver for %s is missing: install libaprutil1-dbd-%s", driver, driver);
        return rv;
    }
    rv = apr_thread_mutex_create(&db->lock, APR_THREAD_MUTEX_DEFAULT, p);
    if (rv == APR_SUCCESS)
        rv = apr_reslist_create(&db->places, max_handles, max_handles, max_handles, 0, make_place, drop_place,
                                db, p);
    if (rv != APR_SUCCESS) {
        *why = apr_psprintf(p, "the pool of database handles cannot be made: %pm", &rv);
        return rv;
    }
    apr_reslist_timeout_set(db->places, wait);
    *result = db;
    return APR_SUCCESS;
}

int ak_dbd_is_sqlite(const ak_dbd_t *db)
{
    return db->sqlite;
}

const char *ak_dbd_driver(const ak_dbd_t *db)
{
    return db->sqlite ? "sqlite3" : "pgsql";
}

const char *ak_dbd_file(const ak_dbd_t *db)
{
    return db->sqlite ? db->params : NULL;
}

/* --- connecting ------------------------------------------------------------------- */

/* What each new connection is told: no value waits for ever, and a key has an account. */
static apr_status_t greet(ak_dbd_handle_t *h)
{
    static const char *const sqlite[] = {"PRAGMA synchronous = NORMAL", "PRAGMA foreign_keys = ON", NULL};
    static const char *const pgsql[] = {"SET client_encoding TO 'UTF8'", "SET statement_timeout TO 5000", NULL};
    const char *const *line = h->db->sqlite ? sqlite : pgsql;

    for (; *line != NULL; line++) {
        apr_dbd_results_t *res = NULL;
        int code = apr_dbd_select(h->db->driver, h->pool, h->conn, &res, *line, 1);

        if (code != 0)
            return failed(h, "connect", code, NULL, 0);
    }
    return APR_SUCCESS;
}

/* The driver does not prepare again when another connection has changed the schema: it
 * only fails.  So the number of the schema is read when we connect and before each
 * transaction; a select that comes first is tried again anyway. */
static apr_status_t read_schema(ak_dbd_handle_t *h, apr_int64_t *schema)
{
    apr_dbd_results_t *res = NULL;
    apr_dbd_row_t *row = NULL;
    apr_pool_t *scratch;
    const char *text = NULL;
    apr_status_t rv = apr_pool_create(&scratch, h->pool);
    int code;

    *schema = 0;
    if (rv != APR_SUCCESS || !h->db->sqlite)
        return rv;
    code = apr_dbd_select(h->db->driver, scratch, h->conn, &res, "PRAGMA schema_version", 1);
    if (code == 0 && apr_dbd_get_row(h->db->driver, scratch, res, &row, -1) == 0)
        text = apr_dbd_get_entry(h->db->driver, row, 0);
    if (text != NULL)
        *schema = apr_atoi64(text);
    rv = text != NULL ? APR_SUCCESS : failed(h, "schema_version", code, NULL, 0);
    apr_pool_destroy(scratch);
    return rv;
}

/* The driver's words about a failed connect.  libpq repeats pieces of a connection
 * string that it cannot parse, and a piece may be a password. */
static void note_connect(ak_dbd_handle_t *h, const char *said)
{
    if (said == NULL)
        said = "the database cannot be opened";
    if (!h->db->sqlite && (strstr(said, "connection info string") != NULL || strstr(said, "URI") != NULL
                           || strstr(said, "connection option") != NULL))
        said = "the connection string is not of libpq's form: write host=db.example.com dbname=apikey";
    note(h, said);
}

/* SQLite would make an empty database of a mistyped name. */
static apr_status_t look_at_file(ak_dbd_handle_t *h)
{
    struct stat info;

    if (stat(h->db->params, &info) != 0) {
        apr_status_t rv = APR_FROM_OS_ERROR(errno);

        note(h, APR_STATUS_IS_ENOENT(rv) ? "the file does not exist" : "the file cannot be reached");
        return rv;
    }
    h->device = info.st_dev;
    h->inode = info.st_ino;
    return APR_SUCCESS;
}

/* Was the SQLite file replaced or removed under an idle handle? */
static int is_replaced(const ak_dbd_handle_t *h)
{
    struct stat info;

    return h->db->sqlite
           && (stat(h->db->params, &info) != 0 || info.st_dev != h->device || info.st_ino != h->inode);
}

static apr_status_t connect_once(ak_dbd_handle_t *h)
{
    const char *said = NULL;
    apr_status_t rv;

    apr_pool_clear(h->pool); /* which closes what was open */
    h->busy = 0;
    if (h->db->sqlite) {
        rv = look_at_file(h);
        if (rv != APR_SUCCESS)
            return rv;
    }
    rv = apr_dbd_open_ex(h->db->driver, h->pool, h->db->params, &h->conn, &said);
    if (rv != APR_SUCCESS) {
        h->conn = NULL;
        note_connect(h, said);
        return rv;
    }
    apr_pool_cleanup_register(h->pool, h, disconnect, apr_pool_cleanup_null);
    h->fresh = 1;
    rv = greet(h);
    if (rv == APR_SUCCESS)
        rv = read_schema(h, &h->schema);
    if (rv != APR_SUCCESS)
        apr_pool_clear(h->pool);
    return rv;
}

/* Whoever opens or closes a SQLite file last holds it alone for a moment.  The driver tries
 * a statement again then, but not the reading of the schema that comes before the first. */
static apr_status_t connect_now(ak_dbd_handle_t *h)
{
    apr_int64_t began = ak_monotonic_usec();
    apr_status_t rv = connect_once(h);

    while (rv != APR_SUCCESS && h->busy && ak_monotonic_usec() - began < BUSY_MAX) {
        apr_sleep(BUSY_PAUSE);
        rv = connect_once(h);
    }
    return rv;
}

/* Connect, unless that has just failed slowly: each caller would wait as long again. */
static apr_status_t connect_or_hold(ak_dbd_handle_t *h)
{
    ak_dbd_t *db = h->db;
    apr_int64_t began = ak_monotonic_usec(), took;
    apr_status_t rv;
    int held;

    apr_thread_mutex_lock(db->lock);
    held = began < db->hold_until;
    apr_thread_mutex_unlock(db->lock);
    if (held)
        return APR_EGENERAL;
    rv = connect_now(h);
    if (rv == APR_SUCCESS)
        return rv;
    took = ak_monotonic_usec() - began;
    apr_thread_mutex_lock(db->lock);
    db->hold_until = began + took + (took < HOLD_MAX ? took : HOLD_MAX);
    apr_thread_mutex_unlock(db->lock);
    return rv;
}

apr_status_t ak_dbd_acquire(ak_dbd_t *db, ak_dbd_handle_t **result)
{
    ak_dbd_handle_t *h;
    void *place;
    apr_status_t rv = apr_reslist_acquire(db->places, &place);

    *result = NULL;
    if (rv != APR_SUCCESS) {
        remember(db, "every handle is busy: the database is slow or locked");
        return APR_STATUS_IS_TIMEUP(rv) ? APR_TIMEUP : rv;
    }
    h = place;
    h->error[0] = '\0';
    if (h->conn != NULL && is_replaced(h))
        apr_pool_clear(h->pool);
    h->fresh = 0;
    h->used = 0;
    if (h->conn == NULL) {
        rv = connect_or_hold(h);
        if (rv != APR_SUCCESS) {
            apr_reslist_release(db->places, h);
            return rv;
        }
    }
    *result = h;
    return APR_SUCCESS;
}

void ak_dbd_release(ak_dbd_handle_t *h)
{
    if (h->broken || h->in_transaction || h->stale)
        apr_pool_clear(h->pool);
    apr_reslist_release(h->db->places, h);
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
    return failed(h, ak_sql_name[statement], code, NULL, 0);
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
            return failed(h, "rows", 0, NULL, 0);
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
        return failed(h, ak_sql_name[statement], code, args, ak_sql_arguments[statement]);
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
        rv = connect_now(h);
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
        return failed(h, ak_sql_name[statement], code, args, ak_sql_arguments[statement]);
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
    return code == 0 ? APR_SUCCESS : failed(h, NULL, code, NULL, 0);
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
    return code == 0 ? APR_SUCCESS : failed(h, "journal_mode", code, NULL, 0);
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
    rv = read_schema(h, &schema);
    return rv == APR_SUCCESS && schema != h->schema ? APR_EAGAIN : rv;
}

apr_status_t ak_dbd_begin(ak_dbd_handle_t *h, apr_pool_t *p)
{
    apr_int64_t began = ak_monotonic_usec();
    apr_status_t rv = begin_once(h);

    if (rv == APR_EAGAIN || (rv != APR_SUCCESS && may_retry(h, began))) {
        rv = connect_now(h);
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
