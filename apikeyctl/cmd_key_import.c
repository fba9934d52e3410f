/* cmd_key_import - bring keys over from another system, by the SHA-256 of each
 *
 * All lines are read and checked before the first key is stored, so that a mistake in
 * the last line leaves nothing half done.
 */
#include <apr_strings.h>
#include <apr_tables.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ak_window.h"
#include "ctl.h"

typedef struct {
    ctl_t *ctl;
    ak_registry_t *registry;
    ak_digester_t *digester;
    const char *account_id;
    int line, faults;
    apr_array_header_t *keys; /* of ak_key_new_t */
} import_t;

static void fault(import_t *im, const char *field, const char *message)
{
    ak_field_error_t error = {apr_psprintf(im->ctl->p, "line %d%s%s", im->line, field[0] ? ", " : "", field), message};

    if (im->faults++ == 0)
        ctl_fail_fields(im->ctl, &error, 1);
    else
        ctl_note(im->ctl, "%s: %s", error.field, error.message);
}

/* --- the members of a line ------------------------------------------------------------------ */

static const char *text_of(import_t *im, json_t *object, const char *name)
{
    json_t *value = json_object_get(object, name);

    if (value != NULL && !json_is_null(value) && !json_is_string(value))
        fault(im, name, "Must be text.");
    return json_string_value(value);
}

static const char *const *list_of(import_t *im, json_t *object, const char *name, int *count)
{
    json_t *list = json_object_get(object, name), *item;
    apr_array_header_t *texts = apr_array_make(im->ctl->p, 4, sizeof(const char *));
    size_t i;

    if (list != NULL && !json_is_null(list) && !json_is_array(list))
        fault(im, name, "Must be an array of texts.");
    json_array_foreach (list, i, item) {
        if (!json_is_string(item))
            fault(im, name, "Must be an array of texts.");
        else
            APR_ARRAY_PUSH(texts, const char *) = json_string_value(item);
    }
    *count = texts->nelts;
    return (const char *const *)texts->elts;
}

static apr_int64_t expiry_of(import_t *im, json_t *object)
{
    const char *text = text_of(im, object, "expires_at");
    apr_int64_t sec = 0;

    if (text != NULL && (ak_rfc3339_parse(text, &sec) != APR_SUCCESS || sec <= 0))
        fault(im, "expires_at", "Must be a time such as 2026-10-14T00:00:00Z, or null for never.");
    return sec;
}

static ak_env_e environment_of(import_t *im, json_t *object)
{
    const char *text = text_of(im, object, "environment");

    if (text == NULL || strcmp(text, "live") == 0)
        return AK_ENV_LIVE;
    if (strcmp(text, "test") != 0)
        fault(im, "environment", "Must be live or test.");
    return AK_ENV_TEST;
}

/* The digest of the key as we keep it, from the SHA-256 that we are told. */
static const char *digest_of(import_t *im, json_t *object)
{
    unsigned char sha256[AK_DIGEST_BYTES], digest[AK_DIGEST_BYTES];
    const char *text = text_of(im, object, "sha256");
    char *hex = apr_palloc(im->ctl->p, AK_DIGEST_HEX + 1);

    if (text == NULL || ak_digest_from_hex(text, sha256) != APR_SUCCESS) {
        fault(im, "sha256", "Must be the SHA-256 of the old key: 64 hexadecimal digits.");
        return "";
    }
    if (ak_digest_imported(im->digester, sha256, digest) != APR_SUCCESS) {
        fault(im, "sha256", "No digest could be made of it.");
        return "";
    }
    ak_digest_to_hex(digest, hex);
    return hex;
}

static void check_members(import_t *im, json_t *object)
{
    static const char *const known[] = {"sha256", "name", "description", "permissions", "expires_at", "environment",
                                        "allowed_ips", "account_id"};
    const char *name;
    json_t *value;
    size_t i;

    json_object_foreach (object, name, value) {
        for (i = 0; i < sizeof known / sizeof known[0] && strcmp(known[i], name) != 0; i++)
            continue;
        if (i == sizeof known / sizeof known[0])
            fault(im, apr_pstrdup(im->ctl->p, name), "There is no such member.");
    }
}

/* --- lines ------------------------------------------------------------------------------------- */

/* The object stays until the command ends: the keys point into it. */
static void read_object(import_t *im, json_t *object)
{
    ak_draft_t draft = {.per_hour = AK_UNSET, .per_minute = AK_UNSET};
    ak_key_new_t *key = apr_array_push(im->keys);
    ak_field_error_t *errors;
    const char *account;
    int count;

    check_members(im, object);
    account = text_of(im, object, "account_id");
    draft.account_id = account != NULL ? account : im->account_id;
    draft.name = text_of(im, object, "name");
    draft.description = text_of(im, object, "description");
    draft.permissions = list_of(im, object, "permissions", &draft.permission_count);
    draft.allowed_ips = list_of(im, object, "allowed_ips", &draft.allowed_count);
    draft.environment = environment_of(im, object);
    draft.expires_at = expiry_of(im, object);
    ak_draft_check(&draft, im->registry, key, &errors, &count, im->ctl->p);
    for (int i = 0; i < count; i++)
        fault(im, errors[i].field, errors[i].message);
    key->digest_hex = digest_of(im, object);
    key->id = ak_id_make(im->ctl->p, "key_");
    key->imported = 1;
    key->prefix = "imported";
    key->last_four = "";
    if (key->id == NULL)
        fault(im, "", "The system gives no random numbers for an id.");
}

static apr_status_t forget_object(void *object)
{
    json_decref(object);
    return APR_SUCCESS;
}

static void read_lines(import_t *im)
{
    char *line = NULL;
    size_t size = 0;
    ssize_t len;

    while ((len = getline(&line, &size, stdin)) >= 0) {
        json_t *object;
        json_error_t error;

        im->line++;
        if (strspn(line, " \t\r\n") == (size_t)len)
            continue;
        object = json_loadb(line, (size_t)len, JSON_REJECT_DUPLICATES, &error);
        if (!json_is_object(object)) {
            json_decref(object);
            fault(im, "", "This is no JSON object: write {\"sha256\":…,\"name\":…,\"permissions\":[…]} on one line.");
            continue;
        }
        apr_pool_cleanup_register(im->ctl->p, object, forget_object, apr_pool_cleanup_null);
        read_object(im, object);
    }
    free(line);
}

/* --- storing ------------------------------------------------------------------------------------ */

/* APR_EEXIST is no failure: an import may be repeated. */
static int store_keys(import_t *im, json_t *data, int *existing)
{
    ctl_t *ctl = im->ctl;
    apr_int64_t sequence = 0;

    for (int i = 0; i < im->keys->nelts; i++) {
        const ak_key_new_t *key = &APR_ARRAY_IDX(im->keys, i, ak_key_new_t);
        apr_status_t rv = ak_store_key_create(ctl->store, &ctl->actor, key, ctl->now, NULL, &sequence, ctl->p);

        if (rv == APR_EEXIST)
            (*existing)++;
        else if (rv == APR_NOTFOUND)
            return ctl_fail(ctl, CTL_REFUSED, "there is no account %s; %d keys before that one are stored",
                            key->account_id, i - *existing);
        else if (rv != APR_SUCCESS)
            return ctl_fail_store(ctl, rv, "key");
        else
            json_array_append_new(data, json_pack("{s:s, s:s, s:s}", "id", key->id, "name", key->name, "account_id",
                                                  key->account_id));
    }
    return sequence != 0 ? ctl_settle(ctl, sequence) : CTL_DONE;
}

static int prepare(import_t *im)
{
    ctl_t *ctl = im->ctl;
    int status = ctl_open(ctl, 1);
    apr_status_t rv;

    if (status == CTL_DONE)
        status = ctl_digester(ctl, &im->digester);
    if (status != CTL_DONE)
        return status;
    rv = ak_store_registry(ctl->store, &im->registry, ctl->p);
    return rv == APR_SUCCESS ? CTL_DONE : ctl_fail_store(ctl, rv, "registry of scopes");
}

static int run_import(ctl_t *ctl)
{
    static const ctl_column_t columns[] = {{"id", "ID"}, {"name", "NAME"}, {"account_id", "ACCOUNT"}, {NULL, NULL}};
    const char *account = ctl_option(ctl, "account");
    import_t im = {.ctl = ctl, .account_id = account != NULL ? account : CTL_ACCOUNT,
                   .keys = apr_array_make(ctl->p, 16, sizeof(ak_key_new_t))};
    json_t *data;
    int existing = 0, status = prepare(&im);

    if (status != CTL_DONE)
        return status;
    read_lines(&im);
    if (im.faults > 0)
        return CTL_REFUSED;
    if (im.keys->nelts == 0)
        return ctl_fail(ctl, CTL_USAGE, "standard input holds no key; see apikeyctl key import --help");
    data = json_array();
    status = store_keys(&im, data, &existing);
    if (status != CTL_DONE) {
        json_decref(data);
        return status;
    }
    if (existing > 0 && !ctl->json)
        ctl_note(ctl, "%d of them are here already and stay as they are", existing);
    return ctl_answer(ctl, json_pack("{s:o, s:i}", "data", data, "existing", existing), columns);
}

const ctl_command_t cmd_key_import[] = {
    {.group = "key", .name = "import", .run = run_import,
     .summary = "bring keys over by their SHA-256, from standard input",
     .more = "Each line is a JSON object: sha256 (of the old key, in hexadecimal), name, permissions, and\n"
             "if wanted description, expires_at, environment, allowed_ips, account_id. Either every line is\n"
             "right, or nothing is stored. Such keys work where APIKeyAcceptImported is On.",
     .options = {{"account", "ID", "whose they are (" CTL_ACCOUNT ")"}}},
    {.group = NULL}
};
