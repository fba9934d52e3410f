/* ak_store_lookup - what a request needs that its node has not cached: a key by digest,
 * its addresses, the scopes and the plans */
#include <apr_strings.h>
#include <string.h>

#include "ak_cidr.h"
#include "ak_digest.h"
#include "ak_store_private.h"

/* Columns of key_lookup. */
enum { L_ID, L_ACCOUNT, L_PERMISSIONS, L_ALLOWED, L_ENVIRONMENT, L_STATUS, L_EXPIRES, L_PER_HOUR,
       L_PER_MINUTE, L_PLAN, L_QUOTA };

/* Put the part of an id behind its prefix into a slot's field. */
static apr_status_t put_id(char field[AK_ID_SUFFIX], const char *id, const char *prefix)
{
    apr_size_t skip = strlen(prefix), len = strlen(id);

    if (strncmp(id, prefix, skip) != 0 || len - skip > AK_ID_SUFFIX)
        return APR_EGENERAL;
    memset(field, 0, AK_ID_SUFFIX);
    memcpy(field, id + skip, len - skip);
    return APR_SUCCESS;
}

static apr_uint32_t limit_of(const ak_rows_t *rows, int column)
{
    apr_int64_t n = ak_rows_number(rows, 0, column, 0);

    return n < 0 ? 0 : n > APR_UINT32_MAX ? APR_UINT32_MAX : (apr_uint32_t)n;
}

/* A list that cannot be read admits nobody: its key is not served until it is mended. */
static apr_status_t put_networks(ak_key_t *key, const char *list, apr_pool_t *p)
{
    const char *bad;
    int count;
    apr_status_t rv;

    if (list == NULL)
        return APR_SUCCESS;
    rv = ak_cidr_list_parse(key->cidr, AK_CIDR_INLINE, &count, list, &bad, p);
    if (rv != APR_SUCCESS || count > AK_CIDR_MAX)
        return APR_EGENERAL;
    key->cidr_count = (unsigned char)count;
    return APR_SUCCESS;
}

apr_status_t ak_store_lookup(ak_store_t *store, const unsigned char *digest, const ak_registry_t *registry,
                             ak_key_t *key, apr_pool_t *p)
{
    char hex[AK_DIGEST_HEX + 1];
    const char *args[] = {hex}, *bad;
    ak_rows_t rows;
    apr_status_t rv;

    ak_digest_to_hex(digest, hex);
    rv = ak_store_select(store, AK_SQL_KEY_LOOKUP, args, &rows, p);
    if (rv != APR_SUCCESS)
        return rv;
    if (rows.count == 0)
        return APR_NOTFOUND;
    memset(key, 0, sizeof *key);
    memcpy(key->digest, digest, AK_DIGEST_BYTES);
    rv = put_id(key->id, ak_rows_text(&rows, 0, L_ID), "key_");
    if (rv == APR_SUCCESS)
        rv = put_id(key->account, ak_rows_text(&rows, 0, L_ACCOUNT), "acct_");
    if (rv == APR_SUCCESS)
        rv = put_networks(key, ak_rows_text_or_null(&rows, 0, L_ALLOWED), p);
    if (rv != APR_SUCCESS)
        return rv;
    /* A scope that is in no registry gives nothing; the others hold all the same. */
    ak_scopes_parse(&key->scopes, registry, ak_rows_text(&rows, 0, L_PERMISSIONS), &bad, p);
    key->environment = (unsigned char)ak_environment_of(ak_rows_text(&rows, 0, L_ENVIRONMENT));
    key->status = strcmp(ak_rows_text(&rows, 0, L_STATUS), "active") == 0 ? AK_STATUS_ACTIVE : AK_STATUS_REVOKED;
    key->expires_sec = ak_rows_number(&rows, 0, L_EXPIRES, 0);
    key->per_hour = limit_of(&rows, L_PER_HOUR);
    key->per_minute = limit_of(&rows, L_PER_MINUTE);
    key->plan = (unsigned char)ak_plan_of(ak_rows_text(&rows, 0, L_PLAN));
    key->quota_month = limit_of(&rows, L_QUOTA);
    return APR_SUCCESS;
}

apr_status_t ak_store_allowed_ips(ak_store_t *store, const char *key_id, const char **list, apr_pool_t *p)
{
    const char *args[] = {key_id};
    ak_rows_t rows;
    apr_status_t rv = ak_store_select(store, AK_SQL_KEY_ALLOWED_IPS, args, &rows, p);

    *list = NULL;
    if (rv != APR_SUCCESS)
        return rv;
    if (rows.count == 0)
        return APR_NOTFOUND;
    *list = ak_rows_text_or_null(&rows, 0, 0);
    return APR_SUCCESS;
}

apr_status_t ak_store_registry(ak_store_t *store, ak_registry_t **registry, apr_pool_t *p)
{
    ak_rows_t rows;
    apr_status_t rv = ak_store_select(store, AK_SQL_SCOPES, NULL, &rows, p);

    if (rv != APR_SUCCESS)
        return rv;
    *registry = ak_registry_create(p);
    for (int i = 0; i < rows.count && rv == APR_SUCCESS; i++)
        rv = ak_registry_add(*registry, ak_rows_text(&rows, i, 0), ak_rows_text(&rows, i, 1),
                             (int)ak_rows_number(&rows, i, 2, -1), p);
    return rv;
}

apr_status_t ak_store_plans(ak_store_t *store, ak_plan_t plans[AK_PLAN_COUNT], apr_pool_t *p)
{
    ak_rows_t rows;
    ak_plan_e plan;
    apr_status_t rv = ak_store_select(store, AK_SQL_PLANS, NULL, &rows, p);

    if (rv != APR_SUCCESS)
        return rv;
    memset(plans, 0, AK_PLAN_COUNT * sizeof *plans);
    for (int i = 0; i < rows.count; i++) {
        if (!ak_plan_parse(&plan, ak_rows_text(&rows, i, 0)))
            continue;
        plans[plan].name = ak_plan_name(plan);
        plans[plan].per_hour = ak_rows_number(&rows, i, 1, 0);
        plans[plan].per_minute = ak_rows_number(&rows, i, 2, 0);
        plans[plan].quota_month = ak_rows_number(&rows, i, 3, AK_UNSET);
    }
    for (int i = 0; i < AK_PLAN_COUNT; i++)
        if (plans[i].name == NULL)
            return APR_EGENERAL; /* the schema seeds all of them: somebody took one away */
    return APR_SUCCESS;
}
