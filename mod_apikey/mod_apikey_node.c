/* mod_apikey_node.c - what is opened at start, and what of it in each child
 *
 * The parent checks everything that can be checked, maps the key table and reads
 * the registry; connections, counters' clients and event files belong to the
 * child that uses them and are opened after the fork.
 */
#include <apr_file_info.h>
#include <apr_strings.h>

#include "mod_apikey.h"
#include "apikey_tally.h"

#define STORE_HANDLES 8  /* connections of a child, the poller's apart */
#define MEMCACHED_TIMEOUT apr_time_from_msec(200)

/* --- the check at start --------------------------------------------------------------------- */

/* Say what is wrong with the configuration; the caller then refuses to start. */
static int complain(server_rec *s, const char *why)
{
    ap_log_error(APLOG_MARK, APLOG_STARTUP | APLOG_CRIT, 0, s, "mod_apikey: %s", why);
    return HTTP_INTERNAL_SERVER_ERROR;
}

/* NULL, or what is wrong with the database and the scopes that Require names.  A PostgreSQL
 * server that is down for the moment is no reason not to start: it is told, and waited for. */
static const char *check_store(const apikey_server_t *conf, server_rec *s, apr_pool_t *pconf,
                               apr_pool_t *p)
{
    const char *why = NULL, *unknown;
    ak_registry_t *registry;
    ak_store_t *store;
    apr_status_t rv;

    rv = ak_store_open(&store, conf->db_driver, conf->db_params, 1, &why, p);
    if (rv == APR_SUCCESS) {
        rv = ak_store_check(store, &why, p);
    }
    if (rv != APR_SUCCESS && why) {
        return why;
    }
    if (rv == APR_SUCCESS && ak_store_registry(store, &registry, p) == APR_SUCCESS) {
        unknown = apikey_resolve_scopes(pconf, registry);
        if (unknown) {
            return apr_psprintf(p, "Require names the scope \"%s\", which is not in the database's table "
                                   "of scopes: write one that is (apikeyctl db check lists them)", unknown);
        }
        return NULL;
    }
    ap_log_error(APLOG_MARK, APLOG_STARTUP | APLOG_WARNING, rv, s,
                 "mod_apikey: the database cannot be reached now; keys are checked as soon as it can");
    return NULL;
}

static const char *check_event_dir(const char *dir, apr_pool_t *p)
{
    apr_finfo_t info;

    if (dir && (apr_stat(&info, dir, APR_FINFO_TYPE, p) != APR_SUCCESS || info.filetype != APR_DIR)) {
        return apr_psprintf(p, "APIKeyEventLog %s is no folder: make it, and let httpd's user write to it", dir);
    }
    return NULL;
}

static const char *check_table_dir(const char *file, apr_pool_t *p)
{
    const char *dir = file ? ap_make_dirstr_parent(p, file) : NULL;
    apr_finfo_t info;

    if (dir && (apr_stat(&info, dir, APR_FINFO_TYPE, p) != APR_SUCCESS || info.filetype != APR_DIR)) {
        return apr_psprintf(p, "APIKeyTable %s: there is no folder %s: name a file in a folder that httpd's "
                               "user may write to", file, dir);
    }
    return NULL;
}

static const char *check_rate_store(const apikey_server_t *conf, apr_pool_t *p)
{
    const char *why = NULL;
    ak_rate_t *rate;

    if (strcmp(conf->rate_store, "memcached") != 0) {
        return NULL;
    }
    if (!conf->memcached) {
        return "APIKeyRateStore memcached needs APIKeyMemcached HOST:PORT";
    }
    if (ak_rate_memcached_create(&rate, conf->memcached, MEMCACHED_TIMEOUT, &why, p) != APR_SUCCESS) {
        return apr_psprintf(p, "APIKeyMemcached: %s", why);
    }
    return NULL;
}

static const char *check_pepper(const apikey_server_t *conf, apr_pool_t *p)
{
    const char *why = NULL;
    unsigned char *pepper;
    apr_size_t len;

    if (conf->pepper_file && ak_pepper_read(conf->pepper_file, &pepper, &len, &why, p) != APR_SUCCESS) {
        return why;
    }
    return NULL;
}

int apikey_check_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    const apikey_server_t *conf = apikey_server(s);
    const char *why;
    apr_pool_t *p; /* gone before the fork: no connection may live in two processes */
    int rv = OK;

    if (!conf->db_driver) {
        return apikey_is_required(pconf)
            ? complain(s, "Require apikey-... needs a database: add APIKeyDatabase sqlite3 FILE")
            : OK;
    }
    apr_pool_create(&p, ptemp);
    if ((why = check_pepper(conf, p)) || (why = check_event_dir(conf->event_dir, p))
        || (why = check_table_dir(conf->table_file, p))
        || (why = check_rate_store(conf, p)) || (why = check_store(conf, s, pconf, p))) {
        rv = complain(s, why);
    }
    apr_pool_destroy(p);
    return rv;
}

/* --- the parent ---------------------------------------------------------------------------------- */

static ak_digester_t *make_digester(const apikey_server_t *conf, apr_pool_t *pconf, apr_pool_t *ptemp)
{
    unsigned char *pepper = NULL;
    apr_size_t len = 0;
    const char *why;
    ak_digester_t *digester;

    if (conf->pepper_file && ak_pepper_read(conf->pepper_file, &pepper, &len, &why, ptemp) != APR_SUCCESS) {
        return NULL;
    }
    return ak_digester_create(&digester, pepper, len, pconf) == APR_SUCCESS ? digester : NULL;
}

/* Children inherit the registry, so that one that starts while SQL is down knows the scopes. */
static const ak_registry_t *read_registry(const apikey_server_t *conf, apr_pool_t *pconf, apr_pool_t *ptemp)
{
    ak_registry_t *registry;
    const char *why;
    ak_store_t *store;
    apr_pool_t *p; /* gone before the fork, and the connection with it */
    apr_status_t rv;

    apr_pool_create(&p, ptemp);
    rv = ak_store_open(&store, conf->db_driver, conf->db_params, 1, &why, p);
    if (rv == APR_SUCCESS) {
        rv = ak_store_registry(store, &registry, pconf);
    }
    apr_pool_destroy(p);
    if (rv != APR_SUCCESS) {
        return ak_registry_create(pconf);
    }
    apikey_resolve_scopes(pconf, registry);
    return registry;
}

int apikey_post_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    apikey_server_t *conf = apikey_server(s);
    const char *why = "the key table cannot be made";
    apikey_node_t *node;

    if (!conf->db_driver || ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG) {
        return OK;
    }
    node = apr_pcalloc(pconf, sizeof *node);
    node->server = conf;
    node->pconf = pconf;
    node->registry = read_registry(conf, pconf, ptemp);
    if (!conf->table_file) {
        conf->table_file = ap_runtime_dir_relative(pconf, "apikey.table");
    }
    if (ak_table_open(&node->table, conf->table_file, conf->table_slots, &why, pconf) != APR_SUCCESS) {
        return complain(s, why);
    }
    if (!(node->digester = make_digester(conf, pconf, ptemp))) {
        return complain(s, "the pepper cannot be read");
    }
    conf->node = node;
    return OK;
}

/* --- a child ---------------------------------------------------------------------------------------- */

static apr_status_t open_rate(apikey_node_t *node, const char **why, apr_pool_t *p)
{
    if (strcmp(node->server->rate_store, "memcached") == 0) {
        return ak_rate_memcached_create(&node->rate, node->server->memcached, MEMCACHED_TIMEOUT, why, p);
    }
    node->rate = ak_rate_shm_create(node->table, p);
    return APR_SUCCESS;
}

static apr_status_t open_events(apikey_node_t *node, const char **why, apr_pool_t *p)
{
    if (!node->server->event_dir) {
        return APR_SUCCESS;
    }
    *why = "the event folder cannot be used";
    return ak_segment_create(&node->segment, node->server->event_dir, ak_table_node(node->table), p);
}

void apikey_child_init(apr_pool_t *p, server_rec *s)
{
    apikey_node_t *node = apikey_server(s)->node;
    const char *why = "no memory";
    ak_registry_t *registry;
    apr_status_t rv;

    if (!node) {
        return;
    }
    node->pool = p;
    rv = ak_store_open(&node->store, node->server->db_driver, node->server->db_params, STORE_HANDLES, &why, p);
    if (rv == APR_SUCCESS) {
        rv = open_rate(node, &why, p);
    }
    if (rv == APR_SUCCESS) {
        rv = open_events(node, &why, p);
    }
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_CRIT, rv, s, "mod_apikey: %s; protected routes answer 503", why);
        node->store = NULL;
        return;
    }
    if (ak_store_registry(node->store, &registry, p) == APR_SUCCESS) {
        node->registry = registry;
        apikey_resolve_scopes(node->pconf, registry);
    }
    apikey_poll_start(node, s, p);
}

/* --- asked while serving -------------------------------------------------------------------------------- */

const ak_registry_t *apikey_registry(const apikey_node_t *node)
{
    return __atomic_load_n(&node->registry, __ATOMIC_ACQUIRE);
}

int apikey_cache_usable(const apikey_node_t *node)
{
    apr_int64_t stamp = ak_table_stamp(node->table);

    return stamp && ak_monotonic_usec() - stamp <= node->server->bound;
}

void apikey_changed(apikey_node_t *node, const char *key_id, apr_int64_t sequence, apr_pool_t *p)
{
    unsigned char digest[AK_DIGEST_BYTES];

    if (key_id && ak_store_key_digest(node->store, key_id, digest, p) == APR_SUCCESS) {
        ak_table_drop(node->table, digest);
    }
    else {
        ak_table_drop_all(node->table);
    }
    if (sequence > 0) {
        ak_store_wait_applied(node->store, sequence, ak_table_node(node->table), p);
    }
}

void apikey_log_store(const apikey_node_t *node, server_rec *s, apr_status_t rv, const char *what)
{
    static apr_uint32_t last_minute;
    apr_uint32_t minute = (apr_uint32_t)(apr_time_sec(apr_time_now()) / 60);

    ak_table_tally(node->table, APIKEY_TALLY_STORE_FAILURES, 1);
    if (__atomic_exchange_n(&last_minute, minute, __ATOMIC_RELAXED) != minute) {
        ap_log_error(APLOG_MARK, APLOG_ERR, rv, s,
                     "mod_apikey: %s: the key database cannot be used; unknown keys are answered 503 "
                     "until it can (told once a minute)", what);
    }
}
