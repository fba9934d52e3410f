/* test_sql.c - every statement of queries.sql is served by an index */
#include <apr_dbd.h>
#include <apr_strings.h>
#include <check.h>
#include <string.h>

#include "ak_dbd.h"
#include "scratch.h"
#include "suites.h"

/* The statement as SQLite takes it: ? for %s, % for %%. */
static const char *native_text(const char *text)
{
    char *out = apr_palloc(scratch_pool, strlen(text) + 1), *at = out;

    for (; *text != '\0'; text++) {
        if (*text == '%')
            *at++ = *++text == 's' ? '?' : '%';
        else
            *at++ = *text;
    }
    *at = '\0';
    return out;
}

/* The lines of the plan, joined; *statements without a plan (pragma) give "". */
static const char *plan_of(const apr_dbd_driver_t *driver, apr_dbd_t *conn, const char *text)
{
    const char *sql = apr_pstrcat(scratch_pool, "EXPLAIN QUERY PLAN ", native_text(text), NULL), *plan = "";
    apr_dbd_results_t *res = NULL;
    apr_dbd_row_t *row = NULL;
    int code = apr_dbd_select(driver, scratch_pool, conn, &res, sql, 1);

    ck_assert_msg(code == 0, "%s: %s", sql, apr_dbd_error(driver, conn, code));
    while (apr_dbd_get_row(driver, scratch_pool, res, &row, -1) == 0)
        plan = apr_pstrcat(scratch_pool, plan, apr_dbd_get_entry(driver, row, 3), "\n", NULL);
    return plan;
}

/* "SCAN x" reads all of x; "SCAN CONSTANT ROW" and a scan of a subquery's rows read no table. */
static int scans_a_table(const char *plan)
{
    const char *at = plan;

    while ((at = strstr(at, "SCAN ")) != NULL) {
        at += 5;
        if (strncmp(at, "CONSTANT ROW", 12) != 0)
            return 1;
    }
    return 0;
}

START_TEST(each_statement_has_its_index_or_its_reason)
{
    const apr_dbd_driver_t *driver;
    apr_dbd_t *conn;
    int seen = 0, scans = 0;

    ck_assert_int_eq(apr_dbd_get_driver(scratch_pool, "sqlite3", &driver), 0);
    ck_assert_int_eq(apr_dbd_open(driver, scratch_pool, scratch_file("keys.db"), &conn), 0);
    for (int i = 0; i < AK_SQL_COUNT; i++) {
        const char *plan;

        if (ak_sql_driver[i] != NULL)
            continue;
        plan = plan_of(driver, conn, ak_sql_text[i]);
        ck_assert_msg(!scans_a_table(plan) || ak_sql_scan[i] != NULL,
                      "%s reads a whole table; give it an index, or a reason:\n%s", ak_sql_name[i], plan);
        ck_assert_msg(scans_a_table(plan) || ak_sql_scan[i] == NULL,
                      "%s reads no whole table: its \"-- scan:\" line is wrong\n%s", ak_sql_name[i], plan);
        scans += scans_a_table(plan);
        seen++;
    }
    apr_dbd_close(driver, conn);
    ck_assert_int_ge(seen, 50);
    ck_assert_int_ge(scans, 3); /* the eye that looks for scans sees those that are there */
}
END_TEST

START_TEST(both_databases_have_the_same_migrations)
{
    int sqlite = 0, pgsql = 0;

    for (const ak_migration_t *m = ak_migrations; m->driver != NULL; m++) {
        ck_assert_ptr_nonnull(m->statements[0]);
        if (strcmp(m->driver, "sqlite3") == 0)
            ck_assert_int_eq(m->version, ++sqlite);
        else
            ck_assert_int_eq(m->version, ++pgsql);
    }
    ck_assert_int_eq(sqlite, AK_SCHEMA_VERSION);
    ck_assert_int_eq(pgsql, AK_SCHEMA_VERSION);
}
END_TEST

Suite *suite_sql(void)
{
    Suite *suite = suite_create("sql");
    TCase *tcase = tcase_create("plans");

    tcase_add_checked_fixture(tcase, scratch_set_up_store, scratch_tear_down);
    tcase_add_test(tcase, each_statement_has_its_index_or_its_reason);
    tcase_add_test(tcase, both_databases_have_the_same_migrations);
    suite_add_tcase(suite, tcase);
    return suite;
}
