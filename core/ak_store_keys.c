/* ak_store_keys - making, changing, revoking and rotating keys
 *
 * Each call is one transaction over the row, the audit log and the change log; the
 * change log comes last, because on PostgreSQL its lock is held to the commit.
 */
#include <apr_strings.h>
#include <jansson.h>
#include <string.h>

#include "ak_digest.h"
#include "ak_store_private.h"
#include "ak_window.h"

static const char *flag_text(int flag)
{
    return flag ? "1" : "0";
}

/* A space-separated list as the endpoints show it. */
static json_t *list_of_words(const char *words, apr_pool_t *p)
{
    json_t *list = json_array();
    char *rest;

    for (char *word = apr_strtok(apr_pstrdup(p, words), " ", &rest); word != NULL; word = apr_strtok(NULL, " ", &rest))
        json_array_append_new(list, json_string(word));
    return list;
}

/* What the audit log says of a new key, in the endpoints' forms. */
static const char *key_details(const ak_key_new_t *key, const char *rotated_from, apr_pool_t *p)
{
    char expires[AK_RFC3339_SIZE], *text;
    json_t *object = json_object();
    const char *copy = NULL;

    json_object_set_new(object, "name", json_string(key->name));
    json_object_set_new(object, "permissions", list_of_words(key->permissions, p));
    json_object_set_new(object, "environment", json_string(ak_environment_text(key->environment)));
    if (key->expires_at != 0)
        json_object_set_new(object, "expires_at", json_string(ak_rfc3339(expires, key->expires_at)));
    if (key->imported)
        json_object_set_new(object, "imported", json_true());
    if (rotated_from != NULL)
        json_object_set_new(object, "rotated_from", json_string(rotated_from));
    text = json_dumps(object, JSON_COMPACT);
    if (text != NULL)
        copy = apr_pstrdup(p, text);
    free(text);
    json_decref(object);
    return copy;
}

static apr_status_t insert_key(ak_dbd_handle_t *h, const ak_actor_t *actor, const ak_key_new_t *key,
                               const char *rotated_from, apr_int64_t now, apr_pool_t *p)
{
    const char *args[] = {
        key->id, key->digest_hex, flag_text(key->imported), key->account_id,
        ak_environment_text(key->environment), key->name, key->description != NULL ? key->description : "",
        key->prefix, key->last_four, key->permissions, key->allowed_ips,
        ak_dbd_number_or_null(p, key->per_hour, AK_UNSET), ak_dbd_number_or_null(p, key->per_minute, AK_UNSET),
        flag_text(key->auto_renew), ak_dbd_number(p, now), actor->actor,
        ak_dbd_number_or_null(p, key->expires_at, 0), rotated_from
    };

    return ak_dbd_exec(h, AK_SQL_KEY_ADD, args, NULL, p);
}

static apr_status_t account_exists(ak_dbd_handle_t *h, const char *account_id, apr_pool_t *p)
{
    const char *args[] = {account_id};
    ak_rows_t rows;
    apr_status_t rv = ak_dbd_select(h, AK_SQL_ACCOUNT_SEQ, args, &rows, p);

    return rv == APR_SUCCESS && rows.count == 0 ? APR_NOTFOUND : rv;
}

/* Take an idempotency key, which belongs to the caller's account.  APR_EEXIST: it is taken. */
static apr_status_t claim(ak_dbd_handle_t *h, const ak_actor_t *actor, const ak_key_new_t *key, apr_int64_t now,
                          const char **existing_id, apr_pool_t *p)
{
    const char *owner = actor->account_id != NULL ? actor->account_id : key->account_id;
    const char *old[] = {ak_dbd_number(p, now - AK_IDEMPOTENCY_SEC)};
    const char *claimed[] = {owner, key->idempotency_key, key->id, ak_dbd_number(p, now)};
    ak_rows_t rows;
    apr_status_t rv;

    if (key->idempotency_key == NULL)
        return APR_SUCCESS;
    rv = ak_dbd_exec(h, AK_SQL_IDEMPOTENCY_PRUNE, old, NULL, p);
    if (rv == APR_SUCCESS)
        rv = ak_dbd_exec(h, AK_SQL_IDEMPOTENCY_ADD, claimed, NULL, p);
    if (rv != APR_EEXIST)
        return rv;
    rv = ak_dbd_select(h, AK_SQL_IDEMPOTENCY_GET, claimed, &rows, p);
    if (rv != APR_SUCCESS)
        return rv;
    if (existing_id != NULL)
        *existing_id = ak_rows_text_or_null(&rows, 0, 0);
    return APR_EEXIST;
}

apr_status_t ak_store_key_create(ak_store_t *store, const ak_actor_t *actor, const ak_key_new_t *key,
                                 apr_int64_t now, const char **existing_id, apr_int64_t *sequence, apr_pool_t *p)
{
    ak_dbd_handle_t *h;
    apr_status_t rv = ak_store_begin(store, &h, p);

    if (existing_id != NULL)
        *existing_id = NULL;
    if (rv != APR_SUCCESS)
        return rv;
    rv = account_exists(h, key->account_id, p);
    if (rv == APR_SUCCESS)
        rv = claim(h, actor, key, now, existing_id, p);
    if (rv == APR_SUCCESS)
        rv = insert_key(h, actor, key, NULL, now, p);
    if (rv == APR_SUCCESS)
        rv = ak_store_log_audit(h, actor, key->account_id, key->imported ? "key.import" : "key.create", key->id,
                                key_details(key, NULL, p), now, p);
    if (rv == APR_SUCCESS) /* nodes remember unknown keys too: they must hear of a new one */
        rv = ak_store_log_change(store, h, key->id, now, sequence, p);
    return ak_store_end(h, rv, p);
}

apr_status_t ak_store_key_update(ak_store_t *store, const ak_actor_t *actor, const ak_key_record_t *key,
                                 const char *action, const char *changes, apr_int64_t now, apr_int64_t *sequence,
                                 apr_pool_t *p)
{
    const char *args[] = {
        key->name, key->description != NULL ? key->description : "", key->permissions, key->allowed_ips,
        ak_dbd_number_or_null(p, key->per_hour, AK_UNSET), ak_dbd_number_or_null(p, key->per_minute, AK_UNSET),
        ak_dbd_number_or_null(p, key->expires_at, 0), flag_text(key->auto_renew), key->id,
        ak_dbd_number(p, key->version)
    };
    ak_dbd_handle_t *h;
    int affected = 0;
    apr_status_t rv = ak_store_begin(store, &h, p);

    if (rv != APR_SUCCESS)
        return rv;
    rv = ak_dbd_exec(h, AK_SQL_KEY_UPDATE, args, &affected, p);
    if (rv == APR_SUCCESS && affected == 0)
        rv = AK_ECHANGED;
    if (rv == APR_SUCCESS)
        rv = ak_store_log_audit(h, actor, key->account_id, action, key->id, changes, now, p);
    if (rv == APR_SUCCESS)
        rv = ak_store_log_change(store, h, key->id, now, sequence, p);
    return ak_store_end(h, rv, p);
}

/* The account of a key, if the caller may see it. */
static apr_status_t find_key(ak_dbd_handle_t *h, const char *account_id, const char *id, ak_key_record_t **key,
                             apr_pool_t *p)
{
    const char *args[] = {id, account_id, account_id};
    ak_rows_t rows;
    apr_status_t rv = ak_dbd_select(h, AK_SQL_KEY_GET, args, &rows, p);

    if (rv == APR_SUCCESS && rows.count == 0)
        return APR_NOTFOUND;
    if (rv == APR_SUCCESS)
        *key = ak_key_record_of(&rows, 0, p);
    return rv;
}

apr_status_t ak_store_key_revoke(ak_store_t *store, const ak_actor_t *actor, const char *account_id,
                                 const char *id, apr_int64_t now, apr_int64_t *sequence, apr_pool_t *p)
{
    const char *args[] = {ak_dbd_number(p, now), id};
    ak_key_record_t *key;
    ak_dbd_handle_t *h;
    ak_rows_t rows;
    int affected = 0;
    apr_status_t rv = ak_store_begin(store, &h, p);

    if (rv != APR_SUCCESS)
        return rv;
    rv = find_key(h, account_id, id, &key, p);
    if (rv == APR_SUCCESS)
        rv = ak_dbd_exec(h, AK_SQL_KEY_REVOKE, args, &affected, p);
    if (rv == APR_SUCCESS && affected == 0) { /* it is revoked: say where the log stands */
        rv = ak_dbd_select(h, AK_SQL_CHANGE_LAST, NULL, &rows, p);
        if (rv == APR_SUCCESS && sequence != NULL)
            *sequence = ak_rows_number(&rows, 0, 0, 0);
        return ak_store_end(h, rv, p);
    }
    if (rv == APR_SUCCESS)
        rv = ak_store_log_audit(h, actor, key->account_id, "key.revoke", id, NULL, now, p);
    if (rv == APR_SUCCESS)
        rv = ak_store_log_change(store, h, id, now, sequence, p);
    return ak_store_end(h, rv, p);
}

apr_status_t ak_store_key_rotate(ak_store_t *store, const ak_actor_t *actor, const ak_key_record_t *old,
                                 const ak_key_new_t *successor, apr_int64_t grace_sec, apr_int64_t now,
                                 apr_int64_t *sequence, apr_pool_t *p)
{
    const char *last = ak_dbd_number(p, now + grace_sec);
    const char *args[] = {last, last, successor->id, old->id, ak_dbd_number(p, old->version)};
    const char *details = apr_psprintf(p, "{\"rotated_to\":\"%s\",\"grace_seconds\":%" APR_INT64_T_FMT "}",
                                       successor->id, grace_sec);
    ak_dbd_handle_t *h;
    int affected = 0;
    apr_status_t rv = ak_store_begin(store, &h, p);

    if (rv != APR_SUCCESS)
        return rv;
    rv = ak_dbd_exec(h, AK_SQL_KEY_SUPERSEDE, args, &affected, p);
    if (rv == APR_SUCCESS && affected == 0)
        rv = AK_ECHANGED;
    if (rv == APR_SUCCESS)
        rv = claim(h, actor, successor, now, NULL, p);
    if (rv == APR_SUCCESS)
        rv = insert_key(h, actor, successor, old->id, now, p);
    if (rv == APR_SUCCESS)
        rv = ak_store_log_audit(h, actor, old->account_id, "key.rotate", old->id, details, now, p);
    if (rv == APR_SUCCESS)
        rv = ak_store_log_audit(h, actor, old->account_id, "key.create", successor->id,
                                key_details(successor, old->id, p), now, p);
    if (rv == APR_SUCCESS)
        rv = ak_store_log_change(store, h, successor->id, now, NULL, p);
    if (rv == APR_SUCCESS)
        rv = ak_store_log_change(store, h, old->id, now, sequence, p);
    return ak_store_end(h, rv, p);
}
