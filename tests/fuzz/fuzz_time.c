/* fuzz_time.c - RFC 3339 times */
#include "fuzz.h"

#include "ak_window.h"

/* What parses prints, in UTC, to what parses to the same second. */
FUZZ_TARGET(time)
{
    char *s = fuzz_string(data, size), text[AK_RFC3339_SIZE];
    apr_int64_t sec = -1, again;

    if (ak_rfc3339_parse(s, &sec) == APR_SUCCESS) {
        int month = ak_month_number(sec);

        REQUIRE(strlen(s) >= 20);
        REQUIRE(strlen(ak_rfc3339(text, sec)) == 20 && text[19] == 'Z');
        REQUIRE(ak_rfc3339_parse(text, &again) == APR_SUCCESS && again == sec);
        REQUIRE(ak_month_start_sec(month) <= sec && sec < ak_month_start_sec(month + 1));
        REQUIRE(ak_day_start_sec(sec) <= sec && sec - ak_day_start_sec(sec) < 86400);
        REQUIRE(ak_hour_start_sec(sec) <= sec && sec - ak_hour_start_sec(sec) < 3600);
    }
    else
        REQUIRE(sec == -1);
    free(s);
    return 0;
}
