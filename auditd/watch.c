/* watch.c - how many in how long, by subject: what threshold detectors share */
#include <apr_strings.h>
#include <stdlib.h>
#include <string.h>

#include "auditd.h"

#define AHEAD_SEC 60 /* so much may an event's clock be ahead of ours */

/* --- the window: pure --------------------------------------------------------------------- */

static int cell_seconds(int window_sec)
{
    return window_sec > WATCH_CELLS ? window_sec / WATCH_CELLS : 1;
}

static void slide(window_t *w, apr_int64_t to)
{
    apr_int64_t steps = to - w->newest;

    for (apr_int64_t i = 1; i <= steps && i <= WATCH_CELLS; i++)
        w->cell[(w->newest + i) % WATCH_CELLS] = 0;
    w->newest = to;
}

apr_uint32_t window_add(window_t *w, apr_int64_t sec, int window_sec)
{
    apr_int64_t cell = sec / cell_seconds(window_sec);
    apr_uint32_t sum = 0;

    if (cell > w->newest)
        slide(w, cell);
    if (cell > w->newest - WATCH_CELLS)
        w->cell[cell % WATCH_CELLS]++;
    for (int i = 0; i < WATCH_CELLS; i++)
        sum += w->cell[i];
    return sum;
}

const char *window_text(const window_t *w, apr_pool_t *p)
{
    char *text = apr_psprintf(p, "%" APR_INT64_T_FMT, w->newest);

    for (int i = 0; i < WATCH_CELLS; i++)
        text = apr_psprintf(p, "%s %u", text, w->cell[i]);
    return text;
}

apr_status_t window_parse(window_t *w, const char *text)
{
    char *end;
    window_t read = {0};

    memset(w, 0, sizeof(*w));
    read.newest = strtoll(text, &end, 10);
    if (end == text || read.newest < 0)
        return APR_EINVAL;
    for (int i = 0; i < WATCH_CELLS; i++) {
        const char *from = end;
        unsigned long n = strtoul(from, &end, 10);

        if (end == from || *from != ' ' || n > APR_UINT32_MAX)
            return APR_EINVAL;
        read.cell[i] = (apr_uint32_t)n;
    }
    if (*end != '\0')
        return APR_EINVAL;
    *w = read;
    return APR_SUCCESS;
}

/* --- where an event comes from ---------------------------------------------------------------- */

const char *watch_source(const char *address, char text[AK_CIDR_TEXT])
{
    ak_cidr_t net = {{0}, 128};

    text[0] = '\0';
    if (ak_addr_parse(net.addr, address) != APR_SUCCESS)
        return text;
    if (strchr(address, ':') && memcmp(net.addr, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12) != 0) {
        memset(net.addr + 8, 0, 8);
        net.bits = 64;
        return ak_cidr_text(text, &net);
    }
    return apr_cpystrn(text, address, AK_CIDR_TEXT), text;
}

const char *watch_network(const char *address, char text[AK_CIDR_TEXT])
{
    unsigned char bytes[16];
    ak_cidr_t net;

    text[0] = '\0';
    if (ak_addr_parse(bytes, address) != APR_SUCCESS)
        return text;
    ak_cidr_network_of(&net, bytes);
    return ak_cidr_text(text, &net);
}

/* --- sightings of a batch -------------------------------------------------------------------- */

static apr_status_t first_sighting(tx_t *tx, apr_hash_t *sightings, const char *state, const char *subject,
                                   sighting_t **out)
{
    sighting_t *s = apr_pcalloc(tx->p, sizeof(*s));
    const char *text = "";
    apr_status_t rv = APR_SUCCESS;

    s->subject = apr_pstrdup(tx->p, subject);
    if (state)
        rv = detect_state_get(tx, state, subject, &text);
    if (text[0] != '\0' && window_parse(&s->window, text) != APR_SUCCESS)
        log_say(LOG_LEVEL_WARNING, "the state of detector %s for %s is malformed and begins anew", state, subject);
    apr_hash_set(sightings, s->subject, APR_HASH_KEY_STRING, s);
    *out = s;
    return rv;
}

void watch_note(sighting_t *s, const ak_event_t *e)
{
    if (s->hits++ == 0 || e->time < s->first)
        s->first = e->time;
    if (e->time >= s->last) {
        s->last = e->time;
        memcpy(s->address, e->address, sizeof(s->address));
        memcpy(s->key, e->key, sizeof(s->key));
        memcpy(s->account, e->account, sizeof(s->account));
    }
}

apr_int64_t watch_second(const tx_t *tx, const ak_event_t *e)
{
    apr_int64_t sec = apr_time_sec(e->time);

    return sec > tx->now_sec + AHEAD_SEC ? tx->now_sec : sec;
}

apr_status_t watch_hit(tx_t *tx, apr_hash_t **sightings, const char *state, const char *subject,
                       const ak_event_t *e, int window_sec, apr_uint32_t threshold)
{
    sighting_t *s;
    apr_uint32_t sum;
    apr_status_t rv;

    if (!*sightings)
        *sightings = apr_hash_make(tx->p);
    s = apr_hash_get(*sightings, subject, APR_HASH_KEY_STRING);
    if (!s) {
        rv = first_sighting(tx, *sightings, state, subject, &s);
        if (rv != APR_SUCCESS)
            return rv;
    }
    watch_note(s, e);
    sum = window_add(&s->window, watch_second(tx, e), window_sec);
    if (sum > s->peak)
        s->peak = sum;
    if (sum >= threshold)
        s->over += s->over == 0 && sum == threshold ? threshold : 1;
    return APR_SUCCESS;
}

apr_status_t watch_save(tx_t *tx, apr_hash_t *sightings, const char *state, int window_sec)
{
    apr_hash_index_t *i = sightings ? apr_hash_first(tx->p, sightings) : NULL;
    apr_status_t rv = APR_SUCCESS;

    for (; i && rv == APR_SUCCESS; i = apr_hash_next(i)) {
        const sighting_t *s = apr_hash_this_val(i);
        apr_int64_t last = apr_time_sec(s->last) > tx->now_sec ? apr_time_sec(s->last) : tx->now_sec;

        rv = detect_state_put(tx, state, s->subject, window_text(&s->window, tx->p), last + 2 * window_sec);
    }
    return rv;
}

apr_status_t watch_each(tx_t *tx, const detector_t *self, apr_hash_t *sightings, watch_tell_t tell)
{
    apr_hash_index_t *i = sightings ? apr_hash_first(tx->p, sightings) : NULL;
    apr_status_t rv = APR_SUCCESS;

    for (; i && rv == APR_SUCCESS; i = apr_hash_next(i)) {
        const sighting_t *s = apr_hash_this_val(i);
        if (s->over > 0)
            rv = tell(tx, self, s);
    }
    return rv;
}
