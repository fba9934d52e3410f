/* ak_table_count.c - what is counted in the key table
 *
 * A window counter is one word with the slot's generation, the window's number and
 * the total in it, changed by compare-and-swap only: no death can tear it, no stale
 * reference can touch another key's, and a total never passes its limit.
 */
#include <string.h>
#include <unistd.h>

#include "ak_table_map.h"

/* --- the windows of a key ------------------------------------------------------------------- */

apr_status_t ak_table_take(ak_table_t *t, const ak_slot_ref_t *ref, ak_count_e which,
                           apr_int64_t window, apr_uint32_t limit, apr_uint32_t *count)
{
    _Atomic apr_uint64_t *word = &t->slots[ref->slot].count[which];
    apr_uint64_t seen = atomic_load(word), next;

    if (limit > COUNT_MAX) {
        limit = COUNT_MAX;
    }
    for (;;) {
        apr_uint32_t total = 0;
        apr_int64_t current = window;

        if (ak_count_generation(seen) != (ref->generation & 0xffff)) {
            return AK_EGONE;
        }
        if (ak_count_is_later(seen, window)) { /* only a fresh reading may move it back */
            current = ak_window_index(ak_count_unit(which), t->clock());
            if (current != window) {
                window = current;
                continue;
            }
        }
        if (ak_count_is_current(seen, window)) {
            total = ak_count_total(seen);
            current = ak_count_window(seen);
        }
        if (total >= limit) {
            *count = total;
            return APR_EBUSY;
        }
        next = ak_count_word(ref->generation, current, total + 1);
        if (atomic_compare_exchange_weak(word, &seen, next)) {
            *count = total + 1;
            return APR_SUCCESS;
        }
    }
}

void ak_table_give_back(ak_table_t *t, const ak_slot_ref_t *ref, ak_count_e which,
                        apr_int64_t window)
{
    _Atomic apr_uint64_t *word = &t->slots[ref->slot].count[which];
    apr_uint64_t seen = atomic_load(word);

    while (ak_count_generation(seen) == (ref->generation & 0xffff)
           && ak_count_window(seen) == ((apr_uint32_t)window & WINDOW_MASK)
           && ak_count_total(seen) > 0) {
        if (atomic_compare_exchange_weak(word, &seen, seen - 1)) {
            return;
        }
    }
}

apr_uint32_t ak_table_count(ak_table_t *t, const ak_slot_ref_t *ref, ak_count_e which,
                            apr_int64_t window)
{
    apr_uint64_t seen = atomic_load(&t->slots[ref->slot].count[which]);

    if (ak_count_generation(seen) != (ref->generation & 0xffff)
        || !ak_count_is_current(seen, window)) {
        return 0;
    }
    return ak_count_total(seen);
}

/* --- unknown keys ------------------------------------------------------------------------------ */

static unknown_t *unknown_of(ak_table_t *t, const unsigned char *digest, apr_uint64_t *tag)
{
    apr_uint64_t second;

    memcpy(tag, digest, sizeof *tag);
    memcpy(&second, digest + 8, sizeof second);
    return &t->head->unknown[second % UNKNOWNS];
}

int ak_table_is_unknown(ak_table_t *t, const unsigned char *digest, apr_interval_time_t ttl)
{
    apr_uint64_t tag;
    unknown_t *u = unknown_of(t, digest, &tag);

    apr_int64_t noted;

    if (tag == 0 || atomic_load(&u->tag) != tag) {
        return 0;
    }
    noted = atomic_load(&u->noted_usec);
    /* Looked at again: the time might be that of another key, which has just come here. */
    return atomic_load(&u->tag) == tag && ak_monotonic_usec() - noted < ttl;
}

apr_uint64_t ak_table_mark(const ak_table_t *t)
{
    return atomic_load(&t->head->changes);
}

/* Note first, look whether anything changed second: a drop raises the count first and
 * clears second, so in every order of the two one of them sees the other. */
void ak_table_note_unknown(ak_table_t *t, const unsigned char *digest, apr_uint64_t mark)
{
    apr_uint64_t tag;
    unknown_t *u = unknown_of(t, digest, &tag);

    atomic_store(&u->tag, 0);
    atomic_store(&u->noted_usec, ak_monotonic_usec());
    atomic_store(&u->tag, tag);
    if (ak_table_mark(t) != mark) {
        atomic_store(&u->tag, 0);
    }
}

void ak_table_forget_unknown(ak_table_t *t, const unsigned char *digest)
{
    apr_uint64_t tag;
    unknown_t *u = unknown_of(t, digest, &tag);

    atomic_store(&u->tag, 0);
}

void ak_table_forget_all_unknown(ak_table_t *t)
{
    int i;

    for (i = 0; i < UNKNOWNS; i++) {
        atomic_store(&t->head->unknown[i].tag, 0);
    }
}

/* --- failures by address ------------------------------------------------------------------------ */

/* Spread 16 bytes over 64 bits (the finaliser of splitmix64, Steele et al. 2014), begun
 * from the node's random id so that nobody outside can choose collisions. */
static apr_uint64_t spread(const ak_table_t *t, const unsigned char addr[16])
{
    apr_uint64_t h, half[2];
    int i;

    memcpy(&h, t->head->node, sizeof h);
    memcpy(half, addr, sizeof half);
    for (i = 0; i < 2; i++) {
        h ^= half[i];
        h = (h ^ h >> 30) * 0xbf58476d1ce4e5b9ull;
        h = (h ^ h >> 27) * 0x94d049bb133111ebull;
        h ^= h >> 31;
    }
    return h;
}

/* A word holds 16 bits of the address's hash, the window and the total; an address that
 * falls on another's word takes it over, so memory is bounded and a count may be too low. */
apr_uint32_t ak_table_failures(ak_table_t *t, const unsigned char addr[16], int add,
                               apr_int64_t window_sec, apr_int64_t now_sec)
{
    apr_uint64_t h = spread(t, addr), seen, next;
    _Atomic apr_uint64_t *word = &t->head->failure[h % FAILURES];
    apr_uint32_t mark = (apr_uint32_t)(h >> 48);
    apr_int64_t window = now_sec / window_sec;

    seen = atomic_load(word);
    for (;;) {
        apr_uint32_t total = 0;

        if (ak_count_generation(seen) == mark
            && ak_count_window(seen) == ((apr_uint32_t)window & WINDOW_MASK)) {
            total = ak_count_total(seen);
        }
        if (!add || total == COUNT_MAX) {
            return total;
        }
        next = ak_count_word(mark, window, total + 1);
        if (atomic_compare_exchange_weak(word, &seen, next)) {
            return total + 1;
        }
    }
}

/* --- node-wide figures ------------------------------------------------------------------------------ */

void ak_table_tally(ak_table_t *t, int index, apr_uint64_t add)
{
    static _Thread_local unsigned bank;

    if (!bank) {
        bank = (unsigned)getpid() % TALLY_BANKS + 1;
    }
    atomic_fetch_add_explicit(&t->head->tally[bank - 1][index], add, memory_order_relaxed);
}

apr_uint64_t ak_table_tally_read(const ak_table_t *t, int index)
{
    apr_uint64_t sum = 0;
    int i;

    for (i = 0; i < TALLY_BANKS; i++) {
        sum += atomic_load_explicit(&t->head->tally[i][index], memory_order_relaxed);
    }
    return sum;
}

const char *ak_table_node(const ak_table_t *t)
{
    return t->head->node;
}

apr_uint32_t ak_table_slots(const ak_table_t *t)
{
    return t->mask + 1;
}

apr_uint32_t ak_table_used(const ak_table_t *t)
{
    return atomic_load(&t->head->used);
}

apr_uint64_t ak_table_applied(const ak_table_t *t)
{
    return atomic_load(&t->head->applied);
}

/* Both only move forward: a poller that was stopped and woke up again has old news.  It may
 * be news of another database even, whose log was longer; but then the office is another's. */
void ak_table_set_applied(ak_table_t *t, apr_uint64_t sequence)
{
    apr_uint64_t seen = atomic_load(&t->head->applied);

    if (ak_table_replaced(t)) {
        return;
    }
    while (seen < sequence && !atomic_compare_exchange_weak(&t->head->applied, &seen, sequence)) {
    }
}

void ak_table_restart_log(ak_table_t *t, apr_uint64_t sequence)
{
    ak_table_drop_all(t);
    atomic_store(&t->head->applied, sequence);
}

apr_int64_t ak_table_stamp(const ak_table_t *t)
{
    return atomic_load_explicit(&t->head->stamp, memory_order_acquire);
}

void ak_table_set_stamp(ak_table_t *t, apr_int64_t monotonic_usec)
{
    apr_int64_t seen = atomic_load(&t->head->stamp);

    while (seen < monotonic_usec
           && !atomic_compare_exchange_weak(&t->head->stamp, &seen, monotonic_usec)) {
    }
}
