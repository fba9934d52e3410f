/* test_decide.c - the decision, over every combination of facts that matters */
#include <string.h>

#include "ak_cidr.h"
#include "ak_decide.h"
#include "ak_scope.h"
#include "ak_window.h"
#include "suites.h"

#define NOW APR_INT64_C(1760437800) /* 2025-10-14T10:30:00Z */

static ak_cidr_t cidr(const char *text)
{
    ak_cidr_t net;

    ck_assert_int_eq(ak_cidr_parse(&net, text), APR_SUCCESS);
    return net;
}

/* The whole product of facts against a second statement of the rules: what the client
 * sent, what is known of it, its state, its end and its addresses. */
START_TEST(test_every_combination)
{
    static const apr_int64_t ends[] = {0, NOW - 1, NOW, NOW + 1};
    static const int expired[] = {0, 1, 1, 0};
    ak_cidr_t nets[2] = {cidr("10.0.0.0/8"), cidr("192.0.2.0/24")};
    int presented, lookup, status, end, place, seen = 0;

    for (presented = AK_PRESENTED_NOTHING; presented <= AK_PRESENTED_KEY; presented++)
    for (lookup = AK_LOOKUP_NONE; lookup <= AK_LOOKUP_UNAVAILABLE; lookup++)
    for (status = AK_STATUS_ACTIVE; status <= AK_STATUS_REVOKED; status++)
    for (end = 0; end < 4; end++)
    for (place = 0; place < 3; place++, seen++) { /* any address; one of the list's; none of them */
        ak_key_t key = {.status = (unsigned char)status, .expires_sec = ends[end]};
        ak_authn_facts_t facts = {.presented = presented, .lookup = lookup, .key = &key,
                                  .cidrs = nets, .cidr_count = place ? 2 : 0, .now_sec = NOW};
        ak_code_e want;

        ck_assert_int_eq(ak_addr_parse(facts.client, place == 2 ? "198.51.100.1" : "192.0.2.9"), APR_SUCCESS);
        if (presented != AK_PRESENTED_KEY)
            want = presented == AK_PRESENTED_NOTHING ? AK_MISSING_CREDENTIALS : AK_MALFORMED_KEY;
        else if (lookup != AK_LOOKUP_FOUND)
            want = lookup == AK_LOOKUP_UNKNOWN ? AK_UNKNOWN_KEY : AK_STORE_UNAVAILABLE;
        else if (status == AK_STATUS_REVOKED)
            want = AK_REVOKED_KEY;
        else if (expired[end])
            want = AK_EXPIRED_KEY;
        else
            want = place == 2 ? AK_IP_NOT_ALLOWED : AK_OK;
        ck_assert_msg(ak_decide_authn(&facts) == want, "presented %d lookup %d status %d end %d place %d",
                      presented, lookup, status, end, place);
    }
    ck_assert_int_eq(seen, 3 * 4 * 2 * 4 * 3);
}
END_TEST

/* Without a key nothing may be read of it. */
START_TEST(test_no_key_is_touched_before_it_is_found)
{
    ak_authn_facts_t facts = {.presented = AK_PRESENTED_KEY, .key = NULL, .now_sec = NOW};

    facts.lookup = AK_LOOKUP_UNKNOWN;
    ck_assert_int_eq(ak_decide_authn(&facts), AK_UNKNOWN_KEY);
    facts.lookup = AK_LOOKUP_UNAVAILABLE;
    ck_assert_int_eq(ak_decide_authn(&facts), AK_STORE_UNAVAILABLE);
    facts.presented = AK_PRESENTED_MALFORMED;
    facts.lookup = AK_LOOKUP_FOUND;
    ck_assert_int_eq(ak_decide_authn(&facts), AK_MALFORMED_KEY);
}
END_TEST

START_TEST(test_a_status_that_is_no_status_is_refused)
{
    ak_key_t key = {.status = 200};
    ak_authn_facts_t facts = {.presented = AK_PRESENTED_KEY, .lookup = AK_LOOKUP_FOUND, .key = &key, .now_sec = NOW};

    ck_assert_int_eq(ak_decide_authn(&facts), AK_REVOKED_KEY);
}
END_TEST

START_TEST(test_any_of_many_addresses)
{
    ak_cidr_t nets[AK_CIDR_MAX];
    ak_key_t key = {.status = AK_STATUS_ACTIVE};
    ak_authn_facts_t facts = {.presented = AK_PRESENTED_KEY, .lookup = AK_LOOKUP_FOUND, .key = &key,
                              .cidrs = nets, .cidr_count = AK_CIDR_MAX, .now_sec = NOW};
    int i;

    for (i = 0; i < AK_CIDR_MAX; i++)
        nets[i] = cidr("2001:db8::/32");
    nets[AK_CIDR_MAX - 1] = cidr("203.0.113.5");
    ck_assert_int_eq(ak_addr_parse(facts.client, "203.0.113.5"), APR_SUCCESS);
    ck_assert_int_eq(ak_decide_authn(&facts), AK_OK);
    facts.cidr_count--;
    ck_assert_int_eq(ak_decide_authn(&facts), AK_IP_NOT_ALLOWED);
}
END_TEST

START_TEST(test_scopes)
{
    static const int one[] = {3}, other[] = {4}, many[] = {4, 5, 3}, unknown[] = {-1}, mixed[] = {-1, 3};
    ak_key_t plain = {.status = AK_STATUS_ACTIVE}, admin = plain, nothing = plain;

    ak_scopes_set(&plain.scopes, 3);
    ak_scopes_set(&admin.scopes, AK_SCOPE_ADMIN_BIT);
    ck_assert_int_eq(ak_decide_scope(&plain, one, 1), AK_OK);
    ck_assert_int_eq(ak_decide_scope(&plain, other, 1), AK_INSUFFICIENT_SCOPE);
    ck_assert_int_eq(ak_decide_scope(&plain, many, 3), AK_OK);
    ck_assert_int_eq(ak_decide_scope(&plain, many, 2), AK_INSUFFICIENT_SCOPE);
    ck_assert_int_eq(ak_decide_scope(&plain, unknown, 1), AK_INSUFFICIENT_SCOPE);
    ck_assert_int_eq(ak_decide_scope(&plain, mixed, 2), AK_OK);
    ck_assert_int_eq(ak_decide_scope(&plain, NULL, 0), AK_INSUFFICIENT_SCOPE);
    ck_assert_int_eq(ak_decide_scope(&nothing, one, 1), AK_INSUFFICIENT_SCOPE);
    ck_assert_int_eq(ak_decide_scope(&admin, unknown, 1), AK_OK);
    ck_assert_int_eq(ak_decide_scope(&admin, many, 3), AK_OK);
}
END_TEST

START_TEST(test_environments)
{
    ak_key_t live = {.environment = AK_ENV_LIVE}, test = {.environment = AK_ENV_TEST};

    ck_assert_int_eq(ak_decide_environment(&live, AK_ENV_LIVE), AK_OK);
    ck_assert_int_eq(ak_decide_environment(&live, AK_ENV_TEST), AK_ENVIRONMENT_MISMATCH);
    ck_assert_int_eq(ak_decide_environment(&test, AK_ENV_TEST), AK_OK);
    ck_assert_int_eq(ak_decide_environment(&test, AK_ENV_LIVE), AK_ENVIRONMENT_MISMATCH);
}
END_TEST

START_TEST(test_plans)
{
    unsigned wanted;
    int plan;

    for (wanted = 0; wanted < 1u << AK_PLAN_COUNT; wanted++)
        for (plan = 0; plan < AK_PLAN_COUNT; plan++) {
            ak_key_t key = {.plan = (unsigned char)plan};
            ck_assert_int_eq(ak_decide_plan(&key, wanted), wanted >> plan & 1 ? AK_OK : AK_PLAN_REQUIRED);
        }
}
END_TEST

START_TEST(test_a_plan_that_is_no_plan_is_refused)
{
    ak_key_t key = {.plan = 255};

    ck_assert_int_eq(ak_decide_plan(&key, ~0u), AK_PLAN_REQUIRED);
    key.plan = AK_PLAN_COUNT;
    ck_assert_int_eq(ak_decide_plan(&key, ~0u), AK_PLAN_REQUIRED);
}
END_TEST

START_TEST(test_quota)
{
    apr_uint32_t month = (apr_uint32_t)ak_month_number(NOW);
    apr_int64_t end = ak_month_start_sec((int)month + 1);
    ak_key_t key = {.environment = AK_ENV_LIVE};

    ck_assert_int_eq(ak_decide_quota(&key, NOW), AK_OK);
    key.quota_month = month;
    ck_assert_int_eq(ak_decide_quota(&key, NOW), AK_QUOTA_EXCEEDED);
    ck_assert_int_eq(ak_decide_quota(&key, end - 1), AK_QUOTA_EXCEEDED);
    ck_assert_int_eq(ak_decide_quota(&key, end), AK_OK); /* a new month by itself */
    key.quota_month = month - 1;
    ck_assert_int_eq(ak_decide_quota(&key, NOW), AK_OK);
    key.quota_month = month;
    key.environment = AK_ENV_TEST; /* test traffic has no quota */
    ck_assert_int_eq(ak_decide_quota(&key, NOW), AK_OK);
}
END_TEST

Suite *suite_decide(void)
{
    Suite *suite = suite_create("decide");
    TCase *tc = tcase_create("decide");

    tcase_add_test(tc, test_every_combination);
    tcase_add_test(tc, test_no_key_is_touched_before_it_is_found);
    tcase_add_test(tc, test_a_status_that_is_no_status_is_refused);
    tcase_add_test(tc, test_any_of_many_addresses);
    tcase_add_test(tc, test_scopes);
    tcase_add_test(tc, test_environments);
    tcase_add_test(tc, test_plans);
    tcase_add_test(tc, test_a_plan_that_is_no_plan_is_refused);
    tcase_add_test(tc, test_quota);
    suite_add_tcase(suite, tc);
    return suite;
}
