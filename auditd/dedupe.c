/* dedupe.c - which events have been counted, by producer and sequence
 *
 * Of each producer we know the number up to which all has been counted, and the runs
 * beyond it.  Batches may arrive in any order and more than once; a gap that stays
 * open for longer than the grace is told, and still filled if its events come late.
 */
#include <apr_strings.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "auditd.h"

/* --- the ranges of one producer: pure ------------------------------------------------ */

/* Index of the first range that ends at or behind seq; count where none does. */
static int find_range(const producer_t *p, apr_uint64_t seq)
{
    int low = 0, high = p->count;

    if (high > 0 && p->range[high - 1].last < seq)
        return high;
    while (low < high) {
        int middle = (low + high) / 2;
        if (p->range[middle].last < seq)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Move the shorter side: what fills gaps comes in order and takes them from the front. */
static void remove_range(producer_t *p, int at)
{
    if (at < p->count / 2) {
        memmove(p->range + 1, p->range, sizeof(range_t) * (apr_size_t)at);
        p->range++;
    } else {
        memmove(p->range + at, p->range + at + 1, sizeof(range_t) * (apr_size_t)(p->count - at - 1));
    }
    p->count--;
}

/* Make room at both ends, in a place twice as large where this one is half full. */
static void make_room(producer_t *p)
{
    int room_count = 2 * p->count >= p->room_count ? 2 * p->room_count + 64 : p->room_count;
    range_t *room = room_count > p->room_count ? apr_palloc(p->pool, sizeof(range_t) * (apr_size_t)room_count)
                                               : p->room;
    range_t *range = room + (room_count - p->count) / 2;

    if (p->count > 0)
        memmove(range, p->range, sizeof(range_t) * (apr_size_t)p->count);
    p->room = room;
    p->room_count = room_count;
    p->range = range;
}

static void insert_range(producer_t *p, int at, range_t fresh)
{
    if (p->range == p->room || p->range + p->count == p->room + p->room_count)
        make_room(p);
    if (at < p->count / 2) {
        p->range--;
        memmove(p->range, p->range + 1, sizeof(range_t) * (apr_size_t)at);
    } else {
        memmove(p->range + at + 1, p->range + at, sizeof(range_t) * (apr_size_t)(p->count - at));
    }
    p->range[at] = fresh;
    p->count++;
}

/* Ranges that follow on what is contiguous become part of it. */
static void absorb(producer_t *p)
{
    while (p->count > 0 && p->range[0].first == p->contiguous + 1) {
        p->contiguous = p->range[0].last;
        remove_range(p, 0);
    }
}

/* Too many gaps to remember: the oldest is given up, and its events, should they come, are not counted. */
static void give_up_oldest(producer_t *p)
{
    apr_uint64_t gap = p->range[0].first - p->contiguous - 1;

    if (p->range[0].since_sec != 0)
        p->given_up += gap;
    p->contiguous = p->range[0].last;
    remove_range(p, 0);
    absorb(p);
}

/* A gap's event has come: was the gap told as lost? */
static void note_filled(producer_t *p, int at)
{
    if (at < p->count && p->range[at].since_sec == 0 && p->lost > 0) {
        p->lost--;
        p->recovered = 1;
    }
}

/* Put seq, which stands in the gap before range `at`, next to its neighbours. */
static void place(producer_t *p, int at, apr_uint64_t seq, apr_int64_t now_sec)
{
    int joins_left = at > 0 && p->range[at - 1].last + 1 == seq;
    int joins_right = at < p->count && p->range[at].first == seq + 1;

    if (joins_left && joins_right) {
        p->range[at - 1].last = p->range[at].last;
        remove_range(p, at);
    } else if (joins_left) {
        p->range[at - 1].last = seq;
    } else if (joins_right) {
        p->range[at].first = seq;
    } else {
        /* the gap before it is as old as the one that it stands in */
        insert_range(p, at, (range_t){seq, seq, at < p->count ? p->range[at].since_sec : now_sec});
    }
}

int producer_take(producer_t *p, apr_uint64_t seq, apr_int64_t now_sec)
{
    int at;

    if (seq <= p->contiguous)
        return 0;
    at = find_range(p, seq);
    if (at < p->count && p->range[at].first <= seq)
        return 0;
    note_filled(p, at);
    if (seq == p->contiguous + 1) {
        p->contiguous = seq;
        absorb(p);
        return 1;
    }
    place(p, at, seq, now_sec);
    if (p->count > PRODUCER_RANGES)
        give_up_oldest(p);
    return 1;
}

apr_uint64_t producer_tell_gaps(producer_t *p, apr_int64_t now_sec, int grace_sec)
{
    apr_uint64_t told = p->given_up, before = p->contiguous;

    p->given_up = 0;
    for (int i = 0; i < p->count; i++) {
        range_t *r = &p->range[i];
        if (r->since_sec != 0 && r->since_sec + grace_sec <= now_sec) {
            told += r->first - before - 1;
            r->since_sec = 0;
        }
        before = r->last;
    }
    p->lost += told;
    return told;
}

apr_int64_t producer_gap_since(const producer_t *p)
{
    apr_int64_t oldest = 0;

    for (int i = 0; i < p->count; i++)
        if (p->range[i].since_sec != 0 && (oldest == 0 || p->range[i].since_sec < oldest))
            oldest = p->range[i].since_sec;
    return oldest;
}

/* --- the ranges as text: pure ---------------------------------------------------------- */

typedef struct {
    apr_uint64_t gap, len, since, times;
} item_t;

static item_t item_of(const producer_t *p, int i)
{
    const range_t *r = &p->range[i];
    apr_uint64_t before = i > 0 ? p->range[i - 1].last : p->contiguous;

    return (item_t){r->first - before - 1, r->last - r->first + 1, (apr_uint64_t)r->since_sec, 1};
}

static const char *item_text(const item_t *item, apr_pool_t *pool)
{
#define N "%" APR_UINT64_T_FMT
    return apr_pstrcat(pool, apr_psprintf(pool, N "+" N, item->gap, item->len),
                       item->since ? apr_psprintf(pool, "@" N, item->since) : "",
                       item->times > 1 ? apr_psprintf(pool, "x" N, item->times) : "", NULL);
#undef N
}

const char *producer_ranges_text(const producer_t *producer, apr_pool_t *pool)
{
    apr_array_header_t *parts = apr_array_make(pool, 8, sizeof(const char *));

    for (int i = 0; i < producer->count;) {
        item_t item = item_of(producer, i), next;

        while (++i < producer->count) {
            next = item_of(producer, i);
            if (next.gap != item.gap || next.len != item.len || next.since != item.since)
                break;
            item.times++;
        }
        APR_ARRAY_PUSH(parts, const char *) = item_text(&item, pool);
    }
    return apr_array_pstrcat(pool, parts, ' ');
}

/* A number from 1 at *text, which moves behind it. */
static int take_number(const char **text, apr_uint64_t *out)
{
    char *end;

    if (**text < '1' || **text > '9')
        return 0;
    errno = 0;
    *out = strtoull(*text, &end, 10);
    *text = end;
    return errno == 0 && *out <= APR_INT64_MAX;
}

static int take_item(const char **text, item_t *item)
{
    *item = (item_t){.times = 1};
    if (!take_number(text, &item->gap) || *(*text)++ != '+' || !take_number(text, &item->len))
        return 0;
    if (**text == '@') {
        ++*text;
        if (!take_number(text, &item->since))
            return 0;
    }
    if (**text == 'x') {
        ++*text;
        return take_number(text, &item->times);
    }
    return 1;
}

static int append_item(producer_t *p, const item_t *item)
{
    for (apr_uint64_t i = 0; i < item->times; i++) {
        apr_uint64_t before = p->count > 0 ? p->range[p->count - 1].last : p->contiguous;

        if (p->count == PRODUCER_RANGES || item->gap > APR_INT64_MAX - before ||
            item->len > APR_INT64_MAX - before - item->gap)
            return 0;
        insert_range(p, p->count, (range_t){before + item->gap + 1, before + item->gap + item->len,
                                            (apr_int64_t)item->since});
    }
    return 1;
}

apr_status_t producer_ranges_parse(producer_t *p, const char *text)
{
    item_t item;

    p->count = 0;
    while (*text != '\0') {
        if (!take_item(&text, &item) || !append_item(p, &item))
            return APR_EINVAL;
        if (*text == ' ' && text[1] != '\0')
            text++;
        else if (*text != '\0')
            return APR_EINVAL;
    }
    return APR_SUCCESS;
}

producer_t *producer_make(const char *name, apr_pool_t *pool)
{
    producer_t *p = apr_pcalloc(pool, sizeof(*p));

    apr_cpystrn(p->name, name, sizeof(p->name));
    p->pool = pool;
    return p;
}

/* --- in SQL ---------------------------------------------------------------------------- */

apr_status_t dedupe_load(tx_t *tx, const char *name, producer_t **out)
{
    producer_t *p = producer_make(name, tx->p);
    ak_rows_t rows;
    apr_status_t rv = TX_SELECT(tx, AK_SQL_AUD_PRODUCER_GET, &rows, name);

    if (rv != APR_SUCCESS)
        return rv;
    p->first_seen = tx->now_sec;
    if (rows.count > 0) {
        p->contiguous = (apr_uint64_t)ak_rows_number(&rows, 0, 0, 0);
        p->lost = (apr_uint64_t)ak_rows_number(&rows, 0, 2, 0);
        p->first_seen = ak_rows_number(&rows, 0, 3, tx->now_sec);
        rv = producer_ranges_parse(p, ak_rows_text(&rows, 0, 1));
        if (rv != APR_SUCCESS) {
            log_say(LOG_LEVEL_ERROR, "the row of producer %s in table producers is malformed: correct "
                    "its column \"beyond\" or delete the row", name);
            return rv;
        }
    }
    *out = p;
    return APR_SUCCESS;
}

apr_status_t dedupe_save(tx_t *tx, const producer_t *p)
{
    return TX_EXEC(tx, AK_SQL_AUD_PRODUCER_PUT, NULL, p->name, TX_NUMBER(tx, p->contiguous),
                   producer_ranges_text(p, tx->p), TX_NUMBER(tx, p->lost),
                   ak_dbd_number_or_null(tx->p, producer_gap_since(p), 0), TX_NUMBER(tx, p->first_seen),
                   TX_NUMBER(tx, tx->now_sec));
}

apr_status_t dedupe_take(tx_t *tx, const ak_event_t *event, int *is_new)
{
    producer_t *p = tx->last_producer;
    apr_status_t rv;

    if (!p || strcmp(p->name, event->producer) != 0) {
        if (!tx->producers)
            tx->producers = apr_hash_make(tx->p);
        p = apr_hash_get(tx->producers, event->producer, APR_HASH_KEY_STRING);
        if (!p) {
            rv = dedupe_load(tx, event->producer, &p);
            if (rv != APR_SUCCESS)
                return rv;
            apr_hash_set(tx->producers, p->name, APR_HASH_KEY_STRING, p);
        }
        tx->last_producer = p;
    }
    *is_new = producer_take(p, event->seq, tx->now_sec);
    return APR_SUCCESS;
}

apr_status_t dedupe_flush(tx_t *tx)
{
    apr_hash_index_t *i = tx->producers ? apr_hash_first(tx->p, tx->producers) : NULL;
    apr_status_t rv = APR_SUCCESS;

    for (; i && rv == APR_SUCCESS; i = apr_hash_next(i))
        rv = dedupe_save(tx, apr_hash_this_val(i));
    return rv;
}
