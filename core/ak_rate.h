/* ak_rate.h - rate limits: two windows, taken together or not at all
 *
 * Fixed windows aligned to the UTC minute and hour.  Two stores stand behind one
 * vtable: shm (the key's slot in the table, exact on one node) and memcached
 * (exact over many nodes).  Whatever fails, no more than the limit is admitted.
 */
#ifndef AK_RATE_H
#define AK_RATE_H

#include "ak_table.h"
#include "ak_types.h"
#include "ak_window.h"

typedef struct {
    apr_uint32_t limit;
    apr_uint32_t remaining;
    apr_int64_t reset_sec; /* end of the window, seconds since 1970 */
} ak_rate_window_t;

typedef struct {
    int admitted;
    ak_window_e refused_by;                    /* when not admitted */
    ak_rate_window_t window[AK_WINDOW_COUNT];  /* by ak_window_e */
} ak_rate_result_t;

typedef struct {
    apr_uint32_t per_minute;
    apr_uint32_t per_hour;
} ak_limits_t;

typedef struct ak_rate_t ak_rate_t;

typedef struct {
    const char *name; /* as in APIKeyRateStore */
    /* Take one unit of both windows, or none.  Anything but APR_SUCCESS means that the
     * counters cannot be reached and nothing was granted; AK_EGONE: find the slot again. */
    apr_status_t (*take)(ak_rate_t *rate, const ak_slot_ref_t *ref, const char *key_id,
                         const ak_limits_t *limits, apr_time_t now, ak_rate_result_t *out);
    /* The same figures, spending nothing; admitted says whether a take would succeed. */
    apr_status_t (*peek)(ak_rate_t *rate, const ak_slot_ref_t *ref, const char *key_id,
                         const ak_limits_t *limits, apr_time_t now, ak_rate_result_t *out);
} ak_rate_vtable_t;

struct ak_rate_t {
    const ak_rate_vtable_t *v;
    ak_table_t *table; /* shm */
    void *baton;       /* the store's own */
};

ak_rate_t *ak_rate_shm_create(ak_table_t *table, apr_pool_t *p);

/* servers: "host:port host:port ...".  timeout bounds each trip.  *why on failure. */
apr_status_t ak_rate_memcached_create(ak_rate_t **rate, const char *servers,
                                      apr_interval_time_t timeout, const char **why, apr_pool_t *p);

#endif
