/* mod_apikey_manage_draft.c - the members of a key, from JSON to a checked record */
#include <apr_strings.h>

#include "ak_cidr.h"
#include "ak_text.h"
#include "ak_window.h"
#include "mod_apikey_manage_io.h"
#include "mod_apikey_manage_keys.h"

#define NAME_MAX_CHARS 100
#define DESCRIPTION_MAX_CHARS 1000

static void read_name(manage_t *m, json_t *value, ak_key_record_t *key)
{
    const char *name;
    int length;

    if (manage_get_text(m, value, "name", &name))
        return;
    length = ak_text_length(name, 0);
    if (length < 1 || length > NAME_MAX_CHARS || strspn(name, " ") == strlen(name))
        manage_field_error(m, "name", "Must be 1 to 100 characters, without control characters.");
    key->name = name;
}

static void read_description(manage_t *m, json_t *value, ak_key_record_t *key)
{
    const char *description = "";
    int length;

    if (!json_is_null(value) && manage_get_text(m, value, "description", &description))
        return;
    length = ak_text_length(description, 1);
    if (length < 0 || length > DESCRIPTION_MAX_CHARS)
        manage_field_error(m, "description", "Must be at most 1000 characters, without control characters.");
    key->description = description;
}

/* add_word - append to a space-separated list what is not in it yet */
static const char *add_word(manage_t *m, const char *list, const char *word)
{
    if (!list)
        return word;
    return manage_has_word(list, word) ? list : apr_pstrcat(m->p, list, " ", word, NULL);
}

static void read_permissions(manage_t *m, json_t *value, ak_key_record_t *key)
{
    const char *list = NULL;
    json_t *item;
    size_t i;

    if (!json_is_array(value) || !json_array_size(value) || json_array_size(value) > AK_SCOPE_MAX) {
        manage_field_error(m, "permissions", "Must be an array of at least one permission.");
        return;
    }
    json_array_foreach (value, i, item) {
        const char *name = json_string_value(item);
        if (!name || !ak_scope_known(m->registry, name)) {
            manage_field_error(m, apr_psprintf(m->p, "permissions[%d]", (int)i),
                               "There is no such permission; /v1/permissions lists them.");
            return;
        }
        list = add_word(m, list, name);
    }
    key->permissions = list;
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
    const char *list = NULL;
    json_t *item;
    size_t i;

    key->allowed_ips = NULL;
    if (json_is_null(value))
        return;
    if (!json_is_array(value) || !json_array_size(value) || json_array_size(value) > AK_CIDR_MAX) {
        manage_field_error(m, "allowed_ips", "Must be an array of 1 to 64 networks, or null for any address.");
        return;
    }
    json_array_foreach (value, i, item) {
        char text[AK_CIDR_TEXT];
        ak_cidr_t net;
        if (!json_is_string(item) || ak_cidr_parse(&net, json_string_value(item)) != APR_SUCCESS) {
            manage_field_error(m, apr_psprintf(m->p, "allowed_ips[%d]", (int)i),
                               "Must be an address or a network such as 192.0.2.0/24 or 2001:db8::/32, with no "
                               "bits set behind the mask.");
            return;
        }
        list = add_word(m, list, apr_pstrdup(m->p, ak_cidr_text(text, &net)));
    }
    key->allowed_ips = list;
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
