/* mod_apikey_manage_alerts.c - what the watchers saw, and who changed what */
#include <apr_strings.h>

#include "mod_apikey_manage.h"
#include "mod_apikey_manage_io.h"


static const char *const statuses[] = {"open", "acknowledged", "resolved", NULL};
static const char *const severities[] = {"info", "warning", "critical", NULL};

/* --- alerts --------------------------------------------------------------------------- */

static json_t *alert_json(const ak_alert_t *alert)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s?, s:s?, s:s, s:s, s:o, s:I, s:o, s:o, s:s?}", "id",
                     alert->id, "kind", alert->kind, "severity", alert->severity, "status",
                     alert->status, "account_id", alert->account_id, "key_id", alert->key_id,
                     "subject", alert->subject, "message", alert->message, "details",
                     manage_json_stored(alert->details), "count", (json_int_t)alert->count,
                     "first_seen", manage_json_time(alert->first_seen), "last_seen",
                     manage_json_time(alert->last_seen), "acknowledged_by", alert->acknowledged_by);
}

void manage_alert_list(manage_t *m)
{
    ak_alert_filter_t filter = {0};
    ak_alert_t **alerts;
    int limit, count, i;
    json_t *data;
    apr_status_t rv;

    if (manage_param_limit(m, &limit) || manage_param_account(m, &filter.account_id)
        || manage_param_choice(m, "status", statuses, &filter.status)
        || manage_param_choice(m, "severity", severities, &filter.severity)
        || manage_param_id(m, "key_id", "key_", &filter.key_id)
        || manage_param_id(m, "after", "alert_", &filter.after))
        return;
    filter.kind = manage_param(m, "kind");
    filter.limit = limit + 1;
    rv = ak_store_alert_list(m->node->store, &filter, &alerts, &count, m->p);
    if (rv == APR_NOTFOUND) {
        manage_refuse_param(m, "after", "names no alert");
        return;
    }
    if (rv != APR_SUCCESS) {
        manage_refuse_store(m, rv, "listing alerts");
        return;
    }
    data = json_array();
    for (i = 0; i < count && i < limit; i++)
        json_array_append_new(data, alert_json(alerts[i]));
    manage_answer_page(m, data, count > limit,
                       manage_json_text(count > limit ? alerts[limit - 1]->id : NULL));
}

/* alert_of_path - the alert, if it is the caller's; NULL: answered */
static ak_alert_t *alert_of_path(manage_t *m)
{
    ak_alert_t *alert;
    apr_status_t rv = ak_store_alert_get(m->node->store, manage_confined(m), m->id, &alert, m->p);

    if (rv == APR_SUCCESS)
        return alert;
    manage_refuse_store(m, rv, "reading an alert");
    return NULL;
}

void manage_alert_show(manage_t *m)
{
    ak_alert_t *alert = alert_of_path(m);

    if (alert)
        manage_answer(m, HTTP_OK, alert_json(alert));
}

/* read_status - the status that a body asks for */
static int read_status(manage_t *m, json_t *body, const char **status)
{
    static const char *const names[] = {"status", NULL};
    json_t *value = json_object_get(body, "status");
    const char *text = "";
    int i;

    manage_only_members(m, body, "", names);
    if (!value)
        manage_field_error(m, "status", "Is required.");
    else if (!manage_get_text(m, value, "status", &text)) {
        for (i = 0; statuses[i] && strcmp(statuses[i], text); i++)
            ;
        *status = statuses[i];
        if (!statuses[i])
            manage_field_error(m, "status", "Must be open, acknowledged or resolved.");
    }
    return manage_refuse_errors(m);
}

void manage_alert_update(manage_t *m)
{
    const char *status = NULL;
    ak_alert_t *alert;
    json_t *body;
    apr_status_t rv;

    if (manage_read_object(m, 1, &body) || !(alert = alert_of_path(m)) || read_status(m, body, &status))
        return;
    if (strcmp(alert->status, status)) {
        rv = ak_store_alert_set_status(m->node->store, &m->actor, m->id, status, m->now, m->p);
        if (rv == APR_EEXIST) {
            manage_refuse(m, AK_CONFLICT, "A newer alert of this kind and subject is open already.");
            return;
        }
        if (rv != APR_SUCCESS) {
            manage_refuse_store(m, rv, "changing an alert");
            return;
        }
    }
    manage_alert_show(m);
}

/* --- the audit log ------------------------------------------------------------------------ */

static json_t *audit_json(const ak_audit_t *entry)
{
    return json_pack("{s:I, s:o, s:s, s:s?, s:s, s:s, s:s?, s:o}", "id", (json_int_t)entry->seq, "at",
                     manage_json_time(entry->at), "actor", entry->actor, "account_id",
                     entry->account_id, "action", entry->action, "target", entry->target, "address",
                     entry->address, "details", manage_json_stored(entry->details));
}

void manage_audit_list(manage_t *m)
{
    ak_audit_filter_t filter = {0};
    ak_audit_t **entries;
    int limit, count, i;
    json_t *data;
    apr_status_t rv;

    if (manage_param_limit(m, &limit) || manage_param_account(m, &filter.account_id)
        || manage_param_number(m, "before", 1, APR_INT64_MAX, &filter.before))
        return;
    filter.target = manage_param(m, "target");
    filter.action = manage_param(m, "action");
    filter.limit = limit + 1;
    rv = ak_store_audit_list(m->node->store, &filter, &entries, &count, m->p);
    if (rv != APR_SUCCESS) {
        manage_refuse_store(m, rv, "reading the audit log");
        return;
    }
    data = json_array();
    for (i = 0; i < count && i < limit; i++)
        json_array_append_new(data, audit_json(entries[i]));
    manage_answer_page(m, data, count > limit,
                       count > limit ? json_integer(entries[limit - 1]->seq) : json_null());
}
