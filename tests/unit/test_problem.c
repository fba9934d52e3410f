/* test_problem.c - the table of outcomes: every entry whole, challenges and bodies well formed */
#include <apr_strings.h>
#include <ctype.h>
#include <jansson.h>
#include <string.h>

#include "ak_problem.h"
#include "suites.h"

static apr_pool_t *pool;

static void set_up(void)
{
    apr_pool_create(&pool, NULL);
}

static void tear_down(void)
{
    apr_pool_destroy(pool);
}

/* The contract's statuses, written here once more so that a change of the table is noticed. */
static const struct {
    ak_code_e code;
    int status;
    const char *slug;
    const char *error; /* in the challenge; "" for a challenge without one, NULL for none */
} contract[] = {
    {AK_OK, 200, "ok", NULL},
    {AK_MISSING_CREDENTIALS, 401, "missing_credentials", ""},
    {AK_MALFORMED_KEY, 401, "malformed_key", "invalid_token"},
    {AK_UNKNOWN_KEY, 401, "unknown_key", "invalid_token"},
    {AK_EXPIRED_KEY, 401, "expired_key", "invalid_token"},
    {AK_REVOKED_KEY, 401, "revoked_key", "invalid_token"},
    {AK_INSUFFICIENT_SCOPE, 403, "insufficient_scope", "insufficient_scope"},
    {AK_ENVIRONMENT_MISMATCH, 403, "environment_mismatch", NULL},
    {AK_IP_NOT_ALLOWED, 403, "ip_not_allowed", NULL},
    {AK_PLAN_REQUIRED, 403, "plan_required", NULL},
    {AK_SCOPE_NOT_HELD, 403, "scope_not_held", NULL},
    {AK_FORBIDDEN, 403, "forbidden", NULL},
    {AK_RATE_LIMIT_EXCEEDED, 429, "rate_limit_exceeded", NULL},
    {AK_QUOTA_EXCEEDED, 429, "quota_exceeded", NULL},
    {AK_TOO_MANY_FAILURES, 429, "too_many_failures", NULL},
    {AK_STORE_UNAVAILABLE, 503, "store_unavailable", NULL},
    {AK_INVALID_JSON, 400, "invalid_json", NULL},
    {AK_INVALID_REQUEST, 400, "invalid_request", NULL},
    {AK_NOT_FOUND, 404, "not_found", NULL},
    {AK_METHOD_NOT_ALLOWED, 405, "method_not_allowed", NULL},
    {AK_CONFLICT, 409, "conflict", NULL},
    {AK_PRECONDITION_FAILED, 412, "precondition_failed", NULL},
    {AK_BODY_TOO_LARGE, 413, "body_too_large", NULL},
    {AK_UNSUPPORTED_MEDIA_TYPE, 415, "unsupported_media_type", NULL},
    {AK_VALIDATION_FAILED, 422, "validation_failed", NULL},
    {AK_INTERNAL_ERROR, 500, "internal_error", NULL},
};

_Static_assert(sizeof contract / sizeof contract[0] == AK_CODE_COUNT, "one line for each code");

START_TEST(test_entry)
{
    const ak_problem_t *problem = ak_problem_of(contract[_i].code);
    const char *s;

    ck_assert_int_eq(contract[_i].code, _i);
    ck_assert_int_eq(problem->code, _i);
    ck_assert_int_eq(problem->status, contract[_i].status);
    ck_assert_str_eq(problem->slug, contract[_i].slug);
    ck_assert_int_eq(ak_problem_by_slug(problem->slug, strlen(problem->slug)), _i);
    for (s = problem->slug; *s; s++)
        ck_assert(islower((unsigned char)*s) || *s == '_');
    ck_assert(problem->title[0] && problem->detail[0]);
    for (s = problem->detail; *s; s++) /* bodies quote it without escaping */
        ck_assert(*s != '"' && *s != '\\' && (unsigned char)*s >= ' ' && (unsigned char)*s < 127);
    ck_assert_int_eq(s[-1], '.');
}
END_TEST

START_TEST(test_challenge)
{
    const char *got = ak_problem_challenge(pool, contract[_i].code, "Example", "tasks:read tasks:write");
    const char *want = NULL;

    if (contract[_i].error)
        want = !contract[_i].error[0] ? "Bearer realm=\"Example\""
            : contract[_i].code == AK_INSUFFICIENT_SCOPE
            ? "Bearer realm=\"Example\", error=\"insufficient_scope\", scope=\"tasks:read tasks:write\""
            : apr_psprintf(pool, "Bearer realm=\"Example\", error=\"%s\"", contract[_i].error);
    if (want) {
        ck_assert_ptr_nonnull(got);
        ck_assert_str_eq(got, want);
    }
    else
        ck_assert_ptr_null(got);
}
END_TEST

START_TEST(test_body)
{
    const ak_problem_t *problem = ak_problem_of(contract[_i].code);
    const char *body = ak_problem_body(pool, contract[_i].code, NULL);
    json_t *json = json_loads(body, JSON_REJECT_DUPLICATES, NULL);

    ck_assert_ptr_nonnull(json);
    ck_assert_uint_eq(json_object_size(json), 6);
    ck_assert_str_eq(json_string_value(json_object_get(json, "type")), "about:blank");
    ck_assert_str_eq(json_string_value(json_object_get(json, "title")), problem->title);
    ck_assert_int_eq(json_integer_value(json_object_get(json, "status")), problem->status);
    ck_assert_str_eq(json_string_value(json_object_get(json, "detail")), problem->detail);
    ck_assert_str_eq(json_string_value(json_object_get(json, "message")), problem->detail);
    ck_assert_str_eq(json_string_value(json_object_get(json, "code")), problem->slug);
    ck_assert_int_eq(body[strlen(body) - 1], '\n');
    json_decref(json);
}
END_TEST

START_TEST(test_own_detail)
{
    json_t *json = json_loads(ak_problem_body(pool, AK_CONFLICT, "It was made before."), 0, NULL);

    ck_assert_str_eq(json_string_value(json_object_get(json, "detail")), "It was made before.");
    ck_assert_str_eq(json_string_value(json_object_get(json, "message")), "It was made before.");
    json_decref(json);
}
END_TEST

START_TEST(test_numbers_out_of_range_are_internal_errors)
{
    ck_assert_int_eq(ak_problem_of(AK_CODE_COUNT)->code, AK_INTERNAL_ERROR);
    ck_assert_int_eq(ak_problem_of((ak_code_e)-1)->code, AK_INTERNAL_ERROR);
    ck_assert_int_eq(ak_problem_of((ak_code_e)1000000)->status, 500);
}
END_TEST

START_TEST(test_slugs_that_are_none)
{
    ck_assert_int_eq(ak_problem_by_slug("", 0), AK_CODE_COUNT);
    ck_assert_int_eq(ak_problem_by_slug("o", 1), AK_CODE_COUNT);
    ck_assert_int_eq(ak_problem_by_slug("okay", 4), AK_CODE_COUNT);
    ck_assert_int_eq(ak_problem_by_slug("OK", 2), AK_CODE_COUNT);
    ck_assert_int_eq(ak_problem_by_slug("unknown_key ", 12), AK_CODE_COUNT);
    ck_assert_int_eq(ak_problem_by_slug("ok\0", 3), AK_CODE_COUNT);
    ck_assert_int_eq(ak_problem_by_slug("okay", 2), AK_OK); /* the length counts, not a NUL */
}
END_TEST

START_TEST(test_realm_is_quoted)
{
    ck_assert_str_eq(ak_problem_challenge(pool, AK_MISSING_CREDENTIALS, "a \"b\" \\ c", NULL),
                     "Bearer realm=\"a \\\"b\\\" \\\\ c\"");
    ck_assert_str_eq(ak_problem_challenge(pool, AK_MISSING_CREDENTIALS, "", NULL), "Bearer realm=\"\"");
}
END_TEST

START_TEST(test_scope_only_where_it_helps)
{
    ck_assert_str_eq(ak_problem_challenge(pool, AK_INSUFFICIENT_SCOPE, "r", NULL),
                     "Bearer realm=\"r\", error=\"insufficient_scope\"");
    ck_assert_str_eq(ak_problem_challenge(pool, AK_INSUFFICIENT_SCOPE, "r", ""),
                     "Bearer realm=\"r\", error=\"insufficient_scope\"");
    ck_assert_str_eq(ak_problem_challenge(pool, AK_UNKNOWN_KEY, "r", "tasks:read"),
                     "Bearer realm=\"r\", error=\"invalid_token\"");
}
END_TEST

Suite *suite_problem(void)
{
    Suite *suite = suite_create("problem");
    TCase *tc = tcase_create("problem");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_loop_test(tc, test_entry, 0, AK_CODE_COUNT);
    tcase_add_loop_test(tc, test_challenge, 0, AK_CODE_COUNT);
    tcase_add_loop_test(tc, test_body, 0, AK_CODE_COUNT);
    tcase_add_test(tc, test_own_detail);
    tcase_add_test(tc, test_numbers_out_of_range_are_internal_errors);
    tcase_add_test(tc, test_slugs_that_are_none);
    tcase_add_test(tc, test_realm_is_quoted);
    tcase_add_test(tc, test_scope_only_where_it_helps);
    suite_add_tcase(suite, tc);
    return suite;
}
