/* ak_text - UTF-8, checked by hand: RFC 3629 section 4 */
#include "ak_text.h"

/* Decode one character at s and say how many bytes it has; 0: it is malformed. */
static int decode(const unsigned char *s, apr_uint32_t *point)
{
    static const apr_uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    int length, i;

    if (s[0] < 0x80) {
        *point = s[0];
        return 1;
    }
    length = (s[0] & 0xe0) == 0xc0 ? 2 : (s[0] & 0xf0) == 0xe0 ? 3 : (s[0] & 0xf8) == 0xf0 ? 4 : 0;
    if (length == 0)
        return 0;
    *point = s[0] & (0x7f >> length);
    for (i = 1; i < length; i++) { /* a NUL is no continuation, so the end is never passed */
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        *point = *point << 6 | (s[i] & 0x3f);
    }
    if (*point < least[length] || *point > 0x10ffff || (*point >= 0xd800 && *point <= 0xdfff))
        return 0;
    return length;
}

int ak_utf8_ok(const char *s)
{
    const unsigned char *at = (const unsigned char *)s;
    apr_uint32_t point;
    int length;

    for (; *at != '\0'; at += length) {
        length = decode(at, &point);
        if (length == 0)
            return 0;
    }
    return 1;
}

int ak_text_length(const char *s, int line_breaks)
{
    const unsigned char *at = (const unsigned char *)s;
    apr_uint32_t point;
    int length, count = 0;

    for (; *at != '\0'; at += length, count++) {
        length = decode(at, &point);
        if (length == 0)
            return -1;
        if ((point < 0x20 && !(line_breaks && point == '\n')) || (point >= 0x7f && point <= 0x9f))
            return -1;
    }
    return count;
}
