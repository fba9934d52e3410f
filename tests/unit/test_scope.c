/* test_scope.c - the registry of scopes and sets of them */
#include <apr_strings.h>
#include <string.h>

#include "ak_scope.h"
#include "suites.h"

static apr_pool_t *pool;
static ak_registry_t *reg;

static const char *const seeded[] = {
    "admin:*",     "tasks:read",      "projects:read", "users:read",    "tasks:write",
    "projects:write", "users:write",  "tasks:delete",  "projects:delete", "api-keys:read",
};
#define SEEDED ((int)(sizeof seeded / sizeof seeded[0]))

static void set_up(void)
{
    int i;

    apr_pool_create(&pool, NULL);
    reg = ak_registry_create(pool);
    for (i = 0; i < SEEDED; i++)
        ck_assert_int_eq(ak_registry_add(reg, seeded[i], "what it is", i, pool), APR_SUCCESS);
}

static void tear_down(void)
{
    apr_pool_destroy(pool);
}

static ak_scopes_t parsed(const char *list)
{
    ak_scopes_t set;
    const char *bad = NULL;

    ck_assert_int_eq(ak_scopes_parse(&set, reg, list, &bad, pool), APR_SUCCESS);
    return set;
}

START_TEST(test_names)
{
    static const struct {
        const char *name;
        int plain, wild;
    } names[] = {
        {"tasks:read", 1, 1},
        {"a:b", 1, 1},
        {"api-keys:write2", 1, 1},
        {"abcdefghijklmnopqrstuvwxyz012345:abcdefghijklmnopqrstuvwxyz012345", 1, 1}, /* 32 each */
        {"abcdefghijklmnopqrstuvwxyz0123456:read", 0, 0},                            /* 33 */
        {"tasks:abcdefghijklmnopqrstuvwxyz0123456", 0, 0},
        {"tasks:*", 0, 1},
        {"admin:*", 0, 1},
        {"*:*", 0, 0},
        {"*", 0, 0},
        {"*:read", 0, 0},
        {"tasks:**", 0, 0},
        {"tasks:re*", 0, 0},
        {"tasks:", 0, 0},
        {":read", 0, 0},
        {"tasks", 0, 0},
        {"", 0, 0},
        {"Tasks:read", 0, 0},
        {"tasks:Read", 0, 0},
        {"1tasks:read", 0, 0},
        {"-tasks:read", 0, 0},
        {"tasks:1read", 0, 0},
        {"tasks:read:all", 0, 0},
        {"tasks:read ", 0, 0},
        {" tasks:read", 0, 0},
        {"tasks_all:read", 0, 0},
        {"t\xc3\xa4sks:read", 0, 0},
        {"tasks:read\"", 0, 0},
    };
    apr_size_t i;

    for (i = 0; i < sizeof names / sizeof names[0]; i++) {
        ck_assert_msg(ak_scope_name_ok(names[i].name, 0) == names[i].plain, "\"%s\" plain", names[i].name);
        ck_assert_msg(ak_scope_name_ok(names[i].name, 1) == names[i].wild, "\"%s\" wild", names[i].name);
    }
}
END_TEST

START_TEST(test_registry_holds_what_was_added)
{
    int i;

    ck_assert_int_eq(reg->quantity, SEEDED);
    ck_assert_int_eq(reg->count, SEEDED);
    for (i = 0; i < SEEDED; i++)
        ck_assert_int_eq(ak_registry_bit(reg, seeded[i]), i);
    ck_assert_int_eq(ak_registry_bit(reg, "users:delete"), -1);
    ck_assert_int_eq(ak_registry_bit(reg, "tasks:*"), -1);
    ck_assert_int_eq(ak_registry_bit(reg, ""), -1);
}
END_TEST

START_TEST(test_registry_refuses)
{
    ck_assert_int_eq(ak_registry_add(reg, "tasks:read", "again", 50, pool), APR_EEXIST);
    ck_assert_int_eq(ak_registry_add(reg, "new:scope", "bit taken", 3, pool), APR_EEXIST);
    ck_assert_int_eq(ak_registry_add(reg, "new:scope", "", -1, pool), APR_EINVAL);
    ck_assert_int_eq(ak_registry_add(reg, "new:scope", "", AK_SCOPE_MAX, pool), APR_EINVAL);
    ck_assert_int_eq(ak_registry_add(reg, "new:*", "", 50, pool), APR_EINVAL);
    ck_assert_int_eq(ak_registry_add(reg, "New:scope", "", 50, pool), APR_EINVAL);
    ck_assert_int_eq(ak_registry_add(reg, "new:scope", "bit 0 is admin's", 0, pool), APR_EINVAL);
    ck_assert_int_eq(ak_registry_add(reg, "admin:*", "admin is bit 0", 50, pool), APR_EINVAL);
    ck_assert_int_eq(reg->quantity, SEEDED);
    ck_assert_int_eq(ak_registry_add(reg, "new:scope", "the last bit", AK_SCOPE_MAX - 1, pool), APR_SUCCESS);
    ck_assert_int_eq(ak_registry_bit(reg, "new:scope"), AK_SCOPE_MAX - 1);
    ck_assert_int_eq(reg->count, AK_SCOPE_MAX);
}
END_TEST

START_TEST(test_known)
{
    ck_assert(ak_scope_known(reg, "tasks:read"));
    ck_assert(ak_scope_known(reg, "tasks:*"));
    ck_assert(ak_scope_known(reg, "admin:*"));
    ck_assert(!ak_scope_known(reg, "users:delete"));
    ck_assert(!ak_scope_known(reg, "task:*"));
    ck_assert(!ak_scope_known(reg, "nothing:*"));
    ck_assert(!ak_scope_known(reg, "*:*"));
    ck_assert(!ak_scope_known(reg, "*"));
    ck_assert(!ak_scope_known(reg, ""));
    ck_assert(!ak_scope_known(reg, "tasks:read tasks:write"));
    ck_assert(!ak_scope_known(ak_registry_create(pool), "admin:*"));
}
END_TEST

START_TEST(test_has_exactly_what_was_named)
{
    ak_scopes_t set = parsed("tasks:read  projects:write ");
    int bit;

    for (bit = 0; bit < AK_SCOPE_MAX; bit++)
        ck_assert_int_eq(ak_scopes_has(&set, bit), bit == 1 || bit == 5);
    ck_assert(!ak_scopes_is_admin(&set));
    ck_assert(!ak_scopes_has(&set, -1));
    ck_assert(!ak_scopes_has(&set, AK_SCOPE_MAX));
    ck_assert(!ak_scopes_has(&set, 1 << 30));
}
END_TEST

START_TEST(test_wildcard_means_every_action)
{
    ak_scopes_t set = parsed("projects:*");
    int bit;

    for (bit = 0; bit < AK_SCOPE_MAX; bit++)
        ck_assert_int_eq(ak_scopes_has(&set, bit), bit == 2 || bit == 5 || bit == 8);
}
END_TEST

START_TEST(test_admin_means_everything)
{
    ak_scopes_t set = parsed("admin:*"), others = parsed("tasks:* projects:* users:* api-keys:read");
    int bit;

    ck_assert(ak_scopes_is_admin(&set));
    for (bit = -1; bit < AK_SCOPE_MAX; bit++)
        ck_assert(ak_scopes_has(&set, bit));
    ck_assert(ak_scopes_cover(&set, &others));
    ck_assert(!ak_scopes_cover(&others, &set)); /* all the rest is not admin */
    ck_assert(!ak_scopes_is_admin(&others));
}
END_TEST

START_TEST(test_cover)
{
    ak_scopes_t none = parsed(""), read = parsed("tasks:read"), both = parsed("tasks:read tasks:write"),
                wild = parsed("tasks:*"), other = parsed("users:read");

    ck_assert(ak_scopes_cover(&none, &none));
    ck_assert(ak_scopes_cover(&read, &none));
    ck_assert(ak_scopes_cover(&both, &read));
    ck_assert(ak_scopes_cover(&wild, &both));
    ck_assert(!ak_scopes_cover(&none, &read));
    ck_assert(!ak_scopes_cover(&read, &both));
    ck_assert(!ak_scopes_cover(&both, &wild));
    ck_assert(!ak_scopes_cover(&wild, &other));
}
END_TEST

START_TEST(test_high_bits)
{
    ak_scopes_t set = {{0}}, wanted = {{0}};

    ak_scopes_set(&set, 63);
    ak_scopes_set(&set, 64);
    ak_scopes_set(&set, 127);
    ak_scopes_set(&wanted, 126);
    ck_assert(ak_scopes_has(&set, 63) && ak_scopes_has(&set, 64) && ak_scopes_has(&set, 127));
    ck_assert(!ak_scopes_has(&set, 62) && !ak_scopes_has(&set, 65) && !ak_scopes_has(&set, 126));
    ck_assert(!ak_scopes_cover(&set, &wanted));
}
END_TEST

START_TEST(test_unknown_names_are_told_and_the_known_kept)
{
    ak_scopes_t set;
    const char *bad = NULL;

    ck_assert_int_eq(ak_scopes_parse(&set, reg, "tasks:read no:such users:read other:one", &bad, pool),
                     APR_NOTFOUND);
    ck_assert_str_eq(bad, "no:such");
    ck_assert(ak_scopes_has(&set, 1) && ak_scopes_has(&set, 3));
    ck_assert(!ak_scopes_has(&set, 2));
    ck_assert_int_eq(ak_scopes_parse(&set, reg, "tasks:read\ttasks:write", NULL, pool), APR_NOTFOUND);
    ck_assert(!ak_scopes_has(&set, 1));
    ck_assert_int_eq(ak_scopes_parse(&set, reg, NULL, &bad, pool), APR_SUCCESS);
    ck_assert(!ak_scopes_has(&set, 1));
}
END_TEST

START_TEST(test_names_of_a_set)
{
    ak_scopes_t set = parsed("users:read tasks:read projects:*"), all = parsed("tasks:read admin:*"),
                none = parsed("");

    ck_assert_str_eq(ak_scopes_names(pool, reg, &set),
                     "tasks:read projects:read users:read projects:write projects:delete");
    ck_assert_str_eq(ak_scopes_names(pool, reg, &all), "admin:*");
    ck_assert_str_eq(ak_scopes_names(pool, reg, &none), "");
    ak_scopes_set(&none, 100); /* a bit that the registry does not know */
    ck_assert_str_eq(ak_scopes_names(pool, reg, &none), "");
}
END_TEST

START_TEST(test_actions_of_methods)
{
    static const struct {
        const char *method, *action;
    } methods[] = {
        {"GET", "read"}, {"HEAD", "read"}, {"OPTIONS", "read"}, {"POST", "write"}, {"PUT", "write"},
        {"PATCH", "write"}, {"DELETE", "delete"}, {"TRACE", NULL}, {"CONNECT", NULL}, {"get", NULL},
        {"GETX", NULL}, {"GE", NULL}, {"", NULL}, {"PROPFIND", NULL},
    };
    const char *action = ak_scope_action(methods[_i].method);

    if (methods[_i].action) {
        ck_assert_ptr_nonnull(action);
        ck_assert_str_eq(action, methods[_i].action);
    }
    else
        ck_assert_ptr_null(action);
}
END_TEST

Suite *suite_scope(void)
{
    Suite *suite = suite_create("scope");
    TCase *tc = tcase_create("scope");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, test_names);
    tcase_add_test(tc, test_registry_holds_what_was_added);
    tcase_add_test(tc, test_registry_refuses);
    tcase_add_test(tc, test_known);
    tcase_add_test(tc, test_has_exactly_what_was_named);
    tcase_add_test(tc, test_wildcard_means_every_action);
    tcase_add_test(tc, test_admin_means_everything);
    tcase_add_test(tc, test_cover);
    tcase_add_test(tc, test_high_bits);
    tcase_add_test(tc, test_unknown_names_are_told_and_the_known_kept);
    tcase_add_test(tc, test_names_of_a_set);
    tcase_add_loop_test(tc, test_actions_of_methods, 0, 14);
    suite_add_tcase(suite, tc);
    return suite;
}
