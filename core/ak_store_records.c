/* ak_store_records - keys as they are listed and shown */
#include <apr_strings.h>
#include <string.h>

#include "ak_digest.h"
#include "ak_store_private.h"
#include "ak_text.h"

/* Columns of the view key_records. */
enum { K_SEQ, K_ID, K_ACCOUNT, K_NAME, K_DESCRIPTION, K_PREFIX, K_LAST_FOUR, K_PERMISSIONS, K_ALLOWED,
       K_ENVIRONMENT, K_STATUS, K_IMPORTED, K_AUTO_RENEW, K_PER_HOUR, K_PER_MINUTE, K_CREATED, K_EXPIRES,
       K_REVOKED, K_LAST_USED, K_CREATED_BY, K_ROTATED_FROM, K_ROTATED_TO, K_VERSION };

ak_key_record_t *ak_key_record_of(const ak_rows_t *rows, int row, apr_pool_t *p)
{
    ak_key_record_t *key = apr_pcalloc(p, sizeof *key);

    key->seq = ak_rows_number(rows, row, K_SEQ, 0);
    key->id = ak_rows_text(rows, row, K_ID);
    key->account_id = ak_rows_text(rows, row, K_ACCOUNT);
    key->name = ak_rows_text(rows, row, K_NAME);
    key->description = ak_rows_text(rows, row, K_DESCRIPTION);
    key->prefix = ak_rows_text(rows, row, K_PREFIX);
    key->last_four = ak_rows_text(rows, row, K_LAST_FOUR);
    key->permissions = ak_rows_text(rows, row, K_PERMISSIONS);
    key->allowed_ips = ak_rows_text_or_null(rows, row, K_ALLOWED);
    key->environment = ak_environment_of(ak_rows_text(rows, row, K_ENVIRONMENT));
    key->status = strcmp(ak_rows_text(rows, row, K_STATUS), "active") == 0 ? AK_STATUS_ACTIVE : AK_STATUS_REVOKED;
    key->imported = ak_rows_number(rows, row, K_IMPORTED, 0) != 0;
    key->auto_renew = ak_rows_number(rows, row, K_AUTO_RENEW, 0) != 0;
    key->per_hour = ak_rows_number(rows, row, K_PER_HOUR, AK_UNSET);
    key->per_minute = ak_rows_number(rows, row, K_PER_MINUTE, AK_UNSET);
    key->created_at = ak_rows_number(rows, row, K_CREATED, 0);
    key->expires_at = ak_rows_number(rows, row, K_EXPIRES, 0);
    key->revoked_at = ak_rows_number(rows, row, K_REVOKED, 0);
    key->last_used = ak_rows_number(rows, row, K_LAST_USED, 0);
    key->created_by = ak_rows_text_or_null(rows, row, K_CREATED_BY);
    key->rotated_from = ak_rows_text_or_null(rows, row, K_ROTATED_FROM);
    key->rotated_to = ak_rows_text_or_null(rows, row, K_ROTATED_TO);
    key->version = ak_rows_number(rows, row, K_VERSION, 0);
    return key;
}

apr_status_t ak_store_key_get(ak_store_t *store, const char *account_id, const char *id, ak_key_record_t **key,
                              apr_pool_t *p)
{
    const char *args[] = {id, account_id, account_id};
    ak_rows_t rows;
    apr_status_t rv;

    if (!ak_utf8_ok(id)) /* PostgreSQL takes no other text: it names no key */
        return APR_NOTFOUND;
    rv = ak_store_select(store, AK_SQL_KEY_GET, args, &rows, p);
    if (rv != APR_SUCCESS)
        return rv;
    if (rows.count == 0)
        return APR_NOTFOUND;
    *key = ak_key_record_of(&rows, 0, p);
    return APR_SUCCESS;
}

apr_status_t ak_store_key_digest(ak_store_t *store, const char *id, unsigned char *digest, apr_pool_t *p)
{
    const char *args[] = {id};
    ak_rows_t rows;
    apr_status_t rv = ak_store_select(store, AK_SQL_KEY_DIGEST, args, &rows, p);

    if (rv != APR_SUCCESS)
        return rv;
    if (rows.count == 0)
        return APR_NOTFOUND;
    return ak_digest_from_hex(ak_rows_text(&rows, 0, 0), digest);
}

/* --- lists ---------------------------------------------------------------------------- */

apr_status_t ak_store_seq_of(ak_store_t *store, ak_sql_e statement, const char *id, const char *account_id,
                             apr_int64_t *seq, apr_pool_t *p)
{
    const char *args[] = {id, account_id, account_id};
    ak_rows_t rows;
    apr_status_t rv;

    *seq = AK_SEQ_END;
    if (id == NULL)
        return APR_SUCCESS;
    if (!ak_utf8_ok(id))
        return APR_NOTFOUND;
    rv = ak_store_select(store, statement, args, &rows, p);
    if (rv != APR_SUCCESS)
        return rv;
    *seq = ak_rows_number(&rows, 0, 0, 0);
    return rows.count == 0 ? APR_NOTFOUND : APR_SUCCESS;
}

/* "part" as a LIKE pattern whose escape is '!'. */
static const char *containing(const char *part, apr_pool_t *p)
{
    char *pattern = apr_palloc(p, 2 * strlen(part) + 3), *out = pattern;

    *out++ = '%';
    for (; *part != '\0'; part++) {
        if (*part == '%' || *part == '_' || *part == '!')
            *out++ = '!';
        *out++ = *part;
    }
    *out++ = '%';
    *out = '\0';
    return pattern;
}

/* A status as people name it, in terms of the row: the stored status, and the bounds
 * (above, up to) of the expiry. */
static apr_status_t status_terms(const char *status, apr_int64_t now, const char **stored, apr_int64_t *above,
                                 apr_int64_t *up_to)
{
    *above = -1;
    *up_to = AK_SEQ_END;
    *stored = "active";
    if (status == NULL)
        return APR_SUCCESS;
    if (strcmp(status, "all") == 0)
        *stored = NULL;
    else if (strcmp(status, "revoked") == 0)
        *stored = "revoked";
    else if (strcmp(status, "active") == 0)
        *above = now;
    else if (strcmp(status, "expired") == 0)
        *up_to = now;
    else
        return APR_EINVAL;
    return APR_SUCCESS;
}

apr_status_t ak_store_key_list(ak_store_t *store, const ak_key_filter_t *filter, ak_key_record_t ***keys,
                               int *count, apr_pool_t *p)
{
    const char *args[14], *stored, *pattern = NULL;
    apr_int64_t before, above, up_to;
    int n = 0;
    ak_rows_t rows;
    apr_status_t rv = status_terms(filter->status, filter->now, &stored, &above, &up_to);

    *count = 0;
    *keys = NULL;
    if (rv == APR_SUCCESS)
        rv = ak_store_seq_of(store, AK_SQL_KEY_SEQ, filter->after, filter->account_id, &before, p);
    if (rv != APR_SUCCESS)
        return rv;
    if (filter->search != NULL && filter->search[0] != '\0') {
        if (!ak_utf8_ok(filter->search))
            return APR_SUCCESS; /* no name holds it */
        pattern = containing(filter->search, p);
    }
    args[n++] = ak_dbd_number(p, before);
    args[n++] = stored;
    args[n++] = stored;
    args[n++] = ak_dbd_number(p, above);
    args[n++] = ak_dbd_number(p, up_to);
    args[n++] = filter->environment;
    args[n++] = filter->environment;
    for (int i = 0; i < 4; i++)
        args[n++] = pattern;
    if (filter->account_id != NULL)
        args[n++] = filter->account_id;
    args[n++] = ak_dbd_number(p, filter->limit);
    rv = ak_store_select(store, filter->account_id != NULL ? AK_SQL_KEY_LIST_ACCOUNT : AK_SQL_KEY_LIST_ALL, args,
                         &rows, p);
    if (rv != APR_SUCCESS)
        return rv;
    *count = rows.count;
    *keys = apr_pcalloc(p, (rows.count + 1) * sizeof **keys);
    for (int i = 0; i < rows.count; i++)
        (*keys)[i] = ak_key_record_of(&rows, i, p);
    return APR_SUCCESS;
}
