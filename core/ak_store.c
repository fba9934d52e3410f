/* ak_store - open, check and migrate the database; transactions for the calls beside it */
#include "ak_store.h"

#include <apr_file_io.h>
#include <apr_strings.h>
#include <string.h>

#include "ak_store_private.h"

#define HANDLE_WAIT (2 * APR_USEC_PER_SEC) /* longest wait for a free handle */
#define FILE_MODE (APR_FPROT_UREAD | APR_FPROT_UWRITE | APR_FPROT_GREAD | APR_FPROT_GWRITE)

static const char *const plan_names[AK_PLAN_COUNT] = {"free", "professional", "enterprise"};

const char *ak_plan_name(ak_plan_e plan)
{
    return plan_names[(unsigned)plan < AK_PLAN_COUNT ? plan : AK_PLAN_FREE];
}

int ak_plan_parse(ak_plan_e *plan, const char *name)
{
    for (int i = 0; i < AK_PLAN_COUNT; i++) {
        if (strcmp(name, plan_names[i]) == 0) {
            *plan = (ak_plan_e)i;
            return 1;
        }
    }
    return 0;
}

ak_plan_e ak_plan_of(const char *text)
{
    ak_plan_e plan = AK_PLAN_FREE;

    ak_plan_parse(&plan, text);
    return plan;
}

const char *ak_environment_text(ak_env_e environment)
{
    return environment == AK_ENV_TEST ? "test" : "live";
}

/* What is not live is test: the lesser right. */
ak_env_e ak_environment_of(const char *text)
{
    return strcmp(text, "live") == 0 ? AK_ENV_LIVE : AK_ENV_TEST;
}

/* --- opening ------------------------------------------------------------------------ */

apr_status_t ak_store_open(ak_store_t **result, const char *driver, const char *params, int max_handles,
                           const char **why, apr_pool_t *p)
{
    ak_store_t *store = apr_pcalloc(p, sizeof *store);
    apr_status_t rv = ak_dbd_create(&store->db, driver, params, max_handles, HANDLE_WAIT, why, p);

    if (rv == APR_SUCCESS)
        *result = store;
    return rv;
}

ak_dbd_t *ak_store_dbd(ak_store_t *store)
{
    return store->db;
}

const char *ak_store_problem(ak_store_t *store, apr_pool_t *p)
{
    return ak_dbd_problem(store->db, p);
}

apr_status_t ak_store_ping(ak_store_t *store, apr_pool_t *p)
{
    ak_rows_t rows;

    return ak_store_select(store, AK_SQL_PING, NULL, &rows, p);
}

/* --- one statement, or several that hold together ------------------------------------- */

apr_status_t ak_store_select(ak_store_t *store, ak_sql_e statement, const char *const *args,
                             ak_rows_t *rows, apr_pool_t *p)
{
    ak_dbd_handle_t *h;
    apr_status_t rv = ak_dbd_acquire(store->db, &h);

    if (rv != APR_SUCCESS)
        return rv;
    rv = ak_dbd_select(h, statement, args, rows, p);
    ak_dbd_release(h);
    return rv;
}

apr_status_t ak_store_exec(ak_store_t *store, ak_sql_e statement, const char *const *args, int *affected,
                           apr_pool_t *p)
{
    ak_dbd_handle_t *h;
    apr_status_t rv = ak_dbd_acquire(store->db, &h);

    if (rv != APR_SUCCESS)
        return rv;
    rv = ak_dbd_exec(h, statement, args, affected, p);
    ak_dbd_release(h);
    return rv;
}

apr_status_t ak_store_begin(ak_store_t *store, ak_dbd_handle_t **h, apr_pool_t *p)
{
    apr_status_t rv = ak_dbd_acquire(store->db, h);

    if (rv != APR_SUCCESS)
        return rv;
    rv = ak_dbd_begin(*h, p);
    if (rv != APR_SUCCESS) {
        ak_dbd_release(*h);
        *h = NULL;
    }
    return rv;
}

apr_status_t ak_store_end(ak_dbd_handle_t *h, apr_status_t rv, apr_pool_t *p)
{
    if (rv == APR_SUCCESS)
        rv = ak_dbd_commit(h, p);
    else
        ak_dbd_rollback(h, p); /* where it fails, release closes the handle, which rolls back too */
    ak_dbd_release(h);
    return rv;
}

/* --- the schema ------------------------------------------------------------------------ */

/* What the operator calls the database. */
static const char *database_name(ak_store_t *store)
{
    const char *file = ak_dbd_file(store->db);

    return file != NULL ? file : "the PostgreSQL database";
}

/* Which tables are there? *tables: all; *ours: of the three that no database of ours lacks. */
static apr_status_t count_tables(ak_store_t *store, ak_dbd_handle_t *h, int *tables, int *ours, apr_pool_t *p)
{
    ak_rows_t rows;
    apr_status_t rv = ak_dbd_select(h, ak_dbd_is_sqlite(store->db) ? AK_SQL_SCHEMA_TABLES_SQLITE3
                                                                   : AK_SQL_SCHEMA_TABLES_PGSQL,
                                    NULL, &rows, p);

    *tables = (int)ak_rows_number(&rows, 0, 0, 0);
    *ours = (int)ak_rows_number(&rows, 0, 1, 0);
    return rv;
}

/* The version of the schema: 0 for an empty database.  APR_EINVAL: it is somebody else's. */
static apr_status_t read_version(ak_store_t *store, ak_dbd_handle_t *h, int *version, const char **why,
                                 apr_pool_t *p)
{
    int tables, ours;
    ak_rows_t rows;
    apr_status_t rv = count_tables(store, h, &tables, &ours, p);

    *version = 0;
    if (rv != APR_SUCCESS || tables == 0)
        return rv;
    if (ours != 3) {
        *why = apr_psprintf(p, "%s is no mod_apikey database: name another, or an empty one for apikeyctl db init",
                            database_name(store));
        return APR_EINVAL;
    }
    rv = ak_dbd_select(h, AK_SQL_SCHEMA_VERSION, NULL, &rows, p);
    *version = (int)ak_rows_number(&rows, 0, 0, 0);
    return rv;
}

/* The sentence for a database that cannot be reached, or is none. */
static const char *unreachable(ak_store_t *store, apr_status_t rv, apr_pool_t *p)
{
    const char *file = ak_dbd_file(store->db), *problem = ak_store_problem(store, p);

    if (file == NULL)
        return apr_pstrcat(p, "the PostgreSQL database cannot be reached: ", problem, NULL);
    if (APR_STATUS_IS_ENOENT(rv))
        return apr_pstrcat(p, file, " does not exist: create it with apikeyctl db init", NULL);
    if (strstr(problem, "not a database") != NULL)
        return apr_pstrcat(p, file, " is no mod_apikey database: create one with apikeyctl db init", NULL);
    if (strstr(problem, "open database") != NULL || strstr(problem, "readonly") != NULL
        || APR_STATUS_IS_EACCES(rv))
        return apr_pstrcat(p, file, " cannot be opened: give this user the right to write to it and to its folder",
                           NULL);
    return apr_pstrcat(p, file, " cannot be used: ", problem, NULL);
}

/* An empty file would be taken into use by the first who reads it: only migrate may. */
static int is_empty_file(ak_store_t *store, apr_pool_t *p)
{
    const char *file = ak_dbd_file(store->db);
    apr_finfo_t info;

    return file != NULL && apr_stat(&info, file, APR_FINFO_SIZE, p) == APR_SUCCESS && info.size == 0;
}

static apr_status_t judge_version(ak_store_t *store, int version, const char **why, apr_pool_t *p)
{
    const char *name = database_name(store);

    if (version == AK_SCHEMA_VERSION)
        return APR_SUCCESS;
    if (version == 0)
        *why = apr_psprintf(p, "%s is no mod_apikey database: create it with apikeyctl db init", name);
    else if (version < AK_SCHEMA_VERSION)
        *why = apr_psprintf(p, "%s has schema version %d where %d is needed: bring it up to date with "
                               "apikeyctl db migrate", name, version, AK_SCHEMA_VERSION);
    else
        *why = apr_psprintf(p, "%s has schema version %d, made by a newer mod_apikey than this, which knows "
                               "version %d: upgrade this one", name, version, AK_SCHEMA_VERSION);
    return APR_EINVAL;
}

apr_status_t ak_store_check(ak_store_t *store, const char **why, apr_pool_t *p)
{
    ak_dbd_handle_t *h;
    apr_status_t rv;
    int version = 0;

    *why = NULL;
    if (is_empty_file(store, p))
        return judge_version(store, 0, why, p);
    rv = ak_dbd_acquire(store->db, &h);
    if (rv == APR_SUCCESS) {
        rv = read_version(store, h, &version, why, p);
        if (rv == APR_SUCCESS)
            rv = judge_version(store, version, why, p);
        if (rv == APR_SUCCESS)
            rv = ak_dbd_use_wal(h);
        ak_dbd_release(h);
    }
    if (rv != APR_SUCCESS && *why == NULL)
        *why = unreachable(store, rv, p);
    return rv;
}

static const ak_migration_t *migration_to(ak_store_t *store, int version)
{
    const ak_migration_t *m;

    for (m = ak_migrations; m->driver != NULL; m++)
        if (m->version == version && strcmp(m->driver, ak_dbd_driver(store->db)) == 0)
            return m;
    return NULL;
}

static apr_status_t apply(ak_dbd_handle_t *h, const ak_migration_t *migration, apr_pool_t *p)
{
    const char *args[] = {ak_dbd_number(p, migration->version), ak_dbd_number(p, apr_time_sec(apr_time_now()))};
    const char *const *statement;
    apr_status_t rv = APR_SUCCESS;

    for (statement = migration->statements; *statement != NULL && rv == APR_SUCCESS; statement++)
        rv = ak_dbd_exec_text(h, *statement, p);
    if (rv == APR_SUCCESS)
        rv = ak_dbd_exec(h, AK_SQL_SCHEMA_VERSION_ADD, args, NULL, p);
    return rv;
}

/* All missing migrations in one transaction: whoever comes second waits, and finds nothing to do. */
static apr_status_t migrate_handle(ak_store_t *store, ak_dbd_handle_t *h, int *from, int *to, const char **why,
                                   apr_pool_t *p)
{
    apr_status_t rv = ak_dbd_begin(h, p);
    ak_rows_t rows;

    if (rv == APR_SUCCESS && !ak_dbd_is_sqlite(store->db)) {
        rv = ak_dbd_exec_text(h, "SET LOCAL statement_timeout TO 0", p);
        if (rv == APR_SUCCESS)
            rv = ak_dbd_select(h, AK_SQL_CHANGE_LOCK, NULL, &rows, p);
    }
    if (rv == APR_SUCCESS)
        rv = read_version(store, h, from, why, p);
    if (rv == APR_SUCCESS && *from > AK_SCHEMA_VERSION)
        rv = judge_version(store, *from, why, p);
    for (*to = *from; rv == APR_SUCCESS && *to < AK_SCHEMA_VERSION; ) {
        rv = apply(h, migration_to(store, *to + 1), p);
        if (rv == APR_SUCCESS)
            (*to)++;
    }
    if (rv == APR_SUCCESS)
        return ak_dbd_commit(h, p);
    ak_dbd_rollback(h, p);
    return rv;
}

apr_status_t ak_store_migrate(ak_store_t *store, int *from, int *to, const char **why, apr_pool_t *p)
{
    const char *file = ak_dbd_file(store->db);
    ak_dbd_handle_t *h;
    apr_file_t *made;
    apr_status_t rv;

    *why = NULL;
    *from = *to = 0;
    if (file != NULL) {
        rv = apr_file_open(&made, file, APR_FOPEN_WRITE | APR_FOPEN_CREATE, FILE_MODE, p);
        if (rv != APR_SUCCESS) {
            *why = apr_psprintf(p, "%s cannot be made: %pm", file, &rv);
            return rv;
        }
        apr_file_close(made);
    }
    rv = ak_dbd_acquire(store->db, &h);
    if (rv == APR_SUCCESS) {
        rv = migrate_handle(store, h, from, to, why, p);
        if (rv == APR_SUCCESS)
            rv = ak_dbd_use_wal(h);
        ak_dbd_release(h);
    }
    if (rv != APR_SUCCESS && *why == NULL)
        *why = unreachable(store, rv, p);
    return rv;
}
