/* test_segment.c - segment files: whole lines, own names, gaps where writing failed */
#include <apr_strings.h>
#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ak_segment.h"
#include "suites.h"

static apr_pool_t *pool;
static char dir[64];

static void set_up(void)
{
    apr_cpystrn(dir, "/tmp/ak-segment-XXXXXX", sizeof(dir));
    ck_assert_ptr_nonnull(mkdtemp(dir));
    apr_pool_create(&pool, NULL);
    umask(022);
}

static void tear_down(void)
{
    DIR *d = opendir(dir);
    struct dirent *entry;
    char path[512];

    apr_pool_destroy(pool);
    while (d && (entry = readdir(d))) {
        snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
        unlink(path);
    }
    if (d)
        closedir(d);
    rmdir(dir);
}

static ak_event_t event_at(apr_time_t time)
{
    ak_event_t e = {.time = time, .decision = AK_OK, .status = 200, .method = "GET"};
    return e;
}

/* What stands in all files of the folder together. */
typedef struct {
    int files, lines, good, bad;
    apr_uint64_t highest;
    unsigned char seen[100001]; /* by sequence, of any producer */
    char producer[AK_PRODUCER_MAX + 1], file[256];
} census_t;

static void count_line(census_t *c, const char *line, apr_size_t len)
{
    ak_event_t e;
    const char *why;

    c->lines++;
    if (len <= 1)
        return; /* an empty line */
    if (ak_event_decode(&e, line, len, &why) != APR_SUCCESS) {
        c->bad++;
        return;
    }
    c->good++;
    apr_cpystrn(c->producer, e.producer, sizeof(c->producer));
    if (e.seq > c->highest)
        c->highest = e.seq;
    if (e.seq <= 100000)
        c->seen[e.seq]++;
}

static void count_file(census_t *c, const char *name)
{
    char path[512], *line = NULL;
    size_t size = 0;
    ssize_t len;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *f = fopen(path, "r");
    ck_assert_ptr_nonnull(f);
    c->files++;
    snprintf(c->file, sizeof(c->file), "%s", name);
    while ((len = getline(&line, &size, f)) >= 0)
        count_line(c, line, (apr_size_t)len);
    free(line);
    fclose(f);
}

static void take_census(census_t *c)
{
    DIR *d = opendir(dir);
    struct dirent *entry;

    memset(c, 0, sizeof(*c));
    while ((entry = readdir(d)))
        if (strstr(entry->d_name, AK_SEGMENT_SUFFIX))
            count_file(c, entry->d_name);
    closedir(d);
}

static census_t census;

START_TEST(bad_names_are_refused)
{
    static const char *const nodes[] = {"", "N1", "a.b", "a/b", "a b", "abcdefghijklmnopqrstu"};
    ak_segment_t *seg;

    for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++)
        ck_assert_int_eq(ak_segment_create(&seg, dir, nodes[i], pool), APR_EINVAL);
    ck_assert_int_eq(ak_segment_create(&seg, "", "n1", pool), APR_EINVAL);
}
END_TEST

START_TEST(no_file_before_the_first_event)
{
    ak_segment_t *seg;

    ck_assert_int_eq(ak_segment_create(&seg, dir, "n1", pool), APR_SUCCESS);
    take_census(&census);
    ck_assert_int_eq(census.files, 0);
}
END_TEST

START_TEST(events_are_numbered_from_one)
{
    ak_segment_t *seg;
    ak_segment_stats_t stats;
    char prefix[64], want[512];
    struct stat st;

    ak_segment_create(&seg, dir, "n1", pool);
    for (int i = 1; i <= 100; i++) {
        ak_event_t e = event_at(apr_time_now());
        ck_assert_int_eq(ak_segment_append(seg, &e), APR_SUCCESS);
        ck_assert_uint_eq(e.seq, (apr_uint64_t)i);
    }
    take_census(&census);
    ck_assert_int_eq(census.files, 1);
    ck_assert_int_eq(census.good, 100);
    ck_assert_int_eq(census.lines, 100);
    for (int i = 1; i <= 100; i++)
        ck_assert_int_eq(census.seen[i], 1);
    snprintf(prefix, sizeof(prefix), "n1.%ld.", (long)getpid());
    ck_assert_int_eq(strncmp(census.producer, prefix, strlen(prefix)), 0);
    snprintf(want, sizeof(want), "%s.1.events", census.producer);
    ck_assert_str_eq(census.file, want);
    snprintf(want, sizeof(want), "%s/%s", dir, census.file);
    ck_assert_int_eq(stat(want, &st), 0);
    ck_assert_int_eq(st.st_mode & 0777, 0640);
    ak_segment_stats(seg, &stats);
    ck_assert_uint_eq(stats.written, 100);
    ck_assert_uint_eq(stats.failed, 0);
}
END_TEST

START_TEST(an_old_file_is_followed_by_another)
{
    ak_segment_t *seg;
    apr_time_t now = apr_time_now();
    ak_event_t first = event_at(now), soon = event_at(now + AK_SEGMENT_AGE),
               late = event_at(now + AK_SEGMENT_AGE + 1);

    ak_segment_create(&seg, dir, "n1", pool);
    ck_assert_int_eq(ak_segment_append(seg, &first), APR_SUCCESS);
    ck_assert_int_eq(ak_segment_append(seg, &soon), APR_SUCCESS);
    take_census(&census);
    ck_assert_int_eq(census.files, 1);
    ck_assert_int_eq(ak_segment_append(seg, &late), APR_SUCCESS);
    take_census(&census);
    ck_assert_int_eq(census.files, 2);
    ck_assert_int_eq(census.good, 3);
}
END_TEST

START_TEST(a_full_file_is_followed_by_another)
{
    ak_segment_t *seg;
    char path[512];
    ak_event_t e = event_at(apr_time_now());

    ak_segment_create(&seg, dir, "n1", pool);
    /* as long a line as there is, until the first file is full */
    for (apr_uint64_t bytes = 0; bytes < AK_SEGMENT_BYTES;) {
        char buf[AK_EVENT_MAX];
        memset(e.scope, 's', 65);
        memset(e.method, 'M', 16);
        memset(e.address, '1', 45);
        ck_assert_int_eq(ak_segment_append(seg, &e), APR_SUCCESS);
        bytes += ak_event_encode(buf, &e);
    }
    take_census(&census);
    ck_assert_int_eq(census.files, 1);
    ck_assert_int_eq(ak_segment_append(seg, &e), APR_SUCCESS);
    take_census(&census);
    ck_assert_int_eq(census.files, 2);
    ck_assert_int_eq(census.bad, 0);
    ck_assert_uint_eq(census.highest, (apr_uint64_t)census.good);
    snprintf(path, sizeof(path), "%s/%s.2.events", dir, e.producer);
    ck_assert_int_eq(access(path, F_OK), 0);
}
END_TEST

START_TEST(a_missing_folder_leaves_a_gap)
{
    ak_segment_t *seg;
    ak_segment_stats_t stats;
    ak_event_t e = event_at(apr_time_now());

    ak_segment_create(&seg, dir, "n1", pool);
    ck_assert_int_eq(rmdir(dir), 0);
    ck_assert_int_eq(ak_segment_append(seg, &e), ENOENT);
    ck_assert_int_eq(ak_segment_append(seg, &e), ENOENT);
    ck_assert_int_eq(mkdir(dir, 0700), 0);
    ck_assert_int_eq(ak_segment_append(seg, &e), APR_SUCCESS);
    ck_assert_uint_eq(e.seq, 3);
    ak_segment_stats(seg, &stats);
    ck_assert_uint_eq(stats.written, 1);
    ck_assert_uint_eq(stats.failed, 2);
    ck_assert_int_eq(stats.last_error, ENOENT);
    take_census(&census);
    ck_assert_int_eq(census.good, 1);
    ck_assert_int_eq(census.seen[3], 1);
}
END_TEST

static void limit_files_to(rlim_t bytes)
{
    struct rlimit limit;

    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = bytes;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* A real short write: the limit cuts the third record in two. */
START_TEST(a_torn_line_is_ended_before_the_next_record)
{
    ak_segment_t *seg;
    ak_segment_stats_t stats;
    char buf[AK_EVENT_MAX];
    ak_event_t e = event_at(apr_time_now());

    signal(SIGXFSZ, SIG_IGN);
    ak_segment_create(&seg, dir, "n1", pool);
    ck_assert_int_eq(ak_segment_append(seg, &e), APR_SUCCESS);
    ck_assert_int_eq(ak_segment_append(seg, &e), APR_SUCCESS);
    limit_files_to(2 * ak_event_encode(buf, &e) + 20);
    ck_assert_int_ne(ak_segment_append(seg, &e), APR_SUCCESS);
    limit_files_to(RLIM_INFINITY);
    ck_assert_int_eq(ak_segment_append(seg, &e), APR_SUCCESS);
    ck_assert_int_eq(ak_segment_append(seg, &e), APR_SUCCESS);

    take_census(&census);
    ck_assert_int_eq(census.files, 1);
    ck_assert_int_eq(census.good, 4);
    ck_assert_int_eq(census.bad, 1);
    ck_assert_int_eq(census.lines, 5);
    ck_assert_int_eq(census.seen[3], 0);
    ck_assert_int_eq(census.seen[4], 1);
    ck_assert_int_eq(census.seen[5], 1);
    ak_segment_stats(seg, &stats);
    ck_assert_uint_eq(stats.written, 4);
    ck_assert_uint_eq(stats.failed, 1);
    ck_assert_int_ne(stats.last_error, APR_SUCCESS);
}
END_TEST

/* A file that may not grow is left for a new one: only the torn event is lost. */
START_TEST(a_file_that_may_not_grow_is_left)
{
    ak_segment_t *seg;
    char buf[AK_EVENT_MAX];
    ak_event_t e = event_at(apr_time_now());
    int failures = 0;

    signal(SIGXFSZ, SIG_IGN);
    ak_segment_create(&seg, dir, "n1", pool);
    ck_assert_int_eq(ak_segment_append(seg, &e), APR_SUCCESS);
    limit_files_to(2 * ak_event_encode(buf, &e) + 20);
    for (int i = 0; i < 9; i++)
        failures += ak_segment_append(seg, &e) != APR_SUCCESS;
    limit_files_to(RLIM_INFINITY);
    take_census(&census);
    ck_assert_int_ge(census.files, 3);
    ck_assert_int_gt(failures, 0);
    ck_assert_int_eq(census.good, 10 - failures);
    ck_assert_int_eq(census.bad, failures);
}
END_TEST

/* Where no record fits any file there must not be a file for each event. */
START_TEST(a_limit_below_one_record_makes_no_flood_of_files)
{
    ak_segment_t *seg;
    ak_event_t e = event_at(apr_time_now());

    signal(SIGXFSZ, SIG_IGN);
    ak_segment_create(&seg, dir, "n1", pool);
    limit_files_to(30);
    for (int i = 0; i < 20; i++)
        ck_assert_int_ne(ak_segment_append(seg, &e), APR_SUCCESS);
    limit_files_to(RLIM_INFINITY);
    ck_assert_int_eq(ak_segment_append(seg, &e), APR_SUCCESS);
    take_census(&census);
    ck_assert_int_eq(census.files, 1);
    ck_assert_int_eq(census.good, 1);
    ck_assert_int_eq(census.seen[21], 1);
}
END_TEST

#define THREADS 4
#define EACH 5000

static void *append_many(void *data)
{
    for (int i = 0; i < EACH; i++) {
        ak_event_t e = event_at(apr_time_now());
        if (ak_segment_append(data, &e) != APR_SUCCESS)
            return data;
    }
    return NULL;
}

START_TEST(threads_share_one_sequence)
{
    pthread_t thread[THREADS];
    ak_segment_t *seg;
    void *bad;

    ak_segment_create(&seg, dir, "n1", pool);
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, append_many, seg), 0);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(thread[i], &bad);
        ck_assert_ptr_null(bad);
    }
    take_census(&census);
    ck_assert_int_eq(census.good, THREADS * EACH);
    ck_assert_int_eq(census.bad, 0);
    for (int i = 1; i <= THREADS * EACH; i++)
        ck_assert_int_eq(census.seen[i], 1);
}
END_TEST

/* Files change under the feet of threads that write: ages are forced by the events' times. */
static void *append_and_roll(void *data)
{
    for (int i = 0; i < 300; i++) {
        ak_event_t e = event_at((apr_time_t)i * 2 * AK_SEGMENT_AGE);
        if (ak_segment_append(data, &e) != APR_SUCCESS)
            return data;
    }
    return NULL;
}

START_TEST(threads_survive_the_change_of_files)
{
    pthread_t thread[THREADS];
    ak_segment_t *seg;
    void *bad;

    ak_segment_create(&seg, dir, "n1", pool);
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, append_and_roll, seg), 0);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(thread[i], &bad);
        ck_assert_ptr_null(bad);
    }
    take_census(&census);
    ck_assert_int_gt(census.files, 50);
    ck_assert_int_eq(census.good, THREADS * 300);
    ck_assert_int_eq(census.bad, 0);
}
END_TEST

START_TEST(a_forked_child_is_another_producer)
{
    ak_segment_t *seg;
    ak_event_t mine = event_at(apr_time_now()), later = event_at(apr_time_now());
    int status;

    ak_segment_create(&seg, dir, "n1", pool);
    ck_assert_int_eq(ak_segment_append(seg, &mine), APR_SUCCESS);
    pid_t child = fork();
    if (child == 0) {
        ak_event_t e = event_at(apr_time_now());
        char prefix[64];
        snprintf(prefix, sizeof(prefix), "n1.%ld.", (long)getpid());
        int ok = ak_segment_append(seg, &e) == APR_SUCCESS && e.seq == 1 &&
                 strncmp(e.producer, prefix, strlen(prefix)) == 0;
        _exit(ok ? 0 : 1);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    ck_assert_int_eq(ak_segment_append(seg, &later), APR_SUCCESS);
    ck_assert_uint_eq(later.seq, 2);
    ck_assert_str_eq(later.producer, mine.producer);
    take_census(&census);
    ck_assert_int_eq(census.files, 2);
    ck_assert_int_eq(census.good, 3);
}
END_TEST

/* Another machine's container may share the folder, the node's name and the pid. */
START_TEST(a_taken_name_is_left_alone)
{
    ak_segment_t *seg;
    ak_event_t e = event_at(apr_time_now()), next;
    char path[512];

    ak_segment_create(&seg, dir, "n1", pool);
    ck_assert_int_eq(ak_segment_append(seg, &e), APR_SUCCESS);
    snprintf(path, sizeof(path), "%s/%s.2.events", dir, e.producer);
    FILE *other = fopen(path, "w");
    ck_assert_ptr_nonnull(other);
    fclose(other);
    next = event_at(e.time + 2 * AK_SEGMENT_AGE);
    ck_assert_int_eq(ak_segment_append(seg, &next), APR_SUCCESS);
    struct stat st;
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_eq(st.st_size, 0);
    snprintf(path, sizeof(path), "%s/%s.3.events", dir, e.producer);
    ck_assert_int_eq(access(path, F_OK), 0);
}
END_TEST

Suite *suite_segment(void)
{
    Suite *s = suite_create("segment");
    TCase *c = tcase_create("files");

    tcase_add_checked_fixture(c, set_up, tear_down);
    tcase_set_timeout(c, 120);
    tcase_add_test(c, bad_names_are_refused);
    tcase_add_test(c, no_file_before_the_first_event);
    tcase_add_test(c, events_are_numbered_from_one);
    tcase_add_test(c, an_old_file_is_followed_by_another);
    tcase_add_test(c, a_full_file_is_followed_by_another);
    tcase_add_test(c, a_missing_folder_leaves_a_gap);
    tcase_add_test(c, a_torn_line_is_ended_before_the_next_record);
    tcase_add_test(c, a_file_that_may_not_grow_is_left);
    tcase_add_test(c, a_limit_below_one_record_makes_no_flood_of_files);
    tcase_add_test(c, threads_share_one_sequence);
    tcase_add_test(c, threads_survive_the_change_of_files);
    tcase_add_test(c, a_forked_child_is_another_producer);
    tcase_add_test(c, a_taken_name_is_left_alone);
    suite_add_tcase(s, c);
    return s;
}
