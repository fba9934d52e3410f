/* ingest.c - the HTTP side: batches in, health and metrics out (libmicrohttpd)
 *
 * POST /v1/events   lines of events; bearer ingest token; 200 only after COMMIT, else 503
 * GET /healthz      this process runs
 * GET /readyz       ... and its last transaction succeeded (else 503)
 * GET /metrics      Prometheus text
 *
 * syslog-ng gives a batch up on some statuses (410, 416, 422, 424, 425, 451, 508), so a
 * batch that cannot be taken now is never answered with one of these.
 */
#include <apr_allocator.h>
#include <apr_network_io.h>
#include <apr_strings.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ak_digest.h"
#include "auditd.h"

#define CONNECTIONS 64
#define IDLE_SEC 120
#define FAREWELL_SEC 15        /* for batches in hand when we end */
#define FIRST_BYTES 65536      /* of a body's buffer, which then doubles */

typedef enum MHD_Result answer_t;

struct ingest_t {
    engine_t *engine;
    struct MHD_Daemon *daemon;
    atomic_int stopping;
};

typedef struct {
    int refused;         /* an answer is under way already */
    int counted;         /* among the batches in hand */
    apr_size_t max;
    char *body;
    apr_size_t len, room;
} request_t;

/* --- answers ------------------------------------------------------------------------------ */

static answer_t answer(struct MHD_Connection *c, int status, const char *type, const char *text,
                       const char *header, const char *value)
{
    struct MHD_Response *r = MHD_create_response_from_buffer(strlen(text), (void *)(uintptr_t)text,
                                                             MHD_RESPMEM_MUST_COPY);
    answer_t rv;

    if (!r)
        return MHD_NO;
    MHD_add_response_header(r, "Content-Type", type);
    MHD_add_response_header(r, "Cache-Control", "no-store");
    if (header)
        MHD_add_response_header(r, header, value);
    rv = MHD_queue_response(c, (unsigned)status, r);
    MHD_destroy_response(r);
    return rv;
}

static answer_t plain(struct MHD_Connection *c, int status, const char *text)
{
    return answer(c, status, "text/plain; charset=utf-8", text, NULL, NULL);
}

static answer_t unavailable(struct MHD_Connection *c, const char *text)
{
    return answer(c, 503, "text/plain; charset=utf-8", text, "Retry-After", "1");
}

/* A pool whose memory goes back to the system: batches come in all sizes. */
static apr_pool_t *request_pool(void)
{
    apr_allocator_t *allocator;
    apr_pool_t *p;

    if (apr_allocator_create(&allocator) != APR_SUCCESS)
        return NULL;
    if (apr_pool_create_ex(&p, NULL, NULL, allocator) != APR_SUCCESS) {
        apr_allocator_destroy(allocator);
        return NULL;
    }
    apr_allocator_owner_set(allocator, p);
    return p;
}

/* --- a batch arrives ----------------------------------------------------------------------- */

/* Both sides are hashed first, so that neither content nor length shows in the time. */
static int token_is_right(struct MHD_Connection *c, const settings_t *settings)
{
    const char *sent = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Authorization");
    unsigned char digest[AK_DIGEST_BYTES];

    if (!sent || strncasecmp(sent, "Bearer ", 7) != 0)
        return 0;
    return ak_sha256(sent + 7, strlen(sent + 7), digest) == APR_SUCCESS &&
           ak_digest_equal(digest, settings->token_digest);
}

static answer_t refuse_token(struct ingest_t *ingest, struct MHD_Connection *c)
{
    static log_limit_t limit = LOG_LIMIT_INIT;

    atomic_fetch_add(&ingest->engine->metrics.refused_token, 1);
    log_limited(&limit, LOG_LEVEL_WARNING,
                "a batch was refused because it does not carry the ingest token of ingest_token_file");
    return answer(c, 401, "text/plain; charset=utf-8", "the ingest token is missing or wrong\n", "WWW-Authenticate",
                  "Bearer realm=\"apikey-auditd\"");
}

static answer_t refuse_size(struct ingest_t *ingest, struct MHD_Connection *c, apr_size_t max)
{
    static log_limit_t limit = LOG_LIMIT_INIT;

    atomic_fetch_add(&ingest->engine->metrics.refused_size, 1);
    log_limited(&limit, LOG_LEVEL_ERROR,
                "a batch of more than %" APR_SIZE_T_FMT " bytes was refused: send fewer lines in one batch, or raise "
                "ingest_body_max_bytes", max);
    return plain(c, 413, "the batch is larger than ingest_body_max_bytes\n");
}

/* Headers are there, the body is not: refuse now what can be refused now. */
static answer_t begin_batch(struct ingest_t *ingest, struct MHD_Connection *c, request_t *r)
{
    const settings_t *settings = engine_settings(ingest->engine);
    const char *length = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Content-Length");
    const char *encoding = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Content-Encoding");

    r->refused = 1;
    r->max = (apr_size_t)settings->body_max_bytes;
    if (!token_is_right(c, settings))
        return refuse_token(ingest, c);
    if (encoding && strcasecmp(encoding, "identity") != 0)
        return plain(c, 415, "send the lines as they are, without Content-Encoding\n");
    if (length && apr_strtoi64(length, NULL, 10) > (apr_int64_t)r->max)
        return refuse_size(ingest, c, r->max);
    if (atomic_load(&ingest->stopping))
        return unavailable(c, "ending\n");
    r->refused = 0;
    r->counted = 1;
    atomic_fetch_add(&ingest->engine->metrics.in_hand, 1);
    return MHD_YES;
}

/* 0: it does not fit. */
static int keep_bytes(request_t *r, const char *data, apr_size_t len)
{
    apr_size_t room = r->room ? r->room : FIRST_BYTES;
    char *larger;

    if (len > r->max - r->len)
        return 0;
    while (room < r->len + len)
        room *= 2;
    if (room != r->room) {
        larger = realloc(r->body, room);
        if (!larger)
            return 0;
        r->body = larger;
        r->room = room;
    }
    memcpy(r->body + r->len, data, len);
    r->len += len;
    return 1;
}

static answer_t finish_batch(struct ingest_t *ingest, struct MHD_Connection *c, request_t *r)
{
    engine_t *engine = ingest->engine;
    apr_pool_t *p = request_pool();
    batch_result_t result;
    answer_t rv;

    if (!p || (engine->single && !single_is_held(engine->single))) {
        rv = unavailable(c, "not the one auditd of this database\n");
    } else if (batch_take(engine, r->body ? r->body : "", r->len, 0, &result, p) != APR_SUCCESS) {
        rv = unavailable(c, "the database cannot be used now\n");
    } else {
        rv = answer(c, 200, "application/json",
                    apr_psprintf(p, "{\"counted\":%" APR_UINT64_T_FMT ",\"repeated\":%" APR_UINT64_T_FMT
                                 ",\"quarantined\":%" APR_UINT64_T_FMT "}\n", result.counted, result.repeated,
                                 result.quarantined), NULL, NULL);
    }
    if (p)
        apr_pool_destroy(p);
    return rv;
}

static answer_t take_batch(struct ingest_t *ingest, struct MHD_Connection *c, request_t *r, const char *data,
                           size_t *len)
{
    if (r->refused) {
        *len = 0;
        return MHD_YES;
    }
    if (*len == 0)
        return finish_batch(ingest, c, r);
    if (!keep_bytes(r, data, *len)) {
        r->refused = 1; /* what still comes is passed over: the answer waits for the end of the body */
        r->len = r->max + 1;
    }
    *len = 0;
    return MHD_YES;
}

/* --- the other routes ------------------------------------------------------------------------ */

static answer_t get_health(engine_t *engine, struct MHD_Connection *c)
{
    return plain(c, 200, "ok\n");
}

static answer_t get_ready(engine_t *engine, struct MHD_Connection *c)
{
    if (engine->single && !single_is_held(engine->single))
        return unavailable(c, "not the one auditd of this database\n");
    if (!atomic_load(&engine->metrics.database_ok))
        return unavailable(c, "the database cannot be used\n");
    return plain(c, 200, "ok\n");
}

static answer_t get_metrics(engine_t *engine, struct MHD_Connection *c)
{
    apr_pool_t *p = request_pool();
    answer_t rv;

    if (!p)
        return MHD_NO;
    rv = answer(c, 200, "text/plain; version=0.0.4; charset=utf-8", metrics_text(engine, p), NULL, NULL);
    apr_pool_destroy(p);
    return rv;
}

static const struct {
    const char *path;
    answer_t (*get)(engine_t *engine, struct MHD_Connection *c); /* NULL: POST /v1/events */
} routes[] = {
    {"/v1/events", NULL}, {"/healthz", get_health}, {"/readyz", get_ready}, {"/metrics", get_metrics},
};

static answer_t wrong_method(struct MHD_Connection *c, const char *allow)
{
    return answer(c, 405, "text/plain; charset=utf-8", "this method is not allowed here\n", "Allow", allow);
}

static answer_t handle(void *data, struct MHD_Connection *c, const char *url, const char *method,
                       const char *version, const char *upload, size_t *upload_len, void **state)
{
    struct ingest_t *ingest = data;
    request_t *r = *state;
    size_t i = 0;

    while (i < sizeof(routes) / sizeof(routes[0]) && strcmp(url, routes[i].path) != 0)
        i++;
    if (i == sizeof(routes) / sizeof(routes[0]))
        return plain(c, 404, "there is nothing here\n");
    if (routes[i].get)
        return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0 ? routes[i].get(ingest->engine, c)
                                                                          : wrong_method(c, "GET, HEAD");
    if (strcmp(method, "POST") != 0)
        return wrong_method(c, "POST");
    if (!r) {
        *state = r = calloc(1, sizeof(*r));
        return r ? begin_batch(ingest, c, r) : MHD_NO;
    }
    if (r->refused && *upload_len == 0)
        return r->len > r->max ? refuse_size(ingest, c, r->max) : MHD_YES;
    return take_batch(ingest, c, r, upload, upload_len);
}

static void completed(void *data, struct MHD_Connection *c, void **state, enum MHD_RequestTerminationCode code)
{
    struct ingest_t *ingest = data;
    request_t *r = *state;

    if (!r)
        return;
    if (r->counted)
        atomic_fetch_sub(&ingest->engine->metrics.in_hand, 1);
    free(r->body);
    free(r);
    *state = NULL;
}

/* --- start and end -------------------------------------------------------------------------------- */

static void library_says(void *data, const char *format, va_list arguments)
{
    static log_limit_t limit = LOG_LIMIT_INIT;
    char text[512];

    apr_vsnprintf(text, sizeof(text), format, arguments);
    log_limited(&limit, LOG_LEVEL_WARNING, "libmicrohttpd: %s", text);
}

apr_status_t ingest_start(struct ingest_t **out, engine_t *engine, const char **why, apr_pool_t *p)
{
    const settings_t *s = engine->settings;
    struct ingest_t *ingest = apr_pcalloc(p, sizeof(*ingest));
    unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL |
                     MHD_USE_ERROR_LOG | MHD_USE_ITC; /* without it nothing can be quiesced */
    apr_sockaddr_t *address;
    apr_status_t rv = apr_sockaddr_info_get(&address, s->listen_host, APR_UNSPEC, s->listen_port, 0, p);

    if (rv != APR_SUCCESS) {
        *why = apr_psprintf(p, "ingest_listen %s: the address is not to be found: %pm", s->listen_host, &rv);
        return rv;
    }
    if (address->family == APR_INET6)
        flags |= MHD_USE_IPv6;
    ingest->engine = engine;
    ingest->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, handle, ingest, MHD_OPTION_EXTERNAL_LOGGER, library_says, NULL, MHD_OPTION_SOCK_ADDR,
        &address->sa, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)IDLE_SEC, MHD_OPTION_NOTIFY_COMPLETED, completed, ingest, MHD_OPTION_END);
    if (!ingest->daemon) {
        rv = errno ? errno : APR_EGENERAL;
        *why = apr_psprintf(p, "ingest_listen %s:%d cannot be listened on: %pm", s->listen_host, s->listen_port, &rv);
        return rv;
    }
    *out = ingest;
    return APR_SUCCESS;
}

void ingest_stop(struct ingest_t *ingest)
{
    MHD_socket listener = MHD_quiesce_daemon(ingest->daemon);

    if (listener != MHD_INVALID_SOCKET)
        shutdown(listener, SHUT_RDWR); /* closed only when no thread can look at it */
    atomic_store(&ingest->stopping, 1);
    for (int i = 0; i < FAREWELL_SEC * 100 && atomic_load(&ingest->engine->metrics.in_hand) > 0; i++)
        apr_sleep(apr_time_from_msec(10));
    MHD_stop_daemon(ingest->daemon);
    if (listener != MHD_INVALID_SOCKET)
        close(listener);
}
