/* fuzz_token.c - keys, ids and prefixes of any bytes */
#include "fuzz.h"

#include "ak_token.h"

/* A valid token is its own proof: prefix, environment, base62, and no other length. */
static void check_valid(const char *token, size_t len, ak_env_e env)
{
    size_t i;

    REQUIRE(len == 2 + 6 + AK_TOKEN_RANDOM + AK_TOKEN_CHECK);
    REQUIRE(memcmp(token, env == AK_ENV_TEST ? "sk_test_" : "sk_live_", 8) == 0);
    for (i = 8; i < len; i++)
        REQUIRE(memchr("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", token[i], 62));
}

FUZZ_TARGET(token)
{
    apr_pool_t *pool = fuzz_pool();
    char *s = fuzz_string(data, size), *exact = malloc(size ? size : 1);
    const char *shown;
    ak_env_e env = (ak_env_e)-1;

    REQUIRE(exact != NULL);
    memcpy(exact, data, size);
    if (ak_token_parse(exact, size, "sk", &env) == AK_TOKEN_VALID)
        check_valid(exact, size, env);
    else
        REQUIRE(env == (ak_env_e)-1);
    shown = ak_token_shown(pool, s);
    REQUIRE(strcmp(shown + strlen(shown) - 3, "...") == 0);
    REQUIRE(strncmp(shown, s, strlen(shown) - 3) == 0);
    REQUIRE(strlen(shown) == 3 || strlen(shown) - 3 + AK_IMPORTED_MIN <= strlen(s));
    if (ak_token_prefix_ok(s)) {
        char made[AK_TOKEN_MAX + 1];

        REQUIRE(strlen(s) <= AK_PREFIX_MAX && ak_token_make(made, s, AK_ENV_TEST) == APR_SUCCESS);
        REQUIRE(ak_token_parse(made, strlen(made), s, &env) == AK_TOKEN_VALID && env == AK_ENV_TEST);
    }
    if (ak_id_ok(s, "key_"))
        REQUIRE(strlen(s) <= 4 + AK_ID_SUFFIX && strlen(s) > 4);
    free(exact);
    free(s);
    apr_pool_destroy(pool);
    return 0;
}
