/* main.c - apikey-auditd: usage figures and alerts out of events
 *
 *   apikey-auditd -c FILE [-f]                  run; -f stays in the foreground
 *   apikey-auditd -c FILE -n                    check the configuration and exit
 *   apikey-auditd -c FILE --replay EVENTS...    run event files by their own time
 *   apikey-auditd --version | --help
 *
 * SIGTERM and SIGINT finish the batch in hand and end with 0.  SIGHUP reads the
 * configuration and opens the log anew; another database or address wants a restart.
 * It needs no rights but to its files: start it as a user of its own.
 */
#include <apr_file_io.h>
#include <apr_general.h>
#include <apr_getopt.h>
#include <apr_strings.h>
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auditd.h"

#define TICK_SEC 2
#define EXIT_USAGE 2

typedef struct {
    const char *file;
    int check, foreground, replay;
} options_t;

static const char help[] =
    "usage: apikey-auditd -c FILE [-f]\n"
    "       apikey-auditd -c FILE -n\n"
    "       apikey-auditd -c FILE --replay EVENTS...\n"
    "\n"
    "  -c, --config FILE   the configuration\n"
    "  -f, --foreground    do not become a daemon; log to standard error unless log_file is set\n"
    "  -n, --check         check the configuration and exit\n"
    "      --replay        run event files by their own time on a scratch database and print\n"
    "                      the alerts as JSON lines\n"
    "      --version       print the version\n"
    "      --help          print this\n";

/* --- options ----------------------------------------------------------------------------- */

static const apr_getopt_option_t option_table[] = {
    {"config", 'c', 1, NULL}, {"foreground", 'f', 0, NULL}, {"check", 'n', 0, NULL}, {"replay", 'r', 0, NULL},
    {"version", 'v', 0, NULL}, {"help", 'h', 0, NULL},      {NULL, 0, 0, NULL},
};

/* Returns -1 to go on, or the exit status. */
static int read_options(options_t *o, apr_getopt_t *scan)
{
    const char *value;
    int letter;
    apr_status_t rv;

    while ((rv = apr_getopt_long(scan, option_table, &letter, &value)) == APR_SUCCESS) {
        switch (letter) {
        case 'c':
            o->file = value;
            break;
        case 'f':
            o->foreground = 1;
            break;
        case 'n':
            o->check = 1;
            break;
        case 'r':
            o->replay = 1;
            break;
        case 'v':
            puts("apikey-auditd " AK_VERSION);
            return EXIT_SUCCESS;
        default:
            fputs(help, stdout);
            return EXIT_SUCCESS;
        }
    }
    if (rv == APR_EOF && o->file && o->replay == (scan->ind < scan->argc))
        return -1;
    if (rv == APR_EOF)
        fputs(!o->file ? "apikey-auditd: -c FILE is missing\n"
              : o->replay ? "apikey-auditd: --replay needs event files\n"
                          : "apikey-auditd: files are taken with --replay only\n", stderr);
    fputs(help, stderr);
    return EXIT_USAGE;
}

/* --- the process --------------------------------------------------------------------------- */

/* Memory holds events and the store's password: it goes into no core file. */
static void forbid_core_dumps(void)
{
    struct rlimit none = {0, 0};

    setrlimit(RLIMIT_CORE, &none);
#ifndef __SANITIZE_ADDRESS__ /* whose leak check must look into the process */
    prctl(PR_SET_DUMPABLE, 0);
#endif
}

static apr_status_t become_daemon(void)
{
    int null;
    pid_t pid = fork();

    if (pid < 0)
        return errno;
    if (pid > 0)
        _exit(EXIT_SUCCESS);
    if (setsid() < 0)
        return errno;
    null = open("/dev/null", O_RDWR);
    if (null < 0)
        return errno;
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    dup2(null, STDERR_FILENO);
    if (null > STDERR_FILENO)
        close(null);
    return chdir("/") == 0 ? APR_SUCCESS : errno;
}

static void write_pid_file(const char *file)
{
    FILE *f = file ? fopen(file, "we") : NULL;

    if (!file)
        return;
    if (!f || fprintf(f, "%ld\n", (long)getpid()) < 0)
        log_say(LOG_LEVEL_WARNING, "pid_file %s cannot be written: %s", file, strerror(errno));
    if (f)
        fclose(f);
}

/* --- running --------------------------------------------------------------------------------- */

static void reload(engine_t *engine, const options_t *o)
{
    const settings_t *old = engine->settings;
    settings_t *fresh;
    const char *why = NULL;
    apr_pool_t *p;

    apr_pool_create(&p, NULL);
    if (settings_read(&fresh, o->file, &why, p) != APR_SUCCESS) {
        log_say(LOG_LEVEL_ERROR, "the configuration stays as it was: %s", why);
    } else {
        if (strcmp(fresh->database_params, old->database_params) != 0 ||
            strcmp(fresh->listen_host, old->listen_host) != 0 || fresh->listen_port != old->listen_port)
            log_say(LOG_LEVEL_WARNING, "another database or ingest_listen is taken up by a restart only");
        if (log_open(fresh->log_file, o->foreground) != APR_SUCCESS)
            log_say(LOG_LEVEL_ERROR, "log_file %s cannot be opened", fresh->log_file);
        engine_reconfigure(engine, fresh);
        log_say(LOG_LEVEL_INFO, "the configuration was read anew");
    }
    apr_pool_destroy(p);
}

/* Signals that we wait for; every thread is started with them blocked. */
static void block_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, set, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
}

/* The signal that came within some seconds, or 0. */
static int wait_for_signal(const sigset_t *set, int sec)
{
    struct timespec limit = {sec, 0};
    int number = sigtimedwait(set, NULL, &limit);

    return number > 0 ? number : 0;
}

/* Wait while another auditd has the database.  0: we were told to end. */
static int wait_for_turn(engine_t *engine, const options_t *o, const sigset_t *set)
{
    int said = 0;

    while (single_hold(engine->single) == SINGLE_TAKEN) {
        if (!said++)
            log_say(LOG_LEVEL_INFO, "another apikey-auditd works on this database; waiting for it to end");
        int number = wait_for_signal(set, 1);
        if (number == SIGHUP)
            reload(engine, o);
        else if (number)
            return 0;
    }
    return 1;
}

static void work(engine_t *engine, const options_t *o, const sigset_t *set)
{
    int number;

    do {
        single_e state = single_hold(engine->single);

        if (state == SINGLE_HELD)
            engine_tick(engine, 0);
        else
            log_limited(&engine->trouble, LOG_LEVEL_ERROR,
                        state == SINGLE_TAKEN ? "another apikey-auditd has taken this database; waiting for it to end"
                                              : "the database cannot be used, events wait where they are");
        number = wait_for_signal(set, TICK_SEC);
        if (number == SIGHUP)
            reload(engine, o);
    } while (number == 0 || number == SIGHUP);
}

static int serve(engine_t *engine, const options_t *o, apr_pool_t *p)
{
    struct ingest_t *ingest;
    const char *why = NULL;
    pthread_t outbox;
    sigset_t set;

    block_signals(&set);
    engine->single = single_create(engine->db, p);
    if (!wait_for_turn(engine, o, &set))
        return EXIT_SUCCESS;
    if (ingest_start(&ingest, engine, &why, p) != APR_SUCCESS) {
        log_say(LOG_LEVEL_ERROR, "%s", why);
        return EXIT_FAILURE;
    }
    if (pthread_create(&outbox, NULL, outbox_run, engine) != 0) {
        log_say(LOG_LEVEL_ERROR, "no thread can be started for the outbox");
        ingest_stop(ingest);
        return EXIT_FAILURE;
    }
    log_say(LOG_LEVEL_INFO, "version " AK_VERSION " takes events at %s:%d", engine->settings->listen_host,
            engine->settings->listen_port);
    work(engine, o, &set);
    ingest_stop(ingest);
    atomic_store(&engine->stopping, 1);
    outbox_wake(engine);
    pthread_join(outbox, NULL);
    log_say(LOG_LEVEL_INFO, "ended");
    return EXIT_SUCCESS;
}

static int run(settings_t *settings, const options_t *o, apr_pool_t *p)
{
    engine_t *engine;
    const char *why = NULL;
    apr_status_t rv = log_open(settings->log_file, o->foreground);
    int status;

    if (rv != APR_SUCCESS) {
        fprintf(stderr, "apikey-auditd: log_file %s cannot be opened: %s\n", settings->log_file, strerror(rv));
        return EXIT_FAILURE;
    }
    if (!o->foreground && (rv = become_daemon()) != APR_SUCCESS) {
        log_say(LOG_LEVEL_ERROR, "cannot become a daemon: %s", strerror(rv));
        return EXIT_FAILURE;
    }
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) { /* while there is one thread */
        log_say(LOG_LEVEL_ERROR, "libcurl cannot be set up");
        return EXIT_FAILURE;
    }
    if (engine_create(&engine, settings, &why, p) != APR_SUCCESS) {
        log_say(LOG_LEVEL_ERROR, "%s", why);
        return EXIT_FAILURE;
    }
    write_pid_file(settings->pid_file);
    status = serve(engine, o, p);
    if (settings->pid_file)
        unlink(settings->pid_file);
    curl_global_cleanup();
    return status;
}

int main(int argc, const char *const *argv)
{
    options_t o = {0};
    settings_t *settings;
    const char *why = NULL;
    apr_getopt_t *scan;
    apr_pool_t *p;
    char *whole;
    int status;

    if (apr_app_initialize(&argc, &argv, NULL) != APR_SUCCESS || apr_pool_create(&p, NULL) != APR_SUCCESS)
        return EXIT_FAILURE;
    forbid_core_dumps();
    umask(027);
    apr_getopt_init(&scan, p, argc, argv);
    status = read_options(&o, scan);
    if (status >= 0)
        return status;
    if (apr_filepath_merge(&whole, NULL, o.file, 0, p) == APR_SUCCESS)
        o.file = whole;
    if (settings_read(&settings, o.file, &why, p) != APR_SUCCESS) {
        fprintf(stderr, "apikey-auditd: %s\n", why);
        return EXIT_FAILURE;
    }
    if (o.check)
        printf("%s: the configuration is good\n", o.file);
    else if (o.replay)
        return replay_run(settings, argc - scan->ind, argv + scan->ind, p);
    else
        status = run(settings, &o, p);
    apr_pool_destroy(p);
    apr_terminate();
    return status < 0 ? EXIT_SUCCESS : status;
}
