/* replay.c - run event files by their own time and print the alerts
 *
 * The same code as live, on a scratch database: files are merged by the time of
 * their events, taken in batches, and the clock is that of the newest event.  For
 * tuning detectors, for tests, and for looking back after an incident.
 */
#include <apr_strings.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auditd.h"

#define BATCH_BYTES (1024 * 1024)
#define BATCH_SPAN apr_time_from_sec(60) /* a batch covers a minute at most: the clock moves between batches */

typedef struct {
    const char *name;
    FILE *file;
    char *line;
    size_t room;
    ssize_t len;
    apr_time_t time; /* of the event in line; that of the one before where it is none */
} source_t;

typedef struct {
    engine_t *engine;
    source_t **heap; /* by time, the earliest first */
    int count;
    char *body;
    apr_size_t len;
    apr_time_t first, clock;
    int failed;
} replay_t;

/* --- the files, merged ------------------------------------------------------------------- */

static int read_line(source_t *s)
{
    ak_event_t event;
    const char *why;

    s->len = getline(&s->line, &s->room, s->file);
    if (s->len < 0)
        return 0;
    if (ak_event_decode(&event, s->line, (apr_size_t)s->len, &why) == APR_SUCCESS)
        s->time = event.time;
    return 1;
}

static void sink_down(replay_t *r, int at)
{
    for (;;) {
        int child = 2 * at + 1;
        source_t *moved = r->heap[at];

        if (child + 1 < r->count && r->heap[child + 1]->time < r->heap[child]->time)
            child++;
        if (child >= r->count || moved->time <= r->heap[child]->time)
            return;
        r->heap[at] = r->heap[child];
        r->heap[child] = moved;
        at = child;
    }
}

/* Go on to the next line of the earliest source, which ends here when it has none. */
static void advance(replay_t *r)
{
    source_t *s = r->heap[0];

    if (!read_line(s)) {
        fclose(s->file);
        free(s->line);
        r->heap[0] = r->heap[--r->count];
    }
    if (r->count > 0)
        sink_down(r, 0);
}

static int open_sources(replay_t *r, int count, const char *const *files, apr_pool_t *p)
{
    r->heap = apr_pcalloc(p, sizeof(*r->heap) * (apr_size_t)count);
    for (int i = 0; i < count; i++) {
        source_t *s = apr_pcalloc(p, sizeof(*s));

        s->name = files[i];
        s->file = fopen(files[i], "re");
        if (!s->file) {
            fprintf(stderr, "apikey-auditd: %s cannot be read: %s\n", files[i], strerror(errno));
            return 0;
        }
        if (read_line(s)) {
            r->heap[r->count++] = s;
        } else {
            fclose(s->file);
            free(s->line);
        }
    }
    for (int i = r->count / 2 - 1; i >= 0; i--)
        sink_down(r, i);
    return 1;
}

/* --- batches -------------------------------------------------------------------------------- */

static void flush(replay_t *r)
{
    batch_result_t result;
    apr_pool_t *p;

    if (r->len == 0)
        return;
    apr_pool_create(&p, NULL);
    if (batch_take(r->engine, r->body, r->len, apr_time_sec(r->clock), &result, p) != APR_SUCCESS ||
        engine_tick(r->engine, apr_time_sec(r->clock)) != APR_SUCCESS)
        r->failed = 1;
    apr_pool_destroy(p);
    r->len = 0;
}

static void run_all(replay_t *r)
{
    while (r->count > 0 && !r->failed) {
        const source_t *s = r->heap[0];

        if (r->len > 0 && (r->len + (apr_size_t)s->len + 1 > BATCH_BYTES || s->time - r->first > BATCH_SPAN))
            flush(r);
        if (r->len == 0)
            r->first = s->time;
        if (s->time > r->clock)
            r->clock = s->time;
        if ((apr_size_t)s->len < BATCH_BYTES) {
            memcpy(r->body + r->len, s->line, (apr_size_t)s->len);
            r->len += (apr_size_t)s->len;
            if (s->line[s->len - 1] != '\n')
                r->body[r->len++] = '\n';
        }
        advance(r);
    }
    flush(r);
}

/* --- the alerts ------------------------------------------------------------------------------- */

static json_t *text_or_null(const ak_rows_t *rows, int row, int column)
{
    const char *text = ak_rows_text_or_null(rows, row, column);

    return text ? json_string(text) : json_null();
}

static apr_status_t print_alerts(tx_t *tx, void *data)
{
    ak_rows_t rows;
    apr_status_t rv = TX_SELECT(tx, AK_SQL_AUD_ALERTS_ALL, &rows, NULL);

    for (int i = 0; i < rows.count && rv == APR_SUCCESS; i++) {
        json_t *details = json_loads(ak_rows_text(&rows, i, 7), 0, NULL);
        json_t *line = json_pack("{s:s, s:s, s:s, s:o, s:o, s:s, s:s, s:o, s:I, s:s, s:s}", "kind",
            ak_rows_text(&rows, i, 0), "severity", ak_rows_text(&rows, i, 1), "status", ak_rows_text(&rows, i, 2),
            "account_id", text_or_null(&rows, i, 3), "key_id", text_or_null(&rows, i, 4), "subject",
            ak_rows_text(&rows, i, 5), "message", ak_rows_text(&rows, i, 6), "details",
            details ? details : json_object(), "count", (json_int_t)ak_rows_number(&rows, i, 8, 0), "first_seen",
            alert_time(tx->p, ak_rows_number(&rows, i, 9, 0)), "last_seen",
            alert_time(tx->p, ak_rows_number(&rows, i, 10, 0)));

        if (!line || json_dumpf(line, stdout, JSON_COMPACT) != 0 || putchar('\n') == EOF)
            rv = APR_EGENERAL;
        json_decref(line);
    }
    return rv;
}

/* --- a scratch database ------------------------------------------------------------------------- */

static engine_t *scratch_engine(settings_t *settings, const char *folder, apr_pool_t *p)
{
    const char *file = apr_pstrcat(p, folder, "/replay.db", NULL), *why = NULL;
    engine_t *engine;
    int from, to;

    settings_for_replay(settings, file);
    settings->quarantine_file = apr_pstrcat(p, folder, "/quarantine", NULL);
    if (engine_create(&engine, settings, &why, p) != APR_SUCCESS ||
        ak_store_migrate(engine->store, &from, &to, &why, p) != APR_SUCCESS) {
        fprintf(stderr, "apikey-auditd: no scratch database can be made in %s: %s\n", folder, why ? why : "unknown");
        return NULL;
    }
    engine->replaying = 1;
    return engine;
}

static void remove_scratch(const char *folder, apr_pool_t *p)
{
    static const char *const names[] = {"replay.db", "replay.db-wal", "replay.db-shm", "quarantine"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        unlink(apr_pstrcat(p, folder, "/", names[i], NULL));
    rmdir(folder);
}

static int replay_in(settings_t *settings, const char *folder, int count, const char *const *files, apr_pool_t *p)
{
    replay_t r = {.body = apr_palloc(p, 2 * BATCH_BYTES)};

    r.engine = scratch_engine(settings, folder, p);
    if (!r.engine || !open_sources(&r, count, files, p))
        return EXIT_FAILURE;
    run_all(&r);
    /* what is missing at the end of the files will not come any more */
    if (!r.failed && r.clock > 0)
        r.failed = engine_tick(r.engine, apr_time_sec(r.clock) + settings->events_lost_grace_sec + 1) != APR_SUCCESS;
    if (r.failed || engine_run(r.engine, print_alerts, NULL, 0, p) != APR_SUCCESS) {
        fprintf(stderr, "apikey-auditd: the replay failed: %s\n", ak_dbd_problem(r.engine->db, p));
        return EXIT_FAILURE;
    }
    fprintf(stderr, "apikey-auditd: %" APR_UINT64_T_FMT " events, %" APR_UINT64_T_FMT " repeats, %" APR_UINT64_T_FMT
            " lines that are no events\n", (apr_uint64_t)r.engine->metrics.events,
            (apr_uint64_t)r.engine->metrics.repeats, (apr_uint64_t)r.engine->metrics.quarantined);
    return EXIT_SUCCESS;
}

int replay_run(settings_t *settings, int file_count, const char *const *files, apr_pool_t *p)
{
    const char *base = getenv("TMPDIR");
    char *folder = apr_pstrcat(p, base && base[0] ? base : "/tmp", "/apikey-replay-XXXXXX", NULL);
    apr_pool_t *own;
    int status;

    if (!mkdtemp(folder)) {
        fprintf(stderr, "apikey-auditd: no folder can be made as %s: %s\n", folder, strerror(errno));
        return EXIT_FAILURE;
    }
    log_open(NULL, 1);
    apr_pool_create(&own, p);
    status = replay_in(settings, folder, file_count, files, own);
    apr_pool_destroy(own); /* closes the database */
    remove_scratch(folder, p);
    return status;
}
