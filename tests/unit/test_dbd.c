/* test_dbd.c - the pool of database handles: bounds, failures, transactions */
#include <apr_strings.h>
#include <check.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ak_dbd.h"
#include "scratch.h"
#include "suites.h"

static ak_dbd_t *db_of(const char *driver, const char *params, int handles, apr_interval_time_t wait)
{
    const char *why = NULL;
    ak_dbd_t *db = NULL;

    ck_assert_msg(ak_dbd_create(&db, driver, params, handles, wait, &why, scratch_pool) == APR_SUCCESS, "%s", why);
    return db;
}

static ak_dbd_t *small_pool(int handles)
{
    return db_of("sqlite3", scratch_file("keys.db"), handles, 20000);
}

static const char *refusal(const char *driver, const char *params)
{
    const char *why = NULL;
    ak_dbd_t *db;

    ck_assert_int_ne(ak_dbd_create(&db, driver, params, 1, 1000, &why, scratch_pool), APR_SUCCESS);
    ck_assert_ptr_nonnull(why);
    return why;
}

START_TEST(wrong_settings_are_refused_in_words)
{
    ck_assert_ptr_nonnull(strstr(refusal("mysql", "x"), "write sqlite3 or pgsql"));
    ck_assert_ptr_nonnull(strstr(refusal("sqlite3", ""), "sqlite3 FILE"));
    ck_assert_ptr_nonnull(strstr(refusal("pgsql", ""), "pgsql"));
    ck_assert_ptr_nonnull(strstr(refusal("pgsql", "@/nonexistent/file"), "/nonexistent/file"));
    scratch_write("empty", "\n");
    ck_assert_ptr_nonnull(strstr(refusal("pgsql", apr_pstrcat(scratch_pool, "@", scratch_file("empty"), NULL)),
                                 "first line"));
}
END_TEST

START_TEST(a_missing_file_is_never_made)
{
    ak_dbd_t *db = db_of("sqlite3", scratch_file("none.db"), 1, 1000);
    ak_dbd_handle_t *h;

    ck_assert(APR_STATUS_IS_ENOENT(ak_dbd_acquire(db, &h)));
    ck_assert_str_eq(ak_dbd_problem(db, scratch_pool), "the file does not exist");
    ck_assert_int_ne(access(scratch_file("none.db"), F_OK), 0);
}
END_TEST

START_TEST(a_wait_for_a_handle_is_bounded)
{
    ak_dbd_t *db = small_pool(2);
    ak_dbd_handle_t *h[3];

    ck_assert_int_eq(ak_dbd_acquire(db, &h[0]), APR_SUCCESS);
    ck_assert_int_eq(ak_dbd_acquire(db, &h[1]), APR_SUCCESS);
    ck_assert_int_eq(ak_dbd_acquire(db, &h[2]), APR_TIMEUP);
    ck_assert_ptr_null(h[2]);
    ak_dbd_release(h[0]);
    ck_assert_int_eq(ak_dbd_acquire(db, &h[2]), APR_SUCCESS);
    ak_dbd_release(h[1]);
    ak_dbd_release(h[2]);
}
END_TEST

START_TEST(null_and_empty_text_stay_apart)
{
    ak_dbd_t *db = small_pool(1);
    const char *id[] = {"acct_one"};
    const char *account[] = {"0", "acct_one"};
    ak_dbd_handle_t *h;
    ak_rows_t rows;

    ck_assert_int_eq(ak_dbd_acquire(db, &h), APR_SUCCESS);
    ck_assert_int_eq(ak_dbd_select(h, AK_SQL_ACCOUNT_GET, account, &rows, scratch_pool), APR_SUCCESS);
    ck_assert_int_eq(rows.count, 1);
    ck_assert_ptr_null(ak_rows_text_or_null(&rows, 0, 3)); /* contact */
    ck_assert_str_eq(ak_rows_text(&rows, 0, 3), "");
    ck_assert_int_eq(ak_rows_number(&rows, 0, 5, -7), -7); /* per_hour */
    ck_assert_int_eq(ak_rows_number(&rows, 0, 0, -7), 1);
    ck_assert_ptr_null(ak_rows_text_or_null(&rows, 1, 0));
    ck_assert_ptr_null(ak_rows_text_or_null(&rows, 0, 99));
    id[0] = "acct_none";
    ck_assert_int_eq(ak_dbd_select(h, AK_SQL_ACCOUNT_SEQ, id, &rows, scratch_pool), APR_SUCCESS);
    ck_assert_int_eq(rows.count, 0);
    ak_dbd_release(h);
}
END_TEST

START_TEST(a_failed_statement_costs_the_handle_and_tells_no_value)
{
    ak_dbd_t *db = small_pool(1);
    const char *args[] = {"key_x", "digest-of-it", "0", "acct_nobody", "live", "n", "", "p", "l", "tasks:read", NULL,
                          NULL, NULL, "0", "1", "a", NULL, NULL};
    ak_dbd_handle_t *h;
    ak_rows_t rows;

    ck_assert_int_eq(ak_dbd_acquire(db, &h), APR_SUCCESS);
    ck_assert_int_eq(ak_dbd_exec(h, AK_SQL_KEY_ADD, args, NULL, scratch_pool), APR_EGENERAL);
    ck_assert_ptr_nonnull(strstr(ak_dbd_error(h), "key_add: "));
    ck_assert_ptr_null(strstr(ak_dbd_error(h), "digest-of-it"));
    ck_assert_str_eq(ak_dbd_problem(db, scratch_pool), ak_dbd_error(h));
    ck_assert_int_eq(ak_dbd_select(h, AK_SQL_PING, NULL, &rows, scratch_pool), APR_EGENERAL);
    ak_dbd_release(h);
    ck_assert_int_eq(ak_dbd_acquire(db, &h), APR_SUCCESS);
    ck_assert_int_eq(ak_dbd_select(h, AK_SQL_PING, NULL, &rows, scratch_pool), APR_SUCCESS);
    ck_assert_str_eq(ak_rows_text(&rows, 0, 0), "1");
    ak_dbd_release(h);
}
END_TEST

START_TEST(a_conflict_that_does_nothing_is_told_and_harmless)
{
    ak_dbd_t *db = small_pool(1);
    const char *args[] = {"acct_one", "Again", NULL, "free", NULL, NULL, NULL, "5"};
    ak_dbd_handle_t *h;
    ak_rows_t rows;

    ck_assert_int_eq(ak_dbd_acquire(db, &h), APR_SUCCESS);
    ck_assert_int_eq(ak_dbd_exec(h, AK_SQL_ACCOUNT_ADD, args, NULL, scratch_pool), APR_EEXIST);
    ck_assert_int_eq(ak_dbd_select(h, AK_SQL_PING, NULL, &rows, scratch_pool), APR_SUCCESS);
    ak_dbd_release(h);
    ck_assert_str_eq(scratch_value("SELECT name FROM accounts"), "One");
}
END_TEST

START_TEST(a_transaction_left_open_is_rolled_back)
{
    ak_dbd_t *db = small_pool(1);
    const char *args[] = {"acct_two", "Two", NULL, "free", NULL, NULL, NULL, "5"};
    ak_dbd_handle_t *h;

    ck_assert_int_eq(ak_dbd_acquire(db, &h), APR_SUCCESS);
    ck_assert_int_eq(ak_dbd_begin(h, scratch_pool), APR_SUCCESS);
    ck_assert_int_eq(ak_dbd_exec(h, AK_SQL_ACCOUNT_ADD, args, NULL, scratch_pool), APR_SUCCESS);
    ak_dbd_release(h);
    ck_assert_str_eq(scratch_value("SELECT COUNT(*) FROM accounts"), "1");
    ck_assert_int_eq(ak_dbd_acquire(db, &h), APR_SUCCESS);
    ck_assert_int_eq(ak_dbd_begin(h, scratch_pool), APR_SUCCESS);
    ck_assert_int_eq(ak_dbd_exec(h, AK_SQL_ACCOUNT_ADD, args, NULL, scratch_pool), APR_SUCCESS);
    ck_assert_int_eq(ak_dbd_rollback(h, scratch_pool), APR_SUCCESS);
    ck_assert_int_eq(ak_dbd_begin(h, scratch_pool), APR_SUCCESS);
    ck_assert_int_eq(ak_dbd_exec(h, AK_SQL_ACCOUNT_ADD, args, NULL, scratch_pool), APR_SUCCESS);
    ck_assert_int_eq(ak_dbd_commit(h, scratch_pool), APR_SUCCESS);
    ak_dbd_release(h);
    ck_assert_str_eq(scratch_value("SELECT COUNT(*) FROM accounts"), "2");
}
END_TEST

START_TEST(a_locked_database_fails_in_bounded_time_and_heals)
{
    ak_dbd_t *db = small_pool(2);
    ak_dbd_handle_t *holder, *other;
    ak_rows_t rows;

    ck_assert_int_eq(ak_dbd_acquire(db, &holder), APR_SUCCESS);
    ck_assert_int_eq(ak_dbd_begin(holder, scratch_pool), APR_SUCCESS);
    ck_assert_int_eq(ak_dbd_acquire(db, &other), APR_SUCCESS);
    ck_assert_int_eq(ak_dbd_select(other, AK_SQL_PING, NULL, &rows, scratch_pool), APR_SUCCESS);
    ck_assert_int_eq(ak_dbd_begin(other, scratch_pool), APR_EGENERAL);
    ak_dbd_release(other);
    ck_assert_int_eq(ak_dbd_commit(holder, scratch_pool), APR_SUCCESS);
    ak_dbd_release(holder);
    ck_assert_int_eq(ak_dbd_acquire(db, &other), APR_SUCCESS);
    ck_assert_int_eq(ak_dbd_begin(other, scratch_pool), APR_SUCCESS);
    ck_assert_int_eq(ak_dbd_commit(other, scratch_pool), APR_SUCCESS);
    ak_dbd_release(other);
}
END_TEST

START_TEST(an_idle_handle_survives_another_schema_and_another_file)
{
    ak_dbd_t *db = small_pool(1);
    ak_dbd_handle_t *h;
    ak_rows_t rows;

    ck_assert_int_eq(ak_dbd_acquire(db, &h), APR_SUCCESS);
    ck_assert_int_eq(ak_dbd_select(h, AK_SQL_PLANS, NULL, &rows, scratch_pool), APR_SUCCESS);
    ak_dbd_release(h);

    scratch_sql("ALTER TABLE plans ADD COLUMN extra TEXT");
    ck_assert_int_eq(ak_dbd_acquire(db, &h), APR_SUCCESS);
    ck_assert_int_eq(ak_dbd_select(h, AK_SQL_PLANS, NULL, &rows, scratch_pool), APR_SUCCESS);
    ck_assert_int_eq(rows.count, AK_PLAN_COUNT);
    ak_dbd_release(h);
    scratch_sql("ALTER TABLE plans ADD COLUMN other TEXT");
    ck_assert_int_eq(ak_dbd_acquire(db, &h), APR_SUCCESS);
    ck_assert_int_eq(ak_dbd_begin(h, scratch_pool), APR_SUCCESS);
    ck_assert_int_eq(ak_dbd_select(h, AK_SQL_PLANS, NULL, &rows, scratch_pool), APR_SUCCESS);
    ck_assert_int_eq(ak_dbd_commit(h, scratch_pool), APR_SUCCESS);
    ak_dbd_release(h);

    ck_assert_int_eq(rename(scratch_file("keys.db"), scratch_file("old.db")), 0);
    ck_assert(APR_STATUS_IS_ENOENT(ak_dbd_acquire(db, &h)));
    ck_assert_int_eq(rename(scratch_file("old.db"), scratch_file("keys.db")), 0);
    ck_assert_int_eq(ak_dbd_acquire(db, &h), APR_SUCCESS);
    ck_assert_int_eq(ak_dbd_select(h, AK_SQL_PLANS, NULL, &rows, scratch_pool), APR_SUCCESS);
    ak_dbd_release(h);
}
END_TEST

START_TEST(a_file_that_is_no_database_fails)
{
    ak_dbd_t *db;
    ak_dbd_handle_t *h;
    ak_rows_t rows;

    scratch_write("text.db", "This is a letter, and no database at all; it is long enough to hold a header, which "
                             "it does not have.");
    db = db_of("sqlite3", scratch_file("text.db"), 1, 1000);
    if (ak_dbd_acquire(db, &h) == APR_SUCCESS) {
        ck_assert_int_ne(ak_dbd_select(h, AK_SQL_PLANS, NULL, &rows, scratch_pool), APR_SUCCESS);
        ak_dbd_release(h);
    }
    ck_assert_ptr_nonnull(strstr(ak_dbd_problem(db, scratch_pool), "not a database"));
}
END_TEST

START_TEST(a_server_out_of_reach_fails_and_its_password_is_told_to_nobody)
{
    ak_dbd_t *db = db_of("pgsql", apr_pstrcat(scratch_pool, "host=", scratch_dir, " dbname=x password=Sesame", NULL),
                         1, 1000);
    ak_dbd_handle_t *h;

    ck_assert_int_ne(ak_dbd_acquire(db, &h), APR_SUCCESS);
    ck_assert_int_gt(strlen(ak_dbd_problem(db, scratch_pool)), 0);
    ck_assert_ptr_null(strstr(ak_dbd_problem(db, scratch_pool), "Sesame"));
    db = db_of("pgsql", "dbname=x password=Open Sesame", 1, 1000); /* no quotes: not libpq's form */
    ck_assert_int_ne(ak_dbd_acquire(db, &h), APR_SUCCESS);
    ck_assert_ptr_nonnull(strstr(ak_dbd_problem(db, scratch_pool), "libpq's form"));
    ck_assert_ptr_null(strstr(ak_dbd_problem(db, scratch_pool), "Sesame"));
}
END_TEST

Suite *suite_dbd(void)
{
    Suite *suite = suite_create("dbd");
    TCase *settings = tcase_create("settings"), *pool = tcase_create("pool");

    tcase_add_checked_fixture(settings, scratch_set_up, scratch_tear_down);
    tcase_add_test(settings, wrong_settings_are_refused_in_words);
    tcase_add_test(settings, a_missing_file_is_never_made);
    tcase_add_test(settings, a_file_that_is_no_database_fails);
    tcase_add_test(settings, a_server_out_of_reach_fails_and_its_password_is_told_to_nobody);
    suite_add_tcase(suite, settings);
    tcase_add_checked_fixture(pool, scratch_set_up_store, scratch_tear_down);
    tcase_set_timeout(pool, 60);
    tcase_add_test(pool, a_wait_for_a_handle_is_bounded);
    tcase_add_test(pool, null_and_empty_text_stay_apart);
    tcase_add_test(pool, a_failed_statement_costs_the_handle_and_tells_no_value);
    tcase_add_test(pool, a_conflict_that_does_nothing_is_told_and_harmless);
    tcase_add_test(pool, a_transaction_left_open_is_rolled_back);
    tcase_add_test(pool, a_locked_database_fails_in_bounded_time_and_heals);
    tcase_add_test(pool, an_idle_handle_survives_another_schema_and_another_file);
    suite_add_tcase(suite, pool);
    return suite;
}
