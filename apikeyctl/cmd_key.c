/* cmd_key - make, list, show, rotate and revoke keys */
#include <apr_strings.h>
#include <stdio.h>
#include <string.h>

#include "ctl.h"

#define PAGE 100
#define LIST_MAX 1000000
#define GRACE_MAX 2592000

static const char *const environments[] = {"live", "test", NULL};

static const char *key_name(ctl_t *ctl, const char *id)
{
    return apr_pstrcat(ctl->p, "key ", id, NULL);
}

/* --- create --------------------------------------------------------------------------------- */

static int read_draft(ctl_t *ctl, ak_draft_t *draft)
{
    const char *environment = "live", *list;
    int status = ctl_need(ctl, "name");

    if (status == CTL_DONE)
        status = ctl_need(ctl, "permissions");
    if (status == CTL_DONE)
        status = ctl_choice(ctl, "environment", environments, &environment);
    if (status == CTL_DONE)
        status = ctl_time(ctl, "expires", &draft->expires_at);
    if (status == CTL_DONE)
        status = ctl_number(ctl, "per-hour", 1, AK_LIMIT_MAX, &draft->per_hour);
    if (status == CTL_DONE)
        status = ctl_number(ctl, "per-minute", 1, AK_LIMIT_MAX, &draft->per_minute);
    if (status != CTL_DONE)
        return status;
    draft->account_id = ctl_option(ctl, "account") != NULL ? ctl_option(ctl, "account") : CTL_ACCOUNT;
    draft->name = ctl_option(ctl, "name");
    draft->description = ctl_option(ctl, "description");
    draft->permissions = ctl_words(ctl, ctl_option(ctl, "permissions"), &draft->permission_count);
    list = ctl_option(ctl, "allowed-ips");
    if (list != NULL) {
        draft->allowed_ips = ctl_words(ctl, list, &draft->allowed_count);
        if (draft->allowed_count == 0) /* no address at all is not the same as any */
            return ctl_fail(ctl, CTL_USAGE, "--allowed-ips names no network: leave it out for any address");
    }
    draft->environment = strcmp(environment, "test") == 0 ? AK_ENV_TEST : AK_ENV_LIVE;
    draft->auto_renew = ctl_option(ctl, "auto-renew") != NULL;
    return CTL_DONE;
}

/* Which permission is unknown is worth its name. */
static int fail_draft(ctl_t *ctl, const ak_draft_t *draft, ak_field_error_t *errors, int count)
{
    for (int i = 0; i < count; i++) {
        int index;

        if (sscanf(errors[i].field, "permissions[%d]", &index) == 1)
            errors[i].field = apr_psprintf(ctl->p, "permissions: %s", draft->permissions[index]);
        else if (sscanf(errors[i].field, "allowed_ips[%d]", &index) == 1)
            errors[i].field = apr_psprintf(ctl->p, "allowed_ips: %s", draft->allowed_ips[index]);
    }
    return ctl_fail_fields(ctl, errors, count);
}

static int check_plan(ctl_t *ctl, const ak_key_new_t *key)
{
    ak_account_t *account;
    apr_status_t rv = ak_store_account_get(ctl->store, key->account_id, ctl->now, &account, ctl->p);

    if (rv != APR_SUCCESS)
        return ctl_fail_store(ctl, rv, apr_pstrcat(ctl->p, "account ", key->account_id, NULL));
    if (key->auto_renew && account->plan != AK_PLAN_ENTERPRISE)
        return ctl_fail(ctl, CTL_REFUSED, "auto-renewal is for accounts of the enterprise plan");
    return CTL_DONE;
}

/* Give the key its secret. */
static int mint(ctl_t *ctl, ak_key_new_t *key, char *secret)
{
    ak_digester_t *digester;
    const char *prefix = ak_conf_text(ctl->conf, "key_prefix");
    int status;

    if (!ak_token_prefix_ok(prefix))
        return ctl_fail(ctl, CTL_REFUSED, "key_prefix must be 1 to 16 of a to z and 0 to 9, a letter first");
    status = ctl_digester(ctl, &digester);
    if (status != CTL_DONE)
        return status;
    if (ak_key_mint(key, secret, digester, prefix, ctl->p) != APR_SUCCESS)
        return ctl_fail(ctl, CTL_REFUSED, "no key could be made: the system gives no random numbers");
    return CTL_DONE;
}

/* The one time that a secret is told. */
static int answer_secret(ctl_t *ctl, const char *id, char *secret)
{
    ak_key_record_t *key;
    json_t *answer;
    apr_status_t rv = ak_store_key_get(ctl->store, NULL, id, &key, ctl->p);
    int status;

    answer = rv == APR_SUCCESS ? ctl_json_key(ctl, key) : json_pack("{s:s}", "id", id);
    json_object_set_new(answer, "key", json_string(secret));
    status = ctl_answer(ctl, answer, NULL);
    explicit_bzero(secret, AK_TOKEN_MAX + 1);
    if (status != CTL_DONE)
        ctl_note(ctl, "nobody has read the new key: revoke %s and make another", id);
    else if (!ctl->json)
        ctl_note(ctl, "keep the key now: it is not shown again");
    return status;
}

static int run_create(ctl_t *ctl)
{
    ak_draft_t draft = {.per_hour = AK_UNSET, .per_minute = AK_UNSET};
    char secret[AK_TOKEN_MAX + 1];
    ak_registry_t *registry;
    ak_field_error_t *errors;
    ak_key_new_t key;
    apr_status_t rv;
    int count, status = read_draft(ctl, &draft);

    if (status == CTL_DONE)
        status = ctl_open(ctl, 1);
    if (status != CTL_DONE)
        return status;
    rv = ak_store_registry(ctl->store, &registry, ctl->p);
    if (rv != APR_SUCCESS)
        return ctl_fail_store(ctl, rv, "registry of scopes");
    if (ak_draft_check(&draft, registry, &key, &errors, &count, ctl->p) != APR_SUCCESS)
        return fail_draft(ctl, &draft, errors, count);
    status = check_plan(ctl, &key);
    if (status == CTL_DONE)
        status = mint(ctl, &key, secret);
    if (status != CTL_DONE)
        return status;
    rv = ak_store_key_create(ctl->store, &ctl->actor, &key, ctl->now, NULL, NULL, ctl->p);
    if (rv != APR_SUCCESS)
        return ctl_fail_store(ctl, rv, key_name(ctl, key.id));
    if (key.expires_at != 0 && key.expires_at <= ctl->now)
        ctl_note(ctl, "that expiry has passed already: the key is of no use");
    return answer_secret(ctl, key.id, secret);
}

/* --- list and show ----------------------------------------------------------------------------- */

static int read_filter(ctl_t *ctl, ak_key_filter_t *filter, apr_int64_t *most)
{
    static const char *const states[] = {"active", "expired", "revoked", "all", NULL};
    int status = ctl_choice(ctl, "status", states, &filter->status);

    if (status == CTL_DONE)
        status = ctl_choice(ctl, "environment", environments, &filter->environment);
    if (status == CTL_DONE)
        status = ctl_number(ctl, "limit", 1, LIST_MAX, most);
    filter->account_id = ctl_option(ctl, "account");
    filter->search = ctl_option(ctl, "search");
    filter->now = ctl->now;
    return status;
}

static int run_list(ctl_t *ctl)
{
    static const ctl_column_t columns[] = {{"id", "ID"}, {"name", "NAME"}, {"prefix", "PREFIX"}, {"status", "STATUS"},
                                           {"account_id", "ACCOUNT"}, {"permissions", "PERMISSIONS"},
                                           {"last_used", "LAST USED"}, {"expires_at", "EXPIRES"}, {NULL, NULL}};
    ak_key_filter_t filter = {0};
    apr_int64_t most = LIST_MAX;
    ak_key_record_t **keys;
    json_t *data;
    int count, status = read_filter(ctl, &filter, &most);

    if (status == CTL_DONE)
        status = ctl_open(ctl, 1);
    if (status != CTL_DONE)
        return status;
    data = json_array();
    do {
        apr_status_t rv;

        filter.limit = most < PAGE ? (int)most : PAGE;
        rv = ak_store_key_list(ctl->store, &filter, &keys, &count, ctl->p);
        if (rv != APR_SUCCESS) {
            json_decref(data);
            return ctl_fail_store(ctl, rv, "key");
        }
        for (int i = 0; i < count; i++)
            json_array_append_new(data, ctl_json_key(ctl, keys[i]));
        filter.after = count > 0 ? keys[count - 1]->id : NULL;
        most -= count;
    } while (count == PAGE && most > 0);
    return ctl_answer(ctl, json_pack("{s:o}", "data", data), columns);
}

static int show(ctl_t *ctl, const char *id)
{
    apr_int64_t today = 0, month = 0;
    ak_key_record_t *key;
    json_t *answer;
    apr_status_t rv = ak_store_key_get(ctl->store, NULL, id, &key, ctl->p);

    if (rv == APR_SUCCESS)
        rv = ak_store_key_usage(ctl->store, id, ctl->now, &today, &month, ctl->p);
    if (rv != APR_SUCCESS)
        return ctl_fail_store(ctl, rv, key_name(ctl, id));
    answer = ctl_json_key(ctl, key);
    json_object_set_new(answer, "usage", json_pack("{s:I, s:I}", "requests_today", (json_int_t)today,
                                                   "requests_this_month", (json_int_t)month));
    return ctl_answer(ctl, answer, NULL);
}

static int run_show(ctl_t *ctl)
{
    int status = ctl_open(ctl, 1);

    return status == CTL_DONE ? show(ctl, ctl->operand[0]) : status;
}

/* --- rotate and revoke --------------------------------------------------------------------------- */

/* What stands against a rotation. */
static int check_rotation(ctl_t *ctl, const ak_key_record_t *old)
{
    if (old->status == AK_STATUS_REVOKED)
        return ctl_fail(ctl, CTL_REFUSED, "%s is revoked: create a new key", old->id);
    if (old->imported)
        return ctl_fail(ctl, CTL_REFUSED, "%s was brought over from elsewhere: create a new key", old->id);
    if (old->rotated_to != NULL)
        return ctl_fail(ctl, CTL_REFUSED, "%s is rotated already: rotate its successor %s", old->id, old->rotated_to);
    if (old->expires_at != 0 && old->expires_at <= ctl->now)
        return ctl_fail(ctl, CTL_REFUSED, "%s has expired: create a new key", old->id);
    return CTL_DONE;
}

static int run_rotate(ctl_t *ctl)
{
    const char *id = ctl->operand[0];
    char secret[AK_TOKEN_MAX + 1];
    apr_int64_t grace = 86400, sequence = 0;
    ak_key_record_t *old;
    ak_key_new_t successor;
    apr_status_t rv;
    int status = ctl_duration(ctl, "grace", &grace);

    if (status == CTL_DONE && grace > GRACE_MAX)
        status = ctl_fail(ctl, CTL_USAGE, "--grace must be at most 30d");
    if (status == CTL_DONE)
        status = ctl_open(ctl, 1);
    if (status != CTL_DONE)
        return status;
    rv = ak_store_key_get(ctl->store, NULL, id, &old, ctl->p);
    if (rv != APR_SUCCESS)
        return ctl_fail_store(ctl, rv, key_name(ctl, id));
    status = check_rotation(ctl, old);
    if (status != CTL_DONE)
        return status;
    ak_key_describe(&successor, old);
    status = mint(ctl, &successor, secret);
    if (status != CTL_DONE)
        return status;
    rv = ak_store_key_rotate(ctl->store, &ctl->actor, old, &successor, grace, ctl->now, &sequence, ctl->p);
    if (rv != APR_SUCCESS)
        return ctl_fail_store(ctl, rv, key_name(ctl, id));
    status = answer_secret(ctl, successor.id, secret);
    return status == CTL_DONE ? ctl_settle(ctl, sequence) : status;
}

static int run_revoke(ctl_t *ctl)
{
    const char *id = ctl->operand[0];
    apr_int64_t sequence = 0;
    apr_status_t rv;
    int status = ctl_open(ctl, 1);

    if (status != CTL_DONE)
        return status;
    rv = ak_store_key_revoke(ctl->store, &ctl->actor, NULL, id, ctl->now, &sequence, ctl->p);
    if (rv != APR_SUCCESS)
        return ctl_fail_store(ctl, rv, key_name(ctl, id));
    status = ctl_settle(ctl, sequence);
    return status == CTL_DONE ? show(ctl, id) : status;
}

const ctl_command_t cmd_key[] = {
    {.group = "key", .name = "create", .run = run_create, .summary = "make a key and show it, once",
     .options = {{"name", "TEXT", "what the key is for (needed)"},
                 {"permissions", "LIST", "such as tasks:read,tasks:write (needed)"},
                 {"account", "ID", "whose it is (" CTL_ACCOUNT ")"},
                 {"environment", "NAME", "live (default) or test"},
                 {"description", "TEXT", "more about it"},
                 {"expires", "TIME", "such as 2026-10-14T00:00:00Z; never where not given"},
                 {"per-hour", "N", "requests an hour, in place of the account's"},
                 {"per-minute", "N", "requests a minute"},
                 {"allowed-ips", "LIST", "networks that it may be used from; any where not given"},
                 {"auto-renew", NULL, "renew it before it expires (enterprise plan)"}}},
    {.group = "key", .name = "list", .run = run_list, .summary = "list keys, newest first; none that is revoked",
     .options = {{"account", "ID", "of this account only"},
                 {"status", "NAME", "active, expired, revoked or all"},
                 {"environment", "NAME", "live or test"},
                 {"search", "TEXT", "part of the name, the prefix or the id"},
                 {"limit", "N", "so many at most"}}},
    {.group = "key", .name = "show", .operands = "ID", .operand_count = 1, .run = run_show,
     .summary = "show a key and its usage, never its secret"},
    {.group = "key", .name = "rotate", .operands = "ID", .operand_count = 1, .run = run_rotate,
     .summary = "make a successor, shown once; the old key lives for a grace period",
     .options = {{"grace", "TIME", "how long both are good: 0s to 30d (1d)"}}},
    {.group = "key", .name = "revoke", .operands = "ID", .operand_count = 1, .run = run_revoke,
     .summary = "end a key; answers when no node accepts it any more"},
    {.group = NULL}
};
