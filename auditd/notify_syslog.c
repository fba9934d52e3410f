/* notify_syslog.c - alerts as RFC 5424 messages to a socket
 *
 * syslog unix:PATH        a datagram socket, or else a stream socket (lines)
 * syslog udp:HOST:PORT    one datagram an alert (RFC 5426)
 * syslog tcp:HOST:PORT    octet-counted frames (RFC 6587 section 3.4.1)
 *
 * Datagrams are taken as delivered when the system took them: where that is not
 * enough, use tcp or unix.  The structured data stand under the enterprise number
 * that is set aside for documentation (RFC 5612), as a project has none of its own.
 */
#include <apr_strings.h>
#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "auditd.h"

#define FACILITY 10 /* authpriv */
#define TIMEOUT_SEC 5
#define FAREWELL_SEC 1 /* for a stream's other end to take its leave */
#define ELEMENT "apikey@32473"

typedef enum { TRANSPORT_UNIX, TRANSPORT_UDP, TRANSPORT_TCP } transport_e;

typedef struct {
    transport_e transport;
    const char *path;        /* unix */
    const char *host, *port; /* udp, tcp */
} target_t;

/* --- the address --------------------------------------------------------------------------- */

static const char *parse_host(target_t *t, const char *rest, apr_pool_t *p)
{
    const char *colon = strrchr(rest, ':');
    char *host;
    apr_int64_t port;
    char *end;

    if (!colon || colon == rest || colon[1] == '\0')
        return "syslog needs a host and a port: write udp:127.0.0.1:514";
    host = apr_pstrmemdup(p, rest, (apr_size_t)(colon - rest));
    if (host[0] == '[' && host[strlen(host) - 1] == ']') {
        host[strlen(host) - 1] = '\0';
        host++;
    } else if (strchr(host, ':')) {
        return "an IPv6 address stands in brackets: write udp:[::1]:514";
    }
    port = apr_strtoi64(colon + 1, &end, 10);
    if (*end != '\0' || port < 1 || port > 65535)
        return "the port of syslog is a number from 1 to 65535: write udp:127.0.0.1:514";
    t->host = host;
    t->port = colon + 1;
    return NULL;
}

static const char *parse_target(target_t *t, const char *text, apr_pool_t *p)
{
    if (strncmp(text, "unix:", 5) == 0) {
        t->transport = TRANSPORT_UNIX;
        t->path = text + 5;
        if (t->path[0] != '/' || strlen(t->path) >= sizeof(((struct sockaddr_un *)0)->sun_path))
            return "the socket of syslog is a whole path of at most 107 bytes: write unix:/dev/log";
        return NULL;
    }
    if (strncmp(text, "udp:", 4) != 0 && strncmp(text, "tcp:", 4) != 0)
        return "syslog is none of unix:PATH, udp:HOST:PORT, tcp:HOST:PORT: write unix:/dev/log";
    t->transport = text[0] == 'u' ? TRANSPORT_UDP : TRANSPORT_TCP;
    return parse_host(t, text + 4, p);
}

/* --- the message ----------------------------------------------------------------------------- */

static int severity_number(const char *name)
{
    if (strcmp(name, "critical") == 0)
        return 2;
    return strcmp(name, "warning") == 0 ? 4 : 6;
}

/* ' name="value"', escaped as RFC 5424 section 6.3.3 says; nothing for an empty value. */
static const char *parameter(apr_pool_t *p, const char *name, const char *value)
{
    char *text, *to;

    if (!value || value[0] == '\0')
        return "";
    to = text = apr_palloc(p, 2 * strlen(value) + 1);
    for (; *value; value++) {
        if (strchr("\"\\]", *value))
            *to++ = '\\';
        *to++ = (unsigned char)*value < 0x20 ? ' ' : *value;
    }
    *to = '\0';
    return apr_psprintf(p, " %s=\"%s\"", name, text);
}

static const char *one_line(apr_pool_t *p, const char *text)
{
    char *copy = apr_pstrdup(p, text ? text : "");

    for (char *c = copy; *c; c++)
        if ((unsigned char)*c < 0x20)
            *c = ' ';
    return copy;
}

const char *syslog_message(const note_t *note, const char *host, long pid, apr_pool_t *p)
{
#define MEMBER(name) json_string_value(json_object_get(note->alert, name))
    const char *kind = MEMBER("kind"), *severity = MEMBER("severity"), *last = MEMBER("last_seen");
    json_t *attack = json_object_get(json_object_get(note->alert, "details"), "attack");
    apr_int64_t count = json_integer_value(json_object_get(note->alert, "count"));

    return apr_psprintf(p, "<%d>1 %s %s apikey-auditd %ld %s [" ELEMENT "%s%s%s%s%s%s%s count=\"%" APR_INT64_T_FMT
                        "\"] %s",
                        FACILITY * 8 + severity_number(severity ? severity : ""), last ? last : "-", host, pid,
                        kind ? kind : "-", parameter(p, "id", note->alert_id), parameter(p, "kind", kind),
                        parameter(p, "severity", severity), parameter(p, "account", MEMBER("account_id")),
                        parameter(p, "key", MEMBER("key_id")), parameter(p, "subject", MEMBER("subject")),
                        parameter(p, "attack", json_string_value(attack)), count,
                        one_line(p, MEMBER("message")));
#undef MEMBER
}

/* --- sending ------------------------------------------------------------------------------------ */

static void bound_waiting(int fd)
{
    struct timeval limit = {TIMEOUT_SEC, 0}, farewell = {FAREWELL_SEC, 0};

    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)); /* for connecting, too */
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &farewell, sizeof(farewell));
}

static int connect_unix(const char *path, int *is_stream)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = -1;

    apr_cpystrn(address.sun_path, path, sizeof(address.sun_path));
    for (*is_stream = 0; *is_stream < 2; ++*is_stream) {
        fd = socket(AF_UNIX, (*is_stream ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0);
        if (fd < 0)
            return -1;
        bound_waiting(fd);
        if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
            return fd;
        int error = errno;
        close(fd);
        errno = error;
        if (error != EPROTOTYPE)
            return -1;
    }
    return -1;
}

static int connect_inet(const target_t *t, const char **why)
{
    struct addrinfo hints = {.ai_socktype = t->transport == TRANSPORT_TCP ? SOCK_STREAM : SOCK_DGRAM}, *list = NULL;
    int fd = -1, rc = getaddrinfo(t->host, t->port, &hints, &list), error = EHOSTUNREACH;

    if (rc != 0) {
        *why = gai_strerror(rc);
        errno = EHOSTUNREACH;
        return -1;
    }
    for (struct addrinfo *a = list; a && fd < 0; a = a->ai_next) {
        fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
        if (fd < 0) {
            error = errno;
            continue;
        }
        bound_waiting(fd);
        if (connect(fd, a->ai_addr, a->ai_addrlen) != 0) {
            error = errno;
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(list);
    errno = error;
    return fd;
}

static apr_status_t send_all(int fd, const char *data, apr_size_t len)
{
    while (len > 0) {
        ssize_t sent = send(fd, data, len, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return errno;
        data += sent;
        len -= (apr_size_t)sent;
    }
    return APR_SUCCESS;
}

/* After the last byte a stream's other end is given the time to say that it refused. */
static apr_status_t finish(int fd, int is_stream)
{
    char byte;
    int error = 0;
    socklen_t size = sizeof(error);

    if (is_stream) {
        shutdown(fd, SHUT_WR);
        if (recv(fd, &byte, 1, 0) < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
            return errno;
        return APR_SUCCESS;
    }
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    return error;
}

static apr_status_t deliver(const settings_t *conf, const note_t *note, reply_t *reply, apr_pool_t *p)
{
    target_t t = {0};
    char host[256] = "-";
    const char *message;
    int fd, is_stream = 0;
    apr_status_t rv;

    reply->why = parse_target(&t, conf->syslog, p);
    if (reply->why)
        return APR_EINVAL;
    gethostname(host, sizeof(host) - 1);
    message = syslog_message(note, host, (long)getpid(), p);
    fd = t.transport == TRANSPORT_UNIX ? connect_unix(t.path, &is_stream) : connect_inet(&t, &reply->why);
    if (fd < 0) {
        rv = errno;
        if (!reply->why)
            reply->why = apr_psprintf(p, "%s: %pm", conf->syslog, &rv);
        return rv;
    }
    if (t.transport == TRANSPORT_TCP) {
        is_stream = 1;
        message = apr_psprintf(p, "%" APR_SIZE_T_FMT " %s", strlen(message), message);
    } else if (is_stream) {
        message = apr_pstrcat(p, message, "\n", NULL);
    }
    rv = send_all(fd, message, strlen(message));
    if (rv == APR_SUCCESS)
        rv = finish(fd, is_stream);
    close(fd);
    if (rv != APR_SUCCESS)
        reply->why = apr_psprintf(p, "%s: %pm", conf->syslog, &rv);
    return rv;
}

static int enabled(const settings_t *conf)
{
    return conf->syslog != NULL;
}

static const char *check(const settings_t *conf, apr_pool_t *p)
{
    target_t t = {0};

    return parse_target(&t, conf->syslog, p);
}

const sink_t sink_syslog = {
    .name = "syslog", .setting = "syslog", .enabled = enabled, .check = check, .deliver = deliver,
    .backoff = outbox_backoff, .couriers = 1,
};
