/* ak_draft.h - a key as somebody asks for it: checked field by field, then made
 *
 * The one place that says what a name, a permission, a limit, a network of a key may
 * be, for the endpoints and for apikeyctl; and the one place where a secret is born.
 * A fault is a static sentence, or one in p; NULL means the value is good.
 * Pure but for the making (the system's CSPRNG); thread-safe.
 */
#ifndef AK_DRAFT_H
#define AK_DRAFT_H

#include "ak_digest.h"
#include "ak_scope.h"
#include "ak_store.h"
#include "ak_token.h"

#define AK_NAME_CHARS 100
#define AK_DESCRIPTION_CHARS 1000
#define AK_LIMIT_MAX APR_INT64_C(1000000000) /* requests in an hour or a minute */

/* --- one field --------------------------------------------------------------------- */

/* UTF-8 of 1 to AK_NAME_CHARS characters, not all blanks, no control characters. */
const char *ak_name_fault(const char *name);
/* UTF-8 of at most AK_DESCRIPTION_CHARS characters; of the controls only line breaks. */
const char *ak_description_fault(const char *description);
/* AK_UNSET or 1 to AK_LIMIT_MAX. */
const char *ak_limit_fault(apr_int64_t limit);

/* Join names to the text that is stored, each once.  On a fault *bad is the index of the
 * name that is at fault, or -1 when it is their number.  registry: what may be granted. */
const char *ak_permissions_fault(const char **list, int *bad, const char *const *names, int count,
                                 const ak_registry_t *registry, apr_pool_t *p);
/* The same for networks, in their usual text form.  count 0 gives *list NULL: any address. */
const char *ak_networks_fault(const char **list, int *bad, const char *const *networks, int count,
                              apr_pool_t *p);

/* --- the whole ---------------------------------------------------------------------- */

typedef struct {
    const char *account_id, *name;
    const char *description; /* NULL: none */
    const char *const *permissions;
    int permission_count;
    const char *const *allowed_ips;
    int allowed_count; /* 0: any address */
    ak_env_e environment;
    apr_int64_t per_hour, per_minute; /* AK_UNSET: the plan's */
    apr_int64_t expires_at;           /* 0: never */
    int auto_renew;
} ak_draft_t;

typedef struct {
    const char *field, *message; /* "permissions[2]", "There is no such permission…" */
} ak_field_error_t;

/* Check every field.  APR_SUCCESS: *key holds all that the draft says; APR_EINVAL: *errors,
 * *count say what is wrong with each. */
apr_status_t ak_draft_check(const ak_draft_t *draft, const ak_registry_t *registry, ak_key_new_t *key,
                            ak_field_error_t **errors, int *count, apr_pool_t *p);

/* Give a key its secret, its id and what is stored of the secret.  secret: AK_TOKEN_MAX + 1
 * bytes, for the caller to tell once and wipe.  key->environment is read. */
apr_status_t ak_key_mint(ak_key_new_t *key, char *secret, const ak_digester_t *digester, const char *prefix,
                         apr_pool_t *p);

/* What a key says, without its secret: the start of its successor. */
void ak_key_describe(ak_key_new_t *key, const ak_key_record_t *record);

#endif
