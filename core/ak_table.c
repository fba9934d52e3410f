/* ak_table.c - the shared-memory key table: find, reserve, fill, drop
 *
 * The map: a header, a tag (the first eight bytes of the digest) for each slot,
 * and the slots.  A key lives within PROBE places behind its home, so a look-up
 * reads a cache line or two of tags and then one slot.  Tags never go back to 0:
 * a slot is given to another key in place, so probing may stop at the first 0.
 *
 * Who may write what:
 *   - a stripe lock (by home) covers the search for a place, so that one digest
 *     can never get two places and with them two sets of counters;
 *   - a slot's lock covers giving it to a digest (claim) and filling its facts;
 *   - dropping takes no lock: it raises the slot's drop count, and facts are
 *     valid only while the count and the epoch are those their reader started from.
 * Facts and digest are copied word by word with acquire/release order inside an
 * odd/even sequence, which is the seqlock without fences (Boehm, "Can seqlocks
 * get along with programming language memory models?", MSPC 2012).
 */
#include "ak_table.h"

#include <string.h>

#include "ak_digest.h"
#include "ak_table_map.h"

#define READ_TRIES 64
#define POISON (~(apr_uint64_t)0) /* a ticket that never was: facts not filled */

/* --- where a digest lives -------------------------------------------------------- */

static apr_uint64_t word_at(const unsigned char *digest, int i)
{
    apr_uint64_t w;

    memcpy(&w, digest + 8 * i, sizeof w);
    return w;
}

static apr_uint64_t tag_of(const unsigned char *digest)
{
    apr_uint64_t tag = word_at(digest, 0);

    return tag ? tag : 1; /* 0 marks a slot that was never used */
}

static apr_uint32_t home_of(const ak_table_t *t, const unsigned char *digest)
{
    return (apr_uint32_t)word_at(digest, 1) & t->mask;
}

/* The ticket that facts read from SQL from now on would carry. */
static apr_uint64_t ticket_now(ak_table_t *t, slot_t *slot)
{
    return (apr_uint64_t)atomic_load(&t->head->epoch) << 32 | atomic_load(&slot->drops);
}

/* --- reading a slot ---------------------------------------------------------------- */

typedef struct {
    apr_uint64_t digest[DIGEST_WORDS];
    apr_uint64_t facts[FACT_WORDS];
    apr_uint64_t filled;
    apr_uint32_t generation;
} snapshot_t;

/* A consistent copy of a slot, or 0 if a writer was at it all the while. */
static int snapshot(slot_t *slot, snapshot_t *out)
{
    int tries, i;

    for (tries = 0; tries < READ_TRIES; tries++) {
        apr_uint32_t before = atomic_load_explicit(&slot->sequence, memory_order_acquire);

        if (before & 1) {
            continue;
        }
        for (i = 0; i < DIGEST_WORDS; i++) {
            out->digest[i] = atomic_load_explicit(&slot->digest[i], memory_order_acquire);
        }
        for (i = 0; i < (int)FACT_WORDS; i++) {
            out->facts[i] = atomic_load_explicit(&slot->facts[i], memory_order_acquire);
        }
        out->filled = atomic_load_explicit(&slot->filled, memory_order_acquire);
        out->generation = atomic_load_explicit(&slot->generation, memory_order_acquire);
        if (atomic_load_explicit(&slot->sequence, memory_order_relaxed) == before) {
            return 1;
        }
    }
    return 0;
}

ak_table_e ak_table_find(ak_table_t *t, const unsigned char *digest, ak_key_t *key,
                         ak_slot_ref_t *ref)
{
    apr_uint64_t tag = tag_of(digest), seen;
    apr_uint32_t home = home_of(t, digest), i;
    snapshot_t copy;

    for (i = 0; i < PROBE; i++) {
        apr_uint32_t at = (home + i) & t->mask;

        seen = atomic_load_explicit(&t->tags[at], memory_order_acquire);
        if (seen == 0) {
            return AK_TABLE_MISS;
        }
        if (seen != tag || !snapshot(&t->slots[at], &copy)
            || !ak_digest_equal((const unsigned char *)copy.digest, digest)) {
            continue;
        }
        if (copy.filled != ticket_now(t, &t->slots[at])) {
            return AK_TABLE_MISS;
        }
        memcpy(key->digest, digest, AK_DIGEST_BYTES);
        memcpy((unsigned char *)key + AK_DIGEST_BYTES, copy.facts, FACT_BYTES);
        ref->slot = at;
        ref->generation = copy.generation;
        return AK_TABLE_HIT;
    }
    return AK_TABLE_MISS;
}

/* --- giving a slot to a digest ------------------------------------------------------- */

/* Has every window of the slot passed?  Then nobody's limit depends on it. */
static int is_idle(slot_t *slot, apr_time_t now)
{
    int i;

    for (i = 0; i < AK_COUNT_COUNT; i++) {
        ak_window_e w = i == AK_COUNT_HOUR ? AK_WINDOW_HOUR : AK_WINDOW_MINUTE;
        if (ak_count_runs(atomic_load(&slot->count[i]), ak_window_index(w, now))) {
            return 0;
        }
    }
    return 1;
}

/* Write a new owner over a locked slot.  The minute counter goes first and by
 * compare-and-swap: whoever counts takes the minute first, so from then on an old
 * reference is told AK_EGONE; if somebody has just counted, the slot is not idle after all. */
static int claim(ak_table_t *t, apr_uint32_t at, const unsigned char *digest, int torn,
                 apr_time_t now)
{
    slot_t *slot = &t->slots[at];
    apr_uint32_t generation = atomic_load(&slot->generation) + 1;
    apr_uint64_t minute = atomic_load(&slot->count[AK_COUNT_MINUTE]);
    apr_uint64_t empty = ak_count_word(generation, 0, 0);
    int i;

    if (!torn && !is_idle(slot, now)) {
        return 0;
    }
    atomic_store(&slot->claiming, 1);
    atomic_store(&slot->sequence, atomic_load(&slot->sequence) | 1);
    if (torn) {
        atomic_store(&slot->count[AK_COUNT_MINUTE], empty);
    }
    else if (!atomic_compare_exchange_strong(&slot->count[AK_COUNT_MINUTE], &minute, empty)) {
        atomic_fetch_add(&slot->sequence, 1);
        atomic_store(&slot->claiming, 0);
        return 0;
    }
    atomic_store(&slot->count[AK_COUNT_HOUR], empty);
    atomic_store(&slot->count[AK_COUNT_MANAGE], empty);
    atomic_store(&slot->generation, generation);
    atomic_store(&slot->filled, POISON);
    for (i = 0; i < DIGEST_WORDS; i++) {
        atomic_store_explicit(&slot->digest[i], word_at(digest, i), memory_order_release);
    }
    if (atomic_exchange(&t->tags[at], tag_of(digest)) == 0) {
        atomic_fetch_add(&t->head->used, 1);
    }
    atomic_fetch_add(&slot->sequence, 1);
    atomic_store(&slot->claiming, 0);
    return 1;
}

/* Lock a slot and claim it. A claim whose maker died half way is done over. */
static apr_status_t claim_locked(ak_table_t *t, apr_uint32_t at, const unsigned char *digest,
                                 apr_time_t now)
{
    slot_t *slot = &t->slots[at];
    int done;

    if (!ak_table_lock(&slot->lock)) {
        return APR_EBUSY;
    }
    done = claim(t, at, digest, atomic_load(&slot->claiming) != 0, now);
    ak_table_unlock(&slot->lock);
    return done ? APR_SUCCESS : APR_EBUSY;
}

/* The digest's own slot, if it has one.  A slot with our tag that cannot be read is
 * in another's hands: wait for its lock; if it was left torn by a dead process, it is ours. */
static apr_status_t find_own(ak_table_t *t, const unsigned char *digest, apr_uint32_t home,
                             apr_time_t now, apr_uint32_t *at)
{
    apr_uint64_t tag = tag_of(digest), seen;
    snapshot_t copy;
    apr_uint32_t i;

    for (i = 0; i < PROBE; i++) {
        apr_uint32_t place = (home + i) & t->mask;
        slot_t *slot = &t->slots[place];

        if ((seen = atomic_load(&t->tags[place])) == 0) {
            return APR_NOTFOUND;
        }
        if (seen != tag) {
            continue;
        }
        if (!snapshot(slot, &copy)) {
            if (!ak_table_lock(&slot->lock)) {
                return APR_EBUSY;
            }
            if (atomic_load(&slot->claiming)) {
                claim(t, place, digest, 1, now);
            }
            else if (atomic_load(&slot->sequence) & 1) {
                atomic_store(&slot->filled, POISON); /* facts torn; digest and counters are whole */
                atomic_fetch_add(&slot->sequence, 1);
            }
            ak_table_unlock(&slot->lock);
            if (!snapshot(slot, &copy)) {
                return APR_EBUSY;
            }
        }
        if (ak_digest_equal((const unsigned char *)copy.digest, digest)) {
            *at = place;
            return APR_SUCCESS;
        }
    }
    return APR_NOTFOUND;
}

/* A place for a new digest: the first never used, else the idle one that is idle longest. */
static apr_status_t find_room(ak_table_t *t, const unsigned char *digest, apr_uint32_t home,
                              apr_time_t now, apr_uint32_t *at)
{
    int tries;

    for (tries = 0; tries < PROBE; tries++) {
        apr_uint32_t i, best = 0;
        apr_uint64_t oldest = ~(apr_uint64_t)0, hour;
        int found = 0;

        for (i = 0; i < PROBE; i++) {
            apr_uint32_t place = (home + i) & t->mask;

            if (atomic_load(&t->tags[place]) == 0) {
                best = place;
                found = 1;
                break;
            }
            hour = ak_count_window(atomic_load(&t->slots[place].count[AK_COUNT_HOUR]));
            if (hour < oldest && is_idle(&t->slots[place], now)) {
                best = place;
                oldest = hour;
                found = 1;
            }
        }
        if (!found) {
            return APR_ENOSPC;
        }
        if (claim_locked(t, best, digest, now) == APR_SUCCESS) {
            *at = best;
            return APR_SUCCESS;
        }
    }
    return APR_EBUSY;
}

apr_status_t ak_table_reserve(ak_table_t *t, const unsigned char *digest, apr_time_t now,
                              ak_slot_ref_t *ref, apr_uint64_t *ticket)
{
    apr_uint32_t home = home_of(t, digest), at = 0;
    _Atomic apr_uint64_t *stripe = &t->head->stripe[home % STRIPES];
    apr_status_t rv;

    if (!ak_table_lock(stripe)) {
        return APR_EBUSY;
    }
    rv = find_own(t, digest, home, now, &at);
    if (rv == APR_NOTFOUND) {
        rv = find_room(t, digest, home, now, &at);
    }
    if (rv == APR_SUCCESS) {
        ref->slot = at;
        ref->generation = atomic_load(&t->slots[at].generation);
        *ticket = ticket_now(t, &t->slots[at]);
    }
    ak_table_unlock(stripe);
    return rv;
}

apr_status_t ak_table_fill(ak_table_t *t, const ak_slot_ref_t *ref, const ak_key_t *key,
                           apr_uint64_t ticket)
{
    slot_t *slot = &t->slots[ref->slot];
    apr_uint64_t facts[FACT_WORDS];
    apr_status_t rv = AK_EGONE;
    int i;

    memset(facts, 0, sizeof facts);
    memcpy(facts, (const unsigned char *)key + AK_DIGEST_BYTES, FACT_BYTES);
    if (!ak_table_lock(&slot->lock)) {
        return APR_EBUSY;
    }
    if (!atomic_load(&slot->claiming) && atomic_load(&slot->generation) == ref->generation) {
        atomic_store(&slot->sequence, atomic_load(&slot->sequence) | 1);
        for (i = 0; i < (int)FACT_WORDS; i++) {
            atomic_store_explicit(&slot->facts[i], facts[i], memory_order_release);
        }
        atomic_store(&slot->filled, ticket);
        atomic_fetch_add(&slot->sequence, 1);
        rv = APR_SUCCESS;
    }
    ak_table_unlock(&slot->lock);
    return rv;
}

/* --- forgetting ---------------------------------------------------------------------- */

void ak_table_drop(ak_table_t *t, const unsigned char *digest)
{
    apr_uint64_t tag = tag_of(digest), seen;
    apr_uint32_t home = home_of(t, digest), i;

    atomic_fetch_add(&t->head->changes, 1);
    ak_table_forget_unknown(t, digest);
    for (i = 0; i < PROBE; i++) {
        apr_uint32_t at = (home + i) & t->mask;

        if ((seen = atomic_load(&t->tags[at])) == 0) {
            return;
        }
        if (seen == tag) { /* another digest of the same tag only loses a cached copy */
            atomic_fetch_add(&t->slots[at].drops, 1);
        }
    }
}

void ak_table_drop_all(ak_table_t *t)
{
    atomic_fetch_add(&t->head->changes, 1);
    atomic_fetch_add(&t->head->epoch, 1);
    ak_table_forget_all_unknown(t);
}

apr_uint32_t ak_table_epoch(const ak_table_t *t)
{
    return atomic_load(&t->head->epoch);
}
