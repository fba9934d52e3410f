/* ak_window.h - windows of time aligned to the UTC minute, hour, day and month
 *
 * Pure arithmetic on whole seconds since 1970 UTC; no time zone, no leap seconds
 * (POSIX time has none), thread-safe.
 */
#ifndef AK_WINDOW_H
#define AK_WINDOW_H

#include "ak_types.h"

typedef enum { AK_WINDOW_MINUTE = 0, AK_WINDOW_HOUR = 1, AK_WINDOW_COUNT = 2 } ak_window_e;

/* Length in seconds. */
#define AK_WINDOW_SEC(w) ((w) == AK_WINDOW_MINUTE ? 60 : 3600)

/* Number of the window that holds now, counted from 1970. */
apr_int64_t ak_window_index(ak_window_e w, apr_time_t now);
/* Second at which that window ends and the next begins. */
apr_int64_t ak_window_reset_sec(ak_window_e w, apr_time_t now);
/* Whole seconds to wait until then: at least 1, never early (rounded up). */
apr_int64_t ak_window_retry_after_sec(apr_time_t now, apr_int64_t reset_sec);

/* year * 12 + (month - 1) of a second; its first second; the first of the next. */
int ak_month_number(apr_int64_t sec);
apr_int64_t ak_month_start_sec(int month);
/* Start of the UTC day and of the hour that hold sec. */
apr_int64_t ak_day_start_sec(apr_int64_t sec);
apr_int64_t ak_hour_start_sec(apr_int64_t sec);

/* RFC 3339 in UTC with Z: "2025-10-14T10:30:00Z" (20 characters). out: AK_RFC3339_SIZE bytes. */
#define AK_RFC3339_SIZE 32
const char *ak_rfc3339(char *out, apr_int64_t sec);
/* Parse RFC 3339 section 5.6 with any offset; fractions are cut off.  APR_EINVAL
 * for any other shape or for a date that does not exist. */
apr_status_t ak_rfc3339_parse(const char *s, apr_int64_t *sec);

#endif
