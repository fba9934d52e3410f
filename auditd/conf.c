/* conf.c - the settings that auditd needs, checked beyond their type and range
 *
 * core/ak_conf reads the file and knows every name; what a value means to us is
 * checked here, so that "apikey-auditd -n" refuses what would fail later.
 */
#include <apr_file_info.h>
#include <apr_file_io.h>
#include <apr_network_io.h>
#include <apr_strings.h>
#include <ctype.h>
#include <string.h>

#include "ak_conf.h"
#include "ak_digest.h"
#include "auditd.h"

typedef struct {
    settings_t *s;
    const ak_conf_t *conf;
    const char *file;
    const char **why;
    apr_pool_t *p; /* for *why */
} reading_t;

static apr_status_t refuse(const reading_t *r, const char *name, const char *problem)
{
    int line = ak_conf_line(r->conf, name);

    *r->why = line ? apr_psprintf(r->p, "%s:%d: %s: %s", r->file, line, name, problem)
                   : apr_psprintf(r->p, "%s: %s: %s", r->file, name, problem);
    return APR_EINVAL;
}

/* A daemon's folder is not its caller's: names of files are made whole. */
static const char *whole_path(const settings_t *s, const char *path)
{
    char *whole;

    if (!path || apr_filepath_merge(&whole, NULL, path, 0, s->pool) != APR_SUCCESS)
        return path;
    return whole;
}

/* --- the settings that are more than a number or a name --------------------------------- */

static apr_status_t read_database(const reading_t *r)
{
    settings_t *s = r->s;
    const char *problem;

    if (ak_conf_database(r->conf, &s->database_driver, &s->database_params, &problem, s->pool) != APR_SUCCESS)
        return refuse(r, "database", "is not set: write database sqlite3 FILE or database pgsql CONNECTION");
    if (strcmp(s->database_driver, "sqlite3") == 0)
        s->database_params = whole_path(s, s->database_params);
    return APR_SUCCESS;
}

static apr_status_t read_listen(const reading_t *r)
{
    const char *text = ak_conf_text(r->conf, "ingest_listen");
    char *host, *scope;
    apr_port_t port;
    apr_sockaddr_t *address;

    if (apr_parse_addr_port(&host, &scope, &port, text, r->s->pool) != APR_SUCCESS || !host || port == 0)
        return refuse(r, "ingest_listen", "needs an address and a port: write ingest_listen 127.0.0.1:9514");
    if (apr_sockaddr_info_get(&address, host, APR_UNSPEC, port, 0, r->s->pool) != APR_SUCCESS)
        return refuse(r, "ingest_listen", "names an address that is not to be found: write ingest_listen "
                                          "127.0.0.1:9514");
    r->s->listen_host = host;
    r->s->listen_port = port;
    return APR_SUCCESS;
}

/* Is a file with a secret kept from everybody?  NULL, or what is wrong. */
static const char *secret_file_fault(const char *file, apr_pool_t *p)
{
    apr_finfo_t info;
    apr_status_t rv = apr_stat(&info, file, APR_FINFO_PROT, p);

    if (rv != APR_SUCCESS)
        return apr_psprintf(p, "%s cannot be read: %pm", file, &rv);
    return info.protection & (APR_FPROT_WREAD | APR_FPROT_WWRITE) ? "may be read by everybody: chmod 600 it" : NULL;
}

/* The token's digest is kept, not the token.  Its file is for the owner (and a group). */
static apr_status_t read_token(const reading_t *r)
{
    const char *file = ak_conf_text(r->conf, "ingest_token_file");
    apr_finfo_t info;
    apr_file_t *f;
    char buf[1024];
    apr_size_t len = sizeof(buf);
    apr_status_t rv;

    if (!file)
        return refuse(r, "ingest_token_file", "is not set: write ingest_token_file FILE, with a secret of at least "
                                              "16 characters in it and mode 0600");
    rv = apr_file_open(&f, file, APR_FOPEN_READ, APR_OS_DEFAULT, r->s->pool);
    if (rv == APR_SUCCESS)
        rv = apr_file_info_get(&info, APR_FINFO_PROT, f);
    if (rv == APR_SUCCESS && (info.protection & (APR_FPROT_WREAD | APR_FPROT_WWRITE)))
        return refuse(r, "ingest_token_file", "may be read by everybody: chmod 600 it");
    if (rv == APR_SUCCESS)
        rv = apr_file_read_full(f, buf, sizeof(buf), &len);
    if (rv != APR_SUCCESS && rv != APR_EOF)
        return refuse(r, "ingest_token_file", apr_psprintf(r->p, "%s cannot be read: %pm", file, &rv));
    apr_file_close(f);
    while (len > 0 && isspace((unsigned char)buf[len - 1]))
        len--;
    if (len < TOKEN_MIN || len == sizeof(buf))
        return refuse(r, "ingest_token_file", "must hold one line of 16 to 1000 characters: write one with "
                                              "openssl rand -hex 32");
    rv = ak_sha256(buf, len, r->s->token_digest);
    memset(buf, 0, sizeof(buf));
    return rv;
}

static apr_status_t read_files(const reading_t *r)
{
    settings_t *s = r->s;

    s->quarantine_file = whole_path(s, ak_conf_text(r->conf, "quarantine_file"));
    s->log_file = whole_path(s, ak_conf_text(r->conf, "log_file"));
    s->pid_file = whole_path(s, ak_conf_text(r->conf, "pid_file"));
    s->alerts_file = whole_path(s, ak_conf_text(r->conf, "alerts_file"));
    if (!s->quarantine_file)
        return refuse(r, "quarantine_file", "is not set: write quarantine_file FILE, for lines that are no events");
    return APR_SUCCESS;
}

static apr_status_t read_webhook(const reading_t *r)
{
    settings_t *s = r->s;
    const char *file = ak_conf_text(r->conf, "webhook_secret_file"), *fault;

    s->webhook = ak_conf_text(r->conf, "webhook");
    s->webhook_private = ak_conf_flag(r->conf, "webhook_private_addresses");
    if (!file && s->webhook)
        return refuse(r, "webhook", "needs webhook_secret_file FILE, with a secret that signs what is sent");
    if (!file)
        return APR_SUCCESS;
    fault = secret_file_fault(file, r->p);
    if (!fault)
        webhook_secrets_read(&s->webhook_secrets, file, &fault, s->pool);
    return fault ? refuse(r, "webhook_secret_file", fault) : APR_SUCCESS;
}

/* The first line of a file. */
static const char *first_line(const char *file, apr_pool_t *p)
{
    char buf[1024] = "";
    apr_size_t len = sizeof(buf) - 1;
    apr_file_t *f;

    if (apr_file_open(&f, file, APR_FOPEN_READ, APR_OS_DEFAULT, p) != APR_SUCCESS)
        return NULL;
    apr_file_read_full(f, buf, len, &len);
    apr_file_close(f);
    buf[strcspn(buf, "\r\n")] = '\0';
    return buf[0] ? apr_pstrdup(p, buf) : NULL;
}

static apr_status_t read_email_password(const reading_t *r)
{
    const char *file = ak_conf_text(r->conf, "email_password_file"), *fault;

    if (!file)
        return APR_SUCCESS;
    fault = secret_file_fault(file, r->p);
    if (!fault && !(r->s->email_password = first_line(file, r->s->pool)))
        fault = "must hold the password in its first line";
    return fault ? refuse(r, "email_password_file", fault) : APR_SUCCESS;
}

static apr_status_t read_email(const reading_t *r)
{
    settings_t *s = r->s;
    const char *setting, *fault;
    apr_finfo_t info;

    s->email_server = ak_conf_text(r->conf, "email_server");
    s->email_from = ak_conf_text(r->conf, "email_from");
    s->email_to = ak_conf_text(r->conf, "email_to");
    s->email_user = ak_conf_text(r->conf, "email_user");
    s->email_ca_file = whole_path(s, ak_conf_text(r->conf, "email_ca_file"));
    s->email_tls = ak_conf_flag(r->conf, "email_tls");
    s->email_accounts = ak_conf_flag(r->conf, "email_accounts");
    if (!s->email_server)
        return APR_SUCCESS;
    if (s->email_ca_file && apr_stat(&info, s->email_ca_file, APR_FINFO_TYPE, r->p) != APR_SUCCESS)
        return refuse(r, "email_ca_file", "is not there, or cannot be read");
    if (read_email_password(r) != APR_SUCCESS)
        return APR_EINVAL;
    fault = email_fault(s, &setting);
    return fault ? refuse(r, setting, fault) : APR_SUCCESS;
}

static apr_status_t read_sinks(const reading_t *r)
{
    apr_status_t rv = read_webhook(r);

    if (rv == APR_SUCCESS)
        rv = read_email(r);

    if (rv != APR_SUCCESS)
        return rv;
    r->s->syslog = ak_conf_text(r->conf, "syslog");
    for (int i = 0; i < sink_count; i++) {
        const char *problem = sinks[i]->enabled(r->s) ? sinks[i]->check(r->s, r->p) : NULL;
        if (problem)
            return refuse(r, sinks[i]->setting, problem);
    }
    return APR_SUCCESS;
}

static void read_numbers(const reading_t *r)
{
    settings_t *s = r->s;
    const struct {
        const char *name;
        int *to;
    } numbers[] = {
        {"new_ip_learning_seconds", &s->new_ip_learning_sec},
        {"auth_failures_address_count", &s->auth_failures_address},
        {"auth_failures_key_count", &s->auth_failures_key},
        {"auth_failures_window_seconds", &s->auth_failures_window_sec},
        {"rate_limit_hits_count", &s->rate_limit_hits},
        {"rate_limit_hits_window_seconds", &s->rate_limit_hits_window_sec},
        {"credential_stuffing_keys", &s->stuffing_keys},
        {"credential_stuffing_sources", &s->stuffing_sources},
        {"credential_stuffing_unknown_count", &s->stuffing_unknown},
        {"credential_stuffing_unknown_sources", &s->stuffing_unknown_sources},
        {"credential_stuffing_window_seconds", &s->stuffing_window_sec},
        {"scope_probing_scopes", &s->scope_probing_scopes},
        {"scope_probing_window_seconds", &s->scope_probing_window_sec},
        {"ip_not_allowed_count", &s->ip_not_allowed},
        {"ip_not_allowed_window_seconds", &s->ip_not_allowed_window_sec},
        {"environment_mismatch_count", &s->environment_mismatch},
        {"environment_mismatch_window_seconds", &s->environment_mismatch_window_sec},
        {"quota_warning_percent", &s->quota_warning_percent},
        {"rotation_due_live_days", &s->rotation_live_days},
        {"rotation_due_test_days", &s->rotation_test_days},
        {"rotation_due_reminder_days", &s->rotation_reminder_days},
        {"unused_key_days", &s->unused_days},
        {"key_renew_before_seconds", &s->renew_before_sec},
        {"events_lost_grace_seconds", &s->events_lost_grace_sec},
        {"producer_keep_seconds", &s->producer_keep_sec},
    };

    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        *numbers[i].to = (int)ak_conf_number(r->conf, numbers[i].name);
    s->body_max_bytes = ak_conf_number(r->conf, "ingest_body_max_bytes");
}

apr_status_t settings_read(settings_t **out, const char *file, const char **why, apr_pool_t *p)
{
    apr_pool_t *pool;
    reading_t r = {.file = file, .why = why, .p = p};
    ak_conf_t *conf;
    apr_status_t rv = apr_pool_create(&pool, NULL);

    if (rv != APR_SUCCESS)
        return rv;
    r.s = apr_pcalloc(pool, sizeof(*r.s));
    r.s->pool = pool;
    r.s->file = apr_pstrdup(pool, file);
    rv = ak_conf_read(&conf, file, why, pool);
    if (rv == APR_SUCCESS) {
        r.conf = conf;
        read_numbers(&r);
        (void)((rv = read_database(&r)) || (rv = read_listen(&r)) || (rv = read_token(&r)) ||
               (rv = read_files(&r)) || (rv = read_sinks(&r)));
    }
    if (rv != APR_SUCCESS) {
        *why = apr_pstrdup(p, *why);
        apr_pool_destroy(pool);
        return rv;
    }
    *out = r.s;
    return APR_SUCCESS;
}

void settings_for_replay(settings_t *s, const char *database)
{
    s->database_driver = "sqlite3";
    s->database_params = database;
    s->syslog = s->alerts_file = s->webhook = s->email_server = NULL;
}
