/* test_rate.c - both rate stores: what a limit grants, and what happens when a store fails
 *
 * The memcached is a real one, on a loopback port of its own; where its answers must be
 * wrong or late, a few lines of server stand in for it.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <apr_strings.h>

#include "suites.h"
#include "table_fixture.h"

#define MEMCACHED "/usr/bin/memcached"
#define TIMEOUT apr_time_from_msec(300)
#define WORKERS 8
#define KEY "key_0123456789abcdefghij"

enum { SHM, MEMCACHED_STORE, STORES };

static pid_t server[2];
static int port[2];
static apr_time_t now; /* one reading for a whole test */

static void nap_ms(long ms)
{
    const struct timespec pause = {ms / 1000, ms % 1000 * 1000000};

    nanosleep(&pause, NULL);
}

/* --- servers ----------------------------------------------------------------------------- */

/* A loopback socket; listening where it is to stand in for a server. */
static int loopback_socket(int *number, int listening)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    if (listening)
        ck_assert_int_eq(listen(fd, 8), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    *number = ntohs(address.sin_port);
    return fd;
}

static int answers(int number)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)number),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int connected = connect(fd, (struct sockaddr *)&address, sizeof address) == 0;

    close(fd);
    return connected;
}

static void start_server(int i)
{
    char number[8];
    int tries;

    ck_assert_msg(access(MEMCACHED, X_OK) == 0, MEMCACHED " is missing: make deps installs it");
    apr_snprintf(number, sizeof number, "%d", port[i]);
    if ((server[i] = fork()) == 0) {
        int quiet = open("/dev/null", O_WRONLY);

        dup2(quiet, STDERR_FILENO); /* it complains of those who only look whether it is there */
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that dies leaves none behind */
        execl(MEMCACHED, MEMCACHED, "-l", "127.0.0.1", "-p", number, "-U", "0", "-m", "8", "-M", "-t", "1",
              geteuid() == 0 ? "-u" : NULL, "nobody", (char *)NULL);
        _exit(127);
    }
    for (tries = 0; tries < 500 && !answers(port[i]); tries++) {
        ck_assert_msg(waitpid(server[i], NULL, WNOHANG) == 0, "memcached ended at once");
        nap_ms(20);
    }
    ck_assert(answers(port[i]));
}

static void new_server(int i)
{
    close(loopback_socket(&port[i], 0)); /* free a moment ago */
    start_server(i);
}

static void end_server(int i)
{
    if (server[i] > 0) {
        kill(server[i], SIGKILL);
        waitpid(server[i], NULL, 0);
        server[i] = 0;
    }
}

static void set_up(void)
{
    fixture_set_up();
    server[0] = server[1] = 0;
    now = apr_time_now();
    fixture_clock(fixture_table, now);
}

static void tear_down(void)
{
    end_server(0);
    end_server(1);
    fixture_tear_down();
}

/* --- stores ---------------------------------------------------------------------------------- */

static ak_rate_t *memcached_store(const char *servers)
{
    const char *why = NULL;
    ak_rate_t *rate = NULL;

    ck_assert_msg(ak_rate_memcached_create(&rate, servers, TIMEOUT, &why, fixture_pool) == APR_SUCCESS, "%s", why);
    return rate;
}

static const char *address_of(int i)
{
    return apr_psprintf(fixture_pool, "127.0.0.1:%d", port[i]);
}

static ak_rate_t *store(int which)
{
    if (which == SHM)
        return ak_rate_shm_create(fixture_table, fixture_pool);
    new_server(0);
    return memcached_store(address_of(0));
}

static ak_slot_ref_t slot(void)
{
    return fixture_reserve(fixture_table, 1, 0, now);
}

/* 1: admitted, 0: refused, -1: the store failed. */
static int take(ak_rate_t *rate, const char *key, ak_limits_t limits, ak_rate_result_t *out)
{
    ak_slot_ref_t ref = slot();
    apr_status_t rv = rate->v->take(rate, &ref, key, &limits, now, out);

    return rv == APR_SUCCESS ? out->admitted : -1;
}

static int peek(ak_rate_t *rate, const char *key, ak_limits_t limits, ak_rate_result_t *out)
{
    ak_slot_ref_t ref = slot();

    return rate->v->peek(rate, &ref, key, &limits, now, out) == APR_SUCCESS ? out->admitted : -1;
}

static void stands_at(const ak_rate_result_t *result, apr_uint32_t minute, apr_uint32_t hour)
{
    ck_assert_uint_eq(result->window[AK_WINDOW_MINUTE].remaining, minute);
    ck_assert_uint_eq(result->window[AK_WINDOW_HOUR].remaining, hour);
}

/* --- both stores ---------------------------------------------------------------------------------- */

START_TEST(test_counts_down_to_the_limit)
{
    const ak_limits_t limits = {3, 10};
    ak_rate_t *rate = store(_i);
    ak_rate_result_t result;
    apr_uint32_t i;

    ck_assert_str_eq(rate->v->name, _i == SHM ? "shm" : "memcached");
    for (i = 1; i <= 3; i++) {
        ck_assert_int_eq(take(rate, KEY, limits, &result), 1);
        stands_at(&result, 3 - i, 10 - i);
        ck_assert_uint_eq(result.window[AK_WINDOW_MINUTE].limit, 3);
        ck_assert_uint_eq(result.window[AK_WINDOW_HOUR].limit, 10);
        ck_assert_int_eq(result.window[AK_WINDOW_MINUTE].reset_sec, ak_window_reset_sec(AK_WINDOW_MINUTE, now));
        ck_assert_int_eq(result.window[AK_WINDOW_HOUR].reset_sec, ak_window_reset_sec(AK_WINDOW_HOUR, now));
    }
    for (i = 0; i < 5; i++) { /* and what is refused is billed to no window */
        ck_assert_int_eq(take(rate, KEY, limits, &result), 0);
        ck_assert_int_eq(result.refused_by, AK_WINDOW_MINUTE);
        stands_at(&result, 0, 7);
    }
}
END_TEST

START_TEST(test_the_hour_refuses)
{
    const ak_limits_t limits = {10, 3};
    ak_rate_t *rate = store(_i);
    ak_rate_result_t result;
    int i;

    for (i = 0; i < 3; i++)
        ck_assert_int_eq(take(rate, KEY, limits, &result), 1);
    for (i = 0; i < 5; i++) {
        ck_assert_int_eq(take(rate, KEY, limits, &result), 0);
        ck_assert_int_eq(result.refused_by, AK_WINDOW_HOUR);
        stands_at(&result, 7, 0);
    }
}
END_TEST

/* Retry-After must not be early: of two that are used up the hour is named. */
START_TEST(test_both_refuse)
{
    const ak_limits_t limits = {2, 2};
    ak_rate_t *rate = store(_i);
    ak_rate_result_t result;

    ck_assert_int_eq(take(rate, KEY, limits, &result), 1);
    ck_assert_int_eq(take(rate, KEY, limits, &result), 1);
    ck_assert_int_eq(take(rate, KEY, limits, &result), 0);
    ck_assert_int_eq(result.refused_by, AK_WINDOW_HOUR);
    stands_at(&result, 0, 0);
    ck_assert_int_eq(peek(rate, KEY, limits, &result), 0);
    ck_assert_int_eq(result.refused_by, AK_WINDOW_HOUR);
}
END_TEST

START_TEST(test_no_limit_at_all_admits_nothing)
{
    ak_rate_t *rate = store(_i);
    ak_rate_result_t result;

    ck_assert_int_eq(take(rate, KEY, (ak_limits_t){0, 5}, &result), 0);
    ck_assert_int_eq(result.refused_by, AK_WINDOW_MINUTE);
    ck_assert_int_eq(take(rate, KEY, (ak_limits_t){5, 0}, &result), 0);
    ck_assert_int_eq(result.refused_by, AK_WINDOW_HOUR);
    ck_assert_int_eq(take(rate, KEY, (ak_limits_t){0, 0}, &result), 0);
    ck_assert_int_eq(take(rate, KEY, (ak_limits_t){5, 5}, &result), 1);
    stands_at(&result, 4, 4);
}
END_TEST

START_TEST(test_peek_spends_nothing)
{
    const ak_limits_t limits = {2, 5};
    ak_rate_t *rate = store(_i);
    ak_rate_result_t result;
    int i;

    for (i = 0; i < 5; i++) {
        ck_assert_int_eq(peek(rate, KEY, limits, &result), 1);
        stands_at(&result, 2, 5);
    }
    take(rate, KEY, limits, &result);
    ck_assert_int_eq(peek(rate, KEY, limits, &result), 1);
    stands_at(&result, 1, 4);
    take(rate, KEY, limits, &result);
    ck_assert_int_eq(peek(rate, KEY, limits, &result), 0);
    ck_assert_int_eq(result.refused_by, AK_WINDOW_MINUTE);
    ck_assert_int_eq(result.window[AK_WINDOW_HOUR].reset_sec, ak_window_reset_sec(AK_WINDOW_HOUR, now));
}
END_TEST

START_TEST(test_a_lowered_limit_holds_at_once)
{
    ak_rate_t *rate = store(_i);
    ak_rate_result_t result;
    int i;

    for (i = 0; i < 5; i++)
        ck_assert_int_eq(take(rate, KEY, (ak_limits_t){10, 10}, &result), 1);
    ck_assert_int_eq(take(rate, KEY, (ak_limits_t){10, 4}, &result), 0);
    stands_at(&result, 5, 0);
    ck_assert_int_eq(take(rate, KEY, (ak_limits_t){10, 6}, &result), 1);
}
END_TEST

/* --- many at once ----------------------------------------------------------------------------------- */

static ak_rate_t *contended;
static _Atomic unsigned *admitted; /* by the minute's limit, by the hour's */

static void take_often(void)
{
    ak_rate_result_t result;
    int i;

    for (i = 0; i < 40; i++) {
        if (take(contended, "key_minute", (ak_limits_t){100, 10000}, &result) == 1)
            atomic_fetch_add(&admitted[0], 1);
        if (take(contended, "key_hour", (ak_limits_t){10000, 100}, &result) == 1)
            atomic_fetch_add(&admitted[1], 1);
    }
}

static void *take_in_thread(void *ignored)
{
    take_often();
    return NULL;
}

static void run(int threads)
{
    pthread_t thread[WORKERS];
    int i, status;

    for (i = 0; i < WORKERS; i++)
        if (threads)
            ck_assert_int_eq(pthread_create(&thread[i], NULL, take_in_thread, NULL), 0);
        else if (fork() == 0) {
            take_often();
            _exit(0);
        }
    for (i = 0; i < WORKERS; i++)
        if (threads)
            pthread_join(thread[i], NULL);
        else {
            ck_assert_int_gt(wait(&status), 0);
            ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        }
}

/* Eight ask 320 times for a hundred.  (In shm one key has both; there the first limit that is
 * reached is the minute's, by the first of the two names.) */
START_TEST(test_exactly_the_limit)
{
    int of_shm = _i & 1, threads = _i & 2;
    ak_rate_result_t result;

    contended = store(of_shm ? SHM : MEMCACHED_STORE);
    admitted = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert(admitted != MAP_FAILED);
    /* A process that has a connection already must not hand it on. */
    ck_assert_int_eq(peek(contended, "key_minute", (ak_limits_t){100, 10000}, &result), 1);
    run(threads);
    if (of_shm) {
        ck_assert_uint_eq(admitted[0] + admitted[1], 100);
        ck_assert_int_eq(peek(contended, "key_minute", (ak_limits_t){100, 100}, &result), 0);
    }
    else {
        ck_assert_uint_eq(admitted[0], 100);
        ck_assert_uint_eq(admitted[1], 100);
        /* All that was refused has been given back. */
        ck_assert_int_eq(peek(contended, "key_minute", (ak_limits_t){100, 10000}, &result), 0);
        stands_at(&result, 0, 9900);
        ck_assert_int_eq(peek(contended, "key_hour", (ak_limits_t){10000, 100}, &result), 0);
        stands_at(&result, 9900, 0);
    }
    munmap((void *)admitted, 4096);
}
END_TEST

/* --- shm: a slot that is gone -------------------------------------------------------------------------- */

START_TEST(test_a_slot_that_is_gone)
{
    const ak_limits_t limits = {3, 3};
    ak_rate_t *rate = store(SHM);
    ak_slot_ref_t ref = slot();
    ak_rate_result_t result;

    ref.generation++;
    ck_assert_int_eq(rate->v->take(rate, &ref, KEY, &limits, now, &result), AK_EGONE);
    ck_assert_int_eq(peek(rate, KEY, limits, &result), 1);
    stands_at(&result, 3, 3);
}
END_TEST

/* --- memcached: failures ----------------------------------------------------------------------------------- */

/* Ask until the store answers again; its verdict. */
static int take_when_back(ak_rate_t *rate, const char *key, ak_limits_t limits)
{
    ak_rate_result_t result;
    int tries, verdict = -1;

    for (tries = 0; tries < 200 && verdict < 0; tries++) {
        verdict = take(rate, key, limits, &result);
        if (verdict < 0)
            nap_ms(100);
    }
    return verdict;
}

START_TEST(test_a_dead_memcached_grants_nothing)
{
    const ak_limits_t limits = {100, 100};
    ak_rate_t *rate = store(MEMCACHED_STORE);
    ak_rate_result_t result;
    int i;

    ck_assert_int_eq(take(rate, KEY, limits, &result), 1);
    end_server(0);
    for (i = 0; i < 5; i++) {
        ck_assert_int_eq(take(rate, KEY, limits, &result), -1);
        ck_assert_int_eq(peek(rate, KEY, limits, &result), -1);
    }
    start_server(0);
    ck_assert_int_eq(take_when_back(rate, KEY, limits), 1); /* by itself */
}
END_TEST

START_TEST(test_a_memcached_that_never_was)
{
    ak_rate_result_t result;

    close(loopback_socket(&port[0], 0));
    ck_assert_int_eq(take(memcached_store(address_of(0)), KEY, (ak_limits_t){5, 5}, &result), -1);
}
END_TEST

/* Hung, then woken: what it counted late is on the safe side. */
START_TEST(test_a_hung_memcached_grants_nothing)
{
    const ak_limits_t limits = {4, 100};
    ak_rate_t *rate = store(MEMCACHED_STORE);
    ak_rate_result_t result;
    int i, granted = 1, status = 0;

    ck_assert_int_eq(take(rate, KEY, limits, &result), 1);
    ck_assert_int_eq(kill(server[0], SIGSTOP), 0);
    ck_assert_int_eq(waitpid(server[0], &status, WUNTRACED), server[0]); /* every thread of it stands still */
    ck_assert(WIFSTOPPED(status));
    for (i = 0; i < 3; i++)
        ck_assert_int_eq(take(rate, KEY, limits, &result), -1);
    ck_assert_int_eq(kill(server[0], SIGCONT), 0);
    granted += take_when_back(rate, KEY, limits);
    for (i = 0; i < 10; i++)
        granted += take(rate, KEY, limits, &result) == 1;
    ck_assert_int_le(granted, 4);
}
END_TEST

/* Two servers: a counter never moves to the other one when its own is dead, for there it
 * would begin anew. */
START_TEST(test_counters_stay_with_their_server)
{
    const ak_limits_t limits = {2, 100};
    ak_rate_result_t result;
    ak_rate_t *rate;
    int i, dead = 0, refused = 0;

    new_server(0);
    new_server(1);
    rate = memcached_store(apr_pstrcat(fixture_pool, address_of(0), "  ", address_of(1), NULL));
    for (i = 0; i < 40; i++) {
        const char *key = apr_psprintf(fixture_pool, "key_%d", i);
        ck_assert_int_eq(take(rate, key, limits, &result), 1);
        ck_assert_int_eq(take(rate, key, limits, &result), 1);
    }
    end_server(1);
    for (i = 0; i < 40; i++)
        switch (take(rate, apr_psprintf(fixture_pool, "key_%d", i), limits, &result)) {
        case -1:
            dead++;
            break;
        case 0:
            refused++;
            break;
        default:
            ck_abort_msg("key_%d was admitted beyond its limit", i);
        }
    ck_assert_int_gt(dead, 0);
    ck_assert_int_gt(refused, 0);
}
END_TEST

/* --- memcached: wrong answers --------------------------------------------------------------------------------- */

/* A server that gives the first connection one answer, after a pause, and all others another. */
static struct {
    int fd;
    const char *first, *others;
    long pause_ms;
} stand_in;

static void *serve_one(void *baton)
{
    int fd = (int)(intptr_t)baton, first = fd < 0;
    char command[512];
    const char *answer = first ? stand_in.first : stand_in.others;

    fd = first ? -fd : fd;
    while (read(fd, command, sizeof command) > 0) {
        if (first)
            nap_ms(stand_in.pause_ms);
        if (write(fd, answer, strlen(answer)) < 0)
            break;
    }
    close(fd);
    return NULL;
}

static void *serve(void *ignored)
{
    intptr_t sign = -1;
    pthread_t thread;
    int fd;

    while ((fd = accept(stand_in.fd, NULL, NULL)) >= 0) {
        if (pthread_create(&thread, NULL, serve_one, (void *)(sign * fd)) != 0)
            break;
        pthread_detach(thread);
        sign = 1;
    }
    return NULL;
}

static ak_rate_t *store_of_stand_in(const char *first, long pause_ms, const char *others)
{
    pthread_t thread;

    signal(SIGPIPE, SIG_IGN);
    stand_in.fd = loopback_socket(&port[0], 1);
    stand_in.first = first;
    stand_in.others = others;
    stand_in.pause_ms = pause_ms;
    ck_assert_int_eq(pthread_create(&thread, NULL, serve, NULL), 0);
    pthread_detach(thread);
    return memcached_store(address_of(0));
}

/* The answer to a trip that was given up arrives after all: it must not be taken for that of
 * the next one. */
START_TEST(test_a_late_answer_is_nobodys)
{
    ak_rate_t *rate = store_of_stand_in("1\r\n", 900, "8\r\n");
    const ak_limits_t limits = {5, 5};
    ak_rate_result_t result;

    ck_assert_int_eq(take(rate, KEY, limits, &result), -1);
    nap_ms(1000);
    ck_assert_int_eq(take_when_back(rate, KEY, limits), 0);
}
END_TEST

START_TEST(test_answers_that_are_none)
{
    static const char *const wrong[] = {"ERROR\r\n", "SERVER_ERROR out of memory\r\n", "CLIENT_ERROR bad\r\n",
                                        "hello\r\n", "END\r\n", "STORED\r\n", "-1\r\n", "\r\n"};
    ak_rate_t *rate = store_of_stand_in(wrong[_i], 0, wrong[_i]);
    ak_rate_result_t result;

    ck_assert_int_ne(take(rate, KEY, (ak_limits_t){5, 5}, &result), 1);
}
END_TEST

/* A process that was stopped for hours counts in the window that runs, not in one whose
 * counter may be gone. */
START_TEST(test_an_old_reading)
{
    const ak_limits_t limits = {100, 100};
    ak_rate_t *rate = store(MEMCACHED_STORE);
    ak_slot_ref_t ref = slot();
    ak_rate_result_t result;

    ck_assert_int_eq(rate->v->take(rate, &ref, KEY, &limits, now - HOURS(3), &result), APR_SUCCESS);
    ck_assert_int_ge(result.window[AK_WINDOW_HOUR].reset_sec, apr_time_sec(now));
}
END_TEST

/* --- memcached: names of servers ------------------------------------------------------------------------------- */

static const char *const bad_servers[] = {
    "",
    "   ",
    "localhost",
    "11211",
    ":11211",
    "localhost:",
    "localhost:0",
    "localhost:65536",
    "localhost:99999999999",
    "localhost:abc",
    "localhost:-1",
    "localhost:11211,other:11211",
    "localhost:11211 other",
    "[::1]",
    "[::1%lo]:11211",
    "[::1:11211",
    "/run/memcached.sock",
};

START_TEST(test_bad_server_strings)
{
    const char *why = NULL;
    ak_rate_t *rate = NULL;

    ck_assert_msg(ak_rate_memcached_create(&rate, bad_servers[_i], TIMEOUT, &why, fixture_pool) == APR_EINVAL,
                  "\"%s\"", bad_servers[_i]);
    ck_assert_ptr_null(rate);
    ck_assert_ptr_nonnull(strstr(why, "HOST:PORT"));
}
END_TEST

START_TEST(test_good_server_strings)
{
    static const char *const good[] = {"localhost:11211", "127.0.0.1:1 127.0.0.1:65535", " a.example:11211 ",
                                       "[::1]:11211"};

    ck_assert_ptr_nonnull(memcached_store(good[_i]));
}
END_TEST

Suite *suite_rate(void)
{
    Suite *suite = suite_create("rate");
    TCase *tc = tcase_create("rate");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, test_counts_down_to_the_limit, 0, STORES);
    tcase_add_loop_test(tc, test_the_hour_refuses, 0, STORES);
    tcase_add_loop_test(tc, test_both_refuse, 0, STORES);
    tcase_add_loop_test(tc, test_no_limit_at_all_admits_nothing, 0, STORES);
    tcase_add_loop_test(tc, test_peek_spends_nothing, 0, STORES);
    tcase_add_loop_test(tc, test_a_lowered_limit_holds_at_once, 0, STORES);
    tcase_add_loop_test(tc, test_exactly_the_limit, 0, 4);
    tcase_add_test(tc, test_a_slot_that_is_gone);
    tcase_add_test(tc, test_a_dead_memcached_grants_nothing);
    tcase_add_test(tc, test_a_memcached_that_never_was);
    tcase_add_test(tc, test_a_hung_memcached_grants_nothing);
    tcase_add_test(tc, test_counters_stay_with_their_server);
    tcase_add_test(tc, test_a_late_answer_is_nobodys);
    tcase_add_loop_test(tc, test_answers_that_are_none, 0, 8);
    tcase_add_test(tc, test_an_old_reading);
    tcase_add_loop_test(tc, test_bad_server_strings, 0, sizeof bad_servers / sizeof bad_servers[0]);
    tcase_add_loop_test(tc, test_good_server_strings, 0, 4);
    suite_add_tcase(suite, tc);
    return suite;
}
