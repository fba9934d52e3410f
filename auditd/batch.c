/* batch.c - a body of lines becomes counted events
 *
 * A line that is no event goes to the quarantine file and the batch goes on.  A line
 * that a full disk tore may have the next event glued to it: the event is found and
 * counted, what stands before it is quarantined.
 */
#include <apr_strings.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "auditd.h"

static const char head[] = "{\"v\":1,";

typedef struct {
    const char *text;
    apr_size_t len;
    const char *why;
} bad_line_t;

typedef struct {
    apr_array_header_t *events; /* of ak_event_t */
    apr_array_header_t *bad;    /* of bad_line_t */
    batch_result_t *result;
} batch_t;

/* --- lines ----------------------------------------------------------------------------------- */

static void quarantine(batch_t *batch, const char *text, apr_size_t len, const char *why)
{
    APR_ARRAY_PUSH(batch->bad, bad_line_t) = (bad_line_t){text, len, why};
}

/* An event at the end of the line, behind the remains of another; NULL: none. */
static const char *find_glued(ak_event_t *event, const char *line, apr_size_t len)
{
    const char *end = line + len, *at = line, *why;

    while (at < end && (at = memmem(at + 1, (apr_size_t)(end - at - 1), head, sizeof(head) - 1)))
        if (ak_event_decode(event, at, (apr_size_t)(end - at), &why) == APR_SUCCESS)
            return at;
    return NULL;
}

static void take_line(batch_t *batch, const char *line, apr_size_t len)
{
    ak_event_t event;
    const char *why, *glued;

    if (len == 0)
        return;
    if (ak_event_decode(&event, line, len, &why) == APR_SUCCESS) {
        APR_ARRAY_PUSH(batch->events, ak_event_t) = event;
        return;
    }
    glued = find_glued(&event, line, len);
    if (glued)
        APR_ARRAY_PUSH(batch->events, ak_event_t) = event;
    quarantine(batch, line, glued ? (apr_size_t)(glued - line) : len, why);
}

static void take_lines(batch_t *batch, const char *body, apr_size_t len)
{
    const char *end = body + len;

    while (body < end) {
        const char *newline = memchr(body, '\n', (apr_size_t)(end - body));
        const char *stop = newline ? newline : end;

        take_line(batch, body, (apr_size_t)(stop - body));
        body = stop + 1;
    }
}

/* --- the transaction ---------------------------------------------------------------------------- */

static apr_status_t take_event(tx_t *tx, const ak_event_t *event, batch_result_t *result)
{
    int is_new;
    apr_status_t rv = dedupe_take(tx, event, &is_new);

    if (rv != APR_SUCCESS)
        return rv;
    if (!is_new) {
        result->repeated++;
        return APR_SUCCESS;
    }
    result->counted++;
    rv = usage_observe(tx, event);
    return rv == APR_SUCCESS ? detect_observe(tx, event) : rv;
}

static apr_status_t batch_work(tx_t *tx, void *data)
{
    batch_t *batch = data;
    apr_status_t rv = APR_SUCCESS;

    for (int i = 0; i < batch->events->nelts && rv == APR_SUCCESS; i++)
        rv = take_event(tx, &APR_ARRAY_IDX(batch->events, i, ak_event_t), batch->result);
    if (rv == APR_SUCCESS)
        rv = usage_flush(tx);
    if (rv == APR_SUCCESS)
        rv = detect_flush(tx);
    return rv == APR_SUCCESS ? dedupe_flush(tx) : rv; /* last: detectors tell gaps */
}

/* --- the quarantine ---------------------------------------------------------------------------------- */

static apr_status_t append_bad(int fd, const bad_line_t *bad)
{
    struct iovec parts[] = {{(void *)(uintptr_t)bad->text, bad->len}, {(void *)(uintptr_t)"\n", 1}};
    ssize_t got = writev(fd, parts, 2);

    if (got == (ssize_t)bad->len + 1)
        return APR_SUCCESS;
    return got < 0 ? errno : APR_ENOSPC;
}

/* After the commit: a repeat of the batch, should we die before, brings the lines again.
 * Where they cannot be kept they are still counted and told, but hold nothing up. */
static void keep_bad_lines(engine_t *engine, const char *file, const apr_array_header_t *bad)
{
    const char *why = APR_ARRAY_IDX(bad, 0, bad_line_t).why;
    apr_status_t rv = APR_SUCCESS;
    int fd = open(file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        rv = errno;
    for (int i = 0; i < bad->nelts && rv == APR_SUCCESS; i++)
        rv = append_bad(fd, &APR_ARRAY_IDX(bad, i, bad_line_t));
    if (fd >= 0)
        close(fd);
    atomic_fetch_add(&engine->metrics.quarantined, (apr_uint64_t)bad->nelts);
    if (rv == APR_SUCCESS)
        log_limited(&engine->quarantine_trouble, LOG_LEVEL_WARNING,
                    "%d lines that are no events were put in %s; the first: %s", bad->nelts, file, why);
    else
        log_limited(&engine->quarantine_trouble, LOG_LEVEL_ERROR,
                    "%d lines that are no events could not be kept in %s: %pm; the first: %s", bad->nelts, file, &rv,
                    why);
}

/* --- a batch ------------------------------------------------------------------------------------------- */

static void note_batch(engine_t *engine, const batch_t *batch, apr_status_t rv)
{
    metrics_t *m = &engine->metrics;

    if (rv != APR_SUCCESS) {
        atomic_fetch_add(&m->batches_failed, 1);
        return;
    }
    atomic_fetch_add(&m->batches, 1);
    atomic_fetch_add(&m->events, batch->result->counted);
    atomic_fetch_add(&m->repeats, batch->result->repeated);
    if (batch->events->nelts > 0) {
        apr_time_t last = APR_ARRAY_IDX(batch->events, batch->events->nelts - 1, ak_event_t).time;
        atomic_store(&m->lag_ms, (apr_time_now() - last) / 1000);
    }
}

apr_status_t batch_take(engine_t *engine, const char *body, apr_size_t len, apr_int64_t now_sec,
                        batch_result_t *result, apr_pool_t *p)
{
    batch_t batch = {.result = result};
    apr_status_t rv;

    memset(result, 0, sizeof(*result));
    batch.events = apr_array_make(p, (int)(len / 256) + 1, sizeof(ak_event_t));
    batch.bad = apr_array_make(p, 1, sizeof(bad_line_t));
    take_lines(&batch, body, len);
    result->quarantined = (apr_uint64_t)batch.bad->nelts;
    rv = batch.events->nelts == 0 ? APR_SUCCESS : engine_run(engine, batch_work, &batch, now_sec, p);
    note_batch(engine, &batch, rv);
    if (rv == APR_SUCCESS && batch.bad->nelts > 0)
        keep_bad_lines(engine, engine_settings(engine)->quarantine_file, batch.bad);
    return rv;
}
