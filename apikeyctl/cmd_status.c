/* cmd_status - is everything in order? database, nodes, events, alerts */
#include <apr_strings.h>
#include <string.h>

#include "ctl.h"

#define ALERTS_MAX 100 /* counted up to here */

static json_t *nodes_json(ctl_t *ctl, const ak_node_t *nodes, int count, apr_int64_t last)
{
    json_t *list = json_array();

    for (int i = 0; i < count; i++)
        json_array_append_new(list, json_pack("{s:s, s:i, s:I, s:I, s:o}", "id", nodes[i].id, "bound_ms",
                                              nodes[i].bound_ms, "applied", (json_int_t)nodes[i].applied, "behind",
                                              (json_int_t)(last > nodes[i].applied ? last - nodes[i].applied : 0),
                                              "seen_at", ctl_json_time(nodes[i].seen_at)));
    return list;
}

static json_t *events_json(const ak_producer_t *producers, int count)
{
    apr_uint64_t lost = 0, counted = 0;

    for (int i = 0; i < count; i++) {
        lost += producers[i].lost;
        counted += producers[i].contiguous;
    }
    return json_pack("{s:i, s:I, s:I, s:o}", "producers", count, "counted", (json_int_t)counted, "lost",
                     (json_int_t)lost, "last_seen", ctl_json_time(count > 0 ? producers[0].last_seen : 0));
}

/* What status tells, as far as it can be read. */
typedef struct {
    apr_int64_t last_change;
    ak_node_t *nodes;
    ak_producer_t *producers;
    ak_alert_t **alerts;
    int node_count, producer_count, alert_count;
} picture_t;

static apr_status_t look(ctl_t *ctl, picture_t *picture)
{
    ak_alert_filter_t open_alerts = {.status = "open", .limit = ALERTS_MAX};
    apr_status_t rv = ak_store_last_change(ctl->store, &picture->last_change, ctl->p);

    if (rv == APR_SUCCESS)
        rv = ak_store_nodes(ctl->store, &picture->nodes, &picture->node_count, ctl->p);
    if (rv == APR_SUCCESS)
        rv = ak_store_producers(ctl->store, &picture->producers, &picture->producer_count, ctl->p);
    if (rv == APR_SUCCESS)
        rv = ak_store_alert_list(ctl->store, &open_alerts, &picture->alerts, &picture->alert_count, ctl->p);
    return rv;
}

/* For people: the object, then a line for each node. */
static int print(ctl_t *ctl, json_t *answer, json_t *nodes)
{
    static const ctl_column_t columns[] = {{"id", "NODE"}, {"applied", "APPLIED"}, {"behind", "BEHIND"},
                                           {"bound_ms", "BOUND MS"}, {"seen_at", "SEEN"}, {NULL, NULL}};
    int status, any = json_array_size(nodes) > 0;

    if (ctl->json) {
        json_object_set_new(answer, "nodes", nodes);
        return ctl_answer(ctl, answer, NULL);
    }
    json_object_set_new(answer, "nodes", json_integer((json_int_t)json_array_size(nodes)));
    status = ctl_answer(ctl, answer, NULL);
    if (status != CTL_DONE || !any) {
        json_decref(nodes);
        return status;
    }
    return ctl_answer(ctl, json_pack("{s:o}", "data", nodes), columns);
}

static int run_status(ctl_t *ctl)
{
    picture_t picture = {0};
    int status = ctl_open(ctl, 1);
    apr_status_t rv;

    if (status != CTL_DONE)
        return status;
    rv = look(ctl, &picture);
    if (rv != APR_SUCCESS)
        return ctl_fail_store(ctl, rv, "status");
    return print(ctl, json_pack("{s:s, s:s, s:i, s:I, s:o, s:i}", "version", AK_VERSION, "database",
                                ak_dbd_driver(ak_store_dbd(ctl->store)), "schema", AK_SCHEMA_VERSION, "last_change",
                                (json_int_t)picture.last_change, "events",
                                events_json(picture.producers, picture.producer_count), "open_alerts",
                                picture.alert_count),
                 nodes_json(ctl, picture.nodes, picture.node_count, picture.last_change));
}

const ctl_command_t cmd_status[] = {
    {.group = "status", .run = run_status, .summary = "the database, the nodes, the events, the open alerts",
     .more = "open_alerts counts up to 100. A node that is behind has not applied all changes yet."},
    {.group = NULL}
};
