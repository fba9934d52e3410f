/* ak_table_map.h - the layout of the key table's file; for ak_table*.c alone
 *
 * Every field that two processes touch is atomic.  Integers are the machine's own:
 * the file never leaves it.
 */
#ifndef AK_TABLE_MAP_H
#define AK_TABLE_MAP_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

#include "ak_table.h"

#define TABLE_MAGIC 0x6b65797461626c65ull /* "keytable" */
#define TABLE_LAYOUT 2
#define PROBE 64          /* places that a key may live in, from its home on */
#define STRIPES 64        /* locks for finding a place, by home */
#define SLOT_LOCKS 512    /* locks for writing a slot, by its number */
#define UNKNOWNS 4096     /* unknown keys remembered */
#define FAILURES 4096     /* addresses whose failures are counted */
#define TALLY_BANKS 8     /* so that processes seldom share a cache line */
#define DIGEST_WORDS (AK_DIGEST_BYTES / 8)
#define FACT_BYTES (sizeof(ak_key_t) - AK_DIGEST_BYTES)
#define FACT_WORDS ((FACT_BYTES + 7) / 8)

_Static_assert(offsetof(ak_key_t, digest) == 0, "facts are what follows the digest");

/* One key, four cache lines. */
typedef struct __attribute__((aligned(256))) {
    _Atomic apr_uint32_t sequence;   /* odd while the slot is written, or its writer died */
    _Atomic apr_uint32_t generation; /* raised each time the slot is given to another key */
    _Atomic apr_uint32_t drops;      /* raised by each change to the key */
    _Atomic apr_uint32_t claiming;   /* 1: empty, and between two keys */
    _Atomic apr_uint64_t filled;     /* the ticket that the facts were read under */
    _Atomic apr_uint64_t count[AK_COUNT_COUNT];
    _Atomic apr_uint64_t digest[DIGEST_WORDS];
    _Atomic apr_uint64_t facts[FACT_WORDS];
} slot_t;
_Static_assert(sizeof(slot_t) == 256, "a slot is four cache lines, and so is the step to the next");

typedef struct {
    _Atomic apr_uint64_t tag;
    _Atomic apr_int64_t noted_usec; /* monotonic */
} unknown_t;

typedef struct {
    apr_uint64_t magic;
    apr_uint32_t layout, slots;
    char node[AK_NODE_ID + 4];
    char boot[40];                /* the kernel's boot id: monotonic times are of this boot */
    _Atomic apr_uint32_t epoch;   /* raised to drop everything */
    _Atomic apr_uint32_t used;    /* slots that hold a key */
    _Atomic apr_uint64_t changes; /* drops of any kind so far */
    _Atomic apr_uint64_t applied;
    _Atomic apr_int64_t stamp;
    _Atomic apr_uint64_t poller;  /* pid and monotonic ms of its last word; 0: none */
    pthread_mutex_t stripe[STRIPES];
    pthread_mutex_t slot_lock[SLOT_LOCKS];
    _Atomic apr_uint64_t tally[TALLY_BANKS][AK_TALLY_MAX];
    unknown_t unknown[UNKNOWNS];
    _Atomic apr_uint64_t failure[FAILURES];
} head_t;

struct ak_table_t {
    head_t *head;
    _Atomic apr_uint64_t *tags;
    slot_t *slots;
    apr_uint32_t mask; /* slots - 1 */
    apr_size_t bytes;
    apr_time_t (*clock)(void); /* apr_time_now, but for tests */
};

/* --- counter words: generation (16 bits), window (20), count (28) --------------------- */

#define COUNT_BITS 28
#define WINDOW_BITS 20
#define COUNT_MAX ((1u << COUNT_BITS) - 1)
#define WINDOW_MASK ((1u << WINDOW_BITS) - 1)

static inline apr_uint64_t ak_count_word(apr_uint32_t generation, apr_int64_t window, apr_uint32_t count)
{
    return (apr_uint64_t)(generation & 0xffff) << (WINDOW_BITS + COUNT_BITS)
        | (apr_uint64_t)(window & WINDOW_MASK) << COUNT_BITS | count;
}
static inline apr_uint32_t ak_count_total(apr_uint64_t word)
{
    return (apr_uint32_t)(word & COUNT_MAX);
}
static inline apr_uint32_t ak_count_window(apr_uint64_t word)
{
    return (apr_uint32_t)(word >> COUNT_BITS & WINDOW_MASK);
}
static inline apr_uint32_t ak_count_generation(apr_uint64_t word)
{
    return (apr_uint32_t)(word >> (WINDOW_BITS + COUNT_BITS));
}
/* By how many windows the word is ahead, on the ring of window numbers. */
static inline apr_uint32_t ak_count_ahead(apr_uint64_t word, apr_int64_t window)
{
    return (ak_count_window(word) - (apr_uint32_t)window) & WINDOW_MASK;
}
/* Is the word's window this one, or ahead of it by a step or two (another process read its
 * clock later than ours, or the clock was set back a little)?  A window once begun is never
 * opened again: what comes late is counted in the word's. */
static inline int ak_count_is_current(apr_uint64_t word, apr_int64_t window)
{
    return ak_count_ahead(word, window) <= 2;
}
/* Is it ahead by more?  Then our reading is old, or the clock was set back by much. */
static inline int ak_count_is_later(apr_uint64_t word, apr_int64_t window)
{
    return !ak_count_is_current(word, window) && ak_count_ahead(word, window) <= WINDOW_MASK / 2;
}
static inline ak_window_e ak_count_unit(int which)
{
    return which == AK_COUNT_HOUR ? AK_WINDOW_HOUR : AK_WINDOW_MINUTE;
}
/* The windows of an instant by ak_count_e, as counter words have them, and those before which
 * all is over: the clock may be set back by as much as that without opening one again. */
#define SET_BACK apr_time_from_sec(120)
typedef struct {
    apr_uint32_t now[AK_COUNT_COUNT];
    apr_uint32_t oldest[AK_COUNT_COUNT];
} ak_horizon_t;

/* Could anybody's limit depend on the word still?  Not before the horizon; nor if it lies over
 * a day behind it, in the future of a clock that was wrong. */
static inline int ak_count_lives(apr_uint64_t word, int which, const ak_horizon_t *horizon)
{
    return ak_count_total(word) > 0
        && ((ak_count_window(word) - horizon->oldest[which]) & WINDOW_MASK)
            <= 86400u / AK_WINDOW_SEC(ak_count_unit(which));
}

/* --- shared by the table's files ---------------------------------------------------------- */

/* Take a lock that is held for microseconds.  0, after some yields or (patient) a tenth of a
 * second, says that its holder is stopped or starved.  A holder's death frees the lock; what it
 * left half done shows in what the lock guards. */
int ak_table_lock(pthread_mutex_t *lock, int patient);
void ak_table_unlock(pthread_mutex_t *lock);

/* Is the office another process's? */
int ak_table_replaced(const ak_table_t *table);

void ak_table_forget_unknown(ak_table_t *table, const unsigned char *digest);
void ak_table_forget_all_unknown(ak_table_t *table);

#endif
