/* notify_webhook.c - alerts as signed HTTP requests, as Standard Webhooks 1.0 has them
 *
 *   POST URL
 *   webhook-id: alert_...            the same at each attempt
 *   webhook-timestamp: 1760437800    of this attempt
 *   webhook-signature: v1,... v1,... one for each secret that is good now
 *
 * 2xx is taken as delivered, 410 as "never again"; anything else, redirects too, is tried
 * again over days.  URLs of accounts are set by strangers: nothing but http and https is
 * spoken, no proxy of the environment is used, and where private addresses are not
 * allowed the address that is connected to is looked at, not the name.
 */
#include <apr_file_io.h>
#include <apr_strings.h>
#include <curl/curl.h>
#include <string.h>
#include <unistd.h>

#include "ak_webhook.h"
#include "auditd.h"

#define TIMEOUT_SEC 15L
#define ANSWER_MAX 65536 /* bytes of an answer that are read and dropped */
#define GIVE_UP_SEC (3 * 86400)
#define SECRETS_MAX 4

/* --- settings -------------------------------------------------------------------------------- */

/* One line of a file of secrets; *count grows. */
static const char *add_secret(const char **secrets, int *count, const char *line)
{
    if (*line == '\0')
        return NULL;
    if (*count == SECRETS_MAX)
        return "holds more than 4 secrets: keep those that are in use";
    if (!ak_webhook_secret_ok(line))
        return "must hold secrets, one a line, the newest first: whsec_ and the base64 of 24 to 64 bytes, as from "
               "echo whsec_$(openssl rand -base64 32)";
    secrets[(*count)++] = line;
    return NULL;
}

apr_status_t webhook_secrets_read(const char *const **out, const char *file, const char **why, apr_pool_t *p)
{
    const char **secrets = apr_pcalloc(p, sizeof(*secrets) * (SECRETS_MAX + 1));
    char *text = apr_pcalloc(p, 1024), *rest = NULL;
    apr_size_t len = 1023;
    apr_file_t *f;
    int count = 0;
    apr_status_t rv = apr_file_open(&f, file, APR_FOPEN_READ, APR_OS_DEFAULT, p);

    *why = NULL;
    if (rv == APR_SUCCESS) {
        rv = apr_file_read_full(f, text, len, &len);
        apr_file_close(f);
    }
    if (rv != APR_SUCCESS && rv != APR_EOF) {
        *why = apr_psprintf(p, "%s cannot be read: %pm", file, &rv);
        return rv;
    }
    for (char *line = apr_strtok(text, "\r\n", &rest); line && !*why; line = apr_strtok(NULL, "\r\n", &rest))
        *why = add_secret(secrets, &count, line);
    if (!*why && count == 0)
        *why = "holds no secret: write one with echo whsec_$(openssl rand -base64 32)";
    *out = secrets;
    return *why ? APR_EINVAL : APR_SUCCESS;
}

static int enabled(const settings_t *conf)
{
    return conf->webhook != NULL;
}

static const char *check(const settings_t *conf, apr_pool_t *p)
{
    const char *fault = ak_webhook_url_fault(conf->webhook);

    return fault ? apr_pstrcat(p, fault, " Write webhook https://alerts.example.com/apikey", NULL) : NULL;
}

static int accounts(const settings_t *conf)
{
    return 1;
}

/* Ten attempts over three days, the first ones soon. */
int webhook_backoff(apr_int64_t attempts)
{
    static const int waits[] = {5, 30, 120, 600, 1800, 7200, 18000, 36000, 50400, 72000};
    const int last = (int)(sizeof(waits) / sizeof(waits[0])) - 1;

    return waits[attempts < 1 ? 0 : attempts - 1 < last ? attempts - 1 : last];
}

/* --- the message --------------------------------------------------------------------------------- */

const char *webhook_body(const note_t *note, apr_pool_t *p)
{
    const char *kind = json_string_value(json_object_get(note->alert, "kind")), *copy = NULL;
    json_t *last = json_object_get(note->alert, "last_seen"), *body;
    char *text;

    if (!kind || !json_is_string(last))
        return NULL;
    body = json_pack("{s:s, s:O, s:O}", "type",
                     strcmp(kind, "webhook_test") == 0 ? "webhook.test" : apr_pstrcat(p, "alert.", kind, NULL),
                     "timestamp", last, "data", note->alert);
    text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    if (text)
        copy = apr_pstrdup(p, text);
    free(text);
    json_decref(body);
    return copy;
}

/* The secrets that sign for this receiver, NULL-terminated. */
static const char *const *secrets_of(const settings_t *conf, const note_t *note, apr_pool_t *p)
{
    const char **secrets;

    if (note->target[0] == '\0')
        return conf->webhook_secrets;
    secrets = apr_pcalloc(p, 3 * sizeof(*secrets));
    secrets[0] = note->secret;
    secrets[1] = note->old_secret;
    return secrets;
}

static const char *signatures(const char *const *secrets, const char *id, apr_int64_t now, const char *body,
                              apr_pool_t *p)
{
    const char *all = NULL, *one;

    for (; secrets && *secrets; secrets++) {
        if (ak_webhook_sign(&one, *secrets, id, now, body, p) != APR_SUCCESS)
            return NULL;
        all = all ? apr_pstrcat(p, all, " ", one, NULL) : one;
    }
    return all;
}

static struct curl_slist *headers(const note_t *note, const char *signature, apr_int64_t now, apr_pool_t *p)
{
    const char *lines[] = {
        "Content-Type: application/json",
        "Expect:",
        apr_pstrcat(p, "webhook-id: ", note->alert_id, NULL),
        apr_psprintf(p, "webhook-timestamp: %" APR_INT64_T_FMT, now),
        apr_pstrcat(p, "webhook-signature: ", signature, NULL),
    };
    struct curl_slist *list = NULL, *longer;

    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        longer = curl_slist_append(list, lines[i]);
        if (!longer) {
            curl_slist_free_all(list);
            return NULL;
        }
        list = longer;
    }
    return list;
}

/* --- the transfer ------------------------------------------------------------------------------------ */

typedef struct {
    const note_t *note;
    int private_allowed;
    int refused;       /* the address was not allowed */
    apr_size_t got;
    char error[CURL_ERROR_SIZE];
} transfer_t;

static curl_socket_t open_socket(void *data, curlsocktype purpose, struct curl_sockaddr *address)
{
    transfer_t *t = data;

    if (!t->private_allowed && !peer_is_public(&address->addr)) {
        t->refused = 1;
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static size_t drop_answer(char *bytes, size_t size, size_t count, void *data)
{
    transfer_t *t = data;

    t->got += size * count;
    return t->got > ANSWER_MAX ? 0 : size * count;
}

static int watch_progress(void *data, curl_off_t down_all, curl_off_t down, curl_off_t up_all, curl_off_t up)
{
    const transfer_t *t = data;

    return t->note->stopping && atomic_load(t->note->stopping);
}

static void set_options(CURL *curl, transfer_t *t, const char *url, const char *body, struct curl_slist *list)
{
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, TIMEOUT_SEC);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_FORBID_REUSE, 1L);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "apikey-auditd/" AK_VERSION);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, list);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)strlen(body));
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, t->error);
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, t);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, drop_answer);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, watch_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, t);
}

/* What an answer, or the lack of one, means. */
static apr_status_t judge(CURL *curl, CURLcode code, const transfer_t *t, reply_t *reply, apr_pool_t *p)
{
    long status = 0;

    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    if (t->refused) {
        reply->why = "its address is not a public one, and webhook_private_addresses is off";
        return APR_EACCES;
    }
    /* an answer that goes on and on has been given all the same */
    if (code != CURLE_OK && !(code == CURLE_WRITE_ERROR && t->got > ANSWER_MAX)) {
        reply->why = apr_pstrdup(p, t->error[0] ? t->error : curl_easy_strerror(code));
        return APR_EGENERAL;
    }
    reply->http_status = (int)status;
    if (status >= 200 && status < 300)
        return APR_SUCCESS;
    reply->why = apr_psprintf(p, status >= 300 && status < 400 ? "it answered %ld: redirects are not followed"
                                                               : "it answered %ld", status);
    return status == 410 ? NOTE_GONE : APR_EGENERAL;
}

static apr_status_t transfer(const settings_t *conf, const note_t *note, const char *url, const char *body,
                             struct curl_slist *list, reply_t *reply, apr_pool_t *p)
{
    transfer_t t = {.note = note, .private_allowed = conf->webhook_private};
    CURL *curl = curl_easy_init();
    apr_status_t rv;

    if (!curl || !list) {
        reply->why = "there is no memory for it";
        rv = APR_ENOMEM;
    } else {
        set_options(curl, &t, url, body, list);
        rv = judge(curl, curl_easy_perform(curl), &t, reply, p);
    }
    curl_slist_free_all(list);
    curl_easy_cleanup(curl);
    return rv;
}

static apr_status_t deliver(const settings_t *conf, const note_t *note, reply_t *reply, apr_pool_t *p)
{
    apr_int64_t now = apr_time_sec(apr_time_now());
    const char *url = note->target[0] ? note->url : conf->webhook, *body = webhook_body(note, p), *signature;

    if (!url || note->disabled) {
        reply->why = "the webhook was deleted or disabled meanwhile";
        return NOTE_REFUSED;
    }
    signature = body ? signatures(secrets_of(conf, note, p), note->alert_id, now, body, p) : NULL;
    if (!signature) {
        reply->why = body ? "its secret is none" : "the alert lacks its kind or time";
        return NOTE_REFUSED;
    }
    return transfer(conf, note, url, body, headers(note, signature, now, p), reply, p);
}

const sink_t sink_webhook = {
    .name = "webhook", .setting = "webhook", .enabled = enabled, .check = check, .deliver = deliver,
    .accounts = accounts, .add = AK_SQL_AUD_OUTBOX_ADD_WEBHOOKS, .backoff = webhook_backoff,
    .give_up_sec = GIVE_UP_SEC, .couriers = 8,
};
