/* test_store_logs.c - the change log, nodes, accounts, figures, alerts and the audit log */
#include <apr_strings.h>
#include <check.h>
#include <string.h>

#include "ak_store.h"
#include "ak_window.h"
#include "scratch.h"
#include "suites.h"

#define P scratch_pool
#define STORE scratch_store
#define ACTOR &scratch_actor
#define NOW APR_INT64_C(1760437800) /* 2025-10-14T10:30:00Z */

/* --- the change log --- */

static int changes(apr_int64_t after, int limit, ak_change_t **rows, int *gap)
{
    int count = -1;

    ck_assert_int_eq(ak_store_changes(STORE, after, limit, rows, &count, gap, P), APR_SUCCESS);
    return count;
}

START_TEST(changes_come_in_order_with_their_digests)
{
    unsigned char digest[AK_DIGEST_BYTES];
    apr_int64_t last = -1;
    ak_change_t *rows;
    int gap;

    ck_assert_int_eq(changes(0, 10, &rows, &gap), 0);
    ck_assert_int_eq(gap, 0);
    for (int i = 0; i < 5; i++)
        scratch_add_key(apr_psprintf(P, "key_%d", i));
    ck_assert_int_eq(changes(0, 10, &rows, &gap), 5);
    ck_assert_int_eq(gap, 0);
    ck_assert_int_eq(rows[0].sequence, 1);
    ck_assert_int_eq(rows[4].sequence, 5);
    scratch_digest("key_4", digest);
    ck_assert(rows[4].has_digest && !rows[4].all);
    ck_assert_mem_eq(rows[4].digest, digest, AK_DIGEST_BYTES);
    ck_assert_int_eq(changes(2, 2, &rows, &gap), 2);
    ck_assert_int_eq(rows[0].sequence, 3);
    ck_assert_int_eq(changes(5, 10, &rows, &gap), 0);
    ck_assert_int_eq(gap, 0);
    ck_assert_int_eq(ak_store_last_change(STORE, &last, P), APR_SUCCESS);
    ck_assert_int_eq(last, 5);
    scratch_sql("INSERT INTO change_log (key_id, at) VALUES (NULL, 1)");
    ck_assert_int_eq(changes(5, 10, &rows, &gap), 1);
    ck_assert(rows[0].all && !rows[0].has_digest);
}
END_TEST

START_TEST(a_gap_is_told_and_only_a_gap)
{
    ak_change_t *rows;
    int gap;

    for (int i = 0; i < 5; i++)
        scratch_add_key(apr_psprintf(P, "key_%d", i));
    ck_assert_int_eq(changes(9, 10, &rows, &gap), 0); /* further on than the log: another log */
    ck_assert_int_eq(gap, 1);
    scratch_sql("DELETE FROM change_log WHERE seq = 3");
    changes(3, 10, &rows, &gap);
    ck_assert_int_eq(gap, 0); /* a number that the database skipped */
    ck_assert_int_eq(ak_store_changes_prune(STORE, 3000, P), APR_SUCCESS);
    ck_assert_str_eq(scratch_value("SELECT COUNT(*) FROM change_log"), "1"); /* the newest stays */
    changes(5, 10, &rows, &gap);
    ck_assert_int_eq(gap, 0);
    ck_assert_int_eq(changes(4, 10, &rows, &gap), 1);
    ck_assert_int_eq(gap, 0);
    changes(3, 10, &rows, &gap);
    ck_assert_int_eq(gap, 1);
    changes(0, 10, &rows, &gap);
    ck_assert_int_eq(gap, 1);
}
END_TEST

START_TEST(pruning_keeps_what_is_young)
{
    const char *remembered = apr_psprintf(P, "INSERT INTO idempotency VALUES ('acct_one', 'young', 'key_0', %ld),"
                                             " ('acct_one', 'old', 'key_0', %ld)", (long)NOW - 86000,
                                          (long)NOW - 86500);

    scratch_sql("INSERT INTO change_log (key_id, at) VALUES ('key_old', 1)");
    scratch_sql(apr_psprintf(P, "INSERT INTO change_log (key_id, at) VALUES ('key_young', %ld), ('key_young', %ld)",
                             (long)NOW - 10, (long)NOW));
    scratch_sql(apr_psprintf(P, "INSERT INTO nodes VALUES ('gone', 250, 1, %ld), ('here', 250, 1, %ld)",
                             (long)NOW - 3700, (long)NOW - 10));
    scratch_sql(remembered);
    ck_assert_int_eq(ak_store_prune(STORE, NOW, P), APR_SUCCESS);
    ck_assert_str_eq(scratch_value("SELECT COUNT(*) FROM change_log"), "2");
    ck_assert_str_eq(scratch_value("SELECT group_concat(id) FROM nodes"), "here");
    ck_assert_str_eq(scratch_value("SELECT group_concat(idempotency_key) FROM idempotency"), "young");
}
END_TEST

START_TEST(waiting_ends_with_the_last_node_or_the_bound)
{
    apr_int64_t sequence = scratch_add_key("key_a");
    ak_node_t *nodes;
    apr_time_t began;
    int count;

    ck_assert_int_eq(ak_store_wait_applied(STORE, sequence, NULL, P), APR_SUCCESS); /* no nodes */
    ck_assert_int_eq(ak_store_node_report(STORE, "n1", 60000, 0, P), APR_SUCCESS);
    ck_assert_int_eq(ak_store_wait_applied(STORE, sequence, "n1", P), APR_SUCCESS); /* none but itself */
    ck_assert_int_eq(ak_store_node_report(STORE, "n1", 60000, sequence, P), APR_SUCCESS);
    ck_assert_int_eq(ak_store_wait_applied(STORE, sequence, NULL, P), APR_SUCCESS); /* it has applied */
    ck_assert_int_eq(ak_store_node_report(STORE, "n2", 120, 0, P), APR_SUCCESS);
    began = apr_time_now();
    ck_assert_int_eq(ak_store_wait_applied(STORE, sequence, "n1", P), APR_SUCCESS);
    ck_assert_int_ge(apr_time_now() - began, 120000); /* never early */
    scratch_sql("UPDATE nodes SET seen_at = seen_at - 1000, bound_ms = 3600000 WHERE id = 'n2'");
    ck_assert_int_eq(ak_store_wait_applied(STORE, sequence, NULL, P), APR_SUCCESS); /* silent for long */
    ck_assert_int_eq(ak_store_nodes(STORE, &nodes, &count, P), APR_SUCCESS);
    ck_assert_int_eq(count, 2);
    ck_assert_str_eq(nodes[0].id, "n1");
    ck_assert_int_eq(nodes[0].applied, sequence);
    ck_assert_int_eq(ak_store_node_remove(STORE, "n2", P), APR_SUCCESS);
    ck_assert_int_eq(ak_store_nodes(STORE, &nodes, &count, P), APR_SUCCESS);
    ck_assert_int_eq(count, 1);
}
END_TEST

/* --- accounts --- */

static ak_account_t *account(const char *id)
{
    ak_account_t *found = NULL;

    ck_assert_int_eq(ak_store_account_get(STORE, id, NOW, &found, P), APR_SUCCESS);
    return found;
}

START_TEST(an_account_changes_with_all_its_keys)
{
    ak_account_t *one = account("acct_one"), *stale = account("acct_one"), *none;
    apr_int64_t sequence = 0;
    ak_change_t *rows;
    int gap;

    scratch_add_key("key_a");
    scratch_add_key("key_b");
    scratch_add_key("key_c");
    ck_assert_int_eq(ak_store_key_revoke(STORE, ACTOR, NULL, "key_c", NOW, NULL, P), APR_SUCCESS);
    one->plan = AK_PLAN_FREE;
    one->contact = "ops@example.com";
    ck_assert_int_eq(ak_store_account_update(STORE, ACTOR, one, "{\"plan\":\"free\"}", NOW, &sequence, P),
                     APR_SUCCESS);
    ck_assert_int_eq(sequence, 6);
    ck_assert_int_eq(changes(4, 10, &rows, &gap), 2); /* not the revoked one */
    ck_assert_int_eq(account("acct_one")->plan, AK_PLAN_FREE);
    ck_assert_str_eq(account("acct_one")->contact, "ops@example.com");
    ck_assert_int_eq(ak_store_account_update(STORE, ACTOR, stale, NULL, NOW, NULL, P), AK_ECHANGED);
    ck_assert_int_eq(ak_store_account_get(STORE, "acct_none", NOW, &none, P), APR_NOTFOUND);
    ck_assert_int_eq(ak_store_account_create(STORE, ACTOR, account("acct_one"), NOW, P), APR_EEXIST);
}
END_TEST

START_TEST(a_new_quota_opens_and_closes_the_month)
{
    int month = ak_month_number(NOW);
    ak_account_t *one;

    scratch_sql(apr_psprintf(P, "INSERT INTO usage_month VALUES ('acct_one', %d, 500)", month));
    one = account("acct_one");
    ck_assert_int_eq(one->requests_this_month, 500);
    ck_assert_int_eq(one->quota_exceeded, 0);
    one->quota_month = 500;
    ck_assert_int_eq(ak_store_account_update(STORE, ACTOR, one, NULL, NOW, NULL, P), APR_SUCCESS);
    one = account("acct_one");
    ck_assert_int_eq(one->quota_exceeded, 1);
    one->quota_month = 501;
    ck_assert_int_eq(ak_store_account_update(STORE, ACTOR, one, NULL, NOW, NULL, P), APR_SUCCESS);
    ck_assert_int_eq(account("acct_one")->quota_exceeded, 0);
}
END_TEST

START_TEST(accounts_come_in_pages)
{
    ak_account_t **rows, made = {.name = "Two", .plan = AK_PLAN_FREE, .per_hour = AK_UNSET, .per_minute = 3,
                                 .quota_month = 10};
    int count;

    for (int i = 0; i < 5; i++) {
        made.id = apr_psprintf(P, "acct_n%d", i);
        ck_assert_int_eq(ak_store_account_create(STORE, ACTOR, &made, NOW, P), APR_SUCCESS);
    }
    ck_assert_int_eq(ak_store_account_list(STORE, NULL, 4, NOW, &rows, &count, P), APR_SUCCESS);
    ck_assert_int_eq(count, 4);
    ck_assert_str_eq(rows[0]->id, "acct_n4");
    ck_assert_int_eq(rows[0]->per_minute, 3);
    ck_assert_int_eq(rows[0]->quota_month, 10);
    ck_assert_int_eq(ak_store_account_list(STORE, rows[3]->id, 4, NOW, &rows, &count, P), APR_SUCCESS);
    ck_assert_int_eq(count, 2);
    ck_assert_str_eq(rows[1]->id, "acct_one");
    ck_assert_int_eq(ak_store_account_list(STORE, "acct_none", 4, NOW, &rows, &count, P), APR_NOTFOUND);
}
END_TEST

/* --- figures --- */

static int usage(ak_usage_filter_t filter, apr_int64_t *requests)
{
    ak_usage_t *rows;
    int count = -1;

    ck_assert_int_eq(ak_store_usage(STORE, &filter, &rows, &count, P), APR_SUCCESS);
    for (int i = 0; i < count; i++)
        *requests += rows[i].requests;
    return count;
}

START_TEST(figures_are_those_that_were_asked_for)
{
    apr_int64_t day = ak_day_start_sec(NOW), today = -1, month = -1, sum = 0;
    ak_network_t *networks;
    int count;

    scratch_sql(apr_psprintf(P,
        "INSERT INTO usage_day VALUES ('key_a', %ld, 'ok', 'acct_one', 'live', 10),"
        " ('key_a', %ld, 'expired_key', 'acct_one', 'live', 3), ('key_a', %ld, 'ok', 'acct_one', 'live', 5),"
        " ('key_a', %ld, 'ok', 'acct_one', 'live', 1000), ('key_t', %ld, 'ok', 'acct_one', 'test', 70),"
        " ('key_z', %ld, 'ok', 'acct_two', 'live', 900)", (long)day, (long)day, (long)day - 86400,
        (long)day - 40 * 86400, (long)day, (long)day));
    scratch_sql("INSERT INTO usage_hour SELECT * FROM usage_day");
    ck_assert_int_eq(ak_store_key_usage(STORE, "key_a", NOW, &today, &month, P), APR_SUCCESS);
    ck_assert_int_eq(today, 10);
    ck_assert_int_eq(month, 15);
    ck_assert_int_eq(ak_store_key_usage(STORE, "key_none", NOW, &today, &month, P), APR_SUCCESS);
    ck_assert_int_eq(today, 0);
    for (int by_day = 0; by_day < 2; by_day++) {
        ak_usage_filter_t f = {.by_day = by_day, .from = day, .to = day + 86400};

        sum = 0;
        f.account_id = "acct_one";
        ck_assert_int_eq(usage(f, &sum), 2); /* live only: ok and expired_key */
        ck_assert_int_eq(sum, 13);
        sum = 0;
        f.environment = "test";
        ck_assert_int_eq(usage(f, &sum), 1);
        ck_assert_int_eq(sum, 70);
        sum = 0;
        f.environment = NULL;
        f.key_id = "key_t";
        usage(f, &sum);
        ck_assert_int_eq(sum, 70);
        sum = 0;
        f.account_id = "acct_two"; /* another's key */
        ck_assert_int_eq(usage(f, &sum), 0);
        f.account_id = f.key_id = NULL;
        f.to = day;
        ck_assert_int_eq(usage(f, &sum), 0);
        f.to = day + 1;
        usage(f, &sum);
        ck_assert_int_eq(sum, 913);
    }
    scratch_sql("INSERT INTO known_networks VALUES ('key_a', '192.0.2.0/24', 1, 5, 7),"
                " ('key_a', '2001:db8::/48', 2, 9, 1)");
    ck_assert_int_eq(ak_store_networks(STORE, "key_a", &networks, &count, P), APR_SUCCESS);
    ck_assert_int_eq(count, 2);
    ck_assert_str_eq(networks[0].network, "2001:db8::/48");
    ck_assert_int_eq(networks[1].requests, 7);
}
END_TEST

/* --- alerts --- */

static void add_alert(const char *id, const char *account_id, const char *key, const char *kind, const char *subject)
{
    scratch_sql(apr_psprintf(P, "INSERT INTO alerts (id, kind, severity, account_id, key_id, subject, message,"
                                " first_seen, last_seen) VALUES ('%s', '%s', 'warning', '%s', '%s', '%s', 'm', 1, 2)",
                             id, kind, account_id, key, subject));
}

static int alerts(ak_alert_filter_t filter, ak_alert_t ***rows)
{
    int count = -1;

    if (filter.limit == 0)
        filter.limit = 10;
    ck_assert_int_eq(ak_store_alert_list(STORE, &filter, rows, &count, P), APR_SUCCESS);
    return count;
}

START_TEST(alerts_are_listed_by_whose_and_what)
{
    ak_alert_filter_t lost = {.after = "alert_none", .limit = 1};
    ak_alert_t **rows, *alert;
    int count;

    add_alert("alert_1", "acct_one", "key_a", "new_ip", "key_a 192.0.2.0/24");
    add_alert("alert_2", "acct_two", "key_z", "new_ip", "key_z 192.0.2.0/24");
    add_alert("alert_3", "acct_one", "key_a", "quota_exceeded", "acct_one");
    ck_assert_int_eq(alerts((ak_alert_filter_t){0}, &rows), 3);
    ck_assert_str_eq(rows[0]->id, "alert_3");
    ck_assert_int_eq(alerts((ak_alert_filter_t){.account_id = "acct_one"}, &rows), 2);
    ck_assert_int_eq(alerts((ak_alert_filter_t){.key_id = "key_a"}, &rows), 2);
    ck_assert_int_eq(alerts((ak_alert_filter_t){.key_id = "key_a", .account_id = "acct_two"}, &rows), 0);
    ck_assert_int_eq(alerts((ak_alert_filter_t){.kind = "new_ip"}, &rows), 2);
    ck_assert_int_eq(alerts((ak_alert_filter_t){.severity = "info"}, &rows), 0);
    ck_assert_int_eq(alerts((ak_alert_filter_t){.status = "open", .account_id = "acct_one"}, &rows), 2);
    ck_assert_int_eq(alerts((ak_alert_filter_t){.after = "alert_3", .limit = 1}, &rows), 1);
    ck_assert_str_eq(rows[0]->id, "alert_2");
    ck_assert_int_eq(ak_store_alert_list(STORE, &lost, &rows, &count, P), APR_NOTFOUND);
    ck_assert_int_eq(ak_store_alert_get(STORE, "acct_one", "alert_1", &alert, P), APR_SUCCESS);
    ck_assert_str_eq(alert->details, "{}");
    ck_assert_int_eq(ak_store_alert_get(STORE, "acct_two", "alert_1", &alert, P), APR_NOTFOUND);
}
END_TEST

START_TEST(an_alert_is_handled_once_and_not_opened_beside_another)
{
    ak_alert_t *alert;

    add_alert("alert_1", "acct_one", "key_a", "new_ip", "s");
    ck_assert_int_eq(ak_store_alert_set_status(STORE, ACTOR, "alert_1", "acknowledged", NOW, P), APR_SUCCESS);
    ck_assert_int_eq(ak_store_alert_set_status(STORE, ACTOR, "alert_1", "resolved", NOW, P), APR_SUCCESS);
    ck_assert_int_eq(ak_store_alert_set_status(STORE, ACTOR, "alert_1", "resolved", NOW, P), APR_SUCCESS);
    ck_assert_int_eq(ak_store_alert_get(STORE, NULL, "alert_1", &alert, P), APR_SUCCESS);
    ck_assert_str_eq(alert->status, "resolved");
    ck_assert_str_eq(alert->acknowledged_by, "key_admin");
    ck_assert_str_eq(scratch_value("SELECT COUNT(*) FROM audit_log WHERE action = 'alert.update'"), "2");
    add_alert("alert_2", "acct_one", "key_a", "new_ip", "s");
    ck_assert_int_eq(ak_store_alert_set_status(STORE, ACTOR, "alert_1", "open", NOW, P), APR_EEXIST);
    ck_assert_int_eq(ak_store_alert_set_status(STORE, ACTOR, "alert_2", "resolved", NOW, P), APR_SUCCESS);
    ck_assert_int_eq(ak_store_alert_set_status(STORE, ACTOR, "alert_1", "open", NOW, P), APR_SUCCESS);
    ck_assert_int_eq(ak_store_alert_get(STORE, NULL, "alert_1", &alert, P), APR_SUCCESS);
    ck_assert_ptr_null(alert->acknowledged_by);
    ck_assert_int_eq(ak_store_alert_set_status(STORE, ACTOR, "alert_none", "open", NOW, P), APR_NOTFOUND);
}
END_TEST

/* --- the audit log --- */

static int audit(ak_audit_filter_t filter, ak_audit_t ***rows)
{
    int count = -1;

    filter.limit = 10;
    ck_assert_int_eq(ak_store_audit_list(STORE, &filter, rows, &count, P), APR_SUCCESS);
    return count;
}

START_TEST(the_audit_log_says_who_what_when_and_from_where)
{
    ak_audit_t **rows;

    scratch_add_key("key_a");
    ck_assert_int_eq(ak_store_key_revoke(STORE, ACTOR, NULL, "key_a", NOW, NULL, P), APR_SUCCESS);
    ck_assert_int_eq(ak_store_audit_write(STORE, ACTOR, "acct_two", "plan.look", "acct_two", "{}", NOW, P),
                     APR_SUCCESS);
    ck_assert_int_eq(audit((ak_audit_filter_t){0}, &rows), 4);
    ck_assert_int_eq(audit((ak_audit_filter_t){.account_id = "acct_one"}, &rows), 3);
    ck_assert_int_eq(audit((ak_audit_filter_t){.target = "key_a"}, &rows), 2);
    ck_assert_str_eq(rows[0]->action, "key.revoke");
    ck_assert_str_eq(rows[0]->actor, "key_admin");
    ck_assert_str_eq(rows[0]->address, "192.0.2.7");
    ck_assert_str_eq(rows[0]->account_id, "acct_one");
    ck_assert_int_eq(rows[0]->at, NOW);
    ck_assert_ptr_null(rows[0]->details);
    ck_assert_ptr_nonnull(strstr(rows[1]->details, "\"tasks:read\""));
    ck_assert_int_eq(audit((ak_audit_filter_t){.target = "key_a", .account_id = "acct_two"}, &rows), 0);
    ck_assert_int_eq(audit((ak_audit_filter_t){.action = "key.create"}, &rows), 1);
    ck_assert_int_eq(audit((ak_audit_filter_t){.before = rows[0]->seq}, &rows), 1); /* what came before it */
}
END_TEST

Suite *suite_store_logs(void)
{
    Suite *suite = suite_create("store_logs");
    TCase *tcase = tcase_create("logs");

    tcase_add_checked_fixture(tcase, scratch_set_up_store, scratch_tear_down);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, changes_come_in_order_with_their_digests);
    tcase_add_test(tcase, a_gap_is_told_and_only_a_gap);
    tcase_add_test(tcase, pruning_keeps_what_is_young);
    tcase_add_test(tcase, waiting_ends_with_the_last_node_or_the_bound);
    tcase_add_test(tcase, an_account_changes_with_all_its_keys);
    tcase_add_test(tcase, a_new_quota_opens_and_closes_the_month);
    tcase_add_test(tcase, accounts_come_in_pages);
    tcase_add_test(tcase, figures_are_those_that_were_asked_for);
    tcase_add_test(tcase, alerts_are_listed_by_whose_and_what);
    tcase_add_test(tcase, an_alert_is_handled_once_and_not_opened_beside_another);
    tcase_add_test(tcase, the_audit_log_says_who_what_when_and_from_where);
    suite_add_tcase(suite, tcase);
    return suite;
}
