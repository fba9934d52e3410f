/* ak_event.c - encode and decode the usage event, version 1 */
#include "ak_event.h"

#include <string.h>

#include "ak_token.h"

/* Longest line: the fixed text, every member at its widest, and room to spare. */
_Static_assert(AK_EVENT_MAX >= 256 + AK_PRODUCER_MAX + 2 * AK_ID_MAX + 5 + 46 + 17 + 66 + 32 + 3 * 20,
               "an event must always fit its line");

#define SEQ_MAX APR_UINT64_C(9223372036854775807) /* what an SQL BIGINT holds */
#define TIME_MAX APR_UINT64_C(253402300799999999) /* the end of the year 9999 */

static const char *const class_names[] = {"api", "manage"};

/* --- classes of characters --------------------------------------------------- */

static int in_producer(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-';
}

static int in_address(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || c == ':' ||
           c == '.';
}

/* What JSON needs no escape for, in ASCII. */
static int in_text(unsigned char c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

/* --- encode ------------------------------------------------------------------ */

#define PUT(to, literal) put_bytes(to, literal, sizeof(literal) - 1)

static char *put_bytes(char *to, const char *from, apr_size_t len)
{
    memcpy(to, from, len);
    return to + len;
}

/* At most `size` bytes of a member that need not end in a NUL. */
static char *put_text(char *to, const char *from, apr_size_t size)
{
    for (apr_size_t i = 0; i < size && from[i] != '\0'; i++)
        *to++ = in_text((unsigned char)from[i]) ? from[i] : '?';
    return to;
}

/* An address ends where it ceases to look like one: a zone ("%eth0") is left out. */
static char *put_address(char *to, const char *from, apr_size_t size)
{
    for (apr_size_t i = 0; i < size && in_address((unsigned char)from[i]); i++)
        *to++ = from[i];
    return to;
}

static char *put_number(char *to, apr_uint64_t n)
{
    char digits[20];
    int count = 0;

    do {
        digits[count++] = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    while (count > 0)
        *to++ = digits[--count];
    return to;
}

apr_size_t ak_event_encode(char *buf, const ak_event_t *event)
{
    const char *name = class_names[event->klass == AK_CLASS_MANAGE];
    const char *slug = ak_problem_of(event->decision)->slug;
    char *to = buf;

    to = PUT(to, "{\"v\":1,\"producer\":\"");
    to = put_text(to, event->producer, sizeof(event->producer) - 1);
    to = PUT(to, "\",\"seq\":");
    to = put_number(to, event->seq);
    to = PUT(to, ",\"time\":");
    to = put_number(to, event->time > 0 ? (apr_uint64_t)event->time : 0);
    to = PUT(to, ",\"class\":\"");
    to = put_bytes(to, name, strlen(name));
    to = PUT(to, "\",\"key\":\"");
    to = put_text(to, event->key, sizeof(event->key) - 1);
    to = PUT(to, "\",\"account\":\"");
    to = put_text(to, event->account, sizeof(event->account) - 1);
    to = PUT(to, "\",\"environment\":\"");
    to = put_text(to, event->environment, sizeof(event->environment) - 1);
    to = PUT(to, "\",\"address\":\"");
    to = put_address(to, event->address, sizeof(event->address) - 1);
    to = PUT(to, "\",\"method\":\"");
    to = put_text(to, event->method, sizeof(event->method) - 1);
    to = PUT(to, "\",\"scope\":\"");
    to = put_text(to, event->scope, sizeof(event->scope) - 1);
    to = PUT(to, "\",\"decision\":\"");
    to = put_text(to, slug, 32);
    to = PUT(to, "\",\"status\":");
    to = put_number(to, event->status > 0 ? (apr_uint64_t)event->status : 0);
    to = PUT(to, "}\n");
    return (apr_size_t)(to - buf);
}

/* --- decode ------------------------------------------------------------------ */

typedef struct {
    const char *at;
    const char *end;
} cursor_t;

#define TAKE(c, literal) take_bytes(c, literal, sizeof(literal) - 1)

static int take_bytes(cursor_t *c, const char *bytes, apr_size_t len)
{
    if ((apr_size_t)(c->end - c->at) < len || memcmp(c->at, bytes, len) != 0)
        return 0;
    c->at += len;
    return 1;
}

/* A string of the class, up to its closing quote, which is taken too. */
static int take_text(cursor_t *c, char *out, apr_size_t size, int (*in_class)(unsigned char))
{
    apr_size_t len = 0;

    for (; c->at < c->end && *c->at != '"'; c->at++) {
        if (len + 1 >= size || !in_class((unsigned char)*c->at))
            return 0;
        out[len++] = *c->at;
    }
    if (c->at == c->end)
        return 0;
    out[len] = '\0';
    c->at++;
    return 1;
}

/* Digits, as JSON writes an integer: no sign, no leading zero. */
static int take_number(cursor_t *c, apr_uint64_t min, apr_uint64_t max, apr_uint64_t *out)
{
    const char *first = c->at;
    apr_uint64_t n = 0;

    for (; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++) {
        apr_uint64_t digit = (apr_uint64_t)(*c->at - '0');
        if (n > (max - digit) / 10)
            return 0;
        n = n * 10 + digit;
    }
    if (c->at == first || (*first == '0' && c->at - first > 1) || n < min)
        return 0;
    *out = n;
    return 1;
}

static int take_class(cursor_t *c, ak_class_e *out)
{
    if (TAKE(c, "api\""))
        *out = AK_CLASS_API;
    else if (TAKE(c, "manage\""))
        *out = AK_CLASS_MANAGE;
    else
        return 0;
    return 1;
}

static int take_decision(cursor_t *c, ak_code_e *out)
{
    char slug[33];

    if (!take_text(c, slug, sizeof(slug), in_text))
        return 0;
    *out = ak_problem_by_slug(slug, strlen(slug));
    return *out != AK_CODE_COUNT;
}

static int id_or_nothing(const char *id, const char *prefix)
{
    return id[0] == '\0' || ak_id_ok(id, prefix);
}

/* The members that say who: all of them, or none. */
static const char *check_identity(const ak_event_t *e)
{
    if (!id_or_nothing(e->key, "key_"))
        return "key is not an id of a key";
    if (!id_or_nothing(e->account, "acct_"))
        return "account is not an id of an account";
    if (e->environment[0] != '\0' && strcmp(e->environment, "live") != 0 &&
        strcmp(e->environment, "test") != 0)
        return "environment is neither live nor test";
    if ((e->key[0] == '\0') != (e->account[0] == '\0') ||
        (e->key[0] == '\0') != (e->environment[0] == '\0'))
        return "key, account and environment do not go together";
    return NULL;
}

/* The line from its beginning to its class; NULL when all is well. */
static const char *decode_head(cursor_t *c, ak_event_t *e)
{
    apr_uint64_t number;

    if (!TAKE(c, "{\"v\":1,"))
        return "does not begin as an event of version 1";
    if (!TAKE(c, "\"producer\":\"") || !take_text(c, e->producer, sizeof(e->producer), in_producer) ||
        e->producer[0] == '\0')
        return "producer is missing or malformed";
    if (!TAKE(c, ",\"seq\":") || !take_number(c, 1, SEQ_MAX, &e->seq))
        return "seq is missing or not a number from 1";
    if (!TAKE(c, ",\"time\":") || !take_number(c, 0, TIME_MAX, &number))
        return "time is missing or not a number of microseconds";
    e->time = (apr_time_t)number;
    if (!TAKE(c, ",\"class\":\"") || !take_class(c, &e->klass))
        return "class is neither api nor manage";
    return NULL;
}

static const char *decode_who(cursor_t *c, ak_event_t *e)
{
    if (!TAKE(c, ",\"key\":\"") || !take_text(c, e->key, sizeof(e->key), in_text))
        return "key is missing or malformed";
    if (!TAKE(c, ",\"account\":\"") || !take_text(c, e->account, sizeof(e->account), in_text))
        return "account is missing or malformed";
    if (!TAKE(c, ",\"environment\":\"") ||
        !take_text(c, e->environment, sizeof(e->environment), in_text))
        return "environment is missing or malformed";
    if (!TAKE(c, ",\"address\":\"") || !take_text(c, e->address, sizeof(e->address), in_address))
        return "address is missing or malformed";
    return check_identity(e);
}

static const char *decode_what(cursor_t *c, ak_event_t *e)
{
    apr_uint64_t number;

    if (!TAKE(c, ",\"method\":\"") || !take_text(c, e->method, sizeof(e->method), in_text))
        return "method is missing or malformed";
    if (!TAKE(c, ",\"scope\":\"") || !take_text(c, e->scope, sizeof(e->scope), in_text))
        return "scope is missing or malformed";
    if (!TAKE(c, ",\"decision\":\"") || !take_decision(c, &e->decision))
        return "decision is missing or unknown";
    if (!TAKE(c, ",\"status\":") || !take_number(c, 100, 599, &number))
        return "status is missing or no HTTP status";
    e->status = (int)number;
    if (!TAKE(c, "}"))
        return "another member follows status";
    return NULL;
}

apr_status_t ak_event_decode(ak_event_t *event, const char *line, apr_size_t len, const char **why)
{
    cursor_t c = {line, line + len};
    const char *wrong;

    memset(event, 0, sizeof(*event));
    *why = NULL;
    if (len > AK_EVENT_MAX) {
        *why = "longer than an event can be";
        return APR_EINVAL;
    }
    if (!(wrong = decode_head(&c, event)) && !(wrong = decode_who(&c, event)) &&
        !(wrong = decode_what(&c, event)) && c.at != c.end && !(TAKE(&c, "\n") && c.at == c.end))
        wrong = "something follows the event on its line";
    *why = wrong;
    return wrong ? APR_EINVAL : APR_SUCCESS;
}
