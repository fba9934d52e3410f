/* mod_apikey_manage_rotate.c - a key's successor, with a time in which both are good
 *
 * The successor takes over everything but the secret, its expiry included: rotating a
 * temporary key does not make it last longer.
 */
#include <apr_strings.h>

#include "ak_draft.h"
#include "apikey_tally.h"
#include "mod_apikey_manage_io.h"
#include "mod_apikey_manage_keys.h"


#define GRACE_DEFAULT_SEC 86400
#define GRACE_MAX_SEC 2592000 /* 30 days */

static int read_grace(manage_t *m, apr_int64_t *grace)
{
    static const char *const names[] = {"grace_seconds", NULL};
    json_t *body, *value;

    *grace = GRACE_DEFAULT_SEC;
    if (manage_read_object(m, 0, &body))
        return 1;
    manage_only_members(m, body, "", names);
    if ((value = json_object_get(body, "grace_seconds")) != NULL)
        manage_get_number(m, value, "grace_seconds", 0, GRACE_MAX_SEC, grace);
    return manage_refuse_errors(m);
}

/* refuse_state - 409 for a key that cannot be rotated any more */
static int refuse_state(manage_t *m, const ak_key_record_t *old)
{
    if (old->status == AK_STATUS_REVOKED)
        return manage_refuse(m, AK_CONFLICT, "The key has been revoked: create a new one.");
    if (old->rotated_to)
        return manage_refuse_with(m, AK_CONFLICT, "The key has been rotated already: rotate its successor.",
                                  json_pack("{s:s}", "id", old->rotated_to));
    if (old->expires_at && old->expires_at <= m->now)
        return manage_refuse(m, AK_CONFLICT, "The key has expired: extend its expiration first.");
    return 0;
}

void manage_key_rotate(manage_t *m)
{
    char secret[AK_TOKEN_MAX + 1];
    ak_key_new_t successor;
    ak_key_record_t *old;
    apr_int64_t grace, sequence = 0;
    apr_status_t rv;

    /* Whoever rotates a key holds its successor: that must not be more than it holds itself. */
    if (read_grace(m, &grace) || !(old = manage_key_find(m, m->id)) || manage_refuse_unmatched(m, old->version)
        || refuse_state(m, old) || manage_refuse_grant(m, old->permissions, ""))
        return;
    ak_key_describe(&successor, old);
    if (manage_mint(m, &successor, secret))
        return;
    rv = ak_store_key_rotate(m->node->store, &m->actor, old, &successor, grace, m->now, &sequence, m->p);
    if (rv != APR_SUCCESS) {
        manage_refuse_store(m, rv, "rotating a key");
        return;
    }
    ak_table_tally(m->node->table, APIKEY_TALLY_KEYS_CREATED, 1);
    apikey_changed(m->node, old->id, sequence, m->p);
    manage_answer_minted(m, &successor, old->id, secret);
}
