/* ak_runs.h - which numbers of a growing sequence have been seen
 *
 * All numbers up to one, and the runs beyond it: what a producer's events leave when
 * they come in batches of any order.  Numbers are 1 to 2^63 - 1.  A gap before a run
 * is told once it has been open for long enough, and may still be filled then.
 * Pure but for memory, which comes from the pool; not thread-safe.
 */
#ifndef AK_RUNS_H
#define AK_RUNS_H

#include "ak_types.h"

/* Runs that are remembered beyond the first gap.  syslog-ng deals lines out to its
 * workers in turn, so a batch may hold every second event of a producer. */
#define AK_RUNS_MAX 65536

typedef struct {
    apr_uint64_t first, last;
    apr_int64_t since_sec; /* since when the gap before it is known; 0: it has been told */
} ak_run_t;

typedef struct {
    apr_uint64_t contiguous; /* all numbers up to this one have been seen */
    ak_run_t *run;           /* the first one; behind it in order, with room on both sides */
    int count;
    ak_run_t *room;          /* where the runs are kept */
    int room_count;
    apr_uint64_t given_up;   /* numbers of gaps that were forgotten for want of room, not yet told */
    apr_pool_t *pool;
} ak_runs_t;

typedef enum {
    AK_RUNS_SEEN = 0, /* it had been seen, or stood in a gap that was given up */
    AK_RUNS_NEW,
    AK_RUNS_LATE      /* new, of a gap that had been told */
} ak_runs_e;

void ak_runs_init(ak_runs_t *runs, apr_uint64_t contiguous, apr_pool_t *pool);

/* A number comes: was it seen before?  It is from now on. */
ak_runs_e ak_runs_take(ak_runs_t *runs, apr_uint64_t number, apr_int64_t now_sec);
int ak_runs_has(const ak_runs_t *runs, apr_uint64_t number);

/* Tell the gaps that are known for longer than grace, and what was given up: how many
 * numbers are missing there. */
apr_uint64_t ak_runs_tell_gaps(ak_runs_t *runs, apr_int64_t now_sec, int grace_sec);
/* Since when the oldest gap that is not told is known; 0: there is none. */
apr_int64_t ak_runs_gap_since(const ak_runs_t *runs);

/* The runs beyond contiguous as text (allocated in p), and back.  APR_EINVAL: not such a text.
 * A run is the length of the gap before it, its own length, since when the gap is known,
 * and how often that comes in succession: behind 4, "1+3@1760437800 1+1x2" is 6 to 8
 * (its gap not told yet), 10 and 12. */
const char *ak_runs_text(const ak_runs_t *runs, apr_pool_t *p);
apr_status_t ak_runs_parse(ak_runs_t *runs, const char *text);

#endif
