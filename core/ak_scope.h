/* ak_scope.h - the registry of scopes, and sets of them as bits
 *
 * A scope is resource:action, each of [a-z][a-z0-9-]{0,31}.  resource:* is every
 * action of the resource; admin:* is everything (RFC 6749 section 3.3 calls the
 * list a scope; permissions is the guide's word for the same).
 * A registry is read-only once loaded, so threads share it without a lock.
 */
#ifndef AK_SCOPE_H
#define AK_SCOPE_H

#include "ak_types.h"

#define AK_SCOPE_NAME_MAX 65 /* resource + ':' + action */

typedef struct {
    const char *name[AK_SCOPE_MAX]; /* by bit; NULL where none */
    const char *description[AK_SCOPE_MAX];
    int count;                      /* one past the highest bit in use */
    int quantity;                   /* how many scopes there are */
} ak_registry_t;

/* An empty registry; add fills it (APR_EINVAL: bad name; APR_EEXIST: the name or the bit is taken). */
ak_registry_t *ak_registry_create(apr_pool_t *p);
apr_status_t ak_registry_add(ak_registry_t *reg, const char *name, const char *description, int bit,
                             apr_pool_t *p);

/* The bit of a scope, or -1. */
int ak_registry_bit(const ak_registry_t *reg, const char *name);

/* Is name well formed (registered or not)?  wildcard: may the action be "*"? */
int ak_scope_name_ok(const char *name, int wildcard);

/* Is name grantable: registered, admin:*, or resource:* of a registered resource? */
int ak_scope_known(const ak_registry_t *reg, const char *name);

/* The bits of a space-separated list, wildcards expanded.  APR_NOTFOUND: *bad is
 * the first name that is unknown (allocated in p); the known ones are set all the same. */
apr_status_t ak_scopes_parse(ak_scopes_t *out, const ak_registry_t *reg, const char *list,
                             const char **bad, apr_pool_t *p);

void ak_scopes_set(ak_scopes_t *set, int bit);
/* Does the set hold the bit, by itself or by admin:*? */
int ak_scopes_has(const ak_scopes_t *set, int bit);
int ak_scopes_is_admin(const ak_scopes_t *set);
/* Does held cover every bit of wanted? */
int ak_scopes_cover(const ak_scopes_t *held, const ak_scopes_t *wanted);

/* The names in a set, space-separated ("admin:*" alone for an administrator), allocated in p. */
const char *ak_scopes_names(apr_pool_t *p, const ak_registry_t *reg, const ak_scopes_t *set);

/* The action that an HTTP method stands for: read, write, delete, or NULL
 * (GET, HEAD, OPTIONS; POST, PUT, PATCH; DELETE). */
const char *ak_scope_action(const char *method);

#endif
