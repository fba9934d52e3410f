/* test_lifecycle.c - notices about keys, each once a stage, whatever the clock does; renewals */
#include <apr_strings.h>
#include <stdlib.h>
#include <string.h>

#include "auditd.h"
#include "scratch.h"
#include "suites.h"

#define DAY ((apr_int64_t)86400)
#define NOW APR_INT64_C(1760437800)

static engine_t *engine;
static settings_t settings;

static void open_engine(void)
{
    const char *why = NULL;

    ck_assert_int_eq(engine_create(&engine, &settings, &why, scratch_pool), APR_SUCCESS);
}

static void set_up(void)
{
    scratch_set_up_store();
    memset(&settings, 0, sizeof(settings));
    settings.database_driver = "sqlite3";
    settings.database_params = scratch_file("keys.db");
    settings.rotation_live_days = settings.unused_days = 90;
    settings.rotation_test_days = 180;
    settings.rotation_reminder_days = 30;
    settings.renew_before_sec = 7 * DAY;
    settings.producer_keep_sec = 90 * DAY;
    open_engine();
}

static void sql(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void sql(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    scratch_sql(apr_pvsprintf(scratch_pool, format, args));
    va_end(args);
}

static int number(const char *query)
{
    const char *value = scratch_value(query);

    return value ? (int)strtol(value, NULL, 10) : -1;
}

/* Whatever is due at that time is done, pruning included. */
static void at(apr_int64_t now)
{
    memset(engine->ticked, 0, sizeof(apr_time_t) * (apr_size_t)detector_count);
    engine->pruned = ak_monotonic_usec() - apr_time_from_sec(3600);
    ck_assert_int_eq(engine_tick(engine, now), APR_SUCCESS);
}

static int told(const char *kind)
{
    return number(apr_psprintf(scratch_pool, "SELECT COUNT(*) FROM alerts WHERE kind = '%s'", kind));
}

static int open_of(const char *kind)
{
    return number(apr_psprintf(scratch_pool, "SELECT COUNT(*) FROM alerts WHERE kind = '%s' AND status = 'open'",
                               kind));
}

/* Made so many days ago; expires in so many days, 0: never. */
static void key(const char *id, apr_int64_t days, double expires)
{
    scratch_add_key(id);
    sql("UPDATE api_keys SET created_at = %" APR_INT64_T_FMT " WHERE id = '%s'", NOW - days * DAY, id);
    if (expires != 0)
        sql("UPDATE api_keys SET expires_at = %" APR_INT64_T_FMT " WHERE id = '%s'",
            NOW + (apr_int64_t)(expires * (double)DAY), id);
}

static void used(const char *id, apr_int64_t when)
{
    sql("INSERT OR REPLACE INTO key_activity VALUES ('%s', 1, %" APR_INT64_T_FMT ", '')", id, when);
}

/* --- key_expired --- */

START_TEST(an_expiry_is_told_once)
{
    key("key_a", 10, 1);
    key("key_long_ago", 80, -31);
    key("key_never", 10, 0);
    key("key_rotated", 10, 1);
    key("key_revoked", 10, 1);
    sql("UPDATE api_keys SET rotated_to = 'key_a' WHERE id = 'key_rotated'");
    sql("UPDATE api_keys SET status = 'revoked' WHERE id = 'key_revoked'");
    at(NOW);
    ck_assert_int_eq(told("key_expiring"), 1);
    at(NOW + DAY - 1);
    ck_assert_int_eq(told("key_expired"), 0);
    at(NOW + DAY);
    ck_assert_int_eq(told("key_expired"), 1);
    ck_assert_int_eq(open_of("key_expiring"), 0);
    ck_assert_str_eq(scratch_value("SELECT key_id FROM alerts WHERE kind = 'key_expired'"), "key_a");
    at(NOW + DAY + 1);
    at(NOW + 20 * DAY);
    ck_assert_int_eq(told("key_expired"), 1);
    sql("UPDATE api_keys SET expires_at = expires_at + 864000"); /* extended, and expired again */
    at(NOW + 11 * DAY);
    ck_assert_int_eq(told("key_expired"), 2);
}
END_TEST

START_TEST(a_leap_of_the_clock_repeats_no_notice)
{
    key("key_a", 100, 1);
    for (int round = 0; round < 3; round++) {
        at(NOW);
        at(NOW + 20 * DAY);
        at(NOW + 3650 * DAY); /* everything that may be forgotten is */
        open_engine();
    }
    ck_assert_int_eq(told("key_expiring"), 1);
    ck_assert_int_eq(told("key_expired"), 1);
    ck_assert_int_eq(told("rotation_due"), 1);
    ck_assert_int_eq(told("unused_key"), 1);
}
END_TEST

/* --- rotation_due --- */

START_TEST(rotation_is_due_by_environment)
{
    key("key_live", 89, 0);
    key("key_test", 179, 0);
    used("key_live", NOW);
    used("key_test", NOW);
    sql("UPDATE api_keys SET environment = 'test' WHERE id = 'key_test'");
    at(NOW + DAY - 1);
    ck_assert_int_eq(told("rotation_due"), 0);
    at(NOW + DAY);
    ck_assert_int_eq(told("rotation_due"), 2);
    at(NOW + 30 * DAY);
    ck_assert_int_eq(told("rotation_due"), 2);
    at(NOW + 31 * DAY); /* the first reminder */
    ck_assert_int_eq(told("rotation_due"), 4);
    ck_assert_int_eq(open_of("rotation_due"), 2);
    at(NOW + 200 * DAY); /* of the stages passed by, the last one */
    ck_assert_int_eq(told("rotation_due"), 6);
    at(NOW + 31 * DAY);
    ck_assert_int_eq(told("rotation_due"), 6);
}
END_TEST

START_TEST(a_key_that_is_no_longer_in_service_is_not_due)
{
    key("key_rotated", 100, 20);
    key("key_revoked", 100, 0);
    key("key_expired", 100, -1);
    key("key_other", 1, 0);
    at(NOW);
    ck_assert_int_eq(open_of("rotation_due"), 2);
    ck_assert_int_eq(told("rotation_due"), 2);
    sql("UPDATE api_keys SET rotated_to = 'key_other' WHERE id = 'key_rotated'");
    sql("UPDATE api_keys SET status = 'revoked' WHERE id = 'key_revoked'");
    at(NOW + 1);
    ck_assert_int_eq(open_of("rotation_due"), 0);
    ck_assert_int_eq(open_of("unused_key"), 0);
    at(NOW + 300 * DAY);
    ck_assert_int_eq(number("SELECT COUNT(*) FROM alerts WHERE kind = 'rotation_due' AND key_id <> 'key_other'"), 2);
}
END_TEST

/* --- unused_key --- */

START_TEST(silence_is_told_once_a_spell)
{
    key("key_never", 90, 0);
    key("key_once", 200, 0);
    key("key_busy", 200, 0);
    key("key_young", 10, 0);
    used("key_once", NOW - 90 * DAY);
    used("key_busy", NOW - 89 * DAY);
    at(NOW);
    ck_assert_int_eq(told("unused_key"), 2);
    ck_assert_ptr_nonnull(strstr(scratch_value("SELECT message FROM alerts WHERE kind = 'unused_key' AND "
                                               "key_id = 'key_never'"), "was never used"));
    at(NOW + 60);
    ck_assert_int_eq(told("unused_key"), 2);
    used("key_once", NOW + 100);
    used("key_busy", NOW + 100);
    at(NOW + 120);
    ck_assert_int_eq(open_of("unused_key"), 1);
    at(NOW + 100 + 90 * DAY - 1);
    ck_assert_int_eq(number("SELECT COUNT(*) FROM alerts WHERE kind = 'unused_key' AND key_id = 'key_once'"), 1);
    at(NOW + 100 + 90 * DAY);
    ck_assert_int_eq(number("SELECT COUNT(*) FROM alerts WHERE kind = 'unused_key' AND key_id = 'key_once'"), 2);
}
END_TEST

/* --- key_renewed --- */

static apr_int64_t expiry(const char *id)
{
    const char *text = scratch_value(apr_psprintf(scratch_pool, "SELECT expires_at FROM api_keys WHERE id = '%s'", id));

    return strtoll(text, NULL, 10);
}

static void renewing(const char *id, apr_int64_t days, double expires)
{
    key(id, days, expires);
    sql("UPDATE api_keys SET auto_renew = 1 WHERE id = '%s'", id);
    sql("UPDATE accounts SET plan = 'enterprise'");
}

START_TEST(a_key_renews_itself_by_its_last_lifetime)
{
    renewing("key_a", 23, 7.5); /* made for 30.5 days */
    used("key_a", NOW);
    at(NOW);
    ck_assert_int_eq(expiry("key_a"), NOW + 7 * DAY + DAY / 2);
    at(NOW + DAY);
    ck_assert_int_eq(expiry("key_a"), NOW + 38 * DAY);
    ck_assert_int_eq(told("key_renewed"), 1);
    ck_assert_int_eq(open_of("key_expiring"), 0);
    ck_assert_int_eq(number("SELECT COUNT(*) FROM audit_log WHERE action = 'key.renew' AND actor = 'auditd' AND "
                            "target = 'key_a' AND account_id = 'acct_one'"), 1);
    ck_assert_str_eq(scratch_value("SELECT key_id FROM change_log ORDER BY seq DESC"), "key_a");
    at(NOW + DAY);
    ck_assert_int_eq(told("key_renewed"), 1);
    at(NOW + 31 * DAY); /* and again, by the same lifetime */
    ck_assert_int_eq(expiry("key_a"), NOW + 68 * DAY + DAY / 2);
    ck_assert_int_eq(told("key_renewed"), 2);
    ck_assert_int_eq(told("key_expired"), 0);
    ck_assert_int_eq(number("SELECT COUNT(*) FROM detector_state WHERE detector = 'key_renewed.planned'"), 0);
}
END_TEST

START_TEST(the_lifetime_is_the_one_last_given)
{
    renewing("key_a", 300, 1);
    sql("INSERT INTO audit_log (at, actor, action, target, details) VALUES (%" APR_INT64_T_FMT ", 'key_admin', "
        "'key.update', 'key_a', '{\"expires_at\":{\"from\":null,\"to\":\"x\"}}'), (%" APR_INT64_T_FMT ", 'key_admin', "
        "'key.update', 'key_a', '{\"name\":{}}')", NOW - 9 * DAY, NOW - DAY);
    at(NOW);
    ck_assert_int_eq(expiry("key_a"), NOW + 11 * DAY);
}
END_TEST

START_TEST(a_short_life_is_renewed_half_way)
{
    renewing("key_a", 0, 0.001);
    sql("UPDATE api_keys SET expires_at = %" APR_INT64_T_FMT, NOW + 10);
    at(NOW + 4);
    ck_assert_int_eq(expiry("key_a"), NOW + 10);
    at(NOW + 5);
    ck_assert_int_eq(expiry("key_a"), NOW + 20);
}
END_TEST

START_TEST(what_does_not_renew)
{
    renewing("key_expired", 30, -0.001);
    renewing("key_revoked", 30, 1);
    renewing("key_rotated", 30, 1);
    renewing("key_not_asked", 30, 1);
    sql("UPDATE api_keys SET status = 'revoked' WHERE id = 'key_revoked'");
    sql("UPDATE api_keys SET rotated_to = 'key_expired' WHERE id = 'key_rotated'");
    sql("UPDATE api_keys SET auto_renew = 0 WHERE id = 'key_not_asked'");
    at(NOW);
    ck_assert_int_eq(told("key_renewed"), 0);
    renewing("key_a", 30, 1);
    sql("UPDATE accounts SET plan = 'professional'");
    at(NOW);
    ck_assert_int_eq(told("key_renewed"), 0);
    ck_assert_int_eq(number("SELECT COUNT(*) FROM audit_log WHERE action = 'key.renew'"), 0);
}
END_TEST

/* What a crash may leave behind: planned and not done, done and not told, overtaken by its owner. */
START_TEST(a_crash_neither_hides_nor_repeats_a_renewal)
{
    renewing("key_planned", 30, 1);
    renewing("key_done", 30, 31);
    renewing("key_changed", 30, 100);
    for (int i = 0; i < 3; i++) {
        static const char *const ids[] = {"key_planned", "key_done", "key_changed"};

        sql("INSERT INTO detector_state VALUES ('key_renewed.planned', '%s', '%" APR_INT64_T_FMT " %" APR_INT64_T_FMT
            "', 253402300799)", ids[i], NOW + DAY, NOW + 31 * DAY);
    }
    at(NOW);
    at(NOW);
    ck_assert_int_eq(expiry("key_planned"), NOW + 32 * DAY); /* planned anew by what is known now: 31 days */
    ck_assert_int_eq(expiry("key_done"), NOW + 31 * DAY);
    ck_assert_int_eq(expiry("key_changed"), NOW + 100 * DAY);
    ck_assert_int_eq(told("key_renewed"), 2);
    ck_assert_int_eq(number("SELECT COUNT(*) FROM alerts WHERE kind = 'key_renewed' AND key_id = 'key_changed'"), 0);
    ck_assert_int_eq(number("SELECT COUNT(*) FROM audit_log WHERE action = 'key.renew'"), 1);
    ck_assert_int_eq(number("SELECT COUNT(*) FROM detector_state WHERE detector = 'key_renewed.planned'"), 0);
}
END_TEST

START_TEST(a_renewal_that_cannot_be_written_is_tried_again)
{
    renewing("key_a", 30, 1);
    sql("CREATE TRIGGER refuse BEFORE INSERT ON audit_log BEGIN SELECT RAISE(ABORT, 'no'); END");
    ck_assert_int_ne(engine_tick(engine, NOW), APR_SUCCESS);
    ck_assert_int_eq(expiry("key_a"), NOW + DAY);
    ck_assert_int_eq(told("key_renewed"), 0);
    sql("DROP TRIGGER refuse");
    at(NOW + 1);
    ck_assert_int_eq(expiry("key_a"), NOW + 32 * DAY);
    ck_assert_int_eq(told("key_renewed"), 1);
}
END_TEST

Suite *suite_lifecycle(void)
{
    Suite *s = suite_create("lifecycle");
    TCase *c = tcase_create("lifecycle");

    tcase_add_checked_fixture(c, set_up, scratch_tear_down);
    tcase_add_test(c, an_expiry_is_told_once);
    tcase_add_test(c, a_leap_of_the_clock_repeats_no_notice);
    tcase_add_test(c, rotation_is_due_by_environment);
    tcase_add_test(c, a_key_that_is_no_longer_in_service_is_not_due);
    tcase_add_test(c, silence_is_told_once_a_spell);
    tcase_add_test(c, a_key_renews_itself_by_its_last_lifetime);
    tcase_add_test(c, the_lifetime_is_the_one_last_given);
    tcase_add_test(c, a_short_life_is_renewed_half_way);
    tcase_add_test(c, what_does_not_renew);
    tcase_add_test(c, a_crash_neither_hides_nor_repeats_a_renewal);
    tcase_add_test(c, a_renewal_that_cannot_be_written_is_tried_again);
    suite_add_tcase(s, c);
    return s;
}
