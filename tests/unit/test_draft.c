/* test_draft.c - what a key may be, field by field, and how it is made */
#include <apr_strings.h>
#include <check.h>
#include <string.h>

#include "ak_draft.h"
#include "scratch.h"
#include "suites.h"

static ak_registry_t *registry;

static void set_up(void)
{
    scratch_set_up();
    registry = ak_registry_create(scratch_pool);
    ck_assert_int_eq(ak_registry_add(registry, "admin:*", "", 0, scratch_pool), 0);
    ck_assert_int_eq(ak_registry_add(registry, "tasks:read", "", 1, scratch_pool), 0);
    ck_assert_int_eq(ak_registry_add(registry, "tasks:write", "", 2, scratch_pool), 0);
}

static const char *repeated(const char *text, int times)
{
    const char *all = "";

    while (times-- > 0)
        all = apr_pstrcat(scratch_pool, all, text, NULL);
    return all;
}

START_TEST(names_are_short_texts)
{
    ck_assert_ptr_null(ak_name_fault("x"));
    ck_assert_ptr_null(ak_name_fault(repeated("\xc3\xa4", 100))); /* characters, not bytes */
    ck_assert_ptr_nonnull(ak_name_fault(repeated("\xc3\xa4", 101)));
    ck_assert_ptr_nonnull(ak_name_fault(""));
    ck_assert_ptr_nonnull(ak_name_fault("   "));
    ck_assert_ptr_nonnull(ak_name_fault("two\nlines"));
    ck_assert_ptr_nonnull(ak_name_fault("bell\x07"));
    ck_assert_ptr_nonnull(ak_name_fault("delete\x7f"));
    ck_assert_ptr_nonnull(ak_name_fault("C1 \xc2\x85"));
    ck_assert_ptr_nonnull(ak_name_fault("\xff"));
    ck_assert_ptr_nonnull(ak_name_fault("cut \xe2\x82"));
    ck_assert_ptr_nonnull(ak_name_fault("overlong \xc0\xaf"));
    ck_assert_ptr_nonnull(ak_name_fault("surrogate \xed\xa0\x80"));
    ck_assert_ptr_nonnull(ak_name_fault("too far \xf4\x90\x80\x80"));
    ck_assert_ptr_null(ak_name_fault("\xf0\x9f\x94\x91 key"));
}
END_TEST

START_TEST(descriptions_may_have_lines)
{
    ck_assert_ptr_null(ak_description_fault(""));
    ck_assert_ptr_null(ak_description_fault("one\ntwo"));
    ck_assert_ptr_null(ak_description_fault(repeated("x", 1000)));
    ck_assert_ptr_nonnull(ak_description_fault(repeated("x", 1001)));
    ck_assert_ptr_nonnull(ak_description_fault("tab\t"));
    ck_assert_ptr_nonnull(ak_description_fault("\x80"));
}
END_TEST

START_TEST(limits_have_a_range)
{
    ck_assert_ptr_null(ak_limit_fault(AK_UNSET));
    ck_assert_ptr_null(ak_limit_fault(1));
    ck_assert_ptr_null(ak_limit_fault(AK_LIMIT_MAX));
    ck_assert_ptr_nonnull(ak_limit_fault(0));
    ck_assert_ptr_nonnull(ak_limit_fault(-2));
    ck_assert_ptr_nonnull(ak_limit_fault(AK_LIMIT_MAX + 1));
}
END_TEST

START_TEST(permissions_are_those_of_the_registry)
{
    const char *good[] = {"tasks:read", "tasks:*", "tasks:read", "admin:*"};
    const char *wrong[] = {"tasks:read", "tasks:delete"};
    const char *list;
    int bad;

    ck_assert_ptr_null(ak_permissions_fault(&list, &bad, good, 4, registry, scratch_pool));
    ck_assert_str_eq(list, "tasks:read tasks:* admin:*");
    ck_assert_ptr_nonnull(ak_permissions_fault(&list, &bad, wrong, 2, registry, scratch_pool));
    ck_assert_int_eq(bad, 1);
    wrong[0] = "";
    ck_assert_ptr_nonnull(ak_permissions_fault(&list, &bad, wrong, 1, registry, scratch_pool));
    ck_assert_int_eq(bad, 0);
    wrong[0] = "tasks:read tasks:write";
    ck_assert_ptr_nonnull(ak_permissions_fault(&list, &bad, wrong, 1, registry, scratch_pool));
    ck_assert_ptr_nonnull(ak_permissions_fault(&list, &bad, good, 0, registry, scratch_pool));
    ck_assert_int_eq(bad, -1);
    ck_assert_ptr_nonnull(ak_permissions_fault(&list, &bad, good, AK_SCOPE_MAX + 1, registry, scratch_pool));
}
END_TEST

START_TEST(networks_are_made_uniform)
{
    const char *good[] = {"192.0.2.0/24", "2001:DB8:0::/32", "192.0.2.0/24"};
    const char *many[AK_CIDR_MAX + 1], *list;
    int bad;

    ck_assert_ptr_null(ak_networks_fault(&list, &bad, good, 3, scratch_pool));
    ck_assert_str_eq(list, "192.0.2.0/24 2001:db8::/32");
    ck_assert_ptr_null(ak_networks_fault(&list, &bad, good, 0, scratch_pool));
    ck_assert_ptr_null(list);
    good[1] = "192.0.2.1/24";
    ck_assert_ptr_nonnull(ak_networks_fault(&list, &bad, good, 3, scratch_pool));
    ck_assert_int_eq(bad, 1);
    for (int i = 0; i <= AK_CIDR_MAX; i++)
        many[i] = apr_psprintf(scratch_pool, "192.0.2.%d", i);
    ck_assert_ptr_null(ak_networks_fault(&list, &bad, many, AK_CIDR_MAX, scratch_pool));
    ck_assert_ptr_nonnull(ak_networks_fault(&list, &bad, many, AK_CIDR_MAX + 1, scratch_pool));
    ck_assert_int_eq(bad, -1);
}
END_TEST

START_TEST(a_draft_is_checked_as_a_whole)
{
    const char *permissions[] = {"tasks:read"}, *wrong[] = {"tasks:fly"}, *networks[] = {"everywhere"};
    ak_draft_t good = {.account_id = "acct_one", .name = "Name", .permissions = permissions, .permission_count = 1,
                       .per_hour = 5, .per_minute = AK_UNSET, .expires_at = 99, .environment = AK_ENV_TEST};
    ak_draft_t bad = {.account_id = "nobody", .description = "\x01", .permissions = wrong, .permission_count = 1,
                      .allowed_ips = networks, .allowed_count = 1, .per_hour = 0, .per_minute = -5, .expires_at = -1};
    static const char *const fields[] = {"account_id", "name", "description", "permissions[0]", "allowed_ips[0]",
                                         "rate_limit.per_hour", "rate_limit.per_minute", "expires_at"};
    ak_field_error_t *errors;
    ak_key_new_t key;
    int count;

    ck_assert_int_eq(ak_draft_check(&good, registry, &key, &errors, &count, scratch_pool), APR_SUCCESS);
    ck_assert_int_eq(count, 0);
    ck_assert_str_eq(key.permissions, "tasks:read");
    ck_assert_str_eq(key.description, "");
    ck_assert_ptr_null(key.allowed_ips);
    ck_assert_int_eq(key.environment, AK_ENV_TEST);
    ck_assert_int_eq(key.per_hour, 5);
    ck_assert_int_eq(ak_draft_check(&bad, registry, &key, &errors, &count, scratch_pool), APR_EINVAL);
    ck_assert_int_eq(count, 8);
    for (int i = 0; i < count; i++) {
        ck_assert_str_eq(errors[i].field, fields[i]);
        ck_assert_int_gt(strlen(errors[i].message), 0);
    }
}
END_TEST

START_TEST(a_minted_key_is_valid_and_only_its_digest_is_kept)
{
    unsigned char digest[AK_DIGEST_BYTES];
    char secret[AK_TOKEN_MAX + 1], hex[AK_DIGEST_HEX + 1];
    ak_digester_t *digester;
    ak_key_new_t key = {.environment = AK_ENV_TEST}, other = {.environment = AK_ENV_TEST};
    const char *first;
    ak_env_e environment;

    ck_assert_int_eq(ak_digester_create(&digester, (const unsigned char *)"0123456789abcdef", 16, scratch_pool), 0);
    ck_assert_int_eq(ak_key_mint(&key, secret, digester, "ab", scratch_pool), APR_SUCCESS);
    ck_assert_int_eq(ak_token_parse(secret, strlen(secret), "ab", &environment), AK_TOKEN_VALID);
    ck_assert_int_eq(environment, AK_ENV_TEST);
    ck_assert(ak_id_ok(key.id, "key_"));
    ck_assert_int_eq(ak_digest(digester, secret, strlen(secret), digest), APR_SUCCESS);
    ak_digest_to_hex(digest, hex);
    ck_assert_str_eq(key.digest_hex, hex);
    ck_assert_int_eq(strncmp(key.prefix, secret, strlen("ab_test_") + 3), 0);
    ck_assert_str_eq(key.prefix + strlen("ab_test_") + 3, "...");
    ck_assert_str_eq(key.last_four, secret + strlen(secret) - 4);
    first = apr_pstrdup(scratch_pool, secret);
    ck_assert_int_eq(ak_key_mint(&other, secret, digester, "ab", scratch_pool), APR_SUCCESS);
    ck_assert_str_ne(first, secret);
    ck_assert_str_ne(key.id, other.id);
}
END_TEST

Suite *suite_draft(void)
{
    Suite *suite = suite_create("draft");
    TCase *tcase = tcase_create("draft");

    tcase_add_checked_fixture(tcase, set_up, scratch_tear_down);
    tcase_add_test(tcase, names_are_short_texts);
    tcase_add_test(tcase, descriptions_may_have_lines);
    tcase_add_test(tcase, limits_have_a_range);
    tcase_add_test(tcase, permissions_are_those_of_the_registry);
    tcase_add_test(tcase, networks_are_made_uniform);
    tcase_add_test(tcase, a_draft_is_checked_as_a_whole);
    tcase_add_test(tcase, a_minted_key_is_valid_and_only_its_digest_is_kept);
    suite_add_tcase(suite, tcase);
    return suite;
}
