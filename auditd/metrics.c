/* metrics.c - what auditd counts of itself, in the text format of Prometheus */
#include <apr_strings.h>
#include <stddef.h>

#include "auditd.h"

#define AT(member) offsetof(metrics_t, member)

static const struct {
    const char *name, *type, *help;
    apr_size_t at;
} table[] = {
    {"apikey_auditd_batches_total", "counter", "Batches committed.", AT(batches)},
    {"apikey_auditd_batches_failed_total", "counter", "Batches answered with 503.", AT(batches_failed)},
    {"apikey_auditd_events_total", "counter", "Events counted.", AT(events)},
    {"apikey_auditd_repeats_total", "counter", "Events that had been counted before.", AT(repeats)},
    {"apikey_auditd_quarantined_total", "counter", "Lines that are no events.", AT(quarantined)},
    {"apikey_auditd_refused_token_total", "counter", "Requests without the ingest token.", AT(refused_token)},
    {"apikey_auditd_refused_size_total", "counter", "Batches over the size limit.", AT(refused_size)},
    {"apikey_auditd_alerts_total", "counter", "Alerts opened or repeated.", AT(alerts_raised)},
    {"apikey_auditd_notes_sent_total", "counter", "Alerts handed to a receiver.", AT(notes_sent)},
    {"apikey_auditd_notes_failed_total", "counter", "Failed attempts to hand an alert over.", AT(notes_failed)},
    {"apikey_auditd_notes_dropped_total", "counter", "Alerts given up, or whose receiver is gone.",
     AT(notes_dropped)},
};

const char *metrics_text(engine_t *engine, apr_pool_t *p)
{
    metrics_t *m = &engine->metrics;
    const char *text = "";

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        atomic_uint_fast64_t *value = (atomic_uint_fast64_t *)(void *)((char *)m + table[i].at);
        text = apr_psprintf(p, "%s# HELP %s %s\n# TYPE %s %s\n%s %" APR_UINT64_T_FMT "\n", text, table[i].name,
                            table[i].help, table[i].name, table[i].type, table[i].name,
                            (apr_uint64_t)atomic_load(value));
    }
    return apr_psprintf(p, "%s"
        "# HELP apikey_auditd_database_up Whether the last transaction succeeded.\n"
        "# TYPE apikey_auditd_database_up gauge\napikey_auditd_database_up %d\n"
        "# HELP apikey_auditd_batches_in_hand Batches that are being read or worked on.\n"
        "# TYPE apikey_auditd_batches_in_hand gauge\napikey_auditd_batches_in_hand %d\n"
        "# HELP apikey_auditd_last_commit_timestamp_seconds When a transaction last succeeded.\n"
        "# TYPE apikey_auditd_last_commit_timestamp_seconds gauge\n"
        "apikey_auditd_last_commit_timestamp_seconds %" APR_INT64_T_FMT "\n"
        "# HELP apikey_auditd_lag_seconds Age of the newest event of the last batch when it was committed.\n"
        "# TYPE apikey_auditd_lag_seconds gauge\napikey_auditd_lag_seconds %.3f\n",
        text, atomic_load(&m->database_ok), atomic_load(&m->in_hand), (apr_int64_t)atomic_load(&m->last_commit_sec),
        (double)atomic_load(&m->lag_ms) / 1000.0);
}
