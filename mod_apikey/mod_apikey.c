/* mod_apikey.c - API-key authentication for Apache httpd: the module record and its hooks
 *
 * SYNOPSIS
 *   APIKeyDatabase sqlite3 /var/lib/apikey/apikey.db
 *   <Location /v1/tasks>
 *       AuthType APIKey
 *       Require apikey-resource tasks
 *   </Location>
 *
 * A request passes the hooks in the order in which they stand below.  Each is a
 * few lines in a file of its own; what is decided is decided in core/.
 */
#define APIKEY_MODULE_RECORD
#include "mod_apikey.h"

static void register_hooks(apr_pool_t *p)
{
    /* mod_authz_core's verdict is asked for from inside ours: see mod_apikey_authz.c. */
    static const char *const before_authz_core[] = {"mod_authz_core.c", NULL};

    ap_hook_check_config(apikey_check_config, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_post_config(apikey_post_config, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_child_init(apikey_child_init, NULL, NULL, APR_HOOK_MIDDLE);

    ap_hook_check_authn(apikey_check_authn, NULL, NULL, APR_HOOK_MIDDLE, AP_AUTH_INTERNAL_PER_CONF);
    ap_hook_check_authz(apikey_check_authz, NULL, before_authz_core, APR_HOOK_FIRST,
                        AP_AUTH_INTERNAL_PER_CONF);
    apikey_register_providers(p);
    /* Before mod_rewrite's, so that its rules see who it is. */
    ap_hook_fixups(apikey_fixups, NULL, NULL, APR_HOOK_REALLY_FIRST);

    ap_hook_handler(apikey_manage_handler, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_handler(apikey_metrics_handler, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_handler(apikey_health_handler, NULL, NULL, APR_HOOK_MIDDLE);

    ap_hook_insert_error_filter(apikey_insert_error_filter, NULL, NULL, APR_HOOK_LAST);
    apikey_register_problem_filter();
    apikey_register_event_filter();
    ap_hook_log_transaction(apikey_log_transaction, NULL, NULL, APR_HOOK_FIRST);
}

AP_DECLARE_MODULE(apikey) = {
    STANDARD20_MODULE_STUFF,
    apikey_create_dir,
    apikey_merge_dir,
    apikey_create_server,
    apikey_merge_server,
    apikey_commands,
    register_hooks,
    AP_MODULE_FLAG_NONE,
};
