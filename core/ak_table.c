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
 *   - counting and dropping take no lock: a counter is one word, and facts are valid
 *     only while drop count and epoch are those that their reader started from.
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

/* --- writing a slot ------------------------------------------------------------------ */

/* All that is written between the two is read whole or not at all. */
static void begin_write(slot_t *slot)
{
    atomic_store(&slot->sequence, atomic_load(&slot->sequence) | 1);
}

static void end_write(slot_t *slot)
{
    atomic_fetch_add(&slot->sequence, 1);
}

/* A slot whose writer died, by how far that one had come:
 *   - filling facts: the facts are torn, all else is whole;
 *   - claiming, before all counters were empty: the old key keeps the slot.  Counters that
 *     are of the next generation were idle, so their old totals are no loss;
 *   - claiming, after that: the slot is of the next generation, to which nobody has a
 *     reference yet.  Its digest is the old key's, the new one's, or a mixture, which is
 *     nobody's; whoever it belongs to finds empty counters, which were idle.
 * Dying in here leaves one of the same states. */
static void mend(slot_t *slot)
{
    apr_uint32_t generation = atomic_load(&slot->generation);
    int i;

    atomic_store(&slot->filled, POISON);
    for (i = 0; i < AK_COUNT_COUNT; i++) {
        if (ak_count_generation(atomic_load(&slot->count[i])) == (generation & 0xffff)) {
            continue;
        }
        if (atomic_load(&slot->claiming)) {
            atomic_store(&slot->generation, generation + 1);
            break;
        }
        atomic_store(&slot->count[i], ak_count_word(generation, 0, 0));
    }
    atomic_store(&slot->claiming, 0);
    end_write(slot);
}

static int lock_slot(ak_table_t *t, apr_uint32_t at, int patient)
{
    if (!ak_table_lock(&t->head->slot_lock[at % SLOT_LOCKS], patient)) {
        return 0;
    }
    if (atomic_load(&t->slots[at].sequence) & 1) { /* every writer holds the lock: this one died */
        mend(&t->slots[at]);
    }
    return 1;
}

static void unlock_slot(ak_table_t *t, apr_uint32_t at)
{
    ak_table_unlock(&t->head->slot_lock[at % SLOT_LOCKS]);
}

/* --- giving a slot to a digest ------------------------------------------------------- */

static ak_horizon_t horizon_at(apr_time_t now)
{
    ak_horizon_t horizon;
    int i;

    for (i = 0; i < AK_COUNT_COUNT; i++) {
        horizon.now[i] = (apr_uint32_t)ak_window_index(ak_count_unit(i), now) & WINDOW_MASK;
        horizon.oldest[i] = (apr_uint32_t)ak_window_index(ak_count_unit(i), now - SET_BACK) & WINDOW_MASK;
    }
    return horizon;
}

/* Have all windows of the slot passed?  Then nobody's limit depends on it. */
static int is_idle(slot_t *slot, const ak_horizon_t *horizon)
{
    int i;

    for (i = 0; i < AK_COUNT_COUNT; i++) {
        if (ak_count_lives(atomic_load(&slot->count[i]), i, horizon)) {
            return 0;
        }
    }
    return 1;
}

/* Minutes since the key of a slot was counted, or was given the slot. */
static apr_uint32_t idle_minutes(slot_t *slot, const ak_horizon_t *horizon)
{
    apr_uint32_t ahead = ak_count_ahead(atomic_load(&slot->count[AK_COUNT_MINUTE]),
                                        horizon->now[AK_COUNT_MINUTE]);

    return ahead <= WINDOW_MASK / 2 ? 0 : WINDOW_MASK + 1 - ahead;
}

/* Empty the counters for the next generation, each by compare-and-swap, so that what is
 * counted this instant is seen; then the slot is not idle after all, and they go back. */
static int empty_counters(slot_t *slot, apr_uint32_t generation, const ak_horizon_t *horizon)
{
    apr_uint64_t old[AK_COUNT_COUNT];
    int i;

    for (i = 0; i < AK_COUNT_COUNT; i++) {
        old[i] = atomic_load(&slot->count[i]);
        if (ak_count_lives(old[i], i, horizon)
            || !atomic_compare_exchange_strong(&slot->count[i], &old[i],
                                               ak_count_word(generation, horizon->now[i], 0))) {
            break;
        }
    }
    if (i == AK_COUNT_COUNT) {
        return 1;
    }
    while (i-- > 0) {
        atomic_store(&slot->count[i], old[i]);
    }
    return 0;
}

/* Write a new owner over a locked slot.  Once its counters are empty and of the next
 * generation, every older reference is told AK_EGONE, and nobody has a newer one. */
static int claim(ak_table_t *t, apr_uint32_t at, const unsigned char *digest, const ak_horizon_t *horizon)
{
    slot_t *slot = &t->slots[at];
    apr_uint32_t generation = atomic_load(&slot->generation) + 1;
    int i;

    if (!is_idle(slot, horizon)) { /* a look before readers are disturbed */
        return 0;
    }
    begin_write(slot);
    if (!empty_counters(slot, generation, horizon)) {
        end_write(slot);
        return 0;
    }
    atomic_store(&slot->claiming, 1);
    atomic_store(&slot->generation, generation);
    atomic_store(&slot->filled, POISON);
    for (i = 0; i < DIGEST_WORDS; i++) {
        atomic_store_explicit(&slot->digest[i], word_at(digest, i), memory_order_release);
    }
    if (atomic_exchange(&t->tags[at], tag_of(digest)) == 0) {
        atomic_fetch_add(&t->head->used, 1);
    }
    atomic_store(&slot->claiming, 0);
    end_write(slot);
    return 1;
}

/* The digest's own slot, if it has one.  A slot with our tag that cannot be read is in
 * another's hands, or was left torn by a death: its lock tells which. */
static apr_status_t find_own(ak_table_t *t, const unsigned char *digest, apr_uint32_t home,
                             ak_slot_ref_t *ref)
{
    apr_uint64_t tag = tag_of(digest), seen;
    snapshot_t copy;
    apr_uint32_t i;

    for (i = 0; i < PROBE; i++) {
        apr_uint32_t at = (home + i) & t->mask;

        if ((seen = atomic_load(&t->tags[at])) == 0) {
            return APR_NOTFOUND;
        }
        if (seen != tag) {
            continue;
        }
        if (!snapshot(&t->slots[at], &copy)) {
            if (!lock_slot(t, at, 1)) {
                return APR_EBUSY;
            }
            unlock_slot(t, at);
            if (!snapshot(&t->slots[at], &copy)) {
                return APR_EBUSY;
            }
        }
        if (ak_digest_equal((const unsigned char *)copy.digest, digest)) {
            ref->slot = at;
            ref->generation = copy.generation; /* of the same instant as the digest */
            return APR_SUCCESS;
        }
    }
    return APR_NOTFOUND;
}

/* The place to try next, as steps from home, or PROBE: the first never used, else the one
 * that is idle longest.  Nothing behind the first never used: a look-up would not get there. */
static apr_uint32_t choose_place(ak_table_t *t, apr_uint32_t home, const ak_horizon_t *horizon, apr_uint64_t tried,
                                 apr_uint32_t *generation)
{
    apr_uint32_t best = PROBE, longest = 0, i;

    for (i = 0; i < PROBE; i++) {
        apr_uint32_t at = (home + i) & t->mask, seen, minutes;

        seen = atomic_load(&t->slots[at].generation);
        if (atomic_load(&t->tags[at]) == 0) {
            if (!(tried >> i & 1)) {
                *generation = seen;
                best = i;
            }
            break;
        }
        if (tried >> i & 1 || !is_idle(&t->slots[at], horizon)) {
            continue;
        }
        minutes = idle_minutes(&t->slots[at], horizon);
        if (best == PROBE || minutes > longest) {
            *generation = seen;
            longest = minutes;
            best = i;
        }
    }
    return best;
}

typedef enum { CLAIM_DONE, CLAIM_REFUSED, CLAIM_CHANGED } claim_e;

/* Claim a place, unless it has been given away or mended since it was looked at. */
static claim_e claim_place(ak_table_t *t, apr_uint32_t at, apr_uint32_t generation, const unsigned char *digest,
                           const ak_horizon_t *horizon)
{
    claim_e done;

    /* Worth waiting for if it was never used: without it there is no way to those behind it. */
    if (!lock_slot(t, at, atomic_load(&t->tags[at]) == 0)) {
        return CLAIM_REFUSED;
    }
    if (atomic_load(&t->slots[at].generation) != generation) {
        done = CLAIM_CHANGED;
    }
    else {
        done = claim(t, at, digest, horizon) ? CLAIM_DONE : CLAIM_REFUSED;
    }
    unlock_slot(t, at);
    return done;
}

static apr_status_t find_room(ak_table_t *t, const unsigned char *digest, apr_uint32_t home,
                              const ak_horizon_t *horizon, ak_slot_ref_t *ref)
{
    apr_uint64_t tried = 0;
    apr_uint32_t i, generation = 0;
    int tries;

    for (tries = 0; tries < 2 * PROBE; tries++) {
        if ((i = choose_place(t, home, horizon, tried, &generation)) == PROBE) {
            return tried ? APR_EBUSY : APR_ENOSPC;
        }
        switch (claim_place(t, (home + i) & t->mask, generation, digest, horizon)) {
        case CLAIM_DONE:
            ref->slot = (home + i) & t->mask;
            ref->generation = generation + 1;
            return APR_SUCCESS;
        case CLAIM_REFUSED:
            tried |= (apr_uint64_t)1 << i;
            break;
        case CLAIM_CHANGED:
            break;
        }
    }
    return APR_EBUSY;
}

apr_status_t ak_table_reserve(ak_table_t *t, const unsigned char *digest, apr_time_t now,
                              ak_slot_ref_t *ref, apr_uint64_t *ticket)
{
    apr_uint32_t home = home_of(t, digest);
    pthread_mutex_t *stripe = &t->head->stripe[home % STRIPES];
    apr_status_t rv;

    if (!ak_table_lock(stripe, 1)) {
        return APR_EBUSY;
    }
    rv = find_own(t, digest, home, ref);
    if (rv == APR_NOTFOUND) {
        apr_time_t fresh = t->clock(); /* a caller that was stopped would open an old window anew */
        ak_horizon_t horizon = horizon_at(fresh > now ? fresh : now);

        rv = find_room(t, digest, home, &horizon, ref);
    }
    if (rv == APR_SUCCESS) {
        *ticket = ticket_now(t, &t->slots[ref->slot]);
    }
    ak_table_unlock(stripe);
    return rv;
}

static int is_of_digest(slot_t *slot, const unsigned char *digest)
{
    int i;

    for (i = 0; i < DIGEST_WORDS; i++) {
        if (atomic_load(&slot->digest[i]) != word_at(digest, i)) {
            return 0;
        }
    }
    return 1;
}

apr_status_t ak_table_fill(ak_table_t *t, const ak_slot_ref_t *ref, const ak_key_t *key,
                           apr_uint64_t ticket)
{
    slot_t *slot = &t->slots[ref->slot];
    apr_uint64_t facts[FACT_WORDS];
    apr_status_t rv = APR_SUCCESS;
    int i;

    memset(facts, 0, sizeof facts);
    memcpy(facts, (const unsigned char *)key + AK_DIGEST_BYTES, FACT_BYTES);
    if (!lock_slot(t, ref->slot, 1)) {
        return APR_EBUSY;
    }
    if (atomic_load(&slot->generation) != ref->generation || !is_of_digest(slot, key->digest)) {
        rv = AK_EGONE;
    }
    else if (ticket == ticket_now(t, slot)) { /* else they are old news, and newer may stand there */
        begin_write(slot);
        for (i = 0; i < (int)FACT_WORDS; i++) {
            atomic_store_explicit(&slot->facts[i], facts[i], memory_order_release);
        }
        atomic_store(&slot->filled, ticket);
        end_write(slot);
    }
    unlock_slot(t, ref->slot);
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
