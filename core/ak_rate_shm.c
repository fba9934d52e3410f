/* ak_rate_shm.c - rate limits counted in the key's own slot: exact on one node */
#include <apr_strings.h>

#include "ak_rate.h"

static void fill_window(ak_rate_window_t *out, ak_window_e w, apr_uint32_t limit,
                        apr_uint32_t count, apr_time_t now)
{
    out->limit = limit;
    out->remaining = count >= limit ? 0 : limit - count;
    out->reset_sec = ak_window_reset_sec(w, now);
}

static apr_status_t shm_peek(ak_rate_t *rate, const ak_slot_ref_t *ref, const char *key_id,
                             const ak_limits_t *limits, apr_time_t now, ak_rate_result_t *out)
{
    apr_uint32_t minute = ak_table_count(rate->table, ref, AK_COUNT_MINUTE,
                                         ak_window_index(AK_WINDOW_MINUTE, now));
    apr_uint32_t hour = ak_table_count(rate->table, ref, AK_COUNT_HOUR,
                                       ak_window_index(AK_WINDOW_HOUR, now));

    fill_window(&out->window[AK_WINDOW_MINUTE], AK_WINDOW_MINUTE, limits->per_minute, minute, now);
    fill_window(&out->window[AK_WINDOW_HOUR], AK_WINDOW_HOUR, limits->per_hour, hour, now);
    out->admitted = minute < limits->per_minute && hour < limits->per_hour;
    /* Of two windows that are used up, waiting for the later one is what helps. */
    out->refused_by = hour >= limits->per_hour ? AK_WINDOW_HOUR : AK_WINDOW_MINUTE;
    return APR_SUCCESS;
}

static apr_status_t shm_take(ak_rate_t *rate, const ak_slot_ref_t *ref, const char *key_id,
                             const ak_limits_t *limits, apr_time_t now, ak_rate_result_t *out)
{
    apr_int64_t minute_window = ak_window_index(AK_WINDOW_MINUTE, now);
    apr_int64_t hour_window = ak_window_index(AK_WINDOW_HOUR, now);
    apr_uint32_t minute, hour;
    apr_status_t rv;

    /* Look first, so that a key whose hour is used up does not borrow from its minute. */
    shm_peek(rate, ref, key_id, limits, now, out);
    if (!out->admitted) {
        return APR_SUCCESS;
    }
    rv = ak_table_take(rate->table, ref, AK_COUNT_MINUTE, minute_window, limits->per_minute, &minute);
    if (rv == AK_EGONE) {
        return rv;
    }
    if (rv == APR_SUCCESS) {
        rv = ak_table_take(rate->table, ref, AK_COUNT_HOUR, hour_window, limits->per_hour, &hour);
        if (rv == AK_EGONE) {
            return rv;
        }
        if (rv == APR_SUCCESS) {
            out->window[AK_WINDOW_MINUTE].remaining = limits->per_minute - minute;
            out->window[AK_WINDOW_HOUR].remaining = limits->per_hour - hour;
            return APR_SUCCESS;
        }
        ak_table_give_back(rate->table, ref, AK_COUNT_MINUTE, minute_window);
        out->refused_by = AK_WINDOW_HOUR;
    }
    else {
        out->refused_by = AK_WINDOW_MINUTE;
    }
    out->admitted = 0;
    out->window[out->refused_by].remaining = 0;
    return APR_SUCCESS;
}

static const ak_rate_vtable_t shm_vtable = {"shm", shm_take, shm_peek};

ak_rate_t *ak_rate_shm_create(ak_table_t *table, apr_pool_t *p)
{
    ak_rate_t *rate = apr_pcalloc(p, sizeof *rate);

    rate->v = &shm_vtable;
    rate->table = table;
    return rate;
}
