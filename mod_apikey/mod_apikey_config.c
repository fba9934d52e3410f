/* mod_apikey_config.c - the directives: create, merge, set, and one check at start
 *
 * Settings of the node (database, table, event folder …) belong to the main server;
 * settings of a folder merge by their _set bits, so that an explicit default can
 * override a parent.
 */
#include <stdlib.h>
#include <string.h>

#include <apr_lib.h>
#include <apr_strings.h>

#include "mod_apikey.h"

#include "ak_token.h"

#define DEFAULT_BOUND apr_time_from_msec(250)
#define DEFAULT_MANAGE_PER_MINUTE 60000
#define DEFAULT_TABLE "apikey.table"
#define DEFAULT_REALM "api"

/* --- create and merge ---------------------------------------------------------------- */

void *apikey_create_server(apr_pool_t *p, server_rec *s)
{
    apikey_server_t *conf = apr_pcalloc(p, sizeof *conf);

    conf->prefix = "sk";
    conf->table_slots = AK_TABLE_SLOTS_DEFAULT;
    conf->rate_store = "shm";
    conf->bound = DEFAULT_BOUND;
    conf->manage_per_minute = DEFAULT_MANAGE_PER_MINUTE;
    return conf;
}

/* Virtual hosts have no node of their own: all of them share the main server's. */
void *apikey_merge_server(apr_pool_t *p, void *base, void *add)
{
    return base;
}

void *apikey_create_dir(apr_pool_t *p, char *dir)
{
    apikey_dir_t *conf = apr_pcalloc(p, sizeof *conf);

    conf->headers = apr_array_make(p, 2, sizeof(const char *));
    APR_ARRAY_PUSH(conf->headers, const char *) = "Authorization";
    conf->mapped_users = apr_array_make(p, 2, sizeof(apikey_mapped_user_t));
    conf->realm = DEFAULT_REALM;
    conf->rate_headers = APIKEY_HEADERS_BOTH;
    conf->rate_limit = conf->strip = conf->problem_json = conf->preflight_pass = 1;
    return conf;
}

void *apikey_merge_dir(apr_pool_t *p, void *base_, void *add_)
{
    const apikey_dir_t *base = base_, *add = add_;
    apikey_dir_t *conf = apr_pmemdup(p, base, sizeof *conf);

#define TAKE(field, bit)          \
    if (add->bit) {               \
        conf->field = add->field; \
        conf->bit = 1;            \
    }
    TAKE(headers, headers_set)
    TAKE(realm, realm_set)
    TAKE(mapped_users, mapped_users_set)
    TAKE(rate_headers, rate_headers_set)
    TAKE(forward, forward_set)
    TAKE(failure_limit, failure_set)
    TAKE(failure_window_sec, failure_set)
    TAKE(rate_limit, rate_limit_set)
    TAKE(strip, strip_set)
    TAKE(accept_imported, accept_imported_set)
    TAKE(problem_json, problem_json_set)
    TAKE(preflight_pass, preflight_set)
#undef TAKE
    return conf;
}

/* --- setters: the node ------------------------------------------------------------------- */

/* Settings of the node stand once, outside any virtual host or section. */
static const char *only_global(cmd_parms *cmd)
{
    return ap_check_cmd_context(cmd, GLOBAL_ONLY);
}

static const char *set_prefix(cmd_parms *cmd, void *dir, const char *arg)
{
    if (!ak_token_prefix_ok(arg)) {
        return apr_psprintf(cmd->pool, "APIKeyPrefix \"%s\": write 1 to %d of a-z and 0-9, a letter "
                                       "first, such as sk", arg, AK_PREFIX_MAX);
    }
    apikey_server(cmd->server)->prefix = arg;
    return only_global(cmd);
}

static const char *set_pepper_file(cmd_parms *cmd, void *dir, const char *arg)
{
    apikey_server(cmd->server)->pepper_file = ap_server_root_relative(cmd->pool, arg);
    return only_global(cmd);
}

static const char *set_database(cmd_parms *cmd, void *dir, const char *driver, const char *params)
{
    apikey_server_t *conf = apikey_server(cmd->server);

    if (strcmp(driver, "sqlite3") != 0 && strcmp(driver, "pgsql") != 0) {
        return apr_psprintf(cmd->pool, "APIKeyDatabase \"%s\": write sqlite3 FILE or pgsql "
                                       "\"host=... dbname=...\"", driver);
    }
    conf->db_driver = driver;
    conf->db_params = strcmp(driver, "sqlite3") == 0 ? ap_server_root_relative(cmd->pool, params) : params;
    return only_global(cmd);
}

static const char *set_table(cmd_parms *cmd, void *dir, const char *file, const char *slots)
{
    apikey_server_t *conf = apikey_server(cmd->server);
    char *end;
    apr_int64_t n = slots ? apr_strtoi64(slots, &end, 10) : AK_TABLE_SLOTS_DEFAULT;

    if (slots && (*end || n < AK_TABLE_SLOTS_MIN || n > AK_TABLE_SLOTS_MAX)) {
        return apr_psprintf(cmd->pool, "APIKeyTable slots \"%s\": write a number from %d to %u, about "
                                       "twice the keys in use", slots, AK_TABLE_SLOTS_MIN, AK_TABLE_SLOTS_MAX);
    }
    conf->table_file = ap_runtime_dir_relative(cmd->pool, file);
    conf->table_slots = (apr_uint32_t)n;
    return only_global(cmd);
}

static const char *set_rate_store(cmd_parms *cmd, void *dir, const char *arg)
{
    if (strcmp(arg, "shm") != 0 && strcmp(arg, "memcached") != 0) {
        return apr_psprintf(cmd->pool, "APIKeyRateStore \"%s\": write shm or memcached", arg);
    }
    apikey_server(cmd->server)->rate_store = arg;
    return only_global(cmd);
}

static const char *add_memcached(cmd_parms *cmd, void *dir, const char *arg)
{
    apikey_server_t *conf = apikey_server(cmd->server);

    conf->memcached = conf->memcached ? apr_pstrcat(cmd->pool, conf->memcached, " ", arg, NULL) : arg;
    return only_global(cmd);
}

static const char *set_event_log(cmd_parms *cmd, void *dir, const char *arg)
{
    apikey_server(cmd->server)->event_dir = ap_server_root_relative(cmd->pool, arg);
    return only_global(cmd);
}

static const char *set_bound(cmd_parms *cmd, void *dir, const char *arg)
{
    char *end;
    apr_int64_t ms = apr_strtoi64(arg, &end, 10);

    if (*end || ms < 50 || ms > 60000) {
        return apr_psprintf(cmd->pool, "APIKeyRevocationBound \"%s\": write milliseconds from 50 to "
                                       "60000, such as 250", arg);
    }
    apikey_server(cmd->server)->bound = apr_time_from_msec(ms);
    return only_global(cmd);
}

static const char *set_on_store_failure(cmd_parms *cmd, void *dir, const char *arg)
{
    apikey_server_t *conf = apikey_server(cmd->server);
    char *end = NULL;
    apr_int64_t seconds = 0;

    if (strncmp(arg, "stale=", 6) == 0) {
        seconds = apr_strtoi64(arg + 6, &end, 10);
    }
    if (strcmp(arg, "deny") != 0 && (!end || *end || seconds < 1 || seconds > 86400)) {
        return apr_psprintf(cmd->pool, "APIKeyOnStoreFailure \"%s\": write deny, or stale=SECONDS "
                                       "with 1 to 86400 seconds", arg);
    }
    conf->stale = apr_time_from_sec(seconds);
    return only_global(cmd);
}

static const char *set_manage_limit(cmd_parms *cmd, void *dir, const char *arg)
{
    char *end;
    apr_int64_t n = apr_strtoi64(arg, &end, 10);

    if (*end || n < 1 || n > 10000000) {
        return apr_psprintf(cmd->pool, "APIKeyManageLimit \"%s\": write calls per key and minute, from "
                                       "1 to 10000000", arg);
    }
    apikey_server(cmd->server)->manage_per_minute = (apr_uint32_t)n;
    return only_global(cmd);
}

/* --- setters: a folder -------------------------------------------------------------------- */

static const char *add_header(cmd_parms *cmd, void *dir, const char *arg)
{
    apikey_dir_t *conf = dir;
    const char *c;

    for (c = arg; *c; c++) {
        if (!apr_isalnum(*c) && *c != '-') {
            return apr_psprintf(cmd->pool, "APIKeyHeader \"%s\": write header names, such as "
                                           "Authorization X-API-Key", arg);
        }
    }
    if (!conf->headers_set) {
        apr_array_clear(conf->headers);
        conf->headers_set = 1;
    }
    APR_ARRAY_PUSH(conf->headers, const char *) = arg;
    return NULL;
}

static const char *set_realm(cmd_parms *cmd, void *dir, const char *arg)
{
    apikey_dir_t *conf = dir;
    const char *c;

    for (c = arg; *c; c++) {
        if (apr_iscntrl(*c)) {
            return "APIKeyRealm: write a name without control characters";
        }
    }
    conf->realm = arg;
    conf->realm_set = 1;
    return NULL;
}

static const char *set_rate_headers(cmd_parms *cmd, void *dir, const char *arg)
{
    static const char *const names[] = {"none", "legacy", "ietf", "both"}; /* as apikey_headers_e */
    apikey_dir_t *conf = dir;
    int i;

    for (i = 0; i < 4; i++) {
        if (strcmp(arg, names[i]) == 0) {
            conf->rate_headers = (apikey_headers_e)i;
            conf->rate_headers_set = 1;
            return NULL;
        }
    }
    return apr_psprintf(cmd->pool, "APIKeyRateHeaders \"%s\": write legacy, ietf, both or none", arg);
}

static const char *set_forward(cmd_parms *cmd, void *dir, const char *arg)
{
    static const char *const names[] = {"id", "account", "scopes", "environment", "plan"};
    apikey_dir_t *conf = dir;
    char *state = NULL, *name, *copy = apr_pstrdup(cmd->pool, arg);
    unsigned forward = 0;
    int i;

    for (name = apr_strtok(copy, ",", &state); name && strcasecmp(arg, "off") != 0;
         name = apr_strtok(NULL, ",", &state)) {
        for (i = 0; i < 5 && strcmp(name, names[i]) != 0; i++) {
        }
        if (i == 5) {
            return apr_psprintf(cmd->pool, "APIKeyForward \"%s\": write Off, or a list of id, account, "
                                           "scopes, environment, plan, parted by commas", name);
        }
        forward |= 1u << i; /* as apikey_forward_e */
    }
    conf->forward = forward;
    conf->forward_set = 1;
    return NULL;
}

static const char *set_failure_limit(cmd_parms *cmd, void *dir, const char *arg)
{
    apikey_dir_t *conf = dir;
    char *end = NULL;
    apr_int64_t n = 0, seconds = 0;

    if (strcasecmp(arg, "off") != 0) {
        n = apr_strtoi64(arg, &end, 10);
        seconds = *end == '/' ? apr_strtoi64(end + 1, &end, 10) : 0;
        if (*end || n < 1 || n > 1000000 || seconds < 1 || seconds > 86400) {
            return apr_psprintf(cmd->pool, "APIKeyFailureLimit \"%s\": write Off, or NUMBER/SECONDS such "
                                           "as 100/60", arg);
        }
    }
    conf->failure_limit = (int)n;
    conf->failure_window_sec = (int)seconds;
    conf->failure_set = 1;
    return NULL;
}

static const char *set_preflight(cmd_parms *cmd, void *dir, const char *arg)
{
    apikey_dir_t *conf = dir;

    if (strcmp(arg, "pass") != 0 && strcmp(arg, "check") != 0) {
        return apr_psprintf(cmd->pool, "APIKeyPreflight \"%s\": write pass or check", arg);
    }
    conf->preflight_pass = strcmp(arg, "pass") == 0;
    conf->preflight_set = 1;
    return NULL;
}

/* APIKeyMapUser USER ACCOUNT PERMISSION ... */
static const char *add_mapped_user(cmd_parms *cmd, void *dir, int argc, char *const argv[])
{
    apikey_dir_t *conf = dir;
    apikey_mapped_user_t *user;
    const char *permissions = "";
    int i;

    if (argc < 3) {
        return "APIKeyMapUser: write USER ACCOUNT PERMISSION ..., such as: APIKeyMapUser alice "
               "acct_default api-keys:read api-keys:write";
    }
    if (strncmp(argv[1], "acct_", 5) != 0) {
        return apr_psprintf(cmd->pool, "APIKeyMapUser account \"%s\": write an account's id, acct_...",
                            argv[1]);
    }
    for (i = 2; i < argc; i++) {
        if (!ak_scope_name_ok(argv[i], 1)) {
            return apr_psprintf(cmd->pool, "APIKeyMapUser permission \"%s\": write resource:action, such "
                                           "as api-keys:read", argv[i]);
        }
        permissions = apr_pstrcat(cmd->pool, permissions, i > 2 ? " " : "", argv[i], NULL);
    }
    user = apr_array_push(conf->mapped_users);
    user->user = argv[0];
    user->account_id = argv[1];
    user->permissions = permissions;
    conf->mapped_users_set = 1;
    return NULL;
}

#define FLAG_SETTER(name, field, bit)                                     \
    static const char *set_##name(cmd_parms *cmd, void *dir, int on)      \
    {                                                                     \
        ((apikey_dir_t *)dir)->field = on != 0;                           \
        ((apikey_dir_t *)dir)->bit = 1;                                   \
        return NULL;                                                      \
    }
FLAG_SETTER(rate_limit, rate_limit, rate_limit_set)
FLAG_SETTER(strip, strip, strip_set)
FLAG_SETTER(accept_imported, accept_imported, accept_imported_set)
FLAG_SETTER(problem_json, problem_json, problem_json_set)

/* --- the table of directives ------------------------------------------------------------------- */

#define FOLDER (RSRC_CONF | ACCESS_CONF)

const command_rec apikey_commands[] = {
    AP_INIT_TAKE2("APIKeyDatabase", set_database, NULL, RSRC_CONF,
                  "sqlite3 FILE, or pgsql \"CONNECTION STRING\" (or @FILE that holds it)"),
    AP_INIT_TAKE1("APIKeyPrefix", set_prefix, NULL, RSRC_CONF,
                  "what keys begin with: sk gives sk_live_..."),
    AP_INIT_TAKE1("APIKeyPepperFile", set_pepper_file, NULL, RSRC_CONF,
                  "file with the secret under which keys are digested"),
    AP_INIT_TAKE12("APIKeyTable", set_table, NULL, RSRC_CONF,
                   "file of the shared key table, and its number of slots"),
    AP_INIT_TAKE1("APIKeyRateStore", set_rate_store, NULL, RSRC_CONF,
                  "where rate limits are counted: shm or memcached"),
    AP_INIT_ITERATE("APIKeyMemcached", add_memcached, NULL, RSRC_CONF, "memcached servers, HOST:PORT ..."),
    AP_INIT_TAKE1("APIKeyEventLog", set_event_log, NULL, RSRC_CONF, "folder for usage events"),
    AP_INIT_TAKE1("APIKeyRevocationBound", set_bound, NULL, RSRC_CONF,
                  "milliseconds that a cached key may be used without looking for changes"),
    AP_INIT_TAKE1("APIKeyOnStoreFailure", set_on_store_failure, NULL, RSRC_CONF,
                  "deny, or stale=SECONDS to go on with cached keys while SQL cannot be reached"),
    AP_INIT_TAKE1("APIKeyManageLimit", set_manage_limit, NULL, RSRC_CONF,
                  "calls of the management endpoints per key and minute"),
    AP_INIT_ITERATE("APIKeyHeader", add_header, NULL, FOLDER,
                    "headers in which a key may stand, the first one present counts"),
    AP_INIT_TAKE1("APIKeyRealm", set_realm, NULL, FOLDER, "realm named in challenges"),
    AP_INIT_FLAG("APIKeyRateLimit", set_rate_limit, NULL, FOLDER, "On to apply the keys' rate limits"),
    AP_INIT_TAKE1("APIKeyRateHeaders", set_rate_headers, NULL, FOLDER,
                  "which rate limit headers are sent: legacy, ietf, both or none"),
    AP_INIT_TAKE1("APIKeyForward", set_forward, NULL, FOLDER,
                  "Off, or which of id,account,scopes,environment,plan a backend is told"),
    AP_INIT_FLAG("APIKeyStripCredentials", set_strip, NULL, FOLDER,
                 "On to take the key off the request before it goes on"),
    AP_INIT_FLAG("APIKeyAcceptImported", set_accept_imported, NULL, FOLDER,
                 "On to accept keys of any shape that were imported"),
    AP_INIT_TAKE_ARGV("APIKeyMapUser", add_mapped_user, NULL, FOLDER,
                      "USER ACCOUNT PERMISSION ...: what a user whom httpd authenticated may manage"),
    AP_INIT_TAKE1("APIKeyFailureLimit", set_failure_limit, NULL, FOLDER,
                  "Off, or NUMBER/SECONDS of failed authentications that one address may make"),
    AP_INIT_FLAG("APIKeyProblemJSON", set_problem_json, NULL, FOLDER,
                 "On to answer refusals with application/problem+json"),
    AP_INIT_TAKE1("APIKeyPreflight", set_preflight, NULL, FOLDER,
                  "pass to let CORS preflight requests through without a key, check to treat them as all others"),
    {NULL, {NULL}, NULL, 0, RAW_ARGS, NULL},
};
