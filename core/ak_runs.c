/* ak_runs.c - which numbers of a growing sequence have been seen */
#include "ak_runs.h"

#include <apr_strings.h>
#include <apr_tables.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

void ak_runs_init(ak_runs_t *r, apr_uint64_t contiguous, apr_pool_t *pool)
{
    memset(r, 0, sizeof(*r));
    r->contiguous = contiguous;
    r->pool = pool;
}

/* Index of the first run that ends at or behind number; count where none does. */
static int find_run(const ak_runs_t *r, apr_uint64_t number)
{
    int low = 0, high = r->count;

    if (high > 0 && r->run[high - 1].last < number)
        return high;
    while (low < high) {
        int middle = (low + high) / 2;
        if (r->run[middle].last < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Move the shorter side: what fills gaps comes in order and takes them from the front. */
static void remove_run(ak_runs_t *r, int at)
{
    if (at < r->count / 2) {
        memmove(r->run + 1, r->run, sizeof(ak_run_t) * (apr_size_t)at);
        r->run++;
    } else {
        memmove(r->run + at, r->run + at + 1, sizeof(ak_run_t) * (apr_size_t)(r->count - at - 1));
    }
    r->count--;
}

/* Make room at both ends, in a place twice as large where this one is half full. */
static void make_room(ak_runs_t *r)
{
    int room_count = 2 * r->count >= r->room_count ? 2 * r->room_count + 64 : r->room_count;
    ak_run_t *room = room_count > r->room_count ? apr_palloc(r->pool, sizeof(ak_run_t) * (apr_size_t)room_count)
                                                : r->room;
    ak_run_t *run = room + (room_count - r->count) / 2;

    if (r->count > 0)
        memmove(run, r->run, sizeof(ak_run_t) * (apr_size_t)r->count);
    r->room = room;
    r->room_count = room_count;
    r->run = run;
}

static void insert_run(ak_runs_t *r, int at, ak_run_t fresh)
{
    if (r->run == r->room || r->run + r->count == r->room + r->room_count)
        make_room(r);
    if (at < r->count / 2) {
        r->run--;
        memmove(r->run, r->run + 1, sizeof(ak_run_t) * (apr_size_t)at);
    } else {
        memmove(r->run + at + 1, r->run + at, sizeof(ak_run_t) * (apr_size_t)(r->count - at));
    }
    r->run[at] = fresh;
    r->count++;
}

/* Runs that follow on what is contiguous become part of it. */
static void absorb(ak_runs_t *r)
{
    while (r->count > 0 && r->run[0].first == r->contiguous + 1) {
        r->contiguous = r->run[0].last;
        remove_run(r, 0);
    }
}

/* Too many gaps to remember: the oldest is given up, and its
 * numbers, should they come, are taken for seen. */
static void give_up_oldest(ak_runs_t *r)
{
    apr_uint64_t gap = r->run[0].first - r->contiguous - 1;

    if (r->run[0].since_sec != 0)
        r->given_up += gap;
    r->contiguous = r->run[0].last;
    remove_run(r, 0);
    absorb(r);
}

/* Put number, which stands in the gap before run `at`, next to its neighbours. */
static void place(ak_runs_t *r, int at, apr_uint64_t number, apr_int64_t now_sec)
{
    int joins_left = at > 0 && r->run[at - 1].last + 1 == number;
    int joins_right = at < r->count && r->run[at].first == number + 1;

    if (joins_left && joins_right) {
        r->run[at - 1].last = r->run[at].last;
        remove_run(r, at);
    } else if (joins_left) {
        r->run[at - 1].last = number;
    } else if (joins_right) {
        r->run[at].first = number;
    } else {
        /* the gap before it is as old as the one that it stands in */
        insert_run(r, at, (ak_run_t){number, number, at < r->count ? r->run[at].since_sec : now_sec});
    }
}

ak_runs_e ak_runs_take(ak_runs_t *r, apr_uint64_t number, apr_int64_t now_sec)
{
    ak_runs_e answer = AK_RUNS_NEW;
    int at;

    if (number <= r->contiguous)
        return AK_RUNS_SEEN;
    at = find_run(r, number);
    if (at < r->count) {
        if (r->run[at].first <= number)
            return AK_RUNS_SEEN;
        if (r->run[at].since_sec == 0)
            answer = AK_RUNS_LATE;
    }
    if (number == r->contiguous + 1) {
        r->contiguous = number;
        absorb(r);
        return answer;
    }
    place(r, at, number, now_sec);
    if (r->count > AK_RUNS_MAX)
        give_up_oldest(r);
    return answer;
}

int ak_runs_has(const ak_runs_t *r, apr_uint64_t number)
{
    int at = find_run(r, number);

    return number <= r->contiguous || (at < r->count && r->run[at].first <= number);
}

apr_uint64_t ak_runs_tell_gaps(ak_runs_t *r, apr_int64_t now_sec, int grace_sec)
{
    apr_uint64_t told = r->given_up, before = r->contiguous;

    r->given_up = 0;
    for (int i = 0; i < r->count; i++) {
        ak_run_t *run = &r->run[i];
        if (run->since_sec != 0 && run->since_sec + grace_sec <= now_sec) {
            told += run->first - before - 1;
            run->since_sec = 0;
        }
        before = run->last;
    }
    return told;
}

apr_int64_t ak_runs_gap_since(const ak_runs_t *r)
{
    apr_int64_t oldest = 0;

    for (int i = 0; i < r->count; i++)
        if (r->run[i].since_sec != 0 && (oldest == 0 || r->run[i].since_sec < oldest))
            oldest = r->run[i].since_sec;
    return oldest;
}

/* --- as text ------------------------------------------------------------------------------ */

typedef struct {
    apr_uint64_t gap, len, since, times;
} item_t;

static item_t item_of(const ak_runs_t *r, int i)
{
    const ak_run_t *run = &r->run[i];
    apr_uint64_t before = i > 0 ? run[-1].last : r->contiguous;

    return (item_t){run->first - before - 1, run->last - run->first + 1, (apr_uint64_t)run->since_sec, 1};
}

static const char *item_text(const item_t *item, apr_pool_t *p)
{
#define N "%" APR_UINT64_T_FMT
    return apr_pstrcat(p, apr_psprintf(p, N "+" N, item->gap, item->len),
                       item->since ? apr_psprintf(p, "@" N, item->since) : "",
                       item->times > 1 ? apr_psprintf(p, "x" N, item->times) : "", NULL);
#undef N
}

const char *ak_runs_text(const ak_runs_t *r, apr_pool_t *p)
{
    apr_array_header_t *parts = apr_array_make(p, 8, sizeof(const char *));

    for (int i = 0; i < r->count;) {
        item_t item = item_of(r, i), next;

        while (++i < r->count) {
            next = item_of(r, i);
            if (next.gap != item.gap || next.len != item.len || next.since != item.since)
                break;
            item.times++;
        }
        APR_ARRAY_PUSH(parts, const char *) = item_text(&item, p);
    }
    return apr_array_pstrcat(p, parts, ' ');
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

static int append_item(ak_runs_t *r, const item_t *item)
{
    for (apr_uint64_t i = 0; i < item->times; i++) {
        apr_uint64_t before = r->count > 0 ? r->run[r->count - 1].last : r->contiguous;

        if (r->count == AK_RUNS_MAX || item->gap > APR_INT64_MAX - before ||
            item->len > APR_INT64_MAX - before - item->gap)
            return 0;
        insert_run(r, r->count, (ak_run_t){before + item->gap + 1, before + item->gap + item->len,
                                           (apr_int64_t)item->since});
    }
    return 1;
}

apr_status_t ak_runs_parse(ak_runs_t *r, const char *text)
{
    item_t item;

    r->count = 0;
    while (*text != '\0') {
        if (!take_item(&text, &item) || !append_item(r, &item))
            return APR_EINVAL;
        if (*text == ' ' && text[1] != '\0')
            text++;
        else if (*text != '\0')
            return APR_EINVAL;
    }
    return APR_SUCCESS;
}
