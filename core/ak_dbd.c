/* ak_dbd - a pool of database handles over apr_dbd */
#include <apr_file_io.h>
#include <apr_strings.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "ak_dbd_private.h"
#include "ak_table.h" /* ak_monotonic_usec */

#define PARAMS_MAX 4096                          /* bytes of a "@FILE" */
#define HOLD_MAX APR_USEC_PER_SEC                /* longest pause after a failed connect */
#define DRIVER_BUSY 5                            /* SQLITE_BUSY, as the driver passes it on */
#define BUSY_MAX (2 * APR_USEC_PER_SEC)          /* how long a connect bears with it */
#define BUSY_PAUSE (5 * APR_TIME_C(1000))

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
apr_status_t ak_dbd_failed(ak_dbd_handle_t *h, const char *name, int code, const char *const *args, int count)
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
            return ak_dbd_failed(h, "connect", code, NULL, 0);
    }
    return APR_SUCCESS;
}

/* The driver does not prepare again when another connection has changed the schema: it
 * only fails.  So the number of the schema is read when we connect and before each
 * transaction; a select that comes first is tried again anyway. */
apr_status_t ak_dbd_read_schema(ak_dbd_handle_t *h, apr_int64_t *schema)
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
    rv = text != NULL ? APR_SUCCESS : ak_dbd_failed(h, "schema_version", code, NULL, 0);
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
        rv = ak_dbd_read_schema(h, &h->schema);
    if (rv != APR_SUCCESS)
        apr_pool_clear(h->pool);
    return rv;
}

/* Whoever opens or closes a SQLite file last holds it alone for a moment.  The driver tries
 * a statement again then, but not the reading of the schema that comes before the first. */
apr_status_t ak_dbd_reconnect(ak_dbd_handle_t *h)
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
    rv = ak_dbd_reconnect(h);
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
