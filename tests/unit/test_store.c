/* test_store.c - the store: opening, keys, pages, rotation, and what each leaves in the logs */
#include <apr_strings.h>
#include <check.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ak_digest.h"
#include "ak_store.h"
#include "scratch.h"
#include "suites.h"

#define P scratch_pool
#define STORE scratch_store
#define ACTOR &scratch_actor

static ak_store_t *store_at(const char *name)
{
    ak_store_t *store;
    const char *why = NULL;

    ck_assert_int_eq(ak_store_open(&store, "sqlite3", scratch_file(name), 1, &why, P), APR_SUCCESS);
    return store;
}

/* --- opening --- */

static void refuses(const char *name, const char *words)
{
    const char *why = NULL;

    ck_assert_int_ne(ak_store_check(store_at(name), &why, P), APR_SUCCESS);
    ck_assert_ptr_nonnull(why);
    ck_assert_msg(strstr(why, words) != NULL && strstr(why, name) != NULL, "\"%s\" should say \"%s\"", why, words);
}

START_TEST(check_says_what_is_wrong_and_what_to_do)
{
    const char *why = NULL;
    struct stat info;

    refuses("none.db", "does not exist: create it with apikeyctl db init");
    ck_assert_int_ne(access(scratch_file("none.db"), F_OK), 0);
    scratch_write("empty.db", "");
    refuses("empty.db", "is no mod_apikey database");
    ck_assert_int_eq(stat(scratch_file("empty.db"), &info), 0);
    ck_assert_int_eq(info.st_size, 0);
    scratch_write("text.db", "This is a letter, and no database at all; it is long enough to hold a header, which "
                             "it does not have.");
    refuses("text.db", "is no mod_apikey database");
    ck_assert_int_eq(ak_store_check(STORE, &why, P), APR_SUCCESS);
    ck_assert_ptr_null(why);
    ck_assert_int_eq(ak_store_ping(STORE, P), APR_SUCCESS);
}
END_TEST

START_TEST(another_version_is_refused_with_the_way_out)
{
    const char *why = NULL;
    int from, to;

    scratch_sql("UPDATE schema_version SET version = 0");
    ck_assert_int_eq(ak_store_check(STORE, &why, P), APR_EINVAL);
    scratch_sql("UPDATE schema_version SET version = 999");
    ck_assert_int_eq(ak_store_check(STORE, &why, P), APR_EINVAL);
    ck_assert_ptr_nonnull(strstr(why, "newer"));
    ck_assert_int_eq(ak_store_migrate(STORE, &from, &to, &why, P), APR_EINVAL);
    ck_assert_ptr_nonnull(strstr(why, "newer"));
}
END_TEST

START_TEST(migrate_makes_once_and_keeps_off_what_is_not_ours)
{
    ak_store_t *store = store_at("fresh.db");
    const char *why = NULL;
    int from, to;

    ck_assert_int_eq(ak_store_migrate(store, &from, &to, &why, P), APR_SUCCESS);
    ck_assert_int_eq(from, 0);
    ck_assert_int_eq(to, AK_SCHEMA_VERSION);
    ck_assert_int_eq(ak_store_migrate(store, &from, &to, &why, P), APR_SUCCESS);
    ck_assert_int_eq(from, AK_SCHEMA_VERSION);
    ck_assert_int_eq(to, AK_SCHEMA_VERSION);
    ck_assert_str_eq(scratch_value("PRAGMA journal_mode"), "wal");

    scratch_sql("DROP TABLE change_log"); /* the other database: no longer ours */
    ck_assert_int_eq(ak_store_migrate(STORE, &from, &to, &why, P), APR_EINVAL);
    ck_assert_ptr_nonnull(strstr(why, "is no mod_apikey database"));
    ck_assert_int_ne(ak_store_migrate(store_at("no/such/folder.db"), &from, &to, &why, P), APR_SUCCESS);
    ck_assert_ptr_nonnull(strstr(why, "cannot be made"));
}
END_TEST

START_TEST(seeds_are_read)
{
    ak_plan_t plans[AK_PLAN_COUNT];
    ak_registry_t *registry;

    ck_assert_int_eq(ak_store_plans(STORE, plans, P), APR_SUCCESS);
    ck_assert_str_eq(plans[AK_PLAN_FREE].name, "free");
    ck_assert_int_eq(plans[AK_PLAN_FREE].per_hour, 1000);
    ck_assert_int_eq(plans[AK_PLAN_PROFESSIONAL].per_minute, 500);
    ck_assert_int_eq(plans[AK_PLAN_ENTERPRISE].quota_month, AK_UNSET);
    ck_assert_int_eq(ak_store_registry(STORE, &registry, P), APR_SUCCESS);
    ck_assert_int_eq(registry->quantity, 15);
    ck_assert_int_eq(ak_registry_bit(registry, "admin:*"), AK_SCOPE_ADMIN_BIT);
    ck_assert_int_eq(ak_registry_bit(registry, "tasks:read"), 1);
    scratch_sql("PRAGMA foreign_keys = OFF; DELETE FROM plans WHERE name = 'free'");
    ck_assert_int_ne(ak_store_plans(STORE, plans, P), APR_SUCCESS);
}
END_TEST

/* --- one key --- */

static ak_key_record_t *get(const char *id)
{
    ak_key_record_t *key = NULL;

    ck_assert_int_eq(ak_store_key_get(STORE, NULL, id, &key, P), APR_SUCCESS);
    return key;
}

static ak_key_t look_up(const char *id)
{
    unsigned char digest[AK_DIGEST_BYTES];
    ak_registry_t *registry;
    ak_key_t key;

    scratch_digest(id, digest);
    ck_assert_int_eq(ak_store_registry(STORE, &registry, P), APR_SUCCESS);
    ck_assert_int_eq(ak_store_lookup(STORE, digest, registry, &key, P), APR_SUCCESS);
    return key;
}

START_TEST(a_key_comes_back_as_it_was_made)
{
    ak_key_new_t made = scratch_key("key_a");
    unsigned char digest[AK_DIGEST_BYTES], expected[AK_DIGEST_BYTES];
    apr_int64_t sequence = 0;
    ak_key_record_t *key;

    made.name = "Produktion \xc3\xa4";
    made.description = "it's \"quoted\"; DROP TABLE api_keys; -- 100%";
    made.environment = AK_ENV_TEST;
    made.allowed_ips = "192.0.2.0/24 2001:db8::/32";
    made.per_hour = 77;
    made.expires_at = 5000000000;
    made.auto_renew = 1;
    ck_assert_int_eq(ak_store_key_create(STORE, ACTOR, &made, 1234, NULL, &sequence, P), APR_SUCCESS);
    ck_assert_int_eq(sequence, 1);
    key = get("key_a");
    ck_assert_str_eq(key->name, made.name);
    ck_assert_str_eq(key->description, made.description);
    ck_assert_str_eq(key->allowed_ips, made.allowed_ips);
    ck_assert_str_eq(key->created_by, "key_admin");
    ck_assert_int_eq(key->environment, AK_ENV_TEST);
    ck_assert_int_eq(key->status, AK_STATUS_ACTIVE);
    ck_assert_int_eq(key->per_hour, 77);
    ck_assert_int_eq(key->per_minute, AK_UNSET);
    ck_assert_int_eq(key->created_at, 1234);
    ck_assert_int_eq(key->expires_at, 5000000000);
    ck_assert_int_eq(key->last_used, 0);
    ck_assert_int_eq(key->auto_renew, 1);
    ck_assert_int_eq(key->version, 1);
    ck_assert_ptr_null(key->rotated_from);
    ck_assert_int_eq(ak_store_key_digest(STORE, "key_a", digest, P), APR_SUCCESS);
    scratch_digest("key_a", expected);
    ck_assert_mem_eq(digest, expected, AK_DIGEST_BYTES);
    ck_assert_int_eq(ak_store_key_digest(STORE, "key_none", digest, P), APR_NOTFOUND);
}
END_TEST

START_TEST(another_account_sees_nothing)
{
    ak_key_record_t *key;
    apr_int64_t sequence;

    scratch_add_key("key_a");
    ck_assert_int_eq(ak_store_key_get(STORE, "acct_one", "key_a", &key, P), APR_SUCCESS);
    ck_assert_int_eq(ak_store_key_get(STORE, "acct_two", "key_a", &key, P), APR_NOTFOUND);
    ck_assert_int_eq(ak_store_key_revoke(STORE, ACTOR, "acct_two", "key_a", 1, &sequence, P), APR_NOTFOUND);
    ck_assert_int_eq(get("key_a")->status, AK_STATUS_ACTIVE);
    ck_assert_int_eq(ak_store_key_get(STORE, NULL, "key_\xff", &key, P), APR_NOTFOUND);
}
END_TEST

START_TEST(limits_in_force_are_the_keys_else_the_accounts_else_the_plans)
{
    ak_account_t *account;
    ak_key_record_t *key;
    ak_key_t found;

    scratch_add_key("key_a");
    found = look_up("key_a");
    ck_assert_int_eq(found.per_hour, 10000);
    ck_assert_int_eq(found.per_minute, 500);
    ck_assert_int_eq(found.plan, AK_PLAN_PROFESSIONAL);
    ck_assert_int_eq(found.cidr_count, 0);
    ck_assert(ak_scopes_has(&found.scopes, 1));
    ck_assert(!ak_scopes_has(&found.scopes, 2));
    ck_assert_mem_eq(found.id, "a\0\0", 3);
    ck_assert_mem_eq(found.account, "one\0", 4);

    ck_assert_int_eq(ak_store_account_get(STORE, "acct_one", 3000, &account, P), APR_SUCCESS);
    account->per_minute = 60;
    ck_assert_int_eq(ak_store_account_update(STORE, ACTOR, account, NULL, 3000, NULL, P), APR_SUCCESS);
    ck_assert_int_eq(look_up("key_a").per_minute, 60);
    key = get("key_a");
    key->per_minute = 6;
    ck_assert_int_eq(ak_store_key_update(STORE, ACTOR, key, "key.update", NULL, 3000, NULL, P), APR_SUCCESS);
    found = look_up("key_a");
    ck_assert_int_eq(found.per_minute, 6);
    ck_assert_int_eq(found.per_hour, 10000);
}
END_TEST

START_TEST(an_unknown_key_and_an_unreadable_one_are_told_apart)
{
    unsigned char digest[AK_DIGEST_BYTES];
    ak_registry_t *registry;
    const char *list;
    ak_key_t key;

    scratch_add_key("key_a");
    ck_assert_int_eq(ak_store_registry(STORE, &registry, P), APR_SUCCESS);
    scratch_digest("key_none", digest);
    ck_assert_int_eq(ak_store_lookup(STORE, digest, registry, &key, P), APR_NOTFOUND);
    scratch_sql("UPDATE api_keys SET allowed_ips = '192.0.2.1 192.0.2.2 192.0.2.3 192.0.2.4 192.0.2.5',"
                " permissions = 'tasks:read gone:scope users:read'");
    key = look_up("key_a");
    ck_assert_int_eq(key.cidr_count, 5);
    ck_assert(ak_scopes_has(&key.scopes, 3));
    ck_assert_int_eq(ak_store_allowed_ips(STORE, "key_a", &list, P), APR_SUCCESS);
    ck_assert_str_eq(list, "192.0.2.1 192.0.2.2 192.0.2.3 192.0.2.4 192.0.2.5");
    ck_assert_int_eq(ak_store_allowed_ips(STORE, "key_none", &list, P), APR_NOTFOUND);
    scratch_sql("UPDATE api_keys SET allowed_ips = 'everywhere'");
    scratch_digest("key_a", digest);
    ck_assert_int_eq(ak_store_lookup(STORE, digest, registry, &key, P), APR_EGENERAL);
}
END_TEST

START_TEST(a_key_needs_an_account_and_a_digest_of_its_own)
{
    ak_key_new_t key = scratch_key("key_a");
    const char *existing = "x";

    key.account_id = "acct_none";
    ck_assert_int_eq(ak_store_key_create(STORE, ACTOR, &key, 1, &existing, NULL, P), APR_NOTFOUND);
    scratch_add_key("key_a");
    key = scratch_key("key_a");
    key.id = "key_b";
    ck_assert_int_eq(ak_store_key_create(STORE, ACTOR, &key, 1, &existing, NULL, P), APR_EEXIST);
    ck_assert_ptr_null(existing);
    ck_assert_str_eq(scratch_value("SELECT COUNT(*) FROM api_keys"), "1");
    ck_assert_str_eq(scratch_value("SELECT COUNT(*) FROM change_log"), "1");
}
END_TEST

START_TEST(an_idempotency_key_makes_one_key)
{
    ak_key_new_t first = scratch_key("key_a"), second = scratch_key("key_b"), later = scratch_key("key_c");
    ak_actor_t other = {.actor = "key_x", .account_id = "acct_two"};
    const char *existing = NULL;

    first.idempotency_key = second.idempotency_key = later.idempotency_key = "once";
    ck_assert_int_eq(ak_store_key_create(STORE, ACTOR, &first, 1000, &existing, NULL, P), APR_SUCCESS);
    ck_assert_int_eq(ak_store_key_create(STORE, ACTOR, &second, 1001, &existing, NULL, P), APR_EEXIST);
    ck_assert_str_eq(existing, "key_a");
    ck_assert_str_eq(scratch_value("SELECT COUNT(*) FROM api_keys"), "1");
    ck_assert_int_eq(ak_store_key_create(STORE, &other, &second, 1002, &existing, NULL, P), APR_SUCCESS);
    ck_assert_int_eq(ak_store_key_create(STORE, ACTOR, &later, 1000 + 86401, &existing, NULL, P), APR_SUCCESS);
}
END_TEST

START_TEST(an_update_needs_the_version_that_was_read)
{
    apr_int64_t sequence = 0;
    ak_key_record_t *key, *stale;

    scratch_add_key("key_a");
    key = get("key_a");
    stale = get("key_a");
    key->name = "Other";
    key->permissions = "tasks:read users:read";
    key->allowed_ips = "192.0.2.1";
    key->expires_at = 9000;
    ck_assert_int_eq(ak_store_key_update(STORE, ACTOR, key, "key.update", "{\"name\":\"Other\"}", 3000, &sequence, P),
                     APR_SUCCESS);
    ck_assert_int_eq(sequence, 2);
    ck_assert_int_eq(ak_store_key_update(STORE, ACTOR, stale, "key.update", NULL, 3000, NULL, P), AK_ECHANGED);
    key = get("key_a");
    ck_assert_str_eq(key->name, "Other");
    ck_assert_str_eq(key->permissions, "tasks:read users:read");
    ck_assert_int_eq(key->expires_at, 9000);
    ck_assert_int_eq(key->version, 2);
    ck_assert_str_eq(scratch_value("SELECT COUNT(*) FROM audit_log WHERE target = 'key_a'"), "2");
}
END_TEST

START_TEST(revoking_holds_and_may_be_repeated)
{
    apr_int64_t sequence = 0, again = 0;

    scratch_add_key("key_a");
    ck_assert_int_eq(ak_store_key_revoke(STORE, ACTOR, "acct_one", "key_a", 3000, &sequence, P), APR_SUCCESS);
    ck_assert_int_eq(sequence, 2);
    ck_assert_int_eq(ak_store_key_revoke(STORE, ACTOR, NULL, "key_a", 4000, &again, P), APR_SUCCESS);
    ck_assert_int_eq(again, 2);
    ck_assert_int_eq(get("key_a")->status, AK_STATUS_REVOKED);
    ck_assert_int_eq(get("key_a")->revoked_at, 3000);
    ck_assert_int_eq(look_up("key_a").status, AK_STATUS_REVOKED);
    ck_assert_str_eq(scratch_value("SELECT COUNT(*) FROM audit_log WHERE action = 'key.revoke'"), "1");
    ck_assert_int_eq(ak_store_key_revoke(STORE, ACTOR, NULL, "key_none", 4000, &again, P), APR_NOTFOUND);
}
END_TEST

START_TEST(rotation_leaves_the_old_key_its_grace_and_no_more)
{
    ak_key_new_t next = scratch_key("key_b"), last = scratch_key("key_c");
    apr_int64_t sequence = 0;
    ak_key_record_t *old;

    scratch_add_key("key_a");
    old = get("key_a");
    ck_assert_int_eq(ak_store_key_rotate(STORE, ACTOR, old, &next, 600, 3000, &sequence, P), APR_SUCCESS);
    ck_assert_int_eq(sequence, 3);
    ck_assert_int_eq(get("key_a")->expires_at, 3600);
    ck_assert_str_eq(get("key_a")->rotated_to, "key_b");
    ck_assert_str_eq(get("key_b")->rotated_from, "key_a");
    ck_assert_int_eq(ak_store_key_rotate(STORE, ACTOR, old, &last, 600, 3000, &sequence, P), AK_ECHANGED);
    /* A second rotation with a longer grace does not prolong the old key. */
    ck_assert_int_eq(ak_store_key_rotate(STORE, ACTOR, get("key_a"), &last, 99999, 3000, &sequence, P), APR_SUCCESS);
    ck_assert_int_eq(get("key_a")->expires_at, 3600);
    /* A revoked key has no successor; nothing of the attempt stays. */
    ck_assert_int_eq(ak_store_key_revoke(STORE, ACTOR, NULL, "key_b", 3000, NULL, P), APR_SUCCESS);
    next = scratch_key("key_d");
    ck_assert_int_eq(ak_store_key_rotate(STORE, ACTOR, get("key_b"), &next, 1, 3000, &sequence, P), AK_ECHANGED);
    ck_assert_str_eq(scratch_value("SELECT COUNT(*) FROM api_keys"), "3");
}
END_TEST

/* --- lists --- */

static int list(const ak_key_filter_t *filter, ak_key_record_t ***keys)
{
    int count = -1;

    ck_assert_int_eq(ak_store_key_list(STORE, filter, keys, &count, P), APR_SUCCESS);
    return count;
}

START_TEST(pages_show_each_key_once_newest_first)
{
    ak_key_filter_t filter = {.account_id = "acct_one", .limit = 7, .now = 100};
    char seen[30] = {0};
    ak_key_record_t **keys;
    int total = 0, count;

    for (int i = 0; i < 30; i++)
        scratch_add_key(apr_psprintf(P, "key_%02d", i));
    while ((count = list(&filter, &keys)) > 0) {
        for (int i = 0; i < count; i++, total++) {
            int n = (int)strtol(keys[i]->id + 4, NULL, 10);

            ck_assert_int_eq(n, 29 - total);
            ck_assert_int_eq(seen[n]++, 0);
        }
        filter.after = keys[count - 1]->id;
        filter.account_id = total % 2 ? NULL : "acct_one"; /* both statements */
    }
    ck_assert_int_eq(total, 30);
    filter.after = "key_none";
    ck_assert_int_eq(ak_store_key_list(STORE, &filter, &keys, &count, P), APR_NOTFOUND);
    filter.after = "key_\xff";
    ck_assert_int_eq(ak_store_key_list(STORE, &filter, &keys, &count, P), APR_NOTFOUND);
    filter.after = NULL;
    filter.account_id = "acct_two";
    ck_assert_int_eq(list(&filter, &keys), 0);
}
END_TEST

static const char *ids(ak_key_filter_t filter)
{
    ak_key_record_t **keys;
    const char *all = "";
    int count;

    filter.limit = 101;
    filter.now = 5000;
    count = list(&filter, &keys);
    for (int i = 0; i < count; i++)
        all = apr_pstrcat(P, all, i ? " " : "", keys[i]->id, NULL);
    return all;
}

START_TEST(filters_choose)
{
    ak_key_new_t key;
    ak_key_record_t **keys;
    ak_key_filter_t wrong = {.status = "sleeping", .limit = 1};
    int count;

    scratch_add_key("key_a");
    key = scratch_key("key_b");
    key.expires_at = 5000; /* expired at that very second */
    key.name = "100% sure_thing!";
    key.environment = AK_ENV_TEST;
    ck_assert_int_eq(ak_store_key_create(STORE, ACTOR, &key, 1, NULL, NULL, P), APR_SUCCESS);
    key = scratch_key("key_c");
    key.expires_at = 5001;
    ck_assert_int_eq(ak_store_key_create(STORE, ACTOR, &key, 1, NULL, NULL, P), APR_SUCCESS);
    scratch_add_key("key_d");
    ck_assert_int_eq(ak_store_key_revoke(STORE, ACTOR, NULL, "key_d", 2, NULL, P), APR_SUCCESS);

    ck_assert_str_eq(ids((ak_key_filter_t){0}), "key_c key_b key_a");
    ck_assert_str_eq(ids((ak_key_filter_t){.status = "all"}), "key_d key_c key_b key_a");
    ck_assert_str_eq(ids((ak_key_filter_t){.status = "active"}), "key_c key_a");
    ck_assert_str_eq(ids((ak_key_filter_t){.status = "expired"}), "key_b");
    ck_assert_str_eq(ids((ak_key_filter_t){.status = "revoked"}), "key_d");
    ck_assert_str_eq(ids((ak_key_filter_t){.environment = "test"}), "key_b");
    ck_assert_str_eq(ids((ak_key_filter_t){.search = "SURE"}), "key_b");
    ck_assert_str_eq(ids((ak_key_filter_t){.search = "100%"}), "key_b");
    ck_assert_str_eq(ids((ak_key_filter_t){.search = "e_t"}), "key_b");
    ck_assert_str_eq(ids((ak_key_filter_t){.search = "!"}), "key_b");
    ck_assert_str_eq(ids((ak_key_filter_t){.search = "%"}), "key_b");
    ck_assert_str_eq(ids((ak_key_filter_t){.search = "key_c"}), "key_c");
    ck_assert_str_eq(ids((ak_key_filter_t){.search = "_LIVE_"}), "key_c key_b key_a");
    ck_assert_str_eq(ids((ak_key_filter_t){.search = "nowhere"}), "");
    ck_assert_str_eq(ids((ak_key_filter_t){.search = "\xff"}), "");
    ck_assert_int_eq(ak_store_key_list(STORE, &wrong, &keys, &count, P), APR_EINVAL);
}
END_TEST

/* --- many at once --- */

#define WORKERS 4
#define ROUNDS 15

/* Make keys, read them, and revoke each: on fewer handles than there are threads. */
static void *work(void *number)
{
    apr_pool_t *p;
    void *failed = NULL;

    apr_pool_create(&p, NULL);
    for (int i = 0; i < ROUNDS && failed == NULL; i++) {
        ak_key_new_t key = {.account_id = "acct_one", .name = "Busy", .prefix = "p", .last_four = "l",
                            .permissions = "tasks:read", .per_hour = AK_UNSET, .per_minute = AK_UNSET};
        ak_key_record_t *read;

        key.id = apr_psprintf(p, "key_w%d_%d", *(int *)number, i);
        key.digest_hex = key.id;
        if (ak_store_key_create(STORE, ACTOR, &key, 1, NULL, NULL, p) != APR_SUCCESS
            || ak_store_key_get(STORE, NULL, key.id, &read, p) != APR_SUCCESS
            || ak_store_key_revoke(STORE, ACTOR, NULL, key.id, 2, NULL, p) != APR_SUCCESS)
            failed = number;
    }
    apr_pool_destroy(p);
    return failed;
}

START_TEST(many_threads_share_few_handles)
{
    pthread_t threads[WORKERS];
    int numbers[WORKERS];
    const char *why;
    void *failed;

    ck_assert_int_eq(ak_store_open(&STORE, "sqlite3", scratch_file("keys.db"), 2, &why, P), APR_SUCCESS);
    for (int i = 0; i < WORKERS; i++) {
        numbers[i] = i;
        ck_assert_int_eq(pthread_create(&threads[i], NULL, work, &numbers[i]), 0);
    }
    for (int i = 0; i < WORKERS; i++) {
        ck_assert_int_eq(pthread_join(threads[i], &failed), 0);
        ck_assert_msg(failed == NULL, "%s", ak_store_problem(STORE, P));
    }
    ck_assert_str_eq(scratch_value("SELECT COUNT(*) FROM api_keys WHERE status = 'revoked'"), "60");
    ck_assert_str_eq(scratch_value("SELECT COUNT(*) || ' ' || MAX(seq) FROM change_log"), "120 120");
}
END_TEST

Suite *suite_store(void)
{
    Suite *suite = suite_create("store");
    TCase *tcase = tcase_create("keys");

    tcase_add_checked_fixture(tcase, scratch_set_up_store, scratch_tear_down);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, check_says_what_is_wrong_and_what_to_do);
    tcase_add_test(tcase, another_version_is_refused_with_the_way_out);
    tcase_add_test(tcase, migrate_makes_once_and_keeps_off_what_is_not_ours);
    tcase_add_test(tcase, seeds_are_read);
    tcase_add_test(tcase, a_key_comes_back_as_it_was_made);
    tcase_add_test(tcase, another_account_sees_nothing);
    tcase_add_test(tcase, limits_in_force_are_the_keys_else_the_accounts_else_the_plans);
    tcase_add_test(tcase, an_unknown_key_and_an_unreadable_one_are_told_apart);
    tcase_add_test(tcase, a_key_needs_an_account_and_a_digest_of_its_own);
    tcase_add_test(tcase, an_idempotency_key_makes_one_key);
    tcase_add_test(tcase, an_update_needs_the_version_that_was_read);
    tcase_add_test(tcase, revoking_holds_and_may_be_repeated);
    tcase_add_test(tcase, rotation_leaves_the_old_key_its_grace_and_no_more);
    tcase_add_test(tcase, pages_show_each_key_once_newest_first);
    tcase_add_test(tcase, filters_choose);
    tcase_add_test(tcase, many_threads_share_few_handles);
    suite_add_tcase(suite, tcase);
    return suite;
}
