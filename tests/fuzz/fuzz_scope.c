/* fuzz_scope.c - names of scopes, and lists of them */
#include "fuzz.h"

#include "ak_scope.h"

static const char *const names[] = {"admin:*", "tasks:read", "tasks:write", "tasks:delete", "projects:read",
                                    "users:read", "api-keys:read", "api-keys:write"};

static ak_registry_t *registry(apr_pool_t *pool)
{
    ak_registry_t *reg = ak_registry_create(pool);
    int i;

    for (i = 0; i < (int)(sizeof names / sizeof names[0]); i++)
        REQUIRE(ak_registry_add(reg, names[i], "", i ? 16 * i - 1 : 0, pool) == APR_SUCCESS);
    return reg;
}

FUZZ_TARGET(scope)
{
    apr_pool_t *pool = fuzz_pool();
    ak_registry_t *reg = registry(pool);
    char *s = fuzz_string(data, size);
    const char *bad = NULL;
    ak_scopes_t set, again;

    REQUIRE(!ak_scope_name_ok(s, 0) || (ak_scope_name_ok(s, 1) && strlen(s) <= AK_SCOPE_NAME_MAX));
    REQUIRE(!ak_scope_known(reg, s) || ak_scope_name_ok(s, 1));
    if (ak_scopes_parse(&set, reg, s, &bad, pool) == APR_SUCCESS)
        REQUIRE(bad == NULL);
    else
        REQUIRE(bad != NULL && !ak_scope_known(reg, bad));
    /* The set's own names give the set again; of an administrator's, that one. */
    REQUIRE(ak_scopes_parse(&again, reg, ak_scopes_names(pool, reg, &set), &bad, pool) == APR_SUCCESS);
    REQUIRE(ak_scopes_cover(&set, &again) && ak_scopes_cover(&again, &set));
    REQUIRE(ak_scopes_is_admin(&set) == ak_scopes_is_admin(&again));
    if (ak_registry_add(reg, s, "", 100, pool) == APR_SUCCESS)
        REQUIRE(ak_scope_name_ok(s, 0) && ak_registry_bit(reg, s) == 100 && ak_scope_known(reg, s));
    free(s);
    apr_pool_destroy(pool);
    return 0;
}
