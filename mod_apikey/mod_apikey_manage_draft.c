/* mod_apikey_manage_draft.c - the members of a key, from JSON to a checked record */
#include <apr_strings.h>

#include "ak_draft.h"
#include "ak_window.h"
#include "mod_apikey_manage_io.h"
#include "mod_apikey_manage_keys.h"

static void note(manage_t *m, const char *field, int index, const char *fault)
{
    if (fault)
        manage_field_error(m, index < 0 ? field : apr_psprintf(m->p, "%s[%d]", field, index), fault);
}

static void read_name(manage_t *m, json_t *value, ak_key_record_t *key)
{
    if (!manage_get_text(m, value, "name", &key->name))
        note(m, "name", -1, ak_name_fault(key->name));
}

static void read_description(manage_t *m, json_t *value, ak_key_record_t *key)
{
    key->description = "";
    if (!json_is_null(value) && !manage_get_text(m, value, "description", &key->description))
        note(m, "description", -1, ak_description_fault(key->description));
}

/* read_texts - an array of strings; NULL: it is something else, which is noted */
static const char **read_texts(manage_t *m, json_t *value, const char *field, int *count)
{
    const char **texts = apr_palloc(m->p, (json_array_size(value) + 1) * sizeof(*texts));
    json_t *item;
    size_t i;

    if (!json_is_array(value) || !json_array_size(value)) {
        note(m, field, -1, "Must be an array of at least one string.");
        return NULL;
    }
    json_array_foreach (value, i, item) {
        if (!(texts[i] = json_string_value(item))) {
            note(m, field, (int)i, "Must be a string.");
            return NULL;
        }
    }
    *count = (int)json_array_size(value);
    return texts;
}

static void read_permissions(manage_t *m, json_t *value, ak_key_record_t *key)
{
    int count, bad;
    const char **names = read_texts(m, value, "permissions", &count), *fault;

    if (names) {
        fault = ak_permissions_fault(&key->permissions, &bad, names, count, m->registry, m->p);
        note(m, "permissions", bad, fault);
    }
}

static void read_environment(manage_t *m, json_t *value, ak_key_record_t *key)
{
    const char *name;

    if (manage_get_text(m, value, "environment", &name))
        return;
    if (strcmp(name, "live") && strcmp(name, "test"))
        manage_field_error(m, "environment", "Must be live or test.");
    key->environment = strcmp(name, "test") ? AK_ENV_LIVE : AK_ENV_TEST;
}

static void read_expiry(manage_t *m, json_t *value, ak_key_record_t *key)
{
    const char *text = json_string_value(value);

    key->expires_at = 0;
    if (json_is_null(value))
        return;
    if (!text || ak_rfc3339_parse(text, &key->expires_at) != APR_SUCCESS || key->expires_at <= 0)
        manage_field_error(m, "expires_at", "Must be a time such as 2026-10-14T00:00:00Z, or null for never.");
}

static void read_limits(manage_t *m, json_t *value, ak_key_record_t *key)
{
    manage_get_limits(m, value, "rate_limit", &key->per_hour, &key->per_minute);
}

static void read_networks(manage_t *m, json_t *value, ak_key_record_t *key)
{
    const char **networks, *fault;
    int count, bad;

    key->allowed_ips = NULL;
    if (json_is_null(value) || !(networks = read_texts(m, value, "allowed_ips", &count)))
        return;
    fault = ak_networks_fault(&key->allowed_ips, &bad, networks, count, m->p);
    note(m, "allowed_ips", bad, fault);
}

static void read_renewal(manage_t *m, json_t *value, ak_key_record_t *key)
{
    key->auto_renew = 0;
    if (!json_is_null(value))
        manage_get_flag(m, value, "auto_renew", &key->auto_renew);
}

static void read_account(manage_t *m, json_t *value, ak_key_record_t *key)
{
    const char *id;

    if (manage_get_text(m, value, "account_id", &id))
        return;
    if (!ak_id_ok(id, "acct_"))
        manage_field_error(m, "account_id", "Must be the id of an account.");
    key->account_id = id;
}

static const struct {
    const char *name;
    int once; /* set when the key is made, never changed */
    void (*read)(manage_t *m, json_t *value, ak_key_record_t *key);
} members[] = {
    {"name", 0, read_name},
    {"description", 0, read_description},
    {"permissions", 0, read_permissions},
    {"environment", 1, read_environment},
    {"expires_at", 0, read_expiry},
    {"rate_limit", 0, read_limits},
    {"allowed_ips", 0, read_networks},
    {"auto_renew", 0, read_renewal},
    {"account_id", 1, read_account},
};
#define MEMBERS ((int)(sizeof(members) / sizeof(members[0])))

int manage_read_key(manage_t *m, json_t *body, int creating, ak_key_record_t *key)
{
    const char *name;
    json_t *value;
    int i;

    json_object_foreach (body, name, value) {
        for (i = 0; i < MEMBERS && strcmp(members[i].name, name); i++)
            ;
        if (i == MEMBERS)
            manage_field_error(m, name, "There is no such member, or it cannot be set.");
        else if (members[i].once && !creating)
            manage_field_error(m, name, "Cannot be changed once the key is made.");
        else
            members[i].read(m, value, key);
    }
    if (creating && !json_object_get(body, "name"))
        manage_field_error(m, "name", "Is required.");
    return manage_refuse_errors(m);
}
