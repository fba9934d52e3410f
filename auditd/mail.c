/* mail.c - an alert as a mail message (RFC 5322, RFC 2045): text and HTML, pure
 *
 * Names and other words of strangers stand in the body only, as base64, or in Subject as
 * an encoded word: nothing of theirs can end a header, begin another, or be taken for HTML.
 */
#include <apr_base64.h>
#include <apr_escape.h>
#include <apr_strings.h>
#include <string.h>

#include "ak_text.h"
#include "auditd.h"

#define SUBJECT_BYTES 160
#define BASE64_LINE 57 /* bytes that make a line of 76 characters */
#define WORD_BYTES 42  /* bytes that make an encoded word of at most 75 characters */

/* --- addresses ------------------------------------------------------------------------- */

int mail_address_ok(const char *text)
{
    const char *at = strchr(text, '@');

    if (!at || at == text || at[1] == '\0' || strchr(at + 1, '@') || strlen(text) > 254 || text[0] == '-')
        return 0;
    for (const char *c = text; *c; c++)
        if (*c <= ' ' || *c > '~' || strchr("<>()[],;:\\\"", *c))
            return 0;
    return 1;
}

/* --- headers ----------------------------------------------------------------------------- */

/* How many bytes of s, at most max, end with a whole character. */
static apr_size_t whole_characters(const char *s, apr_size_t max)
{
    apr_size_t len = strlen(s);

    if (len <= max)
        return len;
    while (max > 0 && ((unsigned char)s[max] & 0xc0) == 0x80)
        max--;
    return max;
}

static int is_plain(const char *s)
{
    if (strstr(s, "=?"))
        return 0;
    for (; *s; s++)
        if (*s < ' ' || *s > '~')
            return 0;
    return 1;
}

/* A header's text: as it is, or in encoded words (RFC 2047), a line each. */
const char *mail_header_text(const char *text, apr_pool_t *p)
{
    char *copy = apr_pstrmemdup(p, text, whole_characters(text, SUBJECT_BYTES));
    const char *all = "";

    for (char *c = copy; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = ' ';
    if (is_plain(copy))
        return copy;
    if (!ak_utf8_ok(copy))
        return "(not in UTF-8)";
    while (*copy) {
        apr_size_t len = whole_characters(copy, WORD_BYTES);
        char *word = apr_pcalloc(p, (apr_size_t)apr_base64_encode_len((int)len));
        apr_base64_encode(word, copy, (int)len);
        all = apr_pstrcat(p, all, *all ? "\r\n " : "", "=?UTF-8?B?", word, "?=", NULL);
        copy += len;
    }
    return all;
}

static const char *date_of(apr_pool_t *p, apr_int64_t sec)
{
    char *text = apr_palloc(p, APR_RFC822_DATE_LEN);

    apr_rfc822_date(text, apr_time_from_sec(sec));
    text[strlen(text) - 3] = '\0'; /* "GMT" */
    return apr_pstrcat(p, text, "+0000", NULL);
}

/* --- the body ---------------------------------------------------------------------------------- */

typedef struct {
    apr_pool_t *p;
    const char *text, *html;
} parts_t;

static void add_row(parts_t *parts, const char *name, const char *value)
{
    apr_pool_t *p = parts->p;

    if (!value || !*value)
        return;
    parts->text = apr_pstrcat(p, parts->text, name, ": ", value, "\r\n", NULL);
    parts->html = apr_pstrcat(p, parts->html, "<tr><th align=\"left\">", apr_pescape_entity(p, name, 0),
                              "</th><td>", apr_pescape_entity(p, value, 0), "</td></tr>\r\n", NULL);
}

/* A value in one line: text as it is, all else as JSON. */
static const char *plain_value(apr_pool_t *p, const json_t *value)
{
    char *text, *copy;

    if (json_is_string(value))
        return json_string_value(value);
    text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    copy = text ? apr_pstrdup(p, text) : NULL;
    free(text);
    return copy;
}

static void add_members(parts_t *parts, json_t *alert)
{
    static const struct {
        const char *member, *name;
    } rows[] = {
        {"severity", "Severity"}, {"kind", "Kind"},           {"account_id", "Account"},    {"key_id", "Key"},
        {"subject", "Subject"},   {"first_seen", "First seen"}, {"last_seen", "Last seen"}, {"count", "Count"},
        {"id", "Alert"},
    };
    const char *name;
    json_t *value;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        value = json_object_get(alert, rows[i].member);
        if (value && !json_is_null(value))
            add_row(parts, rows[i].name, plain_value(parts->p, value));
    }
    json_object_foreach (json_object_get(alert, "details"), name, value)
        add_row(parts, name, plain_value(parts->p, value));
}

static parts_t make_parts(json_t *alert, apr_pool_t *p)
{
    const char *message = json_string_value(json_object_get(alert, "message"));
    parts_t parts = {.p = p};

    if (!message)
        message = "";
    parts.text = apr_pstrcat(p, message, "\r\n\r\n", NULL);
    parts.html = apr_pstrcat(p, "<!DOCTYPE html>\r\n<html><head><meta charset=\"utf-8\"></head><body>\r\n<p>",
                             apr_pescape_entity(p, message, 0), "</p>\r\n<table cellpadding=\"4\">\r\n", NULL);
    add_members(&parts, alert);
    parts.html = apr_pstrcat(p, parts.html, "</table>\r\n</body></html>\r\n", NULL);
    return parts;
}

/* Base64 in lines of 76. */
static const char *encoded(apr_pool_t *p, const char *text)
{
    apr_size_t len = strlen(text);
    char *out = apr_pcalloc(p, (len / BASE64_LINE + 1) * 80 + 1), *to = out;

    while (len > 0) {
        apr_size_t some = len < BASE64_LINE ? len : BASE64_LINE;
        to += apr_base64_encode(to, text, (int)some) - 1; /* it counts the NUL */
        *to++ = '\r';
        *to++ = '\n';
        text += some;
        len -= some;
    }
    *to = '\0';
    return out;
}

static const char *part_of(apr_pool_t *p, const char *boundary, const char *type, const char *text)
{
    return apr_pstrcat(p, "--", boundary, "\r\nContent-Type: ", type,
                       "; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n", encoded(p, text), NULL);
}

/* --- the whole ------------------------------------------------------------------------------------- */

static const char *subject_of(json_t *alert, apr_pool_t *p)
{
#define MEMBER(name) json_string_value(json_object_get(alert, name))
    const char *severity = MEMBER("severity"), *kind = MEMBER("kind"), *subject = MEMBER("subject");
#undef MEMBER

    return mail_header_text(apr_psprintf(p, "[%s] %s: %s", severity ? severity : "-", kind ? kind : "-",
                                         subject ? subject : "-"), p);
}

const char *mail_message(const note_t *note, const char *from, const char *to, apr_int64_t now, apr_pool_t *p)
{
    parts_t parts = make_parts(note->alert, p);
    const char *boundary, *domain;

    if (!mail_address_ok(from) || !mail_address_ok(to) || strspn(note->alert_id,
            "abcdefghijklmnopqrstuvwxyz0123456789_") != strlen(note->alert_id))
        return NULL;
    boundary = apr_pstrcat(p, "=_", note->alert_id, NULL); /* no base64 holds "=_" */
    domain = strchr(from, '@');
    return apr_pstrcat(p, "Date: ", date_of(p, now), "\r\nFrom: API key alerts <", from, ">\r\nTo: <", to,
                       ">\r\nSubject: ", subject_of(note->alert, p), "\r\nMessage-ID: <", note->alert_id, domain,
                       ">\r\nAuto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
                       "Content-Type: multipart/alternative; boundary=\"", boundary, "\"\r\n\r\n",
                       part_of(p, boundary, "text/plain", parts.text), part_of(p, boundary, "text/html", parts.html),
                       "--", boundary, "--\r\n", NULL);
}
