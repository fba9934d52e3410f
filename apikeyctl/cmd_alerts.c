/* cmd_alerts - list alerts, or follow them as they come */
#include <apr_tables.h>
#include <signal.h>
#include <string.h>

#include "ctl.h"

#define PAGE 100
#define FOLLOW_PAUSE (500 * APR_TIME_C(1000))

static const ctl_column_t columns[] = {{"last_seen", "LAST SEEN"}, {"severity", "SEVERITY"}, {"kind", "KIND"},
                                       {"status", "STATUS"}, {"id", "ID"}, {"count", "COUNT"}, {"key_id", "KEY"},
                                       {"message", "MESSAGE"}, {NULL, NULL}};

static json_t *alert_json(const ak_alert_t *alert)
{
    json_t *details = json_loads(alert->details, 0, NULL);

    return json_pack("{s:s, s:s, s:s, s:s, s:s?, s:s?, s:s, s:s, s:o, s:I, s:o, s:o, s:s?}", "id", alert->id, "kind",
                     alert->kind, "severity", alert->severity, "status", alert->status, "account_id",
                     alert->account_id, "key_id", alert->key_id, "subject", alert->subject, "message",
                     alert->message, "details", details != NULL ? details : json_null(), "count",
                     (json_int_t)alert->count, "first_seen", ctl_json_time(alert->first_seen), "last_seen",
                     ctl_json_time(alert->last_seen), "acknowledged_by", alert->acknowledged_by);
}

static int read_filter(ctl_t *ctl, ak_alert_filter_t *filter)
{
    static const char *const states[] = {"open", "acknowledged", "resolved", NULL};
    static const char *const severities[] = {"info", "warning", "critical", NULL};
    apr_int64_t limit = PAGE;
    int status = ctl_choice(ctl, "status", states, &filter->status);

    if (status == CTL_DONE)
        status = ctl_choice(ctl, "severity", severities, &filter->severity);
    if (status == CTL_DONE)
        status = ctl_number(ctl, "limit", 1, 10000, &limit);
    filter->account_id = ctl_option(ctl, "account");
    filter->key_id = ctl_option(ctl, "key");
    filter->kind = ctl_option(ctl, "kind");
    filter->limit = (int)limit;
    return status;
}

/* --- following --------------------------------------------------------------------------------- */

static volatile sig_atomic_t ended;

static void end(int signal_number)
{
    ended = 1;
}

/* Print those that are newer than *newest, oldest first. */
static int print_newer(ctl_t *ctl, ak_alert_t **alerts, int count, apr_int64_t *newest)
{
    int status = CTL_DONE;

    for (int i = count - 1; i >= 0 && status == CTL_DONE; i--) {
        if (alerts[i]->seq <= *newest)
            continue;
        *newest = alerts[i]->seq;
        status = ctl_row(ctl, alert_json(alerts[i]), columns);
    }
    return status;
}

/* One look at the store.  A whole page of new ones may hide more: page on until one is known. */
static int look(ctl_t *ctl, ak_alert_filter_t filter, apr_int64_t *newest, apr_pool_t *p)
{
    apr_array_header_t *fresh = apr_array_make(p, PAGE, sizeof(ak_alert_t *));
    ak_alert_t **alerts;
    int count;

    do {
        apr_status_t rv = ak_store_alert_list(ctl->store, &filter, &alerts, &count, p);

        if (rv != APR_SUCCESS) {
            ctl_note(ctl, "the database failed: %s; trying again", ak_store_problem(ctl->store, p));
            return CTL_DONE;
        }
        for (int i = 0; i < count; i++)
            APR_ARRAY_PUSH(fresh, ak_alert_t *) = alerts[i];
        filter.after = count > 0 ? alerts[count - 1]->id : NULL;
    } while (*newest > 0 && count == filter.limit && alerts[count - 1]->seq > *newest);
    return print_newer(ctl, (ak_alert_t **)fresh->elts, fresh->nelts, newest);
}

static int follow(ctl_t *ctl, const ak_alert_filter_t *filter)
{
    struct sigaction action = {.sa_handler = end};
    apr_int64_t newest = 0;
    apr_pool_t *round;
    int status = CTL_DONE;

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    apr_pool_create(&round, ctl->p);
    while (!ended && status == CTL_DONE) {
        status = look(ctl, *filter, &newest, round);
        apr_pool_clear(round);
        if (!ended && status == CTL_DONE)
            apr_sleep(FOLLOW_PAUSE);
    }
    return status;
}

static int run_alerts(ctl_t *ctl)
{
    ak_alert_filter_t filter = {0};
    ak_alert_t **alerts;
    json_t *data;
    int count, status = read_filter(ctl, &filter);
    apr_status_t rv;

    if (status == CTL_DONE)
        status = ctl_open(ctl, 1);
    if (status != CTL_DONE)
        return status;
    if (ctl_option(ctl, "follow") != NULL)
        return follow(ctl, &filter);
    rv = ak_store_alert_list(ctl->store, &filter, &alerts, &count, ctl->p);
    if (rv != APR_SUCCESS)
        return ctl_fail_store(ctl, rv, "alert");
    data = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(data, alert_json(alerts[i]));
    return ctl_answer(ctl, json_pack("{s:o}", "data", data), columns);
}

const ctl_command_t cmd_alerts[] = {
    {.group = "alerts", .run = run_alerts, .summary = "list alerts, newest first, or follow them",
     .options = {{"follow", NULL, "the latest, then each as it comes, one a line, until interrupted"},
                 {"account", "ID", "of this account only"},
                 {"key", "ID", "of this key only"},
                 {"kind", "NAME", "such as new_ip"},
                 {"status", "NAME", "open, acknowledged or resolved"},
                 {"severity", "NAME", "info, warning or critical"},
                 {"limit", "N", "so many at most (100)"}}},
    {.group = NULL}
};
