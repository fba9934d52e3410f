/* cmd_events - compare the event files with what is counted, and remove those that are done
 *
 * A segment DIR/PRODUCER.N.events is done when each of its events is counted.  Its
 * producer's last segment may still be written to, so it stays while that process lives:
 * its number stands in the producer's name, NODE.PID.START.
 */
#include <apr_file_info.h>
#include <apr_file_io.h>
#include <apr_hash.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <apr_tables.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ak_event.h"
#include "ak_runs.h"
#include "ak_segment.h"
#include "ctl.h"

#define OLDER_DEFAULT (7 * APR_INT64_C(86400))

typedef struct {
    const char *name;     /* of the file */
    const char *producer;
    apr_uint64_t number;
    apr_int64_t changed_sec;
    apr_int64_t bytes;
    apr_uint64_t events, uncounted, unreadable;
} segment_t;

typedef struct {
    ctl_t *ctl;
    const char *dir;
    apr_hash_t *producers; /* name → ak_runs_t: what is counted */
    apr_hash_t *latest;    /* name → apr_uint64_t, the highest number seen */
    apr_array_header_t *segments;
} survey_t;

/* --- what is counted ------------------------------------------------------------------------- */

static int is_counted(const survey_t *s, const ak_event_t *event)
{
    const ak_runs_t *runs = apr_hash_get(s->producers, event->producer, APR_HASH_KEY_STRING);

    return runs != NULL && ak_runs_has(runs, event->seq);
}

/* A row that cannot be read counts nothing beyond its first gap. */
static apr_status_t load_producers(survey_t *s)
{
    ak_producer_t *rows;
    int count;
    apr_status_t rv = ak_store_producers(s->ctl->store, &rows, &count, s->ctl->p);

    for (int i = 0; rv == APR_SUCCESS && i < count; i++) {
        ak_runs_t *runs = apr_palloc(s->ctl->p, sizeof *runs);

        ak_runs_init(runs, rows[i].contiguous, s->ctl->p);
        if (ak_runs_parse(runs, rows[i].beyond) != APR_SUCCESS)
            runs->count = 0;
        apr_hash_set(s->producers, rows[i].name, APR_HASH_KEY_STRING, runs);
    }
    return rv;
}

/* --- what is in the files ---------------------------------------------------------------------- */

/* PRODUCER.N.events in its parts; 0: it is no segment. */
static int split_name(const char *file, const char **producer, apr_uint64_t *number, apr_pool_t *p)
{
    apr_size_t len = strlen(file), suffix = strlen(AK_SEGMENT_SUFFIX);
    char *stem, *dot, *end;

    if (len <= suffix || strcmp(file + len - suffix, AK_SEGMENT_SUFFIX) != 0)
        return 0;
    stem = apr_pstrmemdup(p, file, len - suffix);
    dot = strrchr(stem, '.');
    if (dot == NULL || dot == stem || !apr_isdigit(dot[1]))
        return 0;
    *number = strtoull(dot + 1, &end, 10);
    *dot = '\0';
    *producer = stem;
    return *end == '\0';
}

static int read_segment(survey_t *s, segment_t *segment)
{
    FILE *f = fopen(apr_pstrcat(s->ctl->p, s->dir, "/", segment->name, NULL), "r");
    ak_event_t event;
    const char *why;
    char *line = NULL;
    size_t size = 0;
    ssize_t len;

    if (f == NULL) {
        int failed = errno;

        return failed == ENOENT ? CTL_DONE /* pruned meanwhile by another */
                                : ctl_fail(s->ctl, CTL_REFUSED, "%s cannot be read: %pm", segment->name, &failed);
    }
    while ((len = getline(&line, &size, f)) >= 0) {
        if (len == 1)
            continue; /* what ends a torn line */
        segment->events++;
        if (ak_event_decode(&event, line, (apr_size_t)len, &why) != APR_SUCCESS)
            segment->unreadable++;
        else
            segment->uncounted += !is_counted(s, &event);
    }
    free(line);
    fclose(f);
    return CTL_DONE;
}

static int add_segment(survey_t *s, const apr_finfo_t *info)
{
    segment_t *segment = apr_array_push(s->segments);
    apr_uint64_t *latest;

    memset(segment, 0, sizeof *segment);
    if (!split_name(info->name, &segment->producer, &segment->number, s->ctl->p)) {
        apr_array_pop(s->segments);
        return CTL_DONE;
    }
    segment->name = apr_pstrdup(s->ctl->p, info->name);
    segment->changed_sec = apr_time_sec(info->mtime);
    segment->bytes = info->size;
    latest = apr_hash_get(s->latest, segment->producer, APR_HASH_KEY_STRING);
    if (latest == NULL) {
        latest = apr_pcalloc(s->ctl->p, sizeof *latest);
        apr_hash_set(s->latest, segment->producer, APR_HASH_KEY_STRING, latest);
    }
    if (segment->number > *latest)
        *latest = segment->number;
    return read_segment(s, segment);
}

static int take_survey(survey_t *s, ctl_t *ctl)
{
    apr_dir_t *dir;
    apr_finfo_t info;
    apr_status_t rv;
    int status = ctl_open(ctl, 1);

    if (status != CTL_DONE)
        return status;
    *s = (survey_t){.ctl = ctl, .dir = ak_conf_text(ctl->conf, "events_dir"), .producers = apr_hash_make(ctl->p),
                    .latest = apr_hash_make(ctl->p), .segments = apr_array_make(ctl->p, 16, sizeof(segment_t))};
    if (s->dir == NULL)
        return ctl_fail(ctl, CTL_USAGE, "%s: events_dir is not set: write events_dir FOLDER", ctl->conf_file);
    rv = load_producers(s);
    if (rv != APR_SUCCESS)
        return ctl_fail_store(ctl, rv, "producers");
    rv = apr_dir_open(&dir, s->dir, ctl->p);
    if (rv != APR_SUCCESS)
        return ctl_fail(ctl, CTL_REFUSED, "events_dir %s cannot be read: %pm", s->dir, &rv);
    while (status == CTL_DONE) {
        rv = apr_dir_read(&info, APR_FINFO_NAME | APR_FINFO_MTIME | APR_FINFO_SIZE, dir);
        if (rv != APR_SUCCESS && rv != APR_INCOMPLETE)
            break;
        status = add_segment(s, &info);
    }
    apr_dir_close(dir);
    return status;
}

/* --- check --------------------------------------------------------------------------------------- */

static json_t *segment_json(const segment_t *segment)
{
    return json_pack("{s:s, s:I, s:I, s:I, s:o, s:I}", "file", segment->name, "events", (json_int_t)segment->events,
                     "not_counted", (json_int_t)segment->uncounted, "unreadable", (json_int_t)segment->unreadable,
                     "changed_at", ctl_json_time(segment->changed_sec), "bytes", (json_int_t)segment->bytes);
}

static int run_check(ctl_t *ctl)
{
    static const ctl_column_t columns[] = {{"file", "FILE"}, {"events", "EVENTS"}, {"not_counted", "NOT COUNTED"},
                                           {"unreadable", "UNREADABLE"}, {"changed_at", "CHANGED"}, {NULL, NULL}};
    apr_uint64_t events = 0, uncounted = 0, unreadable = 0;
    survey_t s;
    json_t *data;
    int status = take_survey(&s, ctl);

    if (status != CTL_DONE)
        return status;
    data = json_array();
    for (int i = 0; i < s.segments->nelts; i++) {
        const segment_t *segment = &APR_ARRAY_IDX(s.segments, i, segment_t);

        json_array_append_new(data, segment_json(segment));
        events += segment->events;
        uncounted += segment->uncounted;
        unreadable += segment->unreadable;
    }
    status = ctl_answer(ctl, json_pack("{s:i, s:I, s:I, s:I, s:o}", "files", s.segments->nelts, "events",
                                       (json_int_t)events, "not_counted", (json_int_t)uncounted, "unreadable",
                                       (json_int_t)unreadable, "data", data), columns);
    if (status != CTL_DONE || uncounted == 0)
        return status;
    return ctl_fail(ctl, CTL_REFUSED, "%" APR_UINT64_T_FMT " events are in the files and not counted (yet)", uncounted);
}

/* --- prune ---------------------------------------------------------------------------------------- */

/* Does the process that a producer is named for run? What cannot be told counts as yes. */
static int is_running(const char *producer)
{
    const char *at = strchr(producer, '.');
    char *end;
    long pid = at != NULL ? strtol(at + 1, &end, 10) : 0;

    return pid <= 0 || *end != '.' || kill((pid_t)pid, 0) == 0 || errno != ESRCH;
}

static int is_done(const survey_t *s, const segment_t *segment, apr_int64_t before)
{
    const apr_uint64_t *latest = apr_hash_get(s->latest, segment->producer, APR_HASH_KEY_STRING);

    return segment->changed_sec < before && segment->uncounted == 0
           && (segment->number < *latest || !is_running(segment->producer));
}

static int run_prune(ctl_t *ctl)
{
    static const ctl_column_t columns[] = {{"file", "REMOVED"}, {"bytes", "BYTES"}, {NULL, NULL}};
    apr_int64_t older = OLDER_DEFAULT, bytes = 0;
    survey_t s;
    json_t *data;
    int kept = 0, status = ctl_duration(ctl, "older-than", &older);
    apr_status_t rv;

    if (status == CTL_DONE)
        status = take_survey(&s, ctl);
    if (status != CTL_DONE)
        return status;
    data = json_array();
    for (int i = 0; i < s.segments->nelts; i++) {
        const segment_t *segment = &APR_ARRAY_IDX(s.segments, i, segment_t);

        if (!is_done(&s, segment, ctl->now - older)) {
            kept++;
            continue;
        }
        rv = apr_file_remove(apr_pstrcat(ctl->p, s.dir, "/", segment->name, NULL), ctl->p);
        if (rv != APR_SUCCESS && !APR_STATUS_IS_ENOENT(rv)) {
            json_decref(data);
            return ctl_fail(ctl, CTL_REFUSED, "%s cannot be removed: %pm", segment->name, &rv);
        }
        bytes += segment->bytes;
        json_array_append_new(data, segment_json(segment));
    }
    rv = ak_store_prune(ctl->store, ctl->now, ctl->p);
    if (rv != APR_SUCCESS) {
        json_decref(data);
        return ctl_fail_store(ctl, rv, "upkeep");
    }
    return ctl_answer(ctl, json_pack("{s:i, s:i, s:I, s:o}", "removed", (int)json_array_size(data), "kept", kept,
                                     "bytes", (json_int_t)bytes, "data", data), columns);
}

const ctl_command_t cmd_events[] = {
    {.group = "events", .name = "check", .run = run_check, .summary = "is each event in the files counted?",
     .more = "Exit status 1 when one is not: it may be on its way; look again in a moment."},
    {.group = "events", .name = "prune", .run = run_prune, .summary = "remove files whose events are all counted",
     .more = "The file that a running process may still write to stays. Run it where httpd runs. Forgets old\n"
             "rows of the change log, of silent nodes and of idempotency keys, too.",
     .options = {{"older-than", "TIME", "... and that have not changed for so long (7d)"}}},
    {.group = NULL}
};
