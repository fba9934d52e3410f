/* crowd.c - how many different ones in how long, by subject
 *
 * Of each subject the CROWD_MAX that came last are remembered, as a digest of 32 bits
 * and a time each: that is all the memory that somebody who varies what he sends can claim.
 */
#include <apr_lib.h>
#include <apr_strings.h>
#include <stdlib.h>
#include <string.h>

#include "auditd.h"

/* --- the crowd: pure ------------------------------------------------------------------------ */

/* FNV-1a: a crowd is small, and nobody gains by a collision that hides one of his own. */
static apr_uint32_t digest_of(const char *who)
{
    apr_uint32_t digest = 2166136261u;

    for (; *who != '\0'; who++)
        digest = (digest ^ (unsigned char)*who) * 16777619u;
    return digest;
}

static void forget(crowd_t *crowd, apr_int64_t before)
{
    int kept = 0;

    for (int i = 0; i < crowd->count; i++)
        if (crowd->face[i].sec > before)
            crowd->face[kept++] = crowd->face[i];
    crowd->count = kept;
}

/* Where a new one goes: behind the others, or in the place of the one seen longest ago. */
static face_t *room_for(crowd_t *crowd)
{
    face_t *oldest = &crowd->face[0];

    if (crowd->count < CROWD_MAX)
        return &crowd->face[crowd->count++];
    for (int i = 1; i < CROWD_MAX; i++)
        if (crowd->face[i].sec < oldest->sec)
            oldest = &crowd->face[i];
    return oldest;
}

int crowd_add(crowd_t *crowd, const char *who, apr_int64_t sec, int window_sec)
{
    apr_uint32_t digest = digest_of(who);
    apr_int64_t newest = sec;

    for (int i = 0; i < crowd->count; i++)
        if (crowd->face[i].sec > newest)
            newest = crowd->face[i].sec;
    forget(crowd, newest - window_sec);
    if (sec <= newest - window_sec)
        return crowd->count;
    for (int i = 0; i < crowd->count; i++)
        if (crowd->face[i].digest == digest) {
            if (sec > crowd->face[i].sec)
                crowd->face[i].sec = sec;
            return crowd->count;
        }
    *room_for(crowd) = (face_t){digest, sec};
    return crowd->count;
}

const char *crowd_text(const crowd_t *crowd, apr_pool_t *p)
{
    char *text = apr_palloc(p, CROWD_MAX * 32 + 1), *at = text;

    *at = '\0';
    for (int i = 0; i < crowd->count; i++)
        at += apr_snprintf(at, 32, "%s%x@%" APR_INT64_T_FMT, i > 0 ? " " : "", crowd->face[i].digest,
                           crowd->face[i].sec);
    return text;
}

apr_status_t crowd_parse(crowd_t *crowd, const char *text)
{
    crowd_t read = {0};

    memset(crowd, 0, sizeof(*crowd));
    while (*text != '\0') {
        char *end;
        unsigned long long digest = strtoull(text, &end, 16);
        const char *at = end + 1;

        if (end == text || *end != '@' || !apr_isxdigit(*text) || digest > APR_UINT32_MAX || read.count == CROWD_MAX)
            return APR_EINVAL;
        read.face[read.count].digest = (apr_uint32_t)digest;
        read.face[read.count++].sec = strtoll(at, &end, 10);
        if (end == at || !apr_isdigit(*at) || (*end != '\0' && (*end != ' ' || end[1] == '\0')))
            return APR_EINVAL;
        text = *end == ' ' ? end + 1 : end;
    }
    *crowd = read;
    return APR_SUCCESS;
}

/* --- sightings of a batch ---------------------------------------------------------------------- */

static apr_status_t first_sighting(tx_t *tx, apr_hash_t *sightings, const char *state, const char *subject,
                                   sighting_t **out)
{
    sighting_t *s = apr_pcalloc(tx->p, sizeof(*s));
    const char *text;
    apr_status_t rv = detect_state_get(tx, state, subject, &text);

    s->subject = apr_pstrdup(tx->p, subject);
    s->crowd = apr_pcalloc(tx->p, sizeof(*s->crowd));
    if (rv == APR_SUCCESS && crowd_parse(s->crowd, text) != APR_SUCCESS)
        log_say(LOG_LEVEL_WARNING, "the state of detector %s for %s is malformed and begins anew", state, subject);
    apr_hash_set(sightings, s->subject, APR_HASH_KEY_STRING, s);
    *out = s;
    return rv;
}

apr_status_t crowd_hit(tx_t *tx, apr_hash_t **sightings, const char *state, const char *subject, const char *who,
                       const ak_event_t *e, int window_sec, int threshold)
{
    sighting_t *s;
    apr_uint32_t count;

    if (!*sightings)
        *sightings = apr_hash_make(tx->p);
    s = apr_hash_get(*sightings, subject, APR_HASH_KEY_STRING);
    if (!s) {
        apr_status_t rv = first_sighting(tx, *sightings, state, subject, &s);
        if (rv != APR_SUCCESS)
            return rv;
    }
    watch_note(s, e);
    count = (apr_uint32_t)crowd_add(s->crowd, who, watch_second(tx, e), window_sec);
    if (count > s->peak)
        s->peak = count;
    if (count >= (apr_uint32_t)threshold)
        s->over += s->over == 0 && count == (apr_uint32_t)threshold ? count : 1;
    return APR_SUCCESS;
}

apr_status_t crowd_save(tx_t *tx, apr_hash_t *sightings, const char *state, int window_sec)
{
    apr_hash_index_t *i = sightings ? apr_hash_first(tx->p, sightings) : NULL;
    apr_status_t rv = APR_SUCCESS;

    for (; i && rv == APR_SUCCESS; i = apr_hash_next(i)) {
        const sighting_t *s = apr_hash_this_val(i);
        apr_int64_t last = apr_time_sec(s->last) > tx->now_sec ? apr_time_sec(s->last) : tx->now_sec;

        rv = detect_state_put(tx, state, s->subject, crowd_text(s->crowd, tx->p), last + 2 * (apr_int64_t)window_sec);
    }
    return rv;
}
