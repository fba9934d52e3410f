/* cmd_key_verify - is this a key, and is it good?  The key is read, and never told */
#include <apr_strings.h>
#include <string.h>

#include "ctl.h"

/* Find the key that a digest stands for.  *key is NULL when there is none. */
static apr_status_t find(ctl_t *ctl, const unsigned char *digest, ak_key_record_t **key)
{
    ak_registry_t *registry;
    ak_key_t facts;
    apr_status_t rv = ak_store_registry(ctl->store, &registry, ctl->p);

    *key = NULL;
    if (rv == APR_SUCCESS)
        rv = ak_store_lookup(ctl->store, digest, registry, &facts, ctl->p);
    if (rv == APR_NOTFOUND)
        return APR_SUCCESS;
    if (rv != APR_SUCCESS)
        return rv;
    return ak_store_key_get(ctl->store, NULL,
                            apr_pstrcat(ctl->p, "key_", apr_pstrndup(ctl->p, facts.id, AK_ID_SUFFIX), NULL), key,
                            ctl->p);
}

/* Look a key up as one of ours, or, being none by its form, as one that was brought over. */
static int look_up(ctl_t *ctl, const char *text, apr_size_t len, int ours, ak_key_record_t **key)
{
    unsigned char sha256[AK_DIGEST_BYTES], digest[AK_DIGEST_BYTES];
    ak_digester_t *digester;
    int status = ctl_digester(ctl, &digester);
    apr_status_t rv;

    if (status != CTL_DONE)
        return status;
    if (ours) {
        rv = ak_digest(digester, text, len, digest);
    } else {
        rv = ak_sha256(text, len, sha256);
        if (rv == APR_SUCCESS)
            rv = ak_digest_imported(digester, sha256, digest);
    }
    if (rv != APR_SUCCESS)
        return ctl_fail(ctl, CTL_REFUSED, "no digest can be made of the key");
    rv = find(ctl, digest, key);
    return rv == APR_SUCCESS ? CTL_DONE : ctl_fail_store(ctl, rv, "key");
}

static const char *form_name(ak_token_e form)
{
    return form == AK_TOKEN_VALID ? "valid" : form == AK_TOKEN_BAD_CHECKSUM ? "wrong checksum" : "wrong form";
}

static int run_verify(ctl_t *ctl)
{
    char text[AK_IMPORTED_MAX + 1];
    int offline = ctl_option(ctl, "offline") != NULL, status, good;
    ak_key_record_t *key = NULL;
    ak_env_e environment;
    apr_size_t len;
    ak_token_e form;
    json_t *answer;

    status = offline ? ctl_configure(ctl) : ctl_open(ctl, 1);
    if (status == CTL_DONE)
        status = ctl_read_secret(ctl, text, AK_IMPORTED_MAX, &len);
    if (status != CTL_DONE)
        return status;
    form = len > AK_IMPORTED_MAX ? AK_TOKEN_BAD_SHAPE
                                 : ak_token_parse(text, len, ak_conf_text(ctl->conf, "key_prefix"), &environment);
    if (!offline && len >= AK_IMPORTED_MIN && len <= AK_IMPORTED_MAX)
        status = look_up(ctl, text, len, form == AK_TOKEN_VALID, &key);
    explicit_bzero(text, sizeof text);
    if (status != CTL_DONE)
        return status;
    answer = json_pack("{s:s}", "form", form_name(form));
    if (form == AK_TOKEN_VALID)
        json_object_set_new(answer, "environment", json_string(environment == AK_ENV_TEST ? "test" : "live"));
    if (!offline) {
        json_object_set_new(answer, "status", json_string(key != NULL ? ctl_key_status(ctl, key) : "unknown"));
        if (key != NULL)
            json_object_update_missing_new(answer, ctl_json_key(ctl, key));
    }
    good = offline ? form == AK_TOKEN_VALID : key != NULL && strcmp(ctl_key_status(ctl, key), "active") == 0;
    status = ctl_answer(ctl, answer, NULL);
    return status != CTL_DONE ? status : good ? CTL_DONE : CTL_REFUSED;
}

const ctl_command_t cmd_key_verify[] = {
    {.group = "key", .name = "verify", .run = run_verify,
     .summary = "is the key on standard input well formed and good?",
     .more = "Exit status 0: it is (with --offline: its form and checksum are right); 1: it is not. The\n"
             "key is never shown.",
     .options = {{"offline", NULL, "look at form and checksum alone, not into the database"}}},
    {.group = NULL}
};
