/* mod_apikey_manage_mint.c - fresh keys, and who may give them which permissions */
#include <apr_strings.h>

#include "ak_draft.h"
#include "mod_apikey_manage_io.h"
#include "mod_apikey_manage_keys.h"


/* --- a fresh key ---------------------------------------------------------------------------- */

int manage_mint(manage_t *m, ak_key_new_t *key, char *secret)
{
    apr_status_t rv = ak_key_mint(key, secret, m->node->digester, m->node->server->prefix, m->p);

    if (rv == APR_SUCCESS)
        return 0;
    ap_log_rerror(APLOG_MARK, APLOG_ERR, rv, m->r, "mod_apikey: no key could be made");
    return manage_refuse(m, AK_INTERNAL_ERROR, NULL);
}

void manage_answer_minted(manage_t *m, const ak_key_new_t *key, const char *rotated_from, char *secret)
{
    ak_key_record_t record = {
        .id = key->id, .account_id = key->account_id, .name = key->name, .description = key->description,
        .prefix = key->prefix, .last_four = key->last_four, .permissions = key->permissions,
        .allowed_ips = key->allowed_ips, .environment = key->environment, .status = AK_STATUS_ACTIVE,
        .auto_renew = key->auto_renew, .per_hour = key->per_hour, .per_minute = key->per_minute,
        .created_at = m->now, .expires_at = key->expires_at, .created_by = m->actor.actor,
        .rotated_from = rotated_from, .version = 1
    };

    apr_table_setn(m->r->headers_out, "Location", apr_pstrcat(m->p, m->base, "api-keys/", key->id, NULL));
    manage_answer_record(m, HTTP_CREATED, &record, secret, 0, 0);
    explicit_bzero(secret, strlen(secret));
}

/* --- who may grant what ---------------------------------------------------------------------- */

int manage_has_word(const char *list, const char *word)
{
    apr_size_t len = strlen(word), span;

    for (; *list; list += span + (list[span] == ' ')) {
        span = strcspn(list, " ");
        if (span == len && !strncmp(list, word, len))
            return 1;
    }
    return 0;
}

/* covers - do permissions, as a set and as a text, hold a permission? */
static int covers(manage_t *m, const ak_scopes_t *set, const char *text, const char *permission)
{
    const char *bad;
    ak_scopes_t wanted;

    if (ak_scopes_is_admin(set) || manage_has_word(text, permission))
        return 1;
    if (strchr(permission, '*'))
        return 0; /* bits alone do not tell a wildcard from its actions of today */
    return ak_scopes_parse(&wanted, m->registry, permission, &bad, m->p) == APR_SUCCESS
           && ak_scopes_cover(set, &wanted);
}

/* own_permissions - the caller's permissions as granted, for its wildcards */
static const char *own_permissions(manage_t *m)
{
    ak_key_record_t *key;

    if (m->permissions)
        return m->permissions;
    if (ak_store_key_get(m->node->store, NULL, m->actor.actor, &key, m->p) != APR_SUCCESS)
        return ""; /* then only single permissions can be granted */
    return key->permissions;
}

int manage_refuse_grant(manage_t *m, const char *permissions, const char *had)
{
    const char *own = m->admin ? "" : own_permissions(m), *bad;
    char *rest, *word;
    ak_scopes_t before;
    json_t *missing;

    if (m->admin)
        return 0;
    missing = json_array();
    ak_scopes_parse(&before, m->registry, had, &bad, m->p);
    for (word = apr_strtok(apr_pstrdup(m->p, permissions), " ", &rest); word;
         word = apr_strtok(NULL, " ", &rest))
        if (!covers(m, &m->held, own, word) && !covers(m, &before, had, word))
            json_array_append_new(missing, json_string(word));
    if (json_array_size(missing))
        return manage_refuse_with(m, AK_SCOPE_NOT_HELD, NULL, json_pack("{s:o}", "permissions", missing));
    json_decref(missing);
    return 0;
}
