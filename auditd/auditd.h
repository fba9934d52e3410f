/* auditd.h - what the files of apikey-auditd share
 *
 * A batch of events passes the files in this order:
 *   ingest (HTTP) -> batch (lines to events) -> dedupe -> usage, detect_* (observe)
 *   -> all of them flush, quota, alert -> COMMIT -> 200, outbox -> notify_*
 * No figure, window or sequence is kept in memory from one batch to the next: each
 * transaction reads what it touches, so one that fails leaves nothing behind.
 */
#ifndef AUDITD_H
#define AUDITD_H

#include <apr_hash.h>
#include <apr_network_io.h>
#include <apr_tables.h>
#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>

#include "ak_cidr.h"
#include "ak_event.h"
#include "ak_runs.h"
#include "ak_store.h"
#include "ak_table.h"
#include "ak_window.h"

/* --- log.c: one line a message, to standard error, a file or syslog ------------------ */
typedef enum { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO } log_level_e;

/* A message that may come often: it is said once a minute, and how often it was not. */
typedef struct {
    pthread_mutex_t lock;
    apr_time_t said;
    unsigned kept_back;
} log_limit_t;
#define LOG_LIMIT_INIT {PTHREAD_MUTEX_INITIALIZER, 0, 0}

/* file NULL: standard error when in the foreground, else syslog. */
apr_status_t log_open(const char *file, int foreground);
void log_say(log_level_e level, const char *format, ...) __attribute__((format(printf, 2, 3)));
void log_limited(log_limit_t *limit, log_level_e level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* --- conf.c: the settings, checked --------------------------------------------------- */
#define TOKEN_MIN 16 /* bytes of an ingest token */

typedef struct {
    apr_pool_t *pool; /* holds all of it */
    const char *file;
    const char *database_driver, *database_params;
    const char *listen_host;
    apr_port_t listen_port;
    unsigned char token_digest[AK_DIGEST_BYTES]; /* SHA-256 of the ingest token */
    apr_int64_t body_max_bytes;
    const char *quarantine_file;
    const char *log_file, *pid_file; /* NULL: none */
    const char *syslog, *alerts_file;
    const char *webhook;               /* URL, or NULL */
    const char *const *webhook_secrets; /* the newest first, NULL-terminated; NULL: none */
    const char *email_server, *email_from, *email_to; /* NULL: none */
    const char *email_user, *email_password, *email_ca_file;
    int email_tls, email_accounts;
    int webhook_private;               /* webhooks may lead to addresses that are not public */
    int new_ip_learning_sec;
    int auth_failures_address, auth_failures_key, auth_failures_window_sec;
    int rate_limit_hits, rate_limit_hits_window_sec;
    int stuffing_keys, stuffing_sources, stuffing_unknown, stuffing_unknown_sources, stuffing_window_sec;
    int scope_probing_scopes, scope_probing_window_sec;
    int ip_not_allowed, ip_not_allowed_window_sec;
    int environment_mismatch, environment_mismatch_window_sec;
    int quota_warning_percent;
    int rotation_live_days, rotation_test_days, rotation_reminder_days, unused_days;
    int renew_before_sec;
    int events_lost_grace_sec;
    int producer_keep_sec;
} settings_t;

/* Read and check the configuration, in a pool of its own.  On failure *why is a
 * sentence with file and line (allocated in p). */
apr_status_t settings_read(settings_t **settings, const char *file, const char **why, apr_pool_t *p);
/* The settings that a replay runs on: detectors as in the file, a database of its own, no sinks. */
void settings_for_replay(settings_t *settings, const char *database);

/* --- engine.c: the database, and one transaction at a time ---------------------------- */
typedef struct {
    atomic_uint_fast64_t batches, batches_failed, events, repeats, quarantined;
    atomic_uint_fast64_t refused_token, refused_size, alerts_raised, notes_sent, notes_failed, notes_dropped;
    atomic_int_fast64_t last_commit_sec, lag_ms;
    atomic_int database_ok, in_hand; /* in_hand: batches that are being read or worked on */
} metrics_t;

typedef struct engine_t {
    apr_pool_t *pool;
    pthread_mutex_t lock;          /* one transaction at a time; guards settings */
    const settings_t *settings;
    ak_store_t *store;
    ak_dbd_t *db;
    struct single_t *single;       /* the right to be the only one; NULL in a replay */
    int replaying;
    apr_time_t pruned;             /* monotonic; 0: not since the start */
    apr_time_t *ticked;            /* of each detector, likewise */
    apr_time_t healthy_since;      /* monotonic; 0: the last transaction failed */
    atomic_int stopping;
    pthread_mutex_t outbox_lock;
    pthread_cond_t outbox_wake;
    int outbox_due;                /* under outbox_lock */
    log_limit_t trouble;           /* what is said of the database */
    log_limit_t quarantine_trouble;
    metrics_t metrics;
} engine_t;

/* One transaction: what a batch or a tick of the clock causes. */
typedef struct tx_t {
    engine_t *engine;
    const settings_t *conf;
    ak_dbd_handle_t *h;
    apr_pool_t *p;           /* until the transaction ends */
    apr_int64_t now_sec;     /* the wall's clock; in a replay the events' */
    apr_hash_t *producers;   /* dedupe.c */
    struct producer_t *last_producer;
    apr_hash_t *keys;        /* usage.c */
    struct key_use_t *last_key;
    void **baton;            /* of each detector, by its place in the table */
    unsigned alerts;         /* raised or repeated */
    unsigned notes;          /* rows put in the outbox */
} tx_t;

/* Arguments of a statement; TX_NUMBER makes one of a number. */
#define TX_ARGS(...) ((const char *const[]){__VA_ARGS__})
#define TX_EXEC(tx, statement, affected, ...) \
    ak_dbd_exec((tx)->h, statement, TX_ARGS(__VA_ARGS__), affected, (tx)->p)
#define TX_SELECT(tx, statement, rows, ...) \
    ak_dbd_select((tx)->h, statement, TX_ARGS(__VA_ARGS__), rows, (tx)->p)
#define TX_NUMBER(tx, n) ak_dbd_number((tx)->p, (apr_int64_t)(n))

apr_status_t engine_create(engine_t **engine, const settings_t *settings, const char **why, apr_pool_t *p);
/* Run work in one transaction; anything but APR_SUCCESS undoes all of it and is logged.
 * now_sec 0: the wall's clock.  p: scratch for the transaction. */
typedef apr_status_t (*tx_work_t)(tx_t *tx, void *data);
apr_status_t engine_run(engine_t *engine, tx_work_t work, void *data, apr_int64_t now_sec, apr_pool_t *p);
/* What is due by the clock: lost events, expiring keys, pruning. */
apr_status_t engine_tick(engine_t *engine, apr_int64_t now_sec);
/* Settings are replaced as a whole, and stay where they are for those who still read them. */
const settings_t *engine_settings(engine_t *engine);
void engine_reconfigure(engine_t *engine, const settings_t *settings);

/* --- single.c: only one auditd at a time writes to a database ------------------------- */
typedef enum { SINGLE_HELD, SINGLE_TAKEN, SINGLE_UNKNOWN } single_e;
struct single_t *single_create(ak_dbd_t *db, apr_pool_t *p);
/* Take or confirm the right.  TAKEN: another has it.  UNKNOWN: the database cannot be asked. */
single_e single_hold(struct single_t *single);
int single_is_held(const struct single_t *single);

/* --- batch.c --------------------------------------------------------------------------- */
typedef struct {
    apr_uint64_t counted, repeated, quarantined;
} batch_result_t;

/* Take a body of lines: all of it is committed, or APR_SUCCESS is not returned and none is.
 * now_sec 0: the wall's clock. */
apr_status_t batch_take(engine_t *engine, const char *body, apr_size_t len, apr_int64_t now_sec,
                        batch_result_t *result, apr_pool_t *p);

/* --- dedupe.c: which events have been counted -------------------------------------------- */
typedef struct producer_t {
    char name[AK_PRODUCER_MAX + 1];
    ak_runs_t runs;     /* of the numbers of its events */
    apr_uint64_t lost;  /* told as lost and not come since */
    apr_int64_t first_seen;
    int recovered;      /* a gap that was told has been filled */
} producer_t;

apr_status_t dedupe_take(tx_t *tx, const ak_event_t *event, int *is_new);
apr_status_t dedupe_flush(tx_t *tx);
/* Take gaps that are known for longer than grace, and those given up, as lost: how many events. */
apr_uint64_t dedupe_tell_gaps(producer_t *producer, apr_int64_t now_sec, int grace_sec);
apr_status_t dedupe_load(tx_t *tx, const char *name, producer_t **producer);
apr_status_t dedupe_save(tx_t *tx, const producer_t *producer);

/* --- usage.c: figures ------------------------------------------------------------------------ */
typedef struct {
    apr_int64_t hour_sec;
    ak_code_e decision;
    apr_uint64_t requests;
} cell_t;

typedef struct {
    char text[AK_CIDR_TEXT];
    char address[46];         /* the last one seen in it */
    apr_time_t first, last;
    apr_uint64_t requests;
    int is_new;               /* set by the flush: no earlier batch knew it */
    apr_int64_t used_since;   /* set by the flush for a new one: first use of the key before it; 0: none */
} network_t;

typedef struct key_use_t {
    char id[AK_ID_MAX + 1], account[AK_ID_MAX + 1], environment[5];
    apr_array_header_t *cells;     /* of cell_t */
    apr_array_header_t *networks;  /* of network_t */
    apr_time_t first, last;        /* 0: not used in this batch */
    char address[46];              /* of the last use */
} key_use_t;

/* Does an event of this decision show its key at work, rather than an attempt to use it? */
int usage_is_use(ak_code_e decision);
apr_status_t usage_observe(tx_t *tx, const ak_event_t *event);
apr_status_t usage_flush(tx_t *tx);

/* --- quota.c: an account's month is used up ------------------------------------------------- */
apr_status_t quota_check(tx_t *tx, const char *account, int month);

/* An account's month. */
typedef struct {
    const char *account, *account_name, *month_name; /* "2025-10" */
    apr_int64_t quota, used, ends_sec;
} quota_use_t;

/* Tell, once, that most of it is used (detect_quota_warning.c). */
apr_status_t quota_warn(tx_t *tx, const quota_use_t *use);

/* --- detect.c, detect_*.c: a table of detectors ---------------------------------------------- */
typedef struct detector_t {
    const char *kind;     /* of its alerts */
    const char *severity; /* info, warning, critical */
    const char *attack;   /* MITRE ATT&CK technique, or NULL */
    /* Each may be NULL.  baton: the detector's own of this transaction, NULL at first, in tx->p. */
    apr_status_t (*observe)(tx_t *tx, const struct detector_t *self, void **baton, const ak_event_t *event);
    apr_status_t (*flush)(tx_t *tx, const struct detector_t *self, void *baton);
    apr_status_t (*tick)(tx_t *tx, const struct detector_t *self);
    int tick_sec; /* seconds between its ticks; 0: each tick of the engine */
} detector_t;

extern const detector_t detect_new_ip, detect_auth_failures, detect_revoked_key_used,
    detect_expired_key_used, detect_rate_limit_hits, detect_quota_exceeded, detect_events_lost,
    detect_key_expiring, detect_credential_stuffing, detect_scope_probing, detect_ip_not_allowed,
    detect_environment_mismatch, detect_quota_warning, detect_key_expired, detect_key_renewed,
    detect_rotation_due, detect_unused_key;
extern const detector_t *const detectors[];
extern const int detector_count;

apr_status_t detect_observe(tx_t *tx, const ak_event_t *event);
apr_status_t detect_flush(tx_t *tx);
apr_status_t detect_tick(tx_t *tx);

/* What is known of a key, for an alert's words: "key_x (sk_live_abc..., \"Production App\")". */
const char *detect_key_words(tx_t *tx, const char *key_id);

/* A small memory of a detector by subject, until a time; "" where there is none.  For good is
 * what tells a notice that was given once: a clock that leaps ahead and back must not lose it,
 * and there are no more of them than keys and accounts. */
#define STATE_FOR_GOOD APR_INT64_C(253402300799)
apr_status_t detect_state_get(tx_t *tx, const char *detector, const char *subject, const char **state);
apr_status_t detect_state_put(tx_t *tx, const char *detector, const char *subject, const char *state,
                              apr_int64_t expires_sec);
apr_status_t detect_state_drop(tx_t *tx, const char *detector, const char *subject);

/* --- watch.c: how many in how long, by subject -------------------------------------------------- */
#define WATCH_CELLS 10 /* a window slides in steps of a tenth */

typedef struct {
    apr_int64_t newest; /* number of the newest cell */
    apr_uint32_t cell[WATCH_CELLS];
} window_t;

/* Add one at a time; the sum of the window that ends there.  What is older than the window is not added. */
apr_uint32_t window_add(window_t *window, apr_int64_t sec, int window_sec);
const char *window_text(const window_t *window, apr_pool_t *p);
/* APR_EINVAL: not such a text; the window is empty then. */
apr_status_t window_parse(window_t *window, const char *text);

typedef struct {
    apr_uint32_t digest; /* of who it is */
    apr_int64_t sec;     /* when it was last seen */
} face_t;

#define CROWD_MAX 64 /* a crowd counts no further */

typedef struct {
    int count;
    face_t face[CROWD_MAX];
} crowd_t;

typedef struct {
    const char *subject;      /* of the alert */
    char key[AK_ID_MAX + 1], account[AK_ID_MAX + 1];
    char address[46];         /* the last one */
    window_t window;
    crowd_t *crowd;           /* of those that crowd.c made */
    apr_uint32_t peak;        /* the most that a window held in this batch */
    apr_uint32_t hits;        /* in this batch */
    apr_uint32_t over;        /* of these, the ones that met a full window; the filling of it included */
    apr_time_t first, last;   /* of the hits in this batch */
} sighting_t;

/* The record of a subject in this batch, made when it is the first.  state NULL: it has
 * no memory beyond the batch; else the window is loaded under that name. */
apr_status_t watch_hit(tx_t *tx, apr_hash_t **sightings, const char *state, const char *subject,
                       const ak_event_t *event, int window_sec, apr_uint32_t threshold);
/* When it was.  A clock that is wrong must not empty the windows of the others: what is far ahead is now. */
apr_int64_t watch_second(const tx_t *tx, const ak_event_t *event);
void watch_note(sighting_t *sighting, const ak_event_t *event);
/* The address as text; of IPv6 the /64, which one host owns whole.  "" where it is no address. */
const char *watch_source(const char *address, char text[AK_CIDR_TEXT]);
/* Its /24 or /48, as in known_networks; "" where it is no address. */
const char *watch_network(const char *address, char text[AK_CIDR_TEXT]);
/* Save the windows that watch_hit loaded.  Here and below sightings may be NULL: there were none. */
apr_status_t watch_save(tx_t *tx, apr_hash_t *sightings, const char *state, int window_sec);
/* Tell of each subject that met a full window. */
typedef apr_status_t (*watch_tell_t)(tx_t *tx, const detector_t *self, const sighting_t *sighting);
apr_status_t watch_each(tx_t *tx, const detector_t *self, apr_hash_t *sightings, watch_tell_t tell);

/* --- crowd.c: how many different ones in how long, by subject ------------------------------------ */
/* Add one at a time; how many different ones the window holds that ends with the newest. */
int crowd_add(crowd_t *crowd, const char *who, apr_int64_t sec, int window_sec);
const char *crowd_text(const crowd_t *crowd, apr_pool_t *p);
/* APR_EINVAL: not such a text; the crowd is empty then. */
apr_status_t crowd_parse(crowd_t *crowd, const char *text);
/* Like watch_hit and watch_save, for the different ones that a subject was seen with. */
apr_status_t crowd_hit(tx_t *tx, apr_hash_t **sightings, const char *state, const char *subject, const char *who,
                       const ak_event_t *event, int window_sec, int threshold);
apr_status_t crowd_save(tx_t *tx, apr_hash_t *sightings, const char *state, int window_sec);

/* --- alert.c: one open alert a kind and subject -------------------------------------------------- */
typedef struct {
    const char *account_id, *key_id; /* NULL where none */
    const char *subject;
    const char *message;             /* what was seen, what was expected, since when, what to do */
    json_t *details;                 /* an object; alert_raise takes it over */
    apr_uint64_t count;              /* how many things it stands for */
    apr_int64_t first_sec, last_sec;
} alert_t;

apr_status_t alert_raise(tx_t *tx, const detector_t *detector, const alert_t *alert);
/* What it was about is over. */
apr_status_t alert_resolve(tx_t *tx, const char *kind, const char *subject);
/* "2025-10-14T10:30:00Z", in p. */
const char *alert_time(apr_pool_t *p, apr_int64_t sec);
/* "1 day", "3 minutes": a length of time in words, in p. */
const char *alert_span(apr_pool_t *p, apr_int64_t sec);

/* --- outbox.c, courier.c, notify_*.c: alerts on their way to receivers ----------------------------- */
typedef struct {
    const char *alert_id;
    const char *target;  /* "": the receiver of the configuration; else an id, whose facts follow */
    const char *body;    /* the alert as one line of JSON */
    json_t *alert;       /* the same, parsed */
    const char *url, *secret, *old_secret; /* of a webhook; url NULL: there is none (any more) */
    int disabled;
    const char *contact; /* of an account, or NULL */
    const atomic_int *stopping; /* give up what takes long when this is set; may be NULL */
} note_t;

/* What came of an attempt beyond its status. */
typedef struct {
    const char *why;  /* a sentence for the log, when it failed */
    int http_status;  /* 0: no answer came, or it is another protocol */
} reply_t;

#define NOTE_GONE (APR_OS_START_USERERR + 4101)    /* the receiver wants nothing, ever */
#define NOTE_REFUSED (APR_OS_START_USERERR + 4102) /* this note can go to no one */

typedef struct {
    const char *name;    /* as in the outbox */
    const char *setting; /* that wants it */
    int (*enabled)(const settings_t *conf);
    /* What is wrong with its setting, or NULL. */
    const char *(*check)(const settings_t *conf, apr_pool_t *p);
    /* Anything but APR_SUCCESS and the two above: it is tried again. */
    apr_status_t (*deliver)(const settings_t *conf, const note_t *note, reply_t *reply, apr_pool_t *p);
    /* May accounts have receivers of their own?  NULL: no.  add: the statement that finds them. */
    int (*accounts)(const settings_t *conf);
    ak_sql_e add;
    int (*backoff)(apr_int64_t attempts); /* seconds to wait after a number of failures */
    int give_up_sec;                      /* after so long; 0: never */
    int couriers;                         /* threads: how many receivers it serves at a time */
} sink_t;

extern const sink_t sink_syslog, sink_file, sink_webhook, sink_email;
extern const sink_t *const sinks[];
extern const int sink_count;
#define SINKS_MAX 8

/* Put an alert in the outbox for each receiver.  account_id: whose it is, or NULL. */
apr_status_t outbox_add(tx_t *tx, const char *alert_id, const char *account_id, const char *body);
/* Doubles from a second to five minutes. */
int outbox_backoff(apr_int64_t attempts);
/* Deliver what is due until the engine stops: a thread's work. */
void *outbox_run(void *engine);
void outbox_wake(engine_t *engine);

/* One note on its way: made and read by the outbox, filled in by a courier. */
typedef struct job_t {
    struct job_t *next;
    apr_pool_t *p;      /* holds all of it */
    const sink_t *sink;
    const settings_t *conf;
    const char *seq, *lane; /* lane: sink and target; one job of a lane is under way at a time */
    const char *kind;   /* of the alert */
    apr_int64_t attempts, created_sec;
    apr_int64_t lane_attempts; /* the most of any that wait for this receiver: how long it has failed */
    note_t note;
    apr_status_t rv;
    reply_t reply;
    apr_time_t took;
} job_t;

/* Threads that deliver jobs, some for each sink, so that a slow receiver keeps no other waiting. */
struct couriers_t;
apr_status_t couriers_start(struct couriers_t **couriers, engine_t *engine, apr_pool_t *p);
void couriers_give(struct couriers_t *couriers, job_t *job);
/* The jobs that were done since the last call, in a list. */
job_t *couriers_take(struct couriers_t *couriers);
/* Let those under way end; jobs that nobody began are lost to memory, not to the outbox. */
void couriers_stop(struct couriers_t *couriers);

/* The RFC 5424 message of a note. */
const char *syslog_message(const note_t *note, const char *host, long pid, apr_pool_t *p);
/* The message of a webhook: {"type", "timestamp", "data"}, in p; NULL: the alert is none. */
const char *webhook_body(const note_t *note, apr_pool_t *p);
int webhook_backoff(apr_int64_t attempts);
/* Secrets of a file, one a line, the newest first; *why on failure. */
apr_status_t webhook_secrets_read(const char *const **secrets, const char *file, const char **why, apr_pool_t *p);
/* What is wrong with the settings of mail, and which of them; NULL: nothing.  email_server is set. */
const char *email_fault(const settings_t *conf, const char **setting);
int email_backoff(apr_int64_t attempts);
/* mail.c: a whole message with its headers, in p; NULL: an address is none. */
const char *mail_message(const note_t *note, const char *from, const char *to, apr_int64_t now, apr_pool_t *p);
/* local@domain in visible ASCII, nothing that ends or separates addresses. */
int mail_address_ok(const char *text);
/* A text as the value of a header: one line, or lines that are folded. */
const char *mail_header_text(const char *text, apr_pool_t *p);
/* peer.c: is an address one of the internet at large, rather than of a machine, a link or a site? */
int peer_is_public(const struct sockaddr *address);

/* --- lifecycle.c: what the passing of time does ------------------------------------------------------ */
apr_status_t lifecycle_prune(tx_t *tx);
/* Resolve what was told of keys that are revoked or have a successor by now. */
apr_status_t lifecycle_settle(tx_t *tx, const char *kind);
/* A notice about a key takes the place of the one before, is told, and is remembered as state. */
apr_status_t lifecycle_notice(tx_t *tx, const detector_t *self, const alert_t *alert, const char *state);

/* --- renew.c: keys that renew themselves ---------------------------------------------------------------- */
/* Renew the keys that are due.  In transactions of its own: call it outside of any. */
apr_status_t renew_run(engine_t *engine, apr_int64_t now_sec, apr_pool_t *p);

/* --- ingest.c, metrics.c: the HTTP side ---------------------------------------------------------------- */
struct ingest_t;
apr_status_t ingest_start(struct ingest_t **ingest, engine_t *engine, const char **why, apr_pool_t *p);
/* Take no more connections, answer what is under way, and end. */
void ingest_stop(struct ingest_t *ingest);
/* Prometheus text. */
const char *metrics_text(engine_t *engine, apr_pool_t *p);

/* --- replay.c ---------------------------------------------------------------------------------------------- */
/* Run event files by their own time and print alerts as JSON lines. Returns the exit status. */
int replay_run(settings_t *settings, int file_count, const char *const *files, apr_pool_t *p);

#endif
