/* ak_draft - a key as somebody asks for it: checked field by field, then made */
#include "ak_draft.h"

#include <apr_strings.h>
#include <string.h>

#include "ak_cidr.h"
#include "ak_text.h"

/* --- one field ---------------------------------------------------------------------------- */

const char *ak_name_fault(const char *name)
{
    int length = ak_text_length(name, 0);

    if (length < 1 || length > AK_NAME_CHARS || strspn(name, " ") == strlen(name))
        return "Must be 1 to 100 characters, without control characters.";
    return NULL;
}

const char *ak_description_fault(const char *description)
{
    int length = ak_text_length(description, 1);

    if (length < 0 || length > AK_DESCRIPTION_CHARS)
        return "Must be at most 1000 characters, without control characters.";
    return NULL;
}

const char *ak_limit_fault(apr_int64_t limit)
{
    if (limit != AK_UNSET && (limit < 1 || limit > AK_LIMIT_MAX))
        return "Must be a whole number from 1 to 1000000000.";
    return NULL;
}

/* Put a word behind a space-separated list, unless it is in it. */
static void add_word(const char **list, const char *word, apr_pool_t *p)
{
    apr_size_t len = strlen(word), span;
    const char *at;

    if (*list == NULL) {
        *list = apr_pstrdup(p, word);
        return;
    }
    for (at = *list; *at != '\0'; at += span + (at[span] == ' ')) {
        span = strcspn(at, " ");
        if (span == len && strncmp(at, word, len) == 0)
            return;
    }
    *list = apr_pstrcat(p, *list, " ", word, NULL);
}

const char *ak_permissions_fault(const char **list, int *bad, const char *const *names, int count,
                                 const ak_registry_t *registry, apr_pool_t *p)
{
    *list = NULL;
    *bad = -1;
    if (count < 1 || count > AK_SCOPE_MAX)
        return "Must be at least one permission, and at most 128.";
    for (int i = 0; i < count; i++) {
        if (!ak_scope_known(registry, names[i])) {
            *bad = i;
            return "There is no such permission; /v1/permissions lists them.";
        }
        add_word(list, names[i], p);
    }
    return NULL;
}

const char *ak_networks_fault(const char **list, int *bad, const char *const *networks, int count, apr_pool_t *p)
{
    char text[AK_CIDR_TEXT];
    ak_cidr_t network;

    *list = NULL;
    *bad = -1;
    if (count > AK_CIDR_MAX)
        return "Must be at most 64 networks.";
    for (int i = 0; i < count; i++) {
        if (ak_cidr_parse(&network, networks[i]) != APR_SUCCESS) {
            *bad = i;
            return "Must be an address or a network such as 192.0.2.0/24 or 2001:db8::/32, with no bits set behind "
                   "the mask.";
        }
        add_word(list, ak_cidr_text(text, &network), p);
    }
    return NULL;
}

/* --- the whole ----------------------------------------------------------------------------- */

/* The faults found so far. */
typedef struct {
    ak_field_error_t *list;
    int count;
    apr_pool_t *p;
} faults_t;

#define FIELDS 8 /* that ak_draft_check looks at */

static void add_fault(faults_t *faults, const char *field, int index, const char *message)
{
    if (message == NULL)
        return;
    faults->list[faults->count].field = index < 0 ? field : apr_psprintf(faults->p, "%s[%d]", field, index);
    faults->list[faults->count++].message = message;
}

apr_status_t ak_draft_check(const ak_draft_t *draft, const ak_registry_t *registry, ak_key_new_t *key,
                            ak_field_error_t **errors, int *count, apr_pool_t *p)
{
    faults_t faults = {.list = apr_pcalloc(p, FIELDS * sizeof *faults.list), .p = p};
    const char *message;
    int bad;

    memset(key, 0, sizeof *key);
    key->account_id = draft->account_id;
    key->name = draft->name;
    key->description = draft->description != NULL ? draft->description : "";
    key->environment = draft->environment;
    key->per_hour = draft->per_hour;
    key->per_minute = draft->per_minute;
    key->expires_at = draft->expires_at;
    key->auto_renew = draft->auto_renew;

    if (draft->account_id == NULL || !ak_id_ok(draft->account_id, "acct_"))
        add_fault(&faults, "account_id", -1, "Must be the id of an account.");
    add_fault(&faults, "name", -1, draft->name != NULL ? ak_name_fault(draft->name) : "Is required.");
    add_fault(&faults, "description", -1, ak_description_fault(key->description));
    message = ak_permissions_fault(&key->permissions, &bad, draft->permissions, draft->permission_count, registry, p);
    add_fault(&faults, "permissions", bad, message);
    message = ak_networks_fault(&key->allowed_ips, &bad, draft->allowed_ips, draft->allowed_count, p);
    add_fault(&faults, "allowed_ips", bad, message);
    add_fault(&faults, "rate_limit.per_hour", -1, ak_limit_fault(draft->per_hour));
    add_fault(&faults, "rate_limit.per_minute", -1, ak_limit_fault(draft->per_minute));
    if (draft->expires_at < 0)
        add_fault(&faults, "expires_at", -1, "Must be a time after 1970.");
    *errors = faults.list;
    *count = faults.count;
    return faults.count == 0 ? APR_SUCCESS : APR_EINVAL;
}

apr_status_t ak_key_mint(ak_key_new_t *key, char *secret, const ak_digester_t *digester, const char *prefix,
                         apr_pool_t *p)
{
    unsigned char digest[AK_DIGEST_BYTES];
    char *hex = apr_palloc(p, AK_DIGEST_HEX + 1);
    apr_size_t len;
    apr_status_t rv = ak_token_make(secret, prefix, key->environment);

    if (rv != APR_SUCCESS)
        return rv;
    len = strlen(secret);
    rv = ak_digest(digester, secret, len, digest);
    if (rv != APR_SUCCESS)
        return rv;
    ak_digest_to_hex(digest, hex);
    key->digest_hex = hex;
    key->id = ak_id_make(p, "key_");
    key->prefix = ak_token_shown(p, secret);
    key->last_four = apr_pstrdup(p, secret + len - 4);
    return key->id != NULL ? APR_SUCCESS : APR_EGENERAL;
}

void ak_key_describe(ak_key_new_t *key, const ak_key_record_t *record)
{
    memset(key, 0, sizeof *key);
    key->account_id = record->account_id;
    key->name = record->name;
    key->description = record->description;
    key->permissions = record->permissions;
    key->allowed_ips = record->allowed_ips;
    key->environment = record->environment;
    key->per_hour = record->per_hour;
    key->per_minute = record->per_minute;
    key->expires_at = record->expires_at;
    key->auto_renew = record->auto_renew;
}
