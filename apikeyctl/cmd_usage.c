/* cmd_usage - what was asked, and what was answered, by hour or by day */
#include <apr_strings.h>
#include <string.h>

#include "ak_window.h"
#include "ctl.h"

#define DAY 86400

static int read_filter(ctl_t *ctl, ak_usage_filter_t *filter)
{
    static const char *const steps[] = {"hour", "day", NULL};
    static const char *const environments[] = {"live", "test", NULL};
    const char *step = "day";
    int status = ctl_choice(ctl, "by", steps, &step);

    filter->by_day = strcmp(step, "day") == 0;
    filter->to = ctl->now + 1;
    filter->from = filter->by_day ? ak_day_start_sec(ctl->now) - 29 * DAY : ak_hour_start_sec(ctl->now) - 23 * 3600;
    if (status == CTL_DONE)
        status = ctl_choice(ctl, "environment", environments, &filter->environment);
    if (status == CTL_DONE)
        status = ctl_time(ctl, "from", &filter->from);
    if (status == CTL_DONE)
        status = ctl_time(ctl, "to", &filter->to);
    filter->account_id = ctl_option(ctl, "account");
    filter->key_id = ctl_option(ctl, "key");
    if (status == CTL_DONE && filter->from >= filter->to)
        return ctl_fail(ctl, CTL_USAGE, "--from must be before --to");
    filter->from = filter->by_day ? ak_day_start_sec(filter->from) : ak_hour_start_sec(filter->from);
    return status;
}

/* Is there such a key or account?  Figures of what does not exist would just be empty. */
static int check_subject(ctl_t *ctl, const ak_usage_filter_t *filter)
{
    ak_account_t *account;
    ak_key_record_t *key;
    apr_status_t rv = APR_SUCCESS;
    const char *what = "";

    if (filter->account_id != NULL) {
        what = apr_pstrcat(ctl->p, "account ", filter->account_id, NULL);
        rv = ak_store_account_get(ctl->store, filter->account_id, ctl->now, &account, ctl->p);
    }
    if (rv == APR_SUCCESS && filter->key_id != NULL) {
        what = apr_pstrcat(ctl->p, "key ", filter->key_id, NULL);
        rv = ak_store_key_get(ctl->store, filter->account_id, filter->key_id, &key, ctl->p);
    }
    return rv == APR_SUCCESS ? CTL_DONE : ctl_fail_store(ctl, rv, what);
}

/* One entry for each start that has any request; requests are those admitted. */
static json_t *series(const ak_usage_t *rows, int count)
{
    json_t *data = json_array();

    for (int i = 0; i < count; ) {
        json_t *decisions = json_object();
        apr_int64_t start = rows[i].start, admitted = 0, refused = 0;

        for (; i < count && rows[i].start == start; i++) {
            json_object_set_new(decisions, rows[i].decision, json_integer(rows[i].requests));
            *(strcmp(rows[i].decision, "ok") == 0 ? &admitted : &refused) += rows[i].requests;
        }
        json_array_append_new(data, json_pack("{s:o, s:I, s:I, s:o}", "start", ctl_json_time(start), "requests",
                                              (json_int_t)admitted, "refused", (json_int_t)refused, "decisions",
                                              decisions));
    }
    return data;
}

static int run_usage(ctl_t *ctl)
{
    static const ctl_column_t columns[] = {{"start", "START"}, {"requests", "ADMITTED"}, {"refused", "REFUSED"},
                                           {NULL, NULL}};
    ak_usage_filter_t filter = {0};
    ak_usage_t *rows;
    int count, status = read_filter(ctl, &filter);
    apr_status_t rv;

    if (status == CTL_DONE)
        status = ctl_open(ctl, 1);
    if (status == CTL_DONE)
        status = check_subject(ctl, &filter);
    if (status != CTL_DONE)
        return status;
    rv = ak_store_usage(ctl->store, &filter, &rows, &count, ctl->p);
    if (rv != APR_SUCCESS)
        return ctl_fail_store(ctl, rv, "usage");
    return ctl_answer(ctl, json_pack("{s:s?, s:s?, s:s, s:o, s:o, s:o}", "account_id", filter.account_id, "key_id",
                                     filter.key_id, "granularity", filter.by_day ? "day" : "hour", "from",
                                     ctl_json_time(filter.from), "to", ctl_json_time(filter.to), "data",
                                     series(rows, count)), columns);
}

const ctl_command_t cmd_usage[] = {
    {.group = "usage", .run = run_usage, .summary = "requests by hour or day, admitted and refused",
     .more = "Of all accounts, of one, or of a key; live keys where neither a key nor --environment is given.",
     .options = {{"account", "ID", "of this account"},
                 {"key", "ID", "of this key"},
                 {"by", "STEP", "hour or day (default)"},
                 {"from", "TIME", "29 days, or 23 hours, back where not given"},
                 {"to", "TIME", "not included; now where not given"},
                 {"environment", "NAME", "live or test"}}},
    {.group = NULL}
};
