/* ak_table.h - the shared-memory key table of one node: cached keys and their counters
 *
 * A file mapped by every process of the node.  It outlives restart and kill -9,
 * so no restart resets a limit.  Readers and counting take no lock (a sequence lock,
 * Lamport 1977; single 64-bit words, which no death can leave half written).  Writers
 * take robust mutexes; what a dead one left half done, the next one mends.
 *
 * A slot is found by digest.  Its facts may be dropped (a change was logged) while
 * its counters stay.  A full neighbourhood gives up only slots whose windows have
 * passed.  All calls are thread-safe; reserve and fill may wait for another writer's
 * microseconds, and for a stopped one a tenth of a second or two.  docs/key-table.md
 * has the layout and why no crash admits more than a limit.
 */
#ifndef AK_TABLE_H
#define AK_TABLE_H

#include "ak_types.h"
#include "ak_window.h"

#define AK_TABLE_SLOTS_MIN 256
#define AK_TABLE_SLOTS_DEFAULT 65536
#define AK_TABLE_SLOTS_MAX (1u << 26)
#define AK_NODE_ID 12 /* characters of [a-z0-9], made with the file */

typedef struct ak_table_t ak_table_t;

/* A place in the table, good for as long as the slot is not given to another key. */
typedef struct {
    apr_uint32_t slot;
    apr_uint32_t generation;
} ak_slot_ref_t;

typedef enum { AK_TABLE_HIT = 0, AK_TABLE_MISS } ak_table_e;

/* The counters of a slot: the two windows of a limit, and management calls by the minute. */
typedef enum { AK_COUNT_MINUTE = 0, AK_COUNT_HOUR, AK_COUNT_MANAGE, AK_COUNT_COUNT } ak_count_e;

/* Node-wide tallies for metrics, shared by all processes. */
#define AK_TALLY_MAX 64

/* Map FILE, made with mode 0600 when missing; a file of another layout, size or
 * machine boot is dealt with: layout or size: made anew; boot: the stamp is reset.
 * A file of anything else is left alone (APR_EINVAL).  slots is rounded up to a power
 * of two.  *why: a sentence for the operator. */
apr_status_t ak_table_open(ak_table_t **table, const char *file, apr_uint32_t slots,
                           const char **why, apr_pool_t *p);

const char *ak_table_node(const ak_table_t *table);
apr_uint32_t ak_table_slots(const ak_table_t *table);
apr_uint32_t ak_table_used(const ak_table_t *table);

/* Find a key's cached facts; on AK_TABLE_HIT *key and *ref are set. */
ak_table_e ak_table_find(ak_table_t *table, const unsigned char *digest, ak_key_t *key,
                         ak_slot_ref_t *ref);

/* Take a place for a digest before it is read from SQL.  *ticket is handed to fill,
 * which caches nothing if the key was dropped in between.  APR_ENOSPC: every slot
 * in reach holds a running window; APR_EBUSY: could not be had in time. */
apr_status_t ak_table_reserve(ak_table_t *table, const unsigned char *digest, apr_time_t now,
                              ak_slot_ref_t *ref, apr_uint64_t *ticket);
apr_status_t ak_table_fill(ak_table_t *table, const ak_slot_ref_t *ref, const ak_key_t *key,
                           apr_uint64_t ticket);

/* Forget the facts of one key, or of all; counters stay. Never waits. */
void ak_table_drop(ak_table_t *table, const unsigned char *digest);
void ak_table_drop_all(ak_table_t *table);
/* Grows by one each time everything is dropped. */
apr_uint32_t ak_table_epoch(const ak_table_t *table);

/* Unknown keys, remembered briefly: was this digest found to be unknown at most
 * ttl ago, with nothing logged for it since? */
int ak_table_is_unknown(ak_table_t *table, const unsigned char *digest, apr_interval_time_t ttl);
/* mark: ak_table_mark() from before the read that found nothing; if anything was
 * dropped since, nothing is remembered. */
apr_uint64_t ak_table_mark(const ak_table_t *table);
void ak_table_note_unknown(ak_table_t *table, const unsigned char *digest, apr_uint64_t mark);

/* The change log: the last sequence applied here, and the monotonic time (usec) at
 * which the last good poll began.  0: never since this boot. */
apr_uint64_t ak_table_applied(const ak_table_t *table);
void ak_table_set_applied(ak_table_t *table, apr_uint64_t sequence); /* nothing, once replaced as poller */
/* The log begins anew (another database): forget everything and stand at sequence. */
void ak_table_restart_log(ak_table_t *table, apr_uint64_t sequence);
apr_int64_t ak_table_stamp(const ak_table_t *table);
void ak_table_set_stamp(ak_table_t *table, apr_int64_t monotonic_usec);
/* CLOCK_MONOTONIC in microseconds: the one clock of stamp and election. */
apr_int64_t ak_monotonic_usec(void);

/* Is this process the node's poller?  Takes the office when its holder is dead or
 * has not been heard of for patience. */
int ak_table_elect(ak_table_t *table, apr_interval_time_t patience);
void ak_table_resign(ak_table_t *table);

/* Count one unit of a window against a limit, only where it is granted.
 * APR_SUCCESS: *count is the new total.  APR_EBUSY: the limit is reached (*count is the total).
 * AK_EGONE: the slot holds another key now; find it again. */
#define AK_EGONE APR_ENOENT
apr_status_t ak_table_take(ak_table_t *table, const ak_slot_ref_t *ref, ak_count_e which,
                           apr_int64_t window, apr_uint32_t limit, apr_uint32_t *count);
/* Give one unit back to the window that it was counted in, if it still runs: where that was
 * not `window` but a later one (see ak_table_map.h on late readings), it stays counted. */
void ak_table_give_back(ak_table_t *table, const ak_slot_ref_t *ref, ak_count_e which,
                        apr_int64_t window);
/* The total of a window now. */
apr_uint32_t ak_table_count(ak_table_t *table, const ak_slot_ref_t *ref, ak_count_e which,
                            apr_int64_t window);

/* Failed authentications by client address, in a bounded lossy sketch of its own:
 * add one (or none) in the window of this many seconds and return the total. */
apr_uint32_t ak_table_failures(ak_table_t *table, const unsigned char addr[16], int add,
                               apr_int64_t window_sec, apr_int64_t now_sec);

/* Tallies: add to, and read, the counter of an index below AK_TALLY_MAX. */
void ak_table_tally(ak_table_t *table, int index, apr_uint64_t add);
apr_uint64_t ak_table_tally_read(const ak_table_t *table, int index);

#endif
