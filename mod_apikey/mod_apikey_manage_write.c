/* mod_apikey_manage_write.c - keys made and changed, and what the caller may ask for */
#include <apr_lib.h>
#include <apr_strings.h>

#include "ak_draft.h"
#include "apikey_tally.h"
#include "mod_apikey_manage_io.h"
#include "mod_apikey_manage_keys.h"


#define IDEMPOTENCY_KEY_MAX 255 /* bytes */

/* --- what the caller may ask for -------------------------------------------------------- */

/* exceeds - is a limit of a key's own above that of its account? */
static int exceeds(apr_int64_t wanted, apr_int64_t accounts, apr_int64_t plans)
{
    return wanted != AK_UNSET && wanted > (accounts == AK_UNSET ? plans : accounts);
}

/* refuse_plan - 403 for what only some plans include.  before: the key as it was. */
static int refuse_plan(manage_t *m, const ak_key_record_t *key, const ak_key_record_t *before)
{
    int renewal = key->auto_renew && !before->auto_renew;
    int limits = !m->admin && (key->per_hour != before->per_hour || key->per_minute != before->per_minute);
    ak_plan_t plans[AK_PLAN_COUNT], *plan;
    ak_account_t *account;
    apr_status_t rv;

    if (!renewal && !limits)
        return 0;
    rv = ak_store_account_get(m->node->store, key->account_id, m->now, &account, m->p);
    if (rv == APR_SUCCESS)
        rv = ak_store_plans(m->node->store, plans, m->p);
    if (rv == APR_NOTFOUND)
        return 0; /* refused as a field, when the key is made */
    if (rv != APR_SUCCESS)
        return manage_refuse_store(m, rv, "reading an account");
    plan = &plans[account->plan];
    if (account->plan == AK_PLAN_ENTERPRISE)
        return 0;
    if (renewal)
        return manage_refuse(m, AK_PLAN_REQUIRED, "Auto-renewal is for accounts of the enterprise plan.");
    if (limits && (exceeds(key->per_hour, account->per_hour, plan->per_hour)
                   || exceeds(key->per_minute, account->per_minute, plan->per_minute)))
        return manage_refuse(m, AK_PLAN_REQUIRED,
                             "Limits above the plan's are for accounts of the enterprise plan.");
    return 0;
}

/* default_permissions - for a key that names none: to read what the caller may read, less
 * the management of keys, alerts and logs */
static const char *default_permissions(manage_t *m)
{
    const char *list = NULL;
    int bit;

    for (bit = 0; bit < m->registry->count; bit++) {
        const char *name = m->registry->name[bit], *colon = name ? strchr(name, ':') : NULL;
        if (!colon || strcmp(colon, ":read") || !strncmp(name, "api-keys:", 9)
            || !strncmp(name, "alerts:", 7) || !strncmp(name, "audit:", 6)
            || !ak_scopes_has(&m->held, bit))
            continue;
        list = list ? apr_pstrcat(m->p, list, " ", name, NULL) : name;
    }
    return list;
}

/* --- made --------------------------------------------------------------------------------- */

/* read_idempotency_key - *key is NULL where none was sent */
static int read_idempotency_key(manage_t *m, const char **key)
{
    const char *at;

    *key = apr_table_get(m->r->headers_in, "Idempotency-Key");
    for (at = *key; at && *at; at++)
        if (!apr_isgraph(*at) || at - *key >= IDEMPOTENCY_KEY_MAX)
            break;
    if (*key && (*at || at == *key))
        return manage_refuse(m, AK_INVALID_REQUEST,
                             "Idempotency-Key must be 1 to 255 printable ASCII characters without blanks.");
    return 0;
}

/* refuse_new - 403 or 422 for a key that the caller may not make */
static int refuse_new(manage_t *m, ak_key_record_t *key)
{
    static const ak_key_record_t blank = {.per_hour = AK_UNSET, .per_minute = AK_UNSET};

    if (!m->admin && strcmp(key->account_id, m->actor.account_id))
        return manage_refuse_scope(m, "admin:*");
    if (m->test && key->environment != AK_ENV_TEST)
        return manage_refuse(m, AK_ENVIRONMENT_MISMATCH, "A test key manages test keys only.");
    if (!key->permissions && !(key->permissions = default_permissions(m))) {
        manage_field_error(m, "permissions", "Is required, because the caller may read nothing itself.");
        return manage_refuse_errors(m);
    }
    return manage_refuse_grant(m, key->permissions, "") || refuse_plan(m, key, &blank);
}

/* store_new - write the key; a repeated Idempotency-Key is told the id that the first made */
static int store_new(manage_t *m, const ak_key_new_t *key)
{
    const char *existing = NULL;
    apr_status_t rv = ak_store_key_create(m->node->store, &m->actor, key, m->now, &existing, NULL, m->p);

    if (rv == APR_EEXIST && existing)
        return manage_refuse_with(m, AK_CONFLICT,
                                  "A key was made with this Idempotency-Key already; it is not shown again.",
                                  json_pack("{s:s}", "id", existing));
    if (rv == APR_NOTFOUND) {
        manage_field_error(m, "account_id", "There is no such account.");
        return manage_refuse_errors(m);
    }
    return rv != APR_SUCCESS && manage_refuse_store(m, rv, "making a key");
}

void manage_key_create(manage_t *m)
{
    ak_key_record_t key = {.per_hour = AK_UNSET, .per_minute = AK_UNSET};
    char secret[AK_TOKEN_MAX + 1];
    const char *idempotency_key;
    ak_key_new_t fresh;
    json_t *body;

    key.account_id = m->actor.account_id;
    key.description = "";
    key.environment = m->test ? AK_ENV_TEST : AK_ENV_LIVE;
    if (read_idempotency_key(m, &idempotency_key) || manage_read_object(m, 1, &body)
        || manage_read_key(m, body, 1, &key) || refuse_new(m, &key))
        return;
    ak_key_describe(&fresh, &key);
    fresh.idempotency_key = idempotency_key;
    if (manage_mint(m, &fresh, secret) || store_new(m, &fresh))
        return;
    /* No node can have heard of this key before: there is nothing to drop and wait for. */
    ak_table_tally(m->node->table, APIKEY_TALLY_KEYS_CREATED, 1);
    manage_answer_minted(m, &fresh, NULL, secret);
}

/* --- changed -------------------------------------------------------------------------------- */

/* changes_of - what a patch changes, for the audit log; NULL: nothing */
static const char *changes_of(manage_t *m, json_t *patch, const ak_key_record_t *before,
                              const ak_key_record_t *after)
{
    json_t *was = manage_key_json(m, before, NULL), *is = manage_key_json(m, after, NULL);
    json_t *changes = manage_json_changes(patch, was, is);
    const char *text = json_object_size(changes) ? manage_json_dump(m, changes) : NULL;

    json_decref(changes);
    json_decref(was);
    json_decref(is);
    return text;
}

/* refuse_change - 409 or 403 for a change that the key's state or the caller does not allow */
static int refuse_change(manage_t *m, const ak_key_record_t *key, const ak_key_record_t *before)
{
    if (before->status == AK_STATUS_REVOKED)
        return manage_refuse(m, AK_CONFLICT, "The key has been revoked: it cannot be changed any more.");
    return manage_refuse_grant(m, key->permissions, before->permissions) || refuse_plan(m, key, before);
}

void manage_key_update(manage_t *m)
{
    ak_key_record_t *before, after;
    json_t *body;
    apr_int64_t sequence = 0;
    const char *changes;
    apr_status_t rv;

    if (manage_read_object(m, 1, &body) || !(before = manage_key_find(m, m->id)))
        return;
    after = *before;
    if (manage_refuse_unmatched(m, before->version) || manage_read_key(m, body, 0, &after)
        || refuse_change(m, &after, before))
        return;
    changes = changes_of(m, body, before, &after);
    if (changes) {
        rv = ak_store_key_update(m->node->store, &m->actor, &after, "key.update", changes, m->now, &sequence, m->p);
        if (rv != APR_SUCCESS) {
            manage_refuse_store(m, rv, "changing a key");
            return;
        }
        ak_table_tally(m->node->table, APIKEY_TALLY_KEYS_CHANGED, 1);
        apikey_changed(m->node, m->id, sequence, m->p);
    }
    manage_answer_key(m, m->id);
}
