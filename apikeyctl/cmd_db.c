/* cmd_db - make, migrate and check the database */
#include <apr_strings.h>

#include "ctl.h"

static int answer_versions(ctl_t *ctl, int from, int to)
{
    return ctl_answer(ctl, json_pack("{s:i, s:i, s:b}", "from", from, "to", to, "changed", from != to), NULL);
}

/* A fresh site has one account, so that the first key has a home. */
static apr_status_t make_default_account(ctl_t *ctl)
{
    ak_account_t account = {.id = CTL_ACCOUNT, .name = "Default", .plan = AK_PLAN_PROFESSIONAL, .per_hour = AK_UNSET,
                            .per_minute = AK_UNSET, .quota_month = AK_UNSET};
    ak_account_t *existing;
    apr_status_t rv = ak_store_account_get(ctl->store, CTL_ACCOUNT, ctl->now, &existing, ctl->p);

    if (rv != APR_NOTFOUND)
        return rv;
    rv = ak_store_account_create(ctl->store, &ctl->actor, &account, ctl->now, ctl->p);
    return rv == APR_EEXIST ? APR_SUCCESS : rv; /* another init was quicker */
}

static int migrate(ctl_t *ctl, int *from, int *to)
{
    const char *why;
    apr_status_t rv = ak_store_migrate(ctl->store, from, to, &why, ctl->p);

    if (rv == APR_SUCCESS)
        return CTL_DONE;
    return ctl_fail(ctl, rv == APR_EINVAL ? CTL_REFUSED : CTL_UNREACHABLE, "%s", why);
}

static int run_init(ctl_t *ctl)
{
    int from, to, status = ctl_open(ctl, 0);
    apr_status_t rv;

    if (status == CTL_DONE)
        status = migrate(ctl, &from, &to);
    if (status != CTL_DONE)
        return status;
    rv = make_default_account(ctl);
    return rv == APR_SUCCESS ? answer_versions(ctl, from, to) : ctl_fail_store(ctl, rv, "account " CTL_ACCOUNT);
}

/* Migrating makes no database: a mistyped name would be taken for a new site. */
static int run_migrate(ctl_t *ctl)
{
    const char *why = NULL;
    int from, to, status = ctl_open(ctl, 0);
    apr_status_t rv;

    if (status != CTL_DONE)
        return status;
    rv = ak_store_check(ctl->store, &why, ctl->p);
    if (rv != APR_SUCCESS && rv != APR_EINVAL)
        return ctl_fail(ctl, CTL_UNREACHABLE, "%s", why);
    status = migrate(ctl, &from, &to);
    return status == CTL_DONE ? answer_versions(ctl, from, to) : status;
}

static int run_check(ctl_t *ctl)
{
    const char *why = NULL;
    int status = ctl_open(ctl, 0);
    apr_status_t rv;

    if (status != CTL_DONE)
        return status;
    rv = ak_store_check(ctl->store, &why, ctl->p);
    if (rv != APR_SUCCESS)
        return ctl_fail(ctl, rv == APR_EINVAL ? CTL_REFUSED : CTL_UNREACHABLE, "%s", why);
    return ctl_answer(ctl, json_pack("{s:s, s:i, s:b}", "database", ak_dbd_driver(ak_store_dbd(ctl->store)), "schema",
                                     AK_SCHEMA_VERSION, "ok", 1), NULL);
}

const ctl_command_t cmd_db[] = {
    {.group = "db", .name = "init", .run = run_init, .summary = "make the database, or bring it up to date",
     .more = "An SQLite file is made where it is missing; a PostgreSQL database must be there, and may be\n"
             "empty. Makes the account " CTL_ACCOUNT ". May be repeated: what is there stays."},
    {.group = "db", .name = "migrate", .run = run_migrate, .summary = "bring an older database up to date",
     .more = "Changes no database that is up to date, and makes none."},
    {.group = "db", .name = "check", .run = run_check, .summary = "is the database there, and of this version?"},
    {.group = NULL}
};
