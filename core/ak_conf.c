/* ak_conf - the configuration file of apikey-auditd and apikeyctl */
#include "ak_conf.h"

#include <apr_file_io.h>
#include <apr_strings.h>
#include <stdlib.h>
#include <string.h>

#include "ak_text.h"

#define LINE_MAX_BYTES 4096
#define DAY 86400

typedef enum { TYPE_TEXT, TYPE_FILE, TYPE_DATABASE, TYPE_NUMBER, TYPE_FLAG } type_e;

/* Every setting.  least and most bound a number; standard is the default as it would be written. */
static const struct setting_t {
    const char *name;
    type_e type;
    const char *standard;
    apr_int64_t least, most;
    const char *help;
} settings[] = {
    {"database", TYPE_DATABASE, NULL, 0, 0, "sqlite3 FILE, or pgsql CONNECTION (pgsql @FILE reads it from a file)"},
    {"pepper_file", TYPE_FILE, NULL, 0, 0, "secret under which keys are digested; the same as APIKeyPepperFile"},
    {"key_prefix", TYPE_TEXT, "sk", 0, 0, "first part of each new key; the same as APIKeyPrefix"},
    {"events_dir", TYPE_FILE, NULL, 0, 0, "folder of the event files, the one of APIKeyEventLog"},

    {"ingest_listen", TYPE_TEXT, "127.0.0.1:9514", 0, 0, "address and port where auditd takes events"},
    {"ingest_token_file", TYPE_FILE, NULL, 0, 0, "secret that whoever posts events must present"},
    {"ingest_body_max_bytes", TYPE_NUMBER, "16777216", 65536, 1073741824, "largest batch of events"},
    {"quarantine_file", TYPE_FILE, NULL, 0, 0, "where lines go that are no events"},
    {"log_file", TYPE_FILE, NULL, 0, 0, "auditd's own log; where unset standard error with -f, else syslog"},
    {"pid_file", TYPE_FILE, NULL, 0, 0, "where auditd writes its process id"},
    {"alerts_file", TYPE_FILE, NULL, 0, 0, "file that gets each alert as a line of JSON"},
    {"syslog", TYPE_TEXT, NULL, 0, 0, "where alerts go as RFC 5424 messages"},
    {"email_server", TYPE_TEXT, NULL, 0, 0, "mail server that alerts are sent by, smtp:// or smtps://"},
    {"email_from", TYPE_TEXT, NULL, 0, 0, "address that alerts are sent from"},
    {"email_to", TYPE_TEXT, NULL, 0, 0, "address that gets every alert"},
    {"email_accounts", TYPE_FLAG, "on", 0, 0, "do accounts get their alerts at their contact?"},
    {"email_user", TYPE_TEXT, NULL, 0, 0, "user at the mail server"},
    {"email_password_file", TYPE_FILE, NULL, 0, 0, "file with that user's password"},
    {"email_tls", TYPE_FLAG, "on", 0, 0, "is STARTTLS required?"},
    {"email_ca_file", TYPE_FILE, NULL, 0, 0, "certificates that vouch for the mail server, instead of the system's"},
    {"webhook", TYPE_TEXT, NULL, 0, 0, "URL that gets every alert, signed"},
    {"webhook_secret_file", TYPE_FILE, NULL, 0, 0, "secrets (whsec_...) that sign what goes to webhook, one a line"},
    {"webhook_private_addresses", TYPE_FLAG, "off", 0, 0, "may webhooks lead to addresses that are not public?"},

    {"new_ip_learning_seconds", TYPE_NUMBER, "86400", 0, 90 * DAY, "how long a key's networks are learned in silence"},
    {"auth_failures_address_count", TYPE_NUMBER, "20", 1, 1000000, "failures from an address that raise an alert"},
    {"auth_failures_key_count", TYPE_NUMBER, "10", 1, 1000000, "failures of a key that raise an alert"},
    {"auth_failures_window_seconds", TYPE_NUMBER, "300", 1, DAY, "... within so many seconds"},
    {"rate_limit_hits_count", TYPE_NUMBER, "10", 1, 1000000, "refusals of a key by its limits that raise an alert"},
    {"rate_limit_hits_window_seconds", TYPE_NUMBER, "300", 1, DAY, "... within so many seconds"},
    {"credential_stuffing_keys", TYPE_NUMBER, "5", 2, 64, "different keys refused from a source that raise an alert"},
    {"credential_stuffing_sources", TYPE_NUMBER, "10", 2, 64, "networks from which one key is refused, likewise"},
    {"credential_stuffing_unknown_count", TYPE_NUMBER, "50", 1, 1000000, "unknown keys from a source, likewise"},
    {"credential_stuffing_unknown_sources", TYPE_NUMBER, "40", 2, 64, "networks that send unknown keys, likewise"},
    {"credential_stuffing_window_seconds", TYPE_NUMBER, "3600", 1, DAY, "... within so many seconds"},
    {"scope_probing_scopes", TYPE_NUMBER, "4", 2, 64, "scopes that a key wants and lacks that raise an alert"},
    {"scope_probing_window_seconds", TYPE_NUMBER, "600", 1, DAY, "... within so many seconds"},
    {"ip_not_allowed_count", TYPE_NUMBER, "3", 1, 1000000, "uses of a key from where it is not allowed, likewise"},
    {"ip_not_allowed_window_seconds", TYPE_NUMBER, "3600", 1, DAY, "... within so many seconds"},
    {"environment_mismatch_count", TYPE_NUMBER, "5", 1, 1000000, "uses of a test key on live routes, likewise"},
    {"environment_mismatch_window_seconds", TYPE_NUMBER, "300", 1, DAY, "... within so many seconds"},
    {"quota_warning_percent", TYPE_NUMBER, "80", 1, 99, "share of a monthly quota from which its account is warned"},
    {"rotation_due_live_days", TYPE_NUMBER, "90", 1, 3650, "age at which a live key should be rotated"},
    {"rotation_due_test_days", TYPE_NUMBER, "180", 1, 3650, "age at which a test key should be rotated"},
    {"rotation_due_reminder_days", TYPE_NUMBER, "30", 1, 3650, "days between reminders of it"},
    {"unused_key_days", TYPE_NUMBER, "90", 1, 3650, "days without use after which a key's owner is told"},
    {"key_renew_before_seconds", TYPE_NUMBER, "604800", 1, 90 * DAY, "how long before its expiry a key is renewed"},
    {"events_lost_grace_seconds", TYPE_NUMBER, "60", 0, DAY, "how late an event may come before it counts as lost"},
    {"producer_keep_seconds", TYPE_NUMBER, "7776000", DAY, 3650 * (apr_int64_t)DAY,
     "how long a silent process's count of events is kept"},
};
#define COUNT ((int)(sizeof settings / sizeof settings[0]))

struct ak_conf_t {
    const char *value[COUNT];
    int line[COUNT]; /* 0: not in the file */
    apr_int64_t number[COUNT];
};

/* One line on its way into the configuration. */
typedef struct {
    ak_conf_t *conf;
    const char *file;
    int line;
    const char **why;
    apr_pool_t *p;
} reading_t;

static apr_status_t refuse(const reading_t *r, const char *what)
{
    *r->why = apr_psprintf(r->p, "%s:%d: %s", r->file, r->line, what);
    return APR_EINVAL;
}

/* --- names -------------------------------------------------------------------------------- */

static int index_of(const char *name)
{
    for (int i = 0; i < COUNT; i++)
        if (strcmp(settings[i].name, name) == 0)
            return i;
    return -1;
}

/* How many letters must be changed, put in or taken out to make a of b (Levenshtein, 1965). */
static int distance(const char *a, const char *b)
{
    int row[64], i, j, before, above;
    int width = (int)strlen(b);

    if (width >= 63 || strlen(a) >= 63)
        return 64;
    for (j = 0; j <= width; j++)
        row[j] = j;
    for (i = 0; a[i] != '\0'; i++) {
        before = row[0]++;
        for (j = 0; j < width; j++) {
            above = row[j + 1];
            row[j + 1] = before + (a[i] != b[j]);
            if (row[j + 1] > above + 1)
                row[j + 1] = above + 1;
            if (row[j + 1] > row[j] + 1)
                row[j + 1] = row[j] + 1;
            before = above;
        }
    }
    return row[width];
}

static apr_status_t refuse_name(const reading_t *r, const char *name)
{
    int best = -1, least = 4, i, d;

    if (!ak_utf8_ok(name) || ak_text_length(name, 0) < 1)
        return refuse(r, "this is no setting: a line is a name and a value");
    for (i = 0; i < COUNT; i++) {
        d = distance(name, settings[i].name);
        if (d < least) {
            least = d;
            best = i;
        }
    }
    if (best >= 0)
        return refuse(r, apr_psprintf(r->p, "\"%.60s\" is no setting: did you mean %s?", name, settings[best].name));
    return refuse(r, apr_psprintf(r->p, "\"%.60s\" is no setting: take the line out, or see docs/configuration.md",
                                  name));
}

/* --- values -------------------------------------------------------------------------------- */

static apr_status_t read_number(const reading_t *r, int i)
{
    const struct setting_t *s = &settings[i];
    const char *value = r->conf->value[i];
    char *end;

    if (value[0] >= '0' && value[0] <= '9' && strlen(value) <= 18) {
        r->conf->number[i] = apr_strtoi64(value, &end, 10);
        if (*end == '\0' && r->conf->number[i] >= s->least && r->conf->number[i] <= s->most)
            return APR_SUCCESS;
    }
    return refuse(r, apr_psprintf(r->p, "%s must be a whole number from %" APR_INT64_T_FMT " to %" APR_INT64_T_FMT
                                        ", such as %s", s->name, s->least, s->most, s->standard));
}

static apr_status_t read_flag(const reading_t *r, int i)
{
    const char *value = r->conf->value[i];

    r->conf->number[i] = strcmp(value, "on") == 0;
    if (r->conf->number[i] || strcmp(value, "off") == 0)
        return APR_SUCCESS;
    return refuse(r, apr_psprintf(r->p, "%s must be on or off", settings[i].name));
}

/* The driver, one or more blanks, and what it takes. */
static int split_database(const char *value, const char **driver, const char **params, apr_pool_t *p)
{
    apr_size_t len = strcspn(value, " \t");

    *driver = apr_pstrmemdup(p, value, len);
    *params = value + len + strspn(value + len, " \t");
    return **params != '\0' && (strcmp(*driver, "sqlite3") == 0 || strcmp(*driver, "pgsql") == 0);
}

/* What stands behind the driver may hold a password: it is not repeated. */
static apr_status_t read_database(const reading_t *r, int i)
{
    const char *driver, *params;

    if (split_database(r->conf->value[i], &driver, &params, r->p))
        return APR_SUCCESS;
    return refuse(r, "database must be \"database sqlite3 FILE\" or \"database pgsql CONNECTION\", such as "
                     "\"database pgsql dbname=apikey\"");
}

static apr_status_t read_value(const reading_t *r, int i)
{
    switch (settings[i].type) {
    case TYPE_NUMBER:
        return read_number(r, i);
    case TYPE_FLAG:
        return read_flag(r, i);
    case TYPE_DATABASE:
        return read_database(r, i);
    default:
        return APR_SUCCESS;
    }
}

/* --- lines --------------------------------------------------------------------------------- */

static char *trimmed(char *text)
{
    apr_size_t len;

    text += strspn(text, " \t");
    len = strlen(text);
    while (len > 0 && strchr(" \t\r\n", text[len - 1]) != NULL)
        text[--len] = '\0';
    return text;
}

static apr_status_t read_line(const reading_t *r, char *text)
{
    char *name = trimmed(text), *value;
    int i;

    if (name[0] == '\0' || name[0] == '#')
        return APR_SUCCESS;
    value = name + strcspn(name, " \t");
    if (*value != '\0')
        *value++ = '\0';
    value = trimmed(value);
    i = index_of(name);
    if (i < 0)
        return refuse_name(r, name);
    if (r->conf->line[i] != 0)
        return refuse(r, apr_psprintf(r->p, "%s stands in line %d already: keep one of them", name, r->conf->line[i]));
    if (*value == '\0')
        return refuse(r, apr_psprintf(r->p, "%s has no value: write %s %s", name, name,
                                      settings[i].standard != NULL ? settings[i].standard
                                      : settings[i].type == TYPE_FILE ? "FILE" : "VALUE"));
    if (!ak_utf8_ok(value))
        return refuse(r, apr_psprintf(r->p, "the value of %s is not in UTF-8", name));
    r->conf->value[i] = apr_pstrdup(r->p, value);
    r->conf->line[i] = r->line;
    return read_value(r, i);
}

static void set_standards(ak_conf_t *conf)
{
    for (int i = 0; i < COUNT; i++) {
        conf->value[i] = settings[i].standard;
        if (settings[i].type == TYPE_NUMBER)
            conf->number[i] = apr_atoi64(settings[i].standard);
        else if (settings[i].type == TYPE_FLAG)
            conf->number[i] = strcmp(settings[i].standard, "on") == 0;
    }
}

static apr_status_t read_lines(reading_t *r, apr_file_t *f)
{
    char text[LINE_MAX_BYTES];
    apr_status_t rv = APR_SUCCESS;

    while (rv == APR_SUCCESS) {
        apr_size_t len;

        rv = apr_file_gets(text, sizeof text, f);
        if (rv != APR_SUCCESS)
            break;
        r->line++;
        len = strlen(text);
        if (len == sizeof text - 1 && text[len - 1] != '\n')
            return refuse(r, "the line is longer than 4094 bytes");
        if (len == 0) /* a NUL is where the line should begin */
            return refuse(r, "the line holds a NUL: this is no configuration file");
        rv = read_line(r, text);
    }
    if (rv == APR_EOF)
        return APR_SUCCESS;
    if (*r->why == NULL)
        *r->why = apr_psprintf(r->p, "%s cannot be read: %pm", r->file, &rv);
    return rv;
}

apr_status_t ak_conf_read(ak_conf_t **conf, const char *file, const char **why, apr_pool_t *p)
{
    reading_t r = {.conf = apr_pcalloc(p, sizeof **conf), .file = file, .why = why, .p = p};
    apr_file_t *f;
    apr_status_t rv = apr_file_open(&f, file, APR_FOPEN_READ | APR_FOPEN_BUFFERED, APR_OS_DEFAULT, p);

    *why = NULL;
    if (rv != APR_SUCCESS) {
        *why = apr_psprintf(p, "%s cannot be read: %pm", file, &rv);
        return rv;
    }
    set_standards(r.conf);
    rv = read_lines(&r, f);
    apr_file_close(f);
    if (rv == APR_SUCCESS)
        *conf = r.conf;
    return rv;
}

/* --- asking -------------------------------------------------------------------------------- */

static int known(const char *name, type_e type)
{
    int i = index_of(name), texts;

    if (i < 0)
        abort();
    texts = settings[i].type == TYPE_TEXT || settings[i].type == TYPE_FILE || settings[i].type == TYPE_DATABASE;
    if (type == TYPE_TEXT ? !texts : settings[i].type != type)
        abort();
    return i;
}

const char *ak_conf_text(const ak_conf_t *conf, const char *name)
{
    return conf->value[known(name, TYPE_TEXT)];
}

apr_int64_t ak_conf_number(const ak_conf_t *conf, const char *name)
{
    return conf->number[known(name, TYPE_NUMBER)];
}

int ak_conf_flag(const ak_conf_t *conf, const char *name)
{
    return conf->number[known(name, TYPE_FLAG)] != 0;
}

int ak_conf_line(const ak_conf_t *conf, const char *name)
{
    int i = index_of(name);

    if (i < 0)
        abort();
    return conf->line[i];
}

apr_status_t ak_conf_database(const ak_conf_t *conf, const char **driver, const char **params, const char **why,
                              apr_pool_t *p)
{
    const char *value = ak_conf_text(conf, "database");

    if (value == NULL || !split_database(value, driver, params, p)) {
        *why = "database is not set: write \"database sqlite3 FILE\" or \"database pgsql CONNECTION\"";
        return APR_EINVAL;
    }
    return APR_SUCCESS;
}

const char *ak_conf_describe(int index, const char **standard, const char **help)
{
    if (index < 0 || index >= COUNT)
        return NULL;
    *standard = settings[index].standard;
    *help = settings[index].help;
    return settings[index].name;
}
