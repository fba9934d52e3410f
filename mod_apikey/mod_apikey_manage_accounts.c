/* mod_apikey_manage_accounts.c - accounts, their plans and limits */
#include <apr_strings.h>

#include "ak_draft.h"
#include "ak_text.h"
#include "ak_token.h"
#include "mod_apikey_manage.h"
#include "mod_apikey_manage_io.h"


#define ACCOUNT_CONTACT_MAX 254 /* RFC 5321 section 4.5.3.1.3, less the angle brackets */
#define ACCOUNT_QUOTA_MAX APR_INT64_C(1000000000000)

static const char *const members[] = {"name", "plan", "contact", "rate_limit", "quota_month", NULL};

/* --- out --------------------------------------------------------------------------------- */

/* either - an account's own figure, or else its plan's */
static apr_int64_t either(apr_int64_t own, apr_int64_t plans)
{
    return own == AK_UNSET ? plans : own;
}

static json_t *account_json(const ak_account_t *account, const ak_plan_t *plan)
{
    return json_pack("{s:s, s:s, s:s, s:s?, s:o, s:o, s:o, s:o, s:I, s:b, s:o}", "id", account->id,
                     "name", account->name, "plan", ak_plan_name(account->plan), "contact",
                     account->contact, "rate_limit",
                     manage_json_limits(account->per_hour, account->per_minute), "limits",
                     manage_json_limits(either(account->per_hour, plan->per_hour),
                                        either(account->per_minute, plan->per_minute)),
                     "quota_month", manage_json_number(account->quota_month), "quota",
                     manage_json_number(either(account->quota_month, plan->quota_month)),
                     "requests_this_month", (json_int_t)account->requests_this_month,
                     "quota_exceeded", account->quota_exceeded, "created_at",
                     manage_json_time(account->created_at));
}

static void answer_account(manage_t *m, int status, const char *id)
{
    ak_plan_t plans[AK_PLAN_COUNT];
    ak_account_t *account;
    apr_status_t rv = ak_store_account_get(m->node->store, id, m->now, &account, m->p);

    if (rv == APR_SUCCESS)
        rv = ak_store_plans(m->node->store, plans, m->p);
    if (rv != APR_SUCCESS) {
        manage_refuse_store(m, rv, "reading an account");
        return;
    }
    manage_etag(m, account->version);
    manage_answer(m, status, account_json(account, &plans[account->plan]));
}

void manage_account_show(manage_t *m)
{
    if ((!m->admin || m->test) && strcmp(m->id, m->actor.account_id))
        manage_refuse(m, AK_NOT_FOUND, NULL);
    else
        answer_account(m, HTTP_OK, m->id);
}

void manage_account_list(manage_t *m)
{
    ak_plan_t plans[AK_PLAN_COUNT];
    const char *after = NULL;
    ak_account_t **accounts;
    int limit, count, i;
    json_t *data;
    apr_status_t rv;

    if (manage_param_limit(m, &limit) || manage_param_id(m, "after", "acct_", &after))
        return;
    rv = ak_store_account_list(m->node->store, after, limit + 1, m->now, &accounts, &count, m->p);
    if (rv == APR_NOTFOUND) {
        manage_refuse_param(m, "after", "names no account");
        return;
    }
    if (rv == APR_SUCCESS)
        rv = ak_store_plans(m->node->store, plans, m->p);
    if (rv != APR_SUCCESS) {
        manage_refuse_store(m, rv, "listing accounts");
        return;
    }
    data = json_array();
    for (i = 0; i < count && i < limit; i++)
        json_array_append_new(data, account_json(accounts[i], &plans[accounts[i]->plan]));
    manage_answer_page(m, data, count > limit,
                       manage_json_text(count > limit ? accounts[limit - 1]->id : NULL));
}

/* --- in ------------------------------------------------------------------------------------ */

static void read_name(manage_t *m, json_t *value, ak_account_t *account)
{
    const char *fault;

    if (!manage_get_text(m, value, "name", &account->name) && (fault = ak_name_fault(account->name)) != NULL)
        manage_field_error(m, "name", fault);
}

static void read_plan(manage_t *m, json_t *value, ak_account_t *account)
{
    const char *name;

    if (!manage_get_text(m, value, "plan", &name) && !ak_plan_parse(&account->plan, name))
        manage_field_error(m, "plan", "Must be free, professional or enterprise.");
}

/* is_address - something@something, without blanks and what separates addresses */
static int is_address(const char *text)
{
    const char *at = strchr(text, '@');

    return at && at > text && at[1] && !strchr(at + 1, '@') && !strpbrk(text, " <>,;\"")
           && ak_text_length(text, 0) > 0 && strlen(text) <= ACCOUNT_CONTACT_MAX;
}

static void read_contact(manage_t *m, json_t *value, ak_account_t *account)
{
    const char *contact = NULL;

    if (!json_is_null(value) && manage_get_text(m, value, "contact", &contact))
        return;
    if (contact && !is_address(contact))
        manage_field_error(m, "contact", "Must be one mail address, or null.");
    account->contact = contact;
}

/* read_members - lay the members of a body over an account */
static int read_members(manage_t *m, json_t *body, ak_account_t *account)
{
    json_t *value;

    manage_only_members(m, body, "", members);
    if ((value = json_object_get(body, "name")) != NULL)
        read_name(m, value, account);
    if ((value = json_object_get(body, "plan")) != NULL)
        read_plan(m, value, account);
    if ((value = json_object_get(body, "contact")) != NULL)
        read_contact(m, value, account);
    if ((value = json_object_get(body, "rate_limit")) != NULL)
        manage_get_limits(m, value, "rate_limit", &account->per_hour, &account->per_minute);
    if ((value = json_object_get(body, "quota_month")) != NULL) {
        account->quota_month = AK_UNSET;
        if (!json_is_null(value))
            manage_get_number(m, value, "quota_month", 1, ACCOUNT_QUOTA_MAX, &account->quota_month);
    }
    return manage_refuse_errors(m);
}

void manage_account_create(manage_t *m)
{
    ak_account_t account = {0};
    json_t *body;
    apr_status_t rv;

    account.per_hour = account.per_minute = account.quota_month = AK_UNSET;
    if (manage_read_object(m, 1, &body))
        return;
    if (!json_object_get(body, "name"))
        manage_field_error(m, "name", "Is required.");
    if (read_members(m, body, &account))
        return;
    if (!(account.id = ak_id_make(m->p, "acct_"))) {
        manage_refuse(m, AK_INTERNAL_ERROR, NULL);
        return;
    }
    rv = ak_store_account_create(m->node->store, &m->actor, &account, m->now, m->p);
    if (rv != APR_SUCCESS) {
        manage_refuse_store(m, rv, "making an account");
        return;
    }
    apr_table_setn(m->r->headers_out, "Location",
                   apr_pstrcat(m->p, m->base, "accounts/", account.id, NULL));
    answer_account(m, HTTP_CREATED, account.id);
}

/* changes_of - what a patch changes, as {"member": {"from": …, "to": …}}; NULL: nothing */
static const char *changes_of(manage_t *m, json_t *patch, const ak_account_t *before, const ak_account_t *after)
{
    static const ak_plan_t no_plan;
    json_t *was = account_json(before, &no_plan), *is = account_json(after, &no_plan);
    json_t *changes = manage_json_changes(patch, was, is);
    const char *text = json_object_size(changes) ? manage_json_dump(m, changes) : NULL;

    json_decref(changes);
    json_decref(was);
    json_decref(is);
    return text;
}

/* store_changes - write a patched account; non-zero: refused */
static int store_changes(manage_t *m, json_t *patch, const ak_account_t *before, const ak_account_t *after)
{
    const char *changes = changes_of(m, patch, before, after);
    apr_int64_t sequence = 0;
    apr_status_t rv;

    if (!changes)
        return 0;
    rv = ak_store_account_update(m->node->store, &m->actor, after, changes, m->now, &sequence, m->p);
    if (rv != APR_SUCCESS)
        return manage_refuse_store(m, rv, "changing an account");
    apikey_changed(m->node, NULL, sequence, m->p);
    return 0;
}

void manage_account_update(manage_t *m)
{
    ak_account_t *before, after;
    json_t *body;
    apr_status_t rv;

    if (manage_read_object(m, 1, &body))
        return;
    rv = ak_store_account_get(m->node->store, m->id, m->now, &before, m->p);
    if (rv != APR_SUCCESS) {
        manage_refuse_store(m, rv, "reading an account");
        return;
    }
    after = *before;
    if (!manage_refuse_unmatched(m, before->version) && !read_members(m, body, &after)
        && !store_changes(m, body, before, &after))
        answer_account(m, HTTP_OK, m->id);
}
