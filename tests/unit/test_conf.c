/* test_conf.c - the configuration file: defaults, types, and refusals that say what to write */
#include <apr_strings.h>
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "ak_conf.h"
#include "scratch.h"
#include "suites.h"

static const char *why;

static ak_conf_t *read_text(const char *text)
{
    ak_conf_t *conf = NULL;

    scratch_write("apikey.conf", text);
    ck_assert_msg(ak_conf_read(&conf, scratch_file("apikey.conf"), &why, scratch_pool) == APR_SUCCESS, "%s", why);
    return conf;
}

static void refuses(const char *text, const char *words)
{
    ak_conf_t *conf = NULL;

    scratch_write("apikey.conf", text);
    ck_assert_int_ne(ak_conf_read(&conf, scratch_file("apikey.conf"), &why, scratch_pool), APR_SUCCESS);
    ck_assert_ptr_null(conf);
    ck_assert_msg(strstr(why, words) != NULL, "\"%s\" should say \"%s\"", why, words);
    ck_assert_ptr_nonnull(strstr(why, "apikey.conf:"));
}

START_TEST(an_empty_file_gives_the_defaults)
{
    ak_conf_t *conf = read_text("");

    ck_assert_str_eq(ak_conf_text(conf, "key_prefix"), "sk");
    ck_assert_ptr_null(ak_conf_text(conf, "pepper_file"));
    ck_assert_int_eq(ak_conf_number(conf, "auth_failures_key_count"), 10);
    ck_assert_int_eq(ak_conf_line(conf, "key_prefix"), 0);
}
END_TEST

START_TEST(lines_are_read_as_people_write_them)
{
    ak_conf_t *conf = read_text("# a comment\n\n  key_prefix\t ab  \r\nevents_dir /a b/c # no comment\n"
                                "auth_failures_key_count 7\ndatabase pgsql   host=x dbname=y"); /* no newline */
    const char *driver, *params;

    ck_assert_str_eq(ak_conf_text(conf, "key_prefix"), "ab");
    ck_assert_str_eq(ak_conf_text(conf, "events_dir"), "/a b/c # no comment");
    ck_assert_int_eq(ak_conf_number(conf, "auth_failures_key_count"), 7);
    ck_assert_int_eq(ak_conf_line(conf, "events_dir"), 4);
    ck_assert_int_eq(ak_conf_database(conf, &driver, &params, &why, scratch_pool), APR_SUCCESS);
    ck_assert_str_eq(driver, "pgsql");
    ck_assert_str_eq(params, "host=x dbname=y");
    ck_assert_int_eq(ak_conf_database(read_text("#\n"), &driver, &params, &why, scratch_pool), APR_EINVAL);
    ck_assert_ptr_nonnull(strstr(why, "database sqlite3 FILE"));
}
END_TEST

START_TEST(refusals_name_file_line_and_the_way_out)
{
    refuses("\n\nkey_prefx ab\n", ":3: \"key_prefx\" is no setting: did you mean key_prefix?");
    refuses("Database sqlite3 /x\n", "did you mean database?");
    refuses("colour blue\n", "\"colour\" is no setting: take the line out");
    refuses("\x01\x02 x\n", "this is no setting");
    refuses("\xff\xfe x\n", "this is no setting");
    refuses("key_prefix a\nkey_prefix b\n", ":2: key_prefix stands in line 1 already");
    refuses("key_prefix\n", "key_prefix has no value: write key_prefix sk");
    refuses("pepper_file   \n", "pepper_file has no value: write pepper_file FILE");
    refuses("pepper_file /\xc3\x28\n", "not in UTF-8");
}
END_TEST

START_TEST(numbers_have_their_range)
{
    static const char *const wrong[] = {"0", "1000001", "-1", "+5", "ten", "5x", "5 6", "0x10", "1e3",
                                        "99999999999999999999", "1.5"};

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        refuses(apr_pstrcat(scratch_pool, "auth_failures_key_count ", wrong[i], "\n", NULL),
                "must be a whole number from 1 to 1000000, such as 10");
    ck_assert_int_eq(ak_conf_number(read_text("auth_failures_key_count 1000000"), "auth_failures_key_count"), 1000000);
}
END_TEST

START_TEST(a_database_is_named_in_full_and_its_password_kept)
{
    refuses("database\n", "has no value");
    refuses("database sqlite3\n", "database sqlite3 FILE");
    refuses("database mysql password=Sesame\n", "database pgsql CONNECTION");
    ck_assert_ptr_null(strstr(why, "Sesame"));
}
END_TEST

START_TEST(what_is_no_file_of_ours_is_refused)
{
    char *line = apr_palloc(scratch_pool, 6000);
    ak_conf_t *conf = NULL;
    FILE *f;

    memset(line, 'x', 5999);
    line[5999] = '\0';
    refuses(line, "longer than");
    f = fopen(scratch_file("apikey.conf"), "w");
    ck_assert_int_eq(fwrite("\0\0\0\n", 1, 4, f), 4);
    fclose(f);
    ck_assert_int_ne(ak_conf_read(&conf, scratch_file("apikey.conf"), &why, scratch_pool), APR_SUCCESS);
    ck_assert_ptr_nonnull(strstr(why, "NUL"));
    ck_assert_int_ne(ak_conf_read(&conf, scratch_file("none.conf"), &why, scratch_pool), APR_SUCCESS);
    ck_assert_ptr_nonnull(strstr(why, "none.conf cannot be read"));
    ck_assert_int_ne(ak_conf_read(&conf, scratch_dir, &why, scratch_pool), APR_SUCCESS);
}
END_TEST

/* These two end their process, which therefore has no folder to leave behind. */
static ak_conf_t *read_nothing(void)
{
    ak_conf_t *conf = NULL;
    apr_pool_t *p;

    apr_pool_create(&p, NULL);
    ck_assert_int_eq(ak_conf_read(&conf, "/dev/null", &why, p), APR_SUCCESS);
    return conf;
}

START_TEST(asking_for_what_is_not_there_aborts)
{
    ak_conf_number(read_nothing(), "no_such_name");
}
END_TEST

START_TEST(asking_for_another_type_aborts)
{
    ak_conf_number(read_nothing(), "key_prefix");
}
END_TEST

START_TEST(every_setting_is_described)
{
    const char *standard, *help;
    int count = 0;

    while (ak_conf_describe(count, &standard, &help) != NULL) {
        ck_assert_int_gt(strlen(help), 0);
        count++;
    }
    ck_assert_int_ge(count, 4);
    ck_assert_ptr_null(ak_conf_describe(-1, &standard, &help));
}
END_TEST

Suite *suite_conf(void)
{
    Suite *suite = suite_create("conf");
    TCase *tcase = tcase_create("conf"), *aborts = tcase_create("aborts");

    tcase_add_checked_fixture(tcase, scratch_set_up, scratch_tear_down);
    tcase_add_test(tcase, an_empty_file_gives_the_defaults);
    tcase_add_test(tcase, lines_are_read_as_people_write_them);
    tcase_add_test(tcase, refusals_name_file_line_and_the_way_out);
    tcase_add_test(tcase, numbers_have_their_range);
    tcase_add_test(tcase, a_database_is_named_in_full_and_its_password_kept);
    tcase_add_test(tcase, what_is_no_file_of_ours_is_refused);
    tcase_add_test(tcase, every_setting_is_described);
    suite_add_tcase(suite, tcase);
    tcase_add_test_raise_signal(aborts, asking_for_what_is_not_there_aborts, SIGABRT);
    tcase_add_test_raise_signal(aborts, asking_for_another_type_aborts, SIGABRT);
    suite_add_tcase(suite, aborts);
    return suite;
}
