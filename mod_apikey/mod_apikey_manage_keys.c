/* mod_apikey_manage_keys.c - keys as they are shown, found and revoked */
#include <apr_strings.h>

#include "ak_token.h"
#include "apikey_tally.h"
#include "mod_apikey_manage_io.h"
#include "mod_apikey_manage_keys.h"


static const char *const environments[] = {"live", "test", NULL};
static const char *const statuses[] = {"active", "expired", "revoked", "all", NULL};

/* --- shown -------------------------------------------------------------------------------- */

/* status_of - active, expired or revoked: expiry is a matter of the clock and not stored */
static const char *status_of(const ak_key_record_t *key, apr_int64_t now)
{
    if (key->status == AK_STATUS_REVOKED)
        return "revoked";
    return key->expires_at && key->expires_at <= now ? "expired" : "active";
}

json_t *manage_key_json(manage_t *m, const ak_key_record_t *key, const char *secret)
{
    json_t *body = json_pack("{s:s, s:s*, s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o}", "id",
                             key->id, "key", secret, "name", key->name, "description",
                             key->description, "prefix", key->prefix, "last_four", key->last_four,
                             "environment", environments[key->environment == AK_ENV_TEST], "status",
                             status_of(key, m->now), "permissions",
                             manage_json_words(m->p, key->permissions), "created_at",
                             manage_json_time(key->created_at), "last_used",
                             manage_json_time(key->last_used), "expires_at",
                             manage_json_time(key->expires_at));
    json_t *rest = json_pack("{s:o, s:o, s:b, s:o, s:b, s:s?, s:s?, s:s?, s:s}", "revoked_at",
                             manage_json_time(key->revoked_at), "rate_limit",
                             manage_json_limits(key->per_hour, key->per_minute), "auto_renew",
                             key->auto_renew, "allowed_ips",
                             key->allowed_ips ? manage_json_words(m->p, key->allowed_ips) : json_null(),
                             "imported", key->imported, "rotated_from", key->rotated_from,
                             "rotated_to", key->rotated_to, "created_by", key->created_by,
                             "account_id", key->account_id);

    if (!body || !rest || json_object_update(body, rest)) {
        json_decref(body);
        body = NULL;
    }
    json_decref(rest);
    return body;
}

void manage_answer_record(manage_t *m, int status, const ak_key_record_t *key, const char *secret,
                          apr_int64_t today, apr_int64_t month)
{
    json_t *body = manage_key_json(m, key, secret);

    if (body)
        json_object_set_new(body, "usage", json_pack("{s:I, s:I}", "requests_today", (json_int_t)today,
                                                     "requests_this_month", (json_int_t)month));
    manage_etag(m, key->version);
    manage_answer(m, status, body);
}

/* answer_used - 200 with a key and what was used of it */
static void answer_used(manage_t *m, const ak_key_record_t *key)
{
    apr_int64_t today, month;
    apr_status_t rv = ak_store_key_usage(m->node->store, key->id, m->now, &today, &month, m->p);

    if (rv != APR_SUCCESS)
        manage_refuse_store(m, rv, "reading a key's usage");
    else
        manage_answer_record(m, HTTP_OK, key, NULL, today, month);
}

void manage_answer_key(manage_t *m, const char *id)
{
    ak_key_record_t *key;
    apr_status_t rv = ak_store_key_get(m->node->store, manage_confined(m), id, &key, m->p);

    if (rv != APR_SUCCESS)
        manage_refuse_store(m, rv, "reading a key");
    else
        answer_used(m, key);
}

/* --- found ---------------------------------------------------------------------------------- */

ak_key_record_t *manage_key_find(manage_t *m, const char *id)
{
    ak_key_record_t *key;
    apr_status_t rv = ak_store_key_get(m->node->store, manage_confined(m), id, &key, m->p);

    if (rv != APR_SUCCESS)
        manage_refuse_store(m, rv, "reading a key");
    else if (m->test && key->environment != AK_ENV_TEST)
        manage_refuse(m, AK_ENVIRONMENT_MISMATCH, "A test key manages test keys only.");
    else
        return key;
    return NULL;
}

void manage_key_show(manage_t *m)
{
    ak_key_record_t *key = manage_key_find(m, m->id);

    if (key)
        answer_used(m, key);
}

/* read_filter - which keys a list asks for */
static int read_filter(manage_t *m, ak_key_filter_t *filter, int *limit)
{
    if (manage_param_limit(m, limit) || manage_param_account(m, &filter->account_id)
        || manage_param_choice(m, "status", statuses, &filter->status)
        || manage_param_choice(m, "environment", environments, &filter->environment)
        || manage_param_id(m, "after", "key_", &filter->after))
        return 1;
    if (m->test && filter->environment == environments[0])
        return manage_refuse(m, AK_ENVIRONMENT_MISMATCH, "A test key manages test keys only.");
    if (m->test)
        filter->environment = environments[1];
    filter->search = manage_param(m, "search");
    filter->limit = *limit + 1; /* one more tells whether there is a next page */
    filter->now = m->now;
    return 0;
}

void manage_key_list(manage_t *m)
{
    ak_key_filter_t filter = {0};
    ak_key_record_t **keys;
    int limit, count, i;
    json_t *data;
    apr_status_t rv;

    if (read_filter(m, &filter, &limit))
        return;
    rv = ak_store_key_list(m->node->store, &filter, &keys, &count, m->p);
    if (rv == APR_NOTFOUND) {
        manage_refuse_param(m, "after", "names no key");
        return;
    }
    if (rv != APR_SUCCESS) {
        manage_refuse_store(m, rv, "listing keys");
        return;
    }
    data = json_array();
    for (i = 0; i < count && i < limit; i++)
        json_array_append_new(data, manage_key_json(m, keys[i], NULL));
    manage_answer_page(m, data, count > limit,
                       manage_json_text(count > limit ? keys[limit - 1]->id : NULL));
}

void manage_key_networks(manage_t *m)
{
    ak_network_t *rows;
    json_t *data;
    int count, i;
    apr_status_t rv;

    if (!manage_key_find(m, m->id))
        return;
    rv = ak_store_networks(m->node->store, m->id, &rows, &count, m->p);
    if (rv != APR_SUCCESS) {
        manage_refuse_store(m, rv, "reading networks");
        return;
    }
    data = json_array();
    for (i = 0; i < count; i++)
        json_array_append_new(data, json_pack("{s:s, s:o, s:o, s:I}", "network", rows[i].network,
                                              "first_seen", manage_json_time(rows[i].first_seen),
                                              "last_seen", manage_json_time(rows[i].last_seen),
                                              "requests", (json_int_t)rows[i].requests));
    manage_answer(m, HTTP_OK, json_pack("{s:o}", "data", data));
}

/* --- revoked ---------------------------------------------------------------------------------- */

void manage_key_revoke(manage_t *m)
{
    apr_int64_t sequence = 0;
    ak_key_record_t *key;
    apr_status_t rv;

    if (!(key = manage_key_find(m, m->id)) || manage_refuse_unmatched(m, key->version))
        return;
    rv = ak_store_key_revoke(m->node->store, &m->actor, manage_confined(m), m->id, m->now, &sequence,
                             m->p);
    if (rv != APR_SUCCESS) {
        manage_refuse_store(m, rv, "revoking a key");
        return;
    }
    /* Also when it was revoked before: the first answer may have been lost while it still
     * waited for the other nodes, and this one promises as much. */
    apikey_changed(m->node, m->id, sequence, m->p);
    if (key->status != AK_STATUS_REVOKED)
        ak_table_tally(m->node->table, APIKEY_TALLY_KEYS_REVOKED, 1);
    manage_answer_nothing(m);
}
