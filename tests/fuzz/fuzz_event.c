/* fuzz_event.c - event lines of any bytes */
#include "fuzz.h"

#include "ak_event.h"

/* There is one way to write an event, so what decodes is what it would be encoded to. */
FUZZ_TARGET(event)
{
    char *line = malloc(size ? size : 1), again[AK_EVENT_MAX];
    const char *why = "untouched";
    ak_event_t event;

    REQUIRE(line != NULL);
    memcpy(line, data, size);
    if (ak_event_decode(&event, line, size, &why) == APR_SUCCESS) {
        apr_size_t len = ak_event_encode(again, &event);

        REQUIRE(why == NULL);
        REQUIRE(len <= AK_EVENT_MAX && again[len - 1] == '\n');
        REQUIRE(len == size + (line[size - 1] != '\n') && memcmp(again, line, len - 1) == 0);
    }
    else
        REQUIRE(why != NULL && why[0] != '\0' && strcmp(why, "untouched") != 0);
    free(line);
    return 0;
}
