/* ak_segment.h - append-only files of events, one writer each
 *
 * A segment is named once (DIR/PRODUCER.N.events), only ever appended to, never
 * renamed, and closed when it is full, old or its process ends; syslog-ng follows
 * it by name.  One write() a record: a killed process cannot tear a line, and
 * what was written survives it in the page cache (not a power cut).
 */
#ifndef AK_SEGMENT_H
#define AK_SEGMENT_H

#include "ak_event.h"

#define AK_SEGMENT_SUFFIX ".events"
#define AK_SEGMENT_BYTES (64 * 1024 * 1024) /* a new file past this size */
#define AK_SEGMENT_AGE apr_time_from_sec(24 * 3600) /* and past this age */

typedef struct ak_segment_t ak_segment_t;

typedef struct {
    apr_uint64_t written; /* events on disk */
    apr_uint64_t failed;  /* events that could not be written: a gap that auditd will tell */
    apr_status_t last_error;
} ak_segment_stats_t;

/* A writer for this process; no file is made before the first event.  node: a
 * short name of this machine, [a-z0-9]{1,20}.  Thread-safe afterwards; a child
 * that is forked becomes a producer of its own.  APR_EINVAL: a bad dir or node. */
apr_status_t ak_segment_create(ak_segment_t **seg, const char *dir, const char *node, apr_pool_t *p);

/* Give the event its producer and number and append it; its time is the clock by
 * which a file grows old.  On failure nothing is tried again later: the number is spent. */
apr_status_t ak_segment_append(ak_segment_t *seg, ak_event_t *event);

void ak_segment_stats(const ak_segment_t *seg, ak_segment_stats_t *out);

#endif
