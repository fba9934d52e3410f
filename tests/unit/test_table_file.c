/* test_table_file.c - the key table's file: kept, made anew, refused, and opened by many at once */
#include <apr_strings.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ak_table_map.h"
#include "suites.h"
#include "table_fixture.h"

#define HOUR ak_window_index(AK_WINDOW_HOUR, NOW)

static const char *try_open(const char *file, apr_status_t *rv)
{
    ak_table_t *table = NULL;
    const char *why = NULL;

    *rv = ak_table_open(&table, file, SLOTS, &why, fixture_pool);
    ck_assert((*rv == APR_SUCCESS) == (table != NULL));
    return why;
}

static void overwrite(const char *file, apr_size_t offset, const void *bytes, apr_size_t len)
{
    int fd = open(file, O_WRONLY | O_CREAT, 0600);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(pwrite(fd, bytes, len, (off_t)offset), (ssize_t)len);
    close(fd);
}

static ino_t inode_of(const char *file)
{
    struct stat st;

    ck_assert_int_eq(stat(file, &st), 0);
    return st.st_ino;
}

START_TEST(test_mode_and_size)
{
    struct stat st;

    ck_assert_int_eq(stat(fixture_file, &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0600);
    ck_assert_uint_eq((apr_size_t)st.st_size, fixture_table->bytes);
    ck_assert_uint_eq(strlen(ak_table_node(fixture_table)), AK_NODE_ID);
    ck_assert_uint_eq(strspn(ak_table_node(fixture_table), "abcdefghijklmnopqrstuvwxyz0123456789"), AK_NODE_ID);
}
END_TEST

START_TEST(test_slots_are_rounded_up)
{
    static const apr_uint32_t asked[] = {0, 1, 256, 257, 1000, 1024}, given[] = {256, 256, 256, 512, 1024, 1024};

    ck_assert_uint_eq(ak_table_slots(fixture_open(asked[_i])), given[_i]);
}
END_TEST

START_TEST(test_all_outlives_reopening)
{
    ak_slot_ref_t ref = fixture_put(fixture_table, 7, 5, NOW), again;
    apr_uint32_t count;
    ak_table_t *second;

    ak_table_take(fixture_table, &ref, AK_COUNT_HOUR, HOUR, 5, &count);
    ak_table_set_applied(fixture_table, 33);
    ak_table_set_stamp(fixture_table, 44);
    second = fixture_open(SLOTS);
    fixture_clock(second, NOW);
    ck_assert_str_eq(ak_table_node(second), ak_table_node(fixture_table));
    ck_assert(fixture_finds(second, 7, 5));
    again = fixture_reserve(second, 7, 5, NOW);
    ck_assert_uint_eq(ak_table_count(second, &again, AK_COUNT_HOUR, HOUR), 1);
    ck_assert_uint_eq(ak_table_applied(second), 33);
    ck_assert_int_eq(ak_table_stamp(second), 44);
    ak_table_take(second, &again, AK_COUNT_HOUR, HOUR, 5, &count); /* and it is one memory */
    ck_assert_uint_eq(ak_table_count(fixture_table, &ref, AK_COUNT_HOUR, HOUR), 2);
}
END_TEST

/* A table that is not of the wanted shape is made anew, beside the one that others still map. */
START_TEST(test_made_anew)
{
    apr_uint32_t layout = TABLE_LAYOUT + 1;
    ino_t before = inode_of(fixture_file);
    ak_table_t *anew;

    fixture_put(fixture_table, 7, 5, NOW);
    if (_i == 0)
        overwrite(fixture_file, offsetof(head_t, layout), &layout, sizeof layout);
    if (_i == 1)
        ck_assert_int_eq(truncate(fixture_file, (off_t)fixture_table->bytes - 1), 0);
    if (_i == 2)
        ck_assert_int_eq(truncate(fixture_file, 0), 0);
    anew = fixture_open(_i == 3 ? 2 * SLOTS : SLOTS);
    ck_assert_uint_ne(inode_of(fixture_file), before);
    ck_assert_uint_eq(ak_table_used(anew), 0);
    ck_assert(!fixture_finds(anew, 7, 5));
    fixture_put(anew, 7, 5, NOW);
    ck_assert(fixture_finds(anew, 7, 5));
    if (_i == 3)
        ck_assert(fixture_finds(fixture_table, 7, 5));
}
END_TEST

/* A mistaken name must never cost anybody a file. */
START_TEST(test_a_file_of_something_else_is_left_alone)
{
    static const char content[] = "SQLite format 3\0and all the keys of the house";
    const char *file = apr_pstrcat(fixture_pool, fixture_file, ".db", NULL), *why;
    char found[sizeof content] = "";
    apr_status_t rv;
    int fd;

    overwrite(file, 0, content, _i ? 3 : sizeof content);
    why = try_open(file, &rv);
    ck_assert_int_eq(rv, APR_EINVAL);
    ck_assert_ptr_nonnull(strstr(why, "is no key table"));
    fd = open(file, O_RDONLY);
    ck_assert_int_eq(read(fd, found, sizeof found), _i ? 3 : (int)sizeof content);
    close(fd);
    ck_assert_mem_eq(found, content, _i ? 3 : sizeof content);
    unlink(file);
}
END_TEST

START_TEST(test_what_is_no_plain_file)
{
    const char *other = apr_pstrcat(fixture_pool, fixture_file, ".other", NULL), *why;
    apr_status_t rv;

    if (_i == 0)
        ck_assert_int_eq(mkdir(other, 0700), 0);
    if (_i == 1)
        ck_assert_int_eq(mkfifo(other, 0600), 0);
    if (_i == 2)
        ck_assert_int_eq(symlink(fixture_file, other), 0);
    if (_i == 3)
        other = apr_pstrcat(fixture_pool, fixture_file, ".none/table", NULL); /* no such folder */
    if (_i == 4)
        other = "/proc/keys.table"; /* a folder that takes no file */
    why = try_open(other, &rv);
    ck_assert_int_ne(rv, APR_SUCCESS);
    ck_assert_ptr_nonnull(why);
    ck_assert_ptr_nonnull(strstr(why, other));
    if (_i < 3)
        ck_assert_int_eq(remove(other), 0);
}
END_TEST

/* A full disk, by a limit on the size of files: told with the size, and nothing is left behind. */
START_TEST(test_no_room)
{
    const char *file = apr_pstrcat(fixture_pool, fixture_file, ".big", NULL), *why;
    struct rlimit limit = {100000, 100000};
    apr_status_t rv;

    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    why = try_open(file, &rv);
    ck_assert_int_ne(rv, APR_SUCCESS);
    ck_assert_ptr_nonnull(strstr(why, "fewer slots"));
    ck_assert_int_ne(access(file, F_OK), 0);
    ck_assert_int_ne(access(apr_pstrcat(fixture_pool, file, ".new", NULL), F_OK), 0);
}
END_TEST

/* After a reboot times, locks and the office are void; counters are as good as ever. */
START_TEST(test_another_boot)
{
    unsigned char digest[AK_DIGEST_BYTES];
    ak_slot_ref_t ref = fixture_put(fixture_table, 7, 5, NOW);
    apr_uint32_t count;
    ak_table_t *after;

    ak_table_take(fixture_table, &ref, AK_COUNT_HOUR, HOUR, 5, &count);
    ak_table_set_stamp(fixture_table, INT64_C(1) << 60);
    ak_table_set_applied(fixture_table, 12);
    atomic_store(&fixture_table->head->poller, (apr_uint64_t)getppid() << 42 | 1);
    fixture_digest(digest, 9, 9);
    ak_table_note_unknown(fixture_table, digest, ak_table_mark(fixture_table));
    atomic_store(&fixture_table->head->unknown[9].noted_usec, INT64_C(1) << 60); /* an uptime long past ours */
    ck_assert(ak_table_is_unknown(fixture_table, digest, 1));
    /* All locks held by threads that the power failure took. */
    memset(fixture_table->head->stripe, 0xff, sizeof fixture_table->head->stripe);
    memset(fixture_table->head->slot_lock, 0xff, sizeof fixture_table->head->slot_lock);
    fixture_table->head->boot[0] ^= 1;

    after = fixture_open(SLOTS);
    ck_assert_int_eq(ak_table_stamp(after), 0);
    ck_assert_uint_eq(ak_table_applied(after), 12);
    ck_assert(!ak_table_is_unknown(after, digest, 1));
    ck_assert(ak_table_elect(after, apr_time_from_sec(3600)));
    ref = fixture_put(after, 7, 5, NOW);
    ck_assert_uint_eq(ak_table_count(after, &ref, AK_COUNT_HOUR, HOUR), 1);
}
END_TEST

/* Open in another process when the pipe `go` is closed, and tell the node that was found. */
static void open_when_told(const int go[2], int told)
{
    const char *why = NULL;
    ak_table_t *table;
    char byte;

    if (fork() != 0)
        return;
    close(go[1]);
    if (read(go[0], &byte, 1) == 0
        && ak_table_open(&table, fixture_file, SLOTS, &why, fixture_pool) == APR_SUCCESS
        && write(told, ak_table_node(table), AK_NODE_ID) == AK_NODE_ID)
        _exit(0);
    _exit(1);
}

/* Many processes that find no table at once must end up with one. */
START_TEST(test_opened_by_many_at_once)
{
    char node[AK_NODE_ID] = {0}, first[AK_NODE_ID] = {0};
    int go[2], told[2], round, i, status;

    for (round = 0; round < 40; round++) {
        unlink(fixture_file);
        ck_assert_int_eq(pipe(go), 0);
        ck_assert_int_eq(pipe(told), 0);
        for (i = 0; i < 6; i++)
            open_when_told(go, told[1]);
        close(go[1]);
        for (i = 0; i < 6; i++) {
            ck_assert_int_gt(wait(&status), 0);
            ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
            ck_assert_int_eq(read(told[0], i ? node : first, AK_NODE_ID), AK_NODE_ID);
            ck_assert_mem_eq(i ? node : first, first, AK_NODE_ID);
        }
        close(go[0]);
        close(told[0]);
        close(told[1]);
    }
}
END_TEST

Suite *suite_table_file(void)
{
    Suite *suite = suite_create("table_file");
    TCase *tc = tcase_create("table_file");

    tcase_add_checked_fixture(tc, fixture_set_up, fixture_tear_down);
    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, test_mode_and_size);
    tcase_add_loop_test(tc, test_slots_are_rounded_up, 0, 6);
    tcase_add_test(tc, test_all_outlives_reopening);
    tcase_add_loop_test(tc, test_made_anew, 0, 4);
    tcase_add_loop_test(tc, test_a_file_of_something_else_is_left_alone, 0, 2);
    tcase_add_loop_test(tc, test_what_is_no_plain_file, 0, 5);
    tcase_add_test(tc, test_no_room);
    tcase_add_test(tc, test_another_boot);
    tcase_add_test(tc, test_opened_by_many_at_once);
    suite_add_tcase(suite, tc);
    return suite;
}
