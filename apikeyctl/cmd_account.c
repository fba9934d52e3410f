/* cmd_account - accounts and their plans */
#include <apr_strings.h>
#include <string.h>

#include "ak_text.h"
#include "ctl.h"

#define PAGE 100
#define QUOTA_MAX APR_INT64_C(1000000000000)

static json_t *account_json(const ak_account_t *account)
{
    return json_pack("{s:s, s:s, s:s, s:s?, s:o, s:o, s:I, s:b, s:o}", "id", account->id, "name", account->name,
                     "plan", ak_plan_name(account->plan), "contact", account->contact, "rate_limit",
                     ctl_json_limits(account->per_hour, account->per_minute), "quota_month",
                     ctl_json_number(account->quota_month), "requests_this_month",
                     (json_int_t)account->requests_this_month, "quota_exceeded", account->quota_exceeded,
                     "created_at", ctl_json_time(account->created_at));
}

static int show(ctl_t *ctl, const char *id)
{
    ak_account_t *account;
    apr_status_t rv = ak_store_account_get(ctl->store, id, ctl->now, &account, ctl->p);

    if (rv != APR_SUCCESS)
        return ctl_fail_store(ctl, rv, apr_pstrcat(ctl->p, "account ", id, NULL));
    return ctl_answer(ctl, account_json(account), NULL);
}

/* --plan, by its name. */
static int read_plan(ctl_t *ctl, const char *name, ak_plan_e *plan)
{
    if (name == NULL || ak_plan_parse(plan, name))
        return CTL_DONE;
    return ctl_fail(ctl, CTL_USAGE, "there is no plan of that name: write free, professional or enterprise");
}

/* A limit, or "plan" for what the plan says. */
static int read_limit(ctl_t *ctl, const char *name, apr_int64_t most, apr_int64_t *limit)
{
    const char *text = ctl_option(ctl, name);

    if (text == NULL || strcmp(text, "plan") != 0)
        return ctl_number(ctl, name, 1, most, limit);
    *limit = AK_UNSET;
    return CTL_DONE;
}

static int read_limits(ctl_t *ctl, ak_account_t *account)
{
    int status = read_limit(ctl, "per-hour", AK_LIMIT_MAX, &account->per_hour);

    if (status == CTL_DONE)
        status = read_limit(ctl, "per-minute", AK_LIMIT_MAX, &account->per_minute);
    if (status == CTL_DONE)
        status = read_limit(ctl, "quota", QUOTA_MAX, &account->quota_month);
    return status;
}

static int read_new(ctl_t *ctl, ak_account_t *account)
{
    int status = ctl_need(ctl, "name");

    if (status == CTL_DONE)
        status = read_plan(ctl, ctl_option(ctl, "plan"), &account->plan);
    if (status == CTL_DONE)
        status = read_limits(ctl, account);
    if (status != CTL_DONE)
        return status;
    account->name = ctl_option(ctl, "name");
    account->contact = ctl_option(ctl, "contact");
    account->id = ctl_option(ctl, "id");
    if (account->id == NULL)
        account->id = ak_id_make(ctl->p, "acct_");
    if (account->id == NULL || !ak_id_ok(account->id, "acct_"))
        return ctl_fail(ctl, CTL_REFUSED, "--id must be acct_ and 1 to 20 of a to z, 0 to 9 and _");
    if (ak_name_fault(account->name) != NULL)
        return ctl_fail(ctl, CTL_REFUSED, "--name: %s", ak_name_fault(account->name));
    if (account->contact != NULL && ak_name_fault(account->contact) != NULL)
        return ctl_fail(ctl, CTL_REFUSED, "--contact: %s", ak_name_fault(account->contact));
    return CTL_DONE;
}

static int run_create(ctl_t *ctl)
{
    ak_account_t account = {.plan = AK_PLAN_FREE, .per_hour = AK_UNSET, .per_minute = AK_UNSET,
                            .quota_month = AK_UNSET};
    int status = read_new(ctl, &account);
    apr_status_t rv;

    if (status == CTL_DONE)
        status = ctl_open(ctl, 1);
    if (status != CTL_DONE)
        return status;
    rv = ak_store_account_create(ctl->store, &ctl->actor, &account, ctl->now, ctl->p);
    if (rv != APR_SUCCESS)
        return ctl_fail_store(ctl, rv, apr_pstrcat(ctl->p, "account ", account.id, NULL));
    return show(ctl, account.id);
}

static int run_list(ctl_t *ctl)
{
    static const ctl_column_t columns[] = {{"id", "ID"}, {"name", "NAME"}, {"plan", "PLAN"},
                                           {"requests_this_month", "THIS MONTH"}, {"quota_month", "QUOTA"},
                                           {"created_at", "CREATED"}, {NULL, NULL}};
    const char *after = NULL;
    json_t *data;
    ak_account_t **accounts;
    int count = PAGE, status = ctl_open(ctl, 1);

    if (status != CTL_DONE)
        return status;
    data = json_array();
    while (count == PAGE) {
        apr_status_t rv = ak_store_account_list(ctl->store, after, PAGE, ctl->now, &accounts, &count, ctl->p);

        if (rv != APR_SUCCESS) {
            json_decref(data);
            return ctl_fail_store(ctl, rv, "account");
        }
        for (int i = 0; i < count; i++)
            json_array_append_new(data, account_json(accounts[i]));
        after = count > 0 ? accounts[count - 1]->id : NULL;
    }
    return ctl_answer(ctl, json_pack("{s:o}", "data", data), columns);
}

static int run_show(ctl_t *ctl)
{
    int status = ctl_open(ctl, 1);

    return status == CTL_DONE ? show(ctl, ctl->operand[0]) : status;
}

static int run_set_plan(ctl_t *ctl)
{
    const char *id = ctl->operand[0], *what = apr_pstrcat(ctl->p, "account ", id, NULL), *changes;
    apr_int64_t sequence = 0;
    ak_account_t *account, wanted;
    ak_plan_e plan;
    int status = read_plan(ctl, ctl->operand[1], &plan);
    apr_status_t rv;

    if (status == CTL_DONE)
        status = ctl_open(ctl, 1);
    if (status != CTL_DONE)
        return status;
    rv = ak_store_account_get(ctl->store, id, ctl->now, &account, ctl->p);
    if (rv != APR_SUCCESS)
        return ctl_fail_store(ctl, rv, what);
    wanted = *account;
    wanted.plan = plan;
    status = read_limits(ctl, &wanted);
    if (status != CTL_DONE)
        return status;
    changes = apr_psprintf(ctl->p, "{\"plan\":{\"from\":\"%s\",\"to\":\"%s\"}}", ak_plan_name(account->plan),
                           ak_plan_name(plan));
    rv = ak_store_account_update(ctl->store, &ctl->actor, &wanted, changes, ctl->now, &sequence, ctl->p);
    if (rv != APR_SUCCESS)
        return ctl_fail_store(ctl, rv, what);
    status = ctl_settle(ctl, sequence);
    return status == CTL_DONE ? show(ctl, id) : status;
}

#define LIMIT_OPTIONS                                                                                                \
    {"per-hour", "N", "requests an hour, in place of the plan's (\"plan\": the plan's)"},                            \
        {"per-minute", "N", "requests a minute"}, {"quota", "N", "live requests a month"}

const ctl_command_t cmd_account[] = {
    {.group = "account", .name = "create", .run = run_create, .summary = "make an account",
     .options = {{"name", "TEXT", "what people call it (needed)"},
                 {"plan", "NAME", "free (default), professional or enterprise"},
                 {"contact", "ADDRESS", "a role address for notices"},
                 {"id", "ID", "acct_ and up to 20 characters; made where not given"},
                 LIMIT_OPTIONS}},
    {.group = "account", .name = "list", .run = run_list, .summary = "list all accounts, newest first"},
    {.group = "account", .name = "show", .operands = "ID", .operand_count = 1, .run = run_show,
     .summary = "show an account"},
    {.group = "account", .name = "set-plan", .operands = "ID PLAN", .operand_count = 2, .run = run_set_plan,
     .summary = "give an account another plan, or limits of its own",
     .more = "Limits that are not given stay. Answers when every node has the change.",
     .options = {LIMIT_OPTIONS}},
    {.group = NULL}
};
