/* scratch - a folder and a database of a test's own */
#include "scratch.h"

#include <apr_dbd.h>
#include <apr_strings.h>
#include <check.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ak_digest.h"

apr_pool_t *scratch_pool;
char scratch_dir[64];
ak_store_t *scratch_store;
const ak_actor_t scratch_actor = {.actor = "key_admin", .account_id = "acct_one", .address = "192.0.2.7"};

void scratch_set_up(void)
{
    apr_cpystrn(scratch_dir, "/tmp/ak-unit-XXXXXX", sizeof scratch_dir);
    ck_assert_ptr_nonnull(mkdtemp(scratch_dir));
    apr_pool_create(&scratch_pool, NULL);
}

void scratch_tear_down(void)
{
    DIR *d;
    struct dirent *entry;

    apr_pool_destroy(scratch_pool);
    d = opendir(scratch_dir);
    while (d != NULL && (entry = readdir(d)) != NULL) {
        char path[512];

        snprintf(path, sizeof path, "%s/%s", scratch_dir, entry->d_name);
        unlink(path);
    }
    if (d != NULL)
        closedir(d);
    rmdir(scratch_dir);
}

const char *scratch_file(const char *name)
{
    return apr_pstrcat(scratch_pool, scratch_dir, "/", name, NULL);
}

void scratch_write(const char *name, const char *text)
{
    FILE *f = fopen(scratch_file(name), "w");

    ck_assert_ptr_nonnull(f);
    ck_assert_int_ge(fputs(text, f), 0);
    ck_assert_int_eq(fclose(f), 0);
}

void scratch_set_up_store(void)
{
    ak_account_t account = {.id = "acct_one", .name = "One", .plan = AK_PLAN_PROFESSIONAL, .per_hour = AK_UNSET,
                            .per_minute = AK_UNSET, .quota_month = AK_UNSET};
    const char *why = NULL;
    int from, to;

    scratch_set_up();
    ck_assert_int_eq(ak_store_open(&scratch_store, "sqlite3", scratch_file("keys.db"), 4, &why, scratch_pool), 0);
    ck_assert_int_eq(ak_store_migrate(scratch_store, &from, &to, &why, scratch_pool), 0);
    ck_assert_int_eq(ak_store_account_create(scratch_store, &scratch_actor, &account, 1000, scratch_pool), 0);
}

/* --- SQL from aside --- */

static apr_dbd_t *connect_aside(const apr_dbd_driver_t **driver)
{
    apr_dbd_t *conn;

    ck_assert_int_eq(apr_dbd_get_driver(scratch_pool, "sqlite3", driver), 0);
    ck_assert_int_eq(apr_dbd_open(*driver, scratch_pool, scratch_file("keys.db"), &conn), 0);
    return conn;
}

void scratch_sql(const char *sql)
{
    const apr_dbd_driver_t *driver;
    apr_dbd_t *conn = connect_aside(&driver);
    int rows, code = apr_dbd_query(driver, conn, &rows, sql);

    ck_assert_msg(code == 0, "%s: %s", sql, apr_dbd_error(driver, conn, code));
    apr_dbd_close(driver, conn);
}

const char *scratch_value(const char *sql)
{
    const apr_dbd_driver_t *driver;
    apr_dbd_t *conn = connect_aside(&driver);
    apr_dbd_results_t *res = NULL;
    apr_dbd_row_t *row = NULL;
    const char *value = NULL;
    int code = apr_dbd_select(driver, scratch_pool, conn, &res, sql, 1);

    ck_assert_msg(code == 0, "%s: %s", sql, apr_dbd_error(driver, conn, code));
    if (apr_dbd_get_row(driver, scratch_pool, res, &row, -1) == 0)
        value = apr_dbd_get_entry(driver, row, 0);
    apr_dbd_close(driver, conn);
    return value;
}

/* --- keys --- */

void scratch_digest(const char *id, unsigned char *digest)
{
    ck_assert_int_eq(ak_sha256(id, strlen(id), digest), 0);
}

ak_key_new_t scratch_key(const char *id)
{
    unsigned char digest[AK_DIGEST_BYTES];
    char *hex = apr_palloc(scratch_pool, AK_DIGEST_HEX + 1);
    ak_key_new_t key = {.id = id, .digest_hex = hex, .account_id = "acct_one", .name = id, .description = "",
                        .prefix = "sk_live_abc...", .last_four = "wxyz", .permissions = "tasks:read",
                        .per_hour = AK_UNSET, .per_minute = AK_UNSET};

    scratch_digest(id, digest);
    ak_digest_to_hex(digest, hex);
    return key;
}

apr_int64_t scratch_add_key(const char *id)
{
    ak_key_new_t key = scratch_key(id);
    apr_int64_t sequence = 0;

    ck_assert_int_eq(ak_store_key_create(scratch_store, &scratch_actor, &key, 2000, NULL, &sequence, scratch_pool),
                     0);
    return sequence;
}
