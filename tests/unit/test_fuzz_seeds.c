/* test_fuzz_seeds.c - the seeds of the fuzz targets, through the same functions
 *
 * A target aborts where a parser contradicts itself, and a sanitizer where it reads beyond
 * its input; AK_SEEDS_SHOWN=1 names each seed before it is tried.
 */
#include <dirent.h>

#include "suites.h"

#define FUZZ_ALL_IN_ONE
#include "../fuzz/fuzz_cidr.c"
#include "../fuzz/fuzz_event.c"
#include "../fuzz/fuzz_scope.c"
#include "../fuzz/fuzz_time.c"
#include "../fuzz/fuzz_token.c"

#define SEEDS "tests/fuzz/seeds/" /* from the top of the tree, where tests are run */
#define SEED_MAX 65536

static const struct {
    const char *name;
    int (*target)(const uint8_t *, size_t);
} targets[] = {
    {"cidr", fuzz_cidr}, {"event", fuzz_event}, {"scope", fuzz_scope}, {"time", fuzz_time}, {"token", fuzz_token},
};
#define TARGETS ((int)(sizeof targets / sizeof targets[0]))

static void replay(int (*target)(const uint8_t *, size_t), const char *path)
{
    static uint8_t bytes[SEED_MAX];
    FILE *f = fopen(path, "rb");
    size_t len;

    ck_assert_msg(f != NULL, "%s cannot be read", path);
    len = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    if (getenv("AK_SEEDS_SHOWN"))
        fprintf(stderr, "%s\n", path);
    ck_assert_int_eq(target(bytes, len), 0);
}

START_TEST(test_seeds)
{
    char folder[128], path[512];
    struct dirent *entry;
    int seeds = 0;
    DIR *d;

    snprintf(folder, sizeof folder, SEEDS "%s", targets[_i].name);
    d = opendir(folder);
    ck_assert_msg(d != NULL, "no %s here: run the tests from the top of the tree", folder);
    while ((entry = readdir(d)))
        if (entry->d_name[0] != '.') {
            snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
            replay(targets[_i].target, path);
            seeds++;
        }
    closedir(d);
    ck_assert_int_ge(seeds, 15);
}
END_TEST

/* Every prefix of every seed, and every seed with one byte changed: a small campaign that
 * needs no libFuzzer and is the same each time. */
START_TEST(test_seeds_cut_and_bent)
{
    static const uint8_t values[] = {0, '"', ' ', '9', ':', 0x7f, 0xff};
    char folder[128], path[512];
    struct dirent *entry;
    uint8_t bytes[4096], copy[4096];
    size_t len, i, v;
    DIR *d;

    snprintf(folder, sizeof folder, SEEDS "%s", targets[_i].name);
    d = opendir(folder);
    ck_assert_ptr_nonnull(d);
    while ((entry = readdir(d))) {
        FILE *f;

        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (entry->d_name[0] == '.' || !(f = fopen(path, "rb")))
            continue;
        len = fread(bytes, 1, sizeof bytes, f);
        fclose(f);
        for (i = 0; i < len; i++) {
            targets[_i].target(bytes, i);
            memcpy(copy, bytes, len);
            for (v = 0; v < sizeof values; v++) {
                copy[i] = values[v];
                targets[_i].target(copy, len);
            }
        }
    }
    closedir(d);
}
END_TEST

/* A target that no seed is replayed through would rust. */
START_TEST(test_every_target_is_here)
{
    DIR *d = opendir("tests/fuzz");
    struct dirent *entry;
    int sources = 0;

    ck_assert_ptr_nonnull(d);
    while ((entry = readdir(d)))
        if (strncmp(entry->d_name, "fuzz_", 5) == 0)
            sources++;
    closedir(d);
    ck_assert_int_eq(sources, TARGETS);
}
END_TEST

Suite *suite_fuzz_seeds(void)
{
    Suite *suite = suite_create("fuzz_seeds");
    TCase *tc = tcase_create("fuzz_seeds");

    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, test_seeds, 0, TARGETS);
    tcase_add_loop_test(tc, test_seeds_cut_and_bent, 0, TARGETS);
    tcase_add_test(tc, test_every_target_is_here);
    suite_add_tcase(suite, tc);
    return suite;
}
