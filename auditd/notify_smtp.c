/* notify_smtp.c - alerts as mail, by libcurl
 *
 * email_server smtp://HOST[:PORT]   STARTTLS is required, unless email_tls is off
 * email_server smtps://HOST[:PORT]  TLS from the first byte
 *
 * To the address of the configuration, and to the contact of the alert's account as
 * it is when the mail is sent.
 */
#include <apr_strings.h>
#include <curl/curl.h>
#include <string.h>

#include "auditd.h"

#define TIMEOUT_SEC 60L
#define GIVE_UP_SEC (5 * 86400)

/* --- settings -------------------------------------------------------------------------------- */

static int is_tls_scheme(const char *server)
{
    return strncmp(server, "smtps://", 8) == 0;
}

/* What is wrong with the server's URL; NULL: nothing. */
static const char *server_fault(const char *server)
{
    const char *host = is_tls_scheme(server) ? server + 8 : strncmp(server, "smtp://", 7) == 0 ? server + 7 : NULL;

    if (!host || *host == '\0' || *host == ':' ||
        host[strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:[]")] != '\0')
        return "is no mail server: write email_server smtp://mail.example.com:587, or smtps://mail.example.com";
    return NULL;
}

const char *email_fault(const settings_t *conf, const char **setting)
{
    *setting = "email_server";
    if (server_fault(conf->email_server))
        return server_fault(conf->email_server);
    *setting = "email_from";
    if (!conf->email_from || !mail_address_ok(conf->email_from))
        return "must be the address that mail comes from: write email_from apikey@example.com";
    *setting = "email_to";
    if (conf->email_to && !mail_address_ok(conf->email_to))
        return "is no mail address: write email_to security@example.com";
    if (!conf->email_to && !conf->email_accounts)
        return "is not set, and email_accounts is off: there is nobody to write to";
    *setting = "email_user";
    if (conf->email_user && !conf->email_password)
        return "needs email_password_file FILE";
    if (conf->email_user && !conf->email_tls && !is_tls_scheme(conf->email_server))
        return "would send its password in the clear: take email_tls off out";
    return NULL;
}

static int enabled(const settings_t *conf)
{
    return conf->email_server && conf->email_to;
}

static const char *check(const settings_t *conf, apr_pool_t *p)
{
    const char *setting;

    return email_fault(conf, &setting);
}

static int accounts(const settings_t *conf)
{
    return conf->email_server && conf->email_accounts;
}

int email_backoff(apr_int64_t attempts)
{
    static const int waits[] = {10, 30, 60, 300, 900, 1800, 3600};
    const int last = (int)(sizeof(waits) / sizeof(waits[0])) - 1;

    return waits[attempts < 1 ? 0 : attempts - 1 < last ? attempts - 1 : last];
}

/* --- the transfer ------------------------------------------------------------------------------ */

typedef struct {
    const note_t *note;
    const char *rest; /* of the message */
    char error[CURL_ERROR_SIZE];
} transfer_t;

static size_t read_message(char *to, size_t size, size_t count, void *data)
{
    transfer_t *t = data;
    size_t len = strlen(t->rest), room = size * count;

    if (len > room)
        len = room;
    memcpy(to, t->rest, len);
    t->rest += len;
    return len;
}

static int watch_progress(void *data, curl_off_t down_all, curl_off_t down, curl_off_t up_all, curl_off_t up)
{
    const transfer_t *t = data;

    return t->note->stopping && atomic_load(t->note->stopping);
}

static void set_security(CURL *curl, const settings_t *conf)
{
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(curl, CURLOPT_USE_SSL, conf->email_tls ? (long)CURLUSESSL_ALL : (long)CURLUSESSL_NONE);
    if (conf->email_ca_file)
        curl_easy_setopt(curl, CURLOPT_CAINFO, conf->email_ca_file);
    if (conf->email_user) {
        curl_easy_setopt(curl, CURLOPT_USERNAME, conf->email_user);
        curl_easy_setopt(curl, CURLOPT_PASSWORD, conf->email_password);
    }
}

static void set_transfer(CURL *curl, transfer_t *t, const settings_t *conf, struct curl_slist *to)
{
    curl_easy_setopt(curl, CURLOPT_URL, conf->email_server);
    curl_easy_setopt(curl, CURLOPT_MAIL_FROM, conf->email_from);
    curl_easy_setopt(curl, CURLOPT_MAIL_RCPT, to);
    curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(curl, CURLOPT_READFUNCTION, read_message);
    curl_easy_setopt(curl, CURLOPT_READDATA, t);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, TIMEOUT_SEC);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, t->error);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, watch_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, t);
}

/* A server may answer with anything: what goes to the log is one line of text. */
static const char *one_line(apr_pool_t *p, const char *text)
{
    char *copy = apr_pstrdup(p, text);

    for (char *c = copy; *c; c++)
        if (*c < ' ' || *c > '~')
            *c = '?';
    return copy;
}

static apr_status_t send_mail(const settings_t *conf, const note_t *note, const char *to, const char *message,
                              reply_t *reply, apr_pool_t *p)
{
    transfer_t t = {.note = note, .rest = message};
    struct curl_slist *list = curl_slist_append(NULL, to);
    CURL *curl = curl_easy_init();
    apr_status_t rv = APR_ENOMEM;

    reply->why = "there is no memory for it";
    if (curl && list) {
        set_security(curl, conf);
        set_transfer(curl, &t, conf, list);
        CURLcode code = curl_easy_perform(curl);
        rv = code == CURLE_OK ? APR_SUCCESS : APR_EGENERAL;
        reply->why = one_line(p, t.error[0] ? t.error : curl_easy_strerror(code));
    }
    curl_slist_free_all(list);
    curl_easy_cleanup(curl);
    return rv;
}

static apr_status_t deliver(const settings_t *conf, const note_t *note, reply_t *reply, apr_pool_t *p)
{
    const char *to = note->target[0] ? note->contact : conf->email_to, *message;

    if (!to) {
        reply->why = "the account has no contact any more";
        return NOTE_REFUSED;
    }
    message = mail_message(note, conf->email_from, to, apr_time_sec(apr_time_now()), p);
    if (!message) {
        reply->why = "the contact is no mail address that can be used: see /v1/accounts";
        return NOTE_REFUSED;
    }
    return send_mail(conf, note, to, message, reply, p);
}

const sink_t sink_email = {
    .name = "email", .setting = "email_server", .enabled = enabled, .check = check, .deliver = deliver,
    .accounts = accounts, .add = AK_SQL_AUD_OUTBOX_ADD_CONTACT, .backoff = email_backoff,
    .give_up_sec = GIVE_UP_SEC, .couriers = 2,
};
