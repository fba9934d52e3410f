/* ak_window.c - windows of time and RFC 3339, by pure arithmetic
 *
 * Days to civil date and back after the well-known shift that begins the year in
 * March, so that the leap day is the year's last.
 */
#include "ak_window.h"

#include <string.h>

#define DAY_SEC 86400

/* Division that rounds down, before 1970 too. */
static apr_int64_t floor_div(apr_int64_t a, apr_int64_t b)
{
    return a / b - (a % b < 0);
}

apr_int64_t ak_window_index(ak_window_e w, apr_time_t now)
{
    return floor_div(floor_div(now, APR_USEC_PER_SEC), AK_WINDOW_SEC(w));
}

apr_int64_t ak_window_reset_sec(ak_window_e w, apr_time_t now)
{
    return (ak_window_index(w, now) + 1) * AK_WINDOW_SEC(w);
}

apr_int64_t ak_window_retry_after_sec(apr_time_t now, apr_int64_t reset_sec)
{
    apr_time_t left = reset_sec * APR_USEC_PER_SEC - now;

    return left <= 0 ? 1 : (left + APR_USEC_PER_SEC - 1) / APR_USEC_PER_SEC;
}

/* --- civil dates ------------------------------------------------------------------- */

static apr_int64_t days_from_civil(apr_int64_t year, int month, int day)
{
    apr_int64_t y = month <= 2 ? year - 1 : year;
    apr_int64_t era = floor_div(y, 400);
    apr_int64_t of_era = y - era * 400;
    apr_int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static void civil_from_days(apr_int64_t days, apr_int64_t *year, int *month, int *day)
{
    apr_int64_t z = days + 719468;
    apr_int64_t era = floor_div(z, 146097);
    apr_int64_t doe = z - era * 146097;
    apr_int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    apr_int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int mp = (int)((5 * doy + 2) / 153);

    *day = (int)(doy - (153 * mp + 2) / 5 + 1);
    *month = mp < 10 ? mp + 3 : mp - 9;
    *year = yoe + era * 400 + (*month <= 2);
}

int ak_month_number(apr_int64_t sec)
{
    apr_int64_t year;
    int month, day;

    civil_from_days(floor_div(sec, DAY_SEC), &year, &month, &day);
    return (int)(year * 12 + month - 1);
}

apr_int64_t ak_month_start_sec(int month)
{
    return days_from_civil(month / 12, month % 12 + 1, 1) * DAY_SEC;
}

apr_int64_t ak_day_start_sec(apr_int64_t sec)
{
    return floor_div(sec, DAY_SEC) * DAY_SEC;
}

apr_int64_t ak_hour_start_sec(apr_int64_t sec)
{
    return floor_div(sec, 3600) * 3600;
}

/* --- RFC 3339 -------------------------------------------------------------------------- */

static void put_digits(char *out, apr_int64_t n, int width)
{
    while (width-- > 0) {
        out[width] = (char)('0' + n % 10);
        n /= 10;
    }
}

const char *ak_rfc3339(char *out, apr_int64_t sec)
{
    apr_int64_t days = floor_div(sec, DAY_SEC), rest = sec - days * DAY_SEC, year;
    int month, day;

    civil_from_days(days, &year, &month, &day);
    memcpy(out, "0000-00-00T00:00:00Z", 21);
    put_digits(out, year, 4);
    put_digits(out + 5, month, 2);
    put_digits(out + 8, day, 2);
    put_digits(out + 11, rest / 3600, 2);
    put_digits(out + 14, rest / 60 % 60, 2);
    put_digits(out + 17, rest % 60, 2);
    return out;
}

/* Exactly width digits at *s as a number within [low, high]; -1 otherwise. */
static int get_digits(const char **s, int width, int low, int high)
{
    int n = 0;

    while (width-- > 0) {
        if (**s < '0' || **s > '9') {
            return -1;
        }
        n = n * 10 + (*(*s)++ - '0');
    }
    return n < low || n > high ? -1 : n;
}

static int get_char(const char **s, const char *any)
{
    return **s && strchr(any, **s) ? *(*s)++ : 0;
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return days[month - 1] + (month == 2 && leap);
}

/* "Z" or "+hh:mm" as seconds east of UTC; 0 in *ok where it is neither. */
static int get_offset(const char **s, int *ok)
{
    int sign = get_char(s, "Zz+-"), hours, minutes;

    *ok = 1;
    if (sign == 'Z' || sign == 'z') {
        return 0;
    }
    if (!sign || (hours = get_digits(s, 2, 0, 23)) < 0 || !get_char(s, ":")
        || (minutes = get_digits(s, 2, 0, 59)) < 0) {
        *ok = 0;
        return 0;
    }
    return (sign == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
}

/* Within the years 0 to 9999, which are all that four digits can say. */
static int is_printable(apr_int64_t sec)
{
    int month = ak_month_number(sec);

    return sec >= days_from_civil(0, 1, 1) * DAY_SEC && month < 10000 * 12;
}

/* A leap second stands at the end of a month in UTC, and is the next month's first to POSIX. */
apr_status_t ak_rfc3339_parse(const char *s, apr_int64_t *sec)
{
    int year, month, day, hour, minute, second, offset, ok;
    apr_int64_t parsed;

    if ((year = get_digits(&s, 4, 0, 9999)) < 0 || !get_char(&s, "-")
        || (month = get_digits(&s, 2, 1, 12)) < 0 || !get_char(&s, "-")
        || (day = get_digits(&s, 2, 1, days_in_month(year, month))) < 0 || !get_char(&s, "Tt")
        || (hour = get_digits(&s, 2, 0, 23)) < 0 || !get_char(&s, ":")
        || (minute = get_digits(&s, 2, 0, 59)) < 0 || !get_char(&s, ":")
        || (second = get_digits(&s, 2, 0, 60)) < 0) {
        return APR_EINVAL;
    }
    if (get_char(&s, ".")) {
        if (get_digits(&s, 1, 0, 9) < 0) {
            return APR_EINVAL;
        }
        while (*s >= '0' && *s <= '9') {
            s++;
        }
    }
    offset = get_offset(&s, &ok);
    if (!ok || *s) {
        return APR_EINVAL;
    }
    parsed = days_from_civil(year, month, day) * DAY_SEC + hour * 3600 + minute * 60 + second - offset;
    if (!is_printable(parsed) || (second == 60 && parsed != ak_month_start_sec(ak_month_number(parsed)))) {
        return APR_EINVAL;
    }
    *sec = parsed;
    return APR_SUCCESS;
}
