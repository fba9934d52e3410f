/* ak_store.h - keys, accounts, alerts and logs as SQL holds them: typed calls
 *
 * The one door through which keys change, for the endpoints, apikeyctl and auditd
 * alike: each change writes the row, a row of the change log (so that every node
 * drops what it has cached) and a row of the audit log, in one transaction.
 *
 * Every call takes a handle from the pool for its own duration, allocates results in
 * p, and returns APR_SUCCESS, APR_NOTFOUND, APR_EEXIST (a uniqueness rule),
 * AK_ECHANGED (the record moved on since it was read), or anything else: the store
 * cannot be reached, which is never the client's fault.  Thread-safe.
 * All times are whole seconds since 1970 UTC; 0 means never.
 */
#ifndef AK_STORE_H
#define AK_STORE_H

#include "ak_dbd.h"
#include "ak_scope.h"
#include "ak_types.h"

#define AK_ECHANGED (APR_OS_START_USERERR + 4001)
#define AK_UNSET ((apr_int64_t)-1) /* a number that is not given: "the plan's" */

typedef struct ak_store_t ak_store_t;

/* Who does it, from where: for the audit log. */
typedef struct {
    const char *actor;      /* "key_…", "user:alice", "apikeyctl", "auditd" */
    const char *account_id; /* the actor's own, or NULL for the operator's tools */
    const char *address;    /* client address, or NULL */
} ak_actor_t;

typedef struct {
    apr_int64_t seq; /* order of making */
    const char *id, *account_id, *name, *description;
    const char *prefix;      /* "sk_live_abc..." */
    const char *last_four;
    const char *permissions; /* space-separated, as granted */
    const char *allowed_ips; /* space-separated CIDRs, or NULL: any */
    ak_env_e environment;
    ak_status_e status;
    int imported, auto_renew;
    apr_int64_t per_hour, per_minute; /* AK_UNSET: the plan's */
    apr_int64_t created_at, expires_at, revoked_at, last_used;
    const char *created_by, *rotated_from, *rotated_to; /* NULL where none */
    apr_int64_t version; /* grows by one with each change: the ETag */
} ak_key_record_t;

typedef struct {
    apr_int64_t seq;
    const char *id, *name, *contact; /* contact: a role address, or NULL */
    ak_plan_e plan;
    apr_int64_t per_hour, per_minute, quota_month; /* AK_UNSET: the plan's */
    apr_int64_t requests_this_month;               /* live keys, admitted */
    int quota_exceeded;                            /* this month */
    apr_int64_t created_at, version;
} ak_account_t;

typedef struct {
    const char *name;
    apr_int64_t per_hour, per_minute, quota_month; /* AK_UNSET: unlimited quota */
} ak_plan_t;

typedef struct {
    apr_int64_t seq;
    const char *id, *kind, *severity; /* info, warning, critical */
    const char *status;               /* open, acknowledged, resolved */
    const char *account_id, *key_id;  /* NULL where none */
    const char *subject, *message, *details; /* details: a JSON object */
    apr_int64_t count, first_seen, last_seen;
    const char *acknowledged_by;
} ak_alert_t;

typedef struct {
    apr_int64_t seq, at;
    const char *actor, *account_id, *action, *target, *address, *details; /* details: JSON or NULL */
} ak_audit_t;

typedef struct { apr_int64_t start; const char *decision; apr_int64_t requests; } ak_usage_t;
typedef struct { const char *network; apr_int64_t first_seen, last_seen, requests; } ak_network_t;

/* The effective limits of a new or changed key, and what the store needs to make one. */
typedef struct {
    const char *id, *digest_hex; /* made by the caller with ak_id_make, ak_digest */
    int imported;
    const char *account_id, *name, *description, *prefix, *last_four, *permissions, *allowed_ips;
    ak_env_e environment;
    apr_int64_t per_hour, per_minute, expires_at;
    int auto_renew;
    const char *idempotency_key; /* NULL: none */
} ak_key_new_t;

/* A plan's name; the plan of a name (0 and *plan untouched when there is none). */
const char *ak_plan_name(ak_plan_e plan);
int ak_plan_parse(ak_plan_e *plan, const char *name);

/* --- the store itself ----------------------------------------------------- */
apr_status_t ak_store_open(ak_store_t **store, const char *driver, const char *params,
                           int max_handles, const char **why, apr_pool_t *p);
ak_dbd_t *ak_store_dbd(ak_store_t *store);
/* What the database said when something last failed; "" when nothing did. In p. */
const char *ak_store_problem(ak_store_t *store, apr_pool_t *p);
/* Is there a database of the schema that this build needs?  *why: what to do.
 * APR_EINVAL: there is another database, or another version; others: none is to be had. */
apr_status_t ak_store_check(ak_store_t *store, const char **why, apr_pool_t *p);
/* Bring an empty or older database up to date; *from, *to: versions.  A missing SQLite
 * file is made, with the rights that the umask leaves of 0660. */
apr_status_t ak_store_migrate(ak_store_t *store, int *from, int *to, const char **why, apr_pool_t *p);
apr_status_t ak_store_ping(ak_store_t *store, apr_pool_t *p);

/* --- the hot path's cold side ---------------------------------------------- */
/* The facts of a key by digest, limits resolved.  APR_NOTFOUND: unknown key. */
apr_status_t ak_store_lookup(ak_store_t *store, const unsigned char *digest,
                             const ak_registry_t *registry, ak_key_t *key, apr_pool_t *p);
/* The whole allowed_ips list of a key (space-separated), or NULL. */
apr_status_t ak_store_allowed_ips(ak_store_t *store, const char *key_id, const char **list, apr_pool_t *p);
apr_status_t ak_store_registry(ak_store_t *store, ak_registry_t **registry, apr_pool_t *p);
apr_status_t ak_store_plans(ak_store_t *store, ak_plan_t plans[AK_PLAN_COUNT], apr_pool_t *p);

/* --- the change log and the nodes that follow it --------------------------- */
typedef struct {
    apr_int64_t sequence;
    int all;                                /* everything cached must go (scopes, plans) */
    int has_digest;
    unsigned char digest[AK_DIGEST_BYTES];
} ak_change_t;
/* Changes after a sequence, oldest first, at most limit.  *gap: changes after `after` may be
 * missing, because the log was pruned past it or is another log: drop everything, then go on
 * from ak_store_last_change as it was before dropping. */
apr_status_t ak_store_changes(ak_store_t *store, apr_int64_t after, int limit, ak_change_t **changes,
                              int *count, int *gap, apr_pool_t *p);
apr_status_t ak_store_last_change(ak_store_t *store, apr_int64_t *sequence, apr_pool_t *p);
/* Say that a node lives, what its bound is (ms), and how far it has applied the log. */
apr_status_t ak_store_node_report(ak_store_t *store, const char *node, int bound_ms,
                                  apr_int64_t applied, apr_pool_t *p);
apr_status_t ak_store_node_remove(ak_store_t *store, const char *node, apr_pool_t *p);
typedef struct {
    const char *id;
    int bound_ms;
    apr_int64_t applied, seen_at;
} ak_node_t;
apr_status_t ak_store_nodes(ak_store_t *store, ak_node_t **nodes, int *count, apr_pool_t *p);
/* Forget rows of the change log made before a second; the newest row always stays. */
apr_status_t ak_store_changes_prune(ak_store_t *store, apr_int64_t older_than, apr_pool_t *p);
/* The upkeep that auditd and apikeyctl do now and then: change log past a day, nodes not
 * seen for an hour, idempotency keys past a day. */
apr_status_t ak_store_prune(ak_store_t *store, apr_int64_t now, apr_pool_t *p);
/* Wait until every node but `self` (may be NULL) has applied `sequence`, or the longest
 * of their bounds has passed since now.  Returns early where there are no others. */
apr_status_t ak_store_wait_applied(ak_store_t *store, apr_int64_t sequence, const char *self, apr_pool_t *p);

/* --- keys -------------------------------------------------------------------- */
/* *sequence (may be NULL) is the change-log row that the call wrote.  APR_NOTFOUND: there is
 * no such account.  APR_EEXIST: the idempotency key was used, *existing_id says for which key; or the digest exists
 * (*existing_id NULL). */
apr_status_t ak_store_key_create(ak_store_t *store, const ak_actor_t *actor, const ak_key_new_t *key,
                                 apr_int64_t now, const char **existing_id, apr_int64_t *sequence,
                                 apr_pool_t *p);
/* account_id NULL: any account (an administrator). Another account's key is APR_NOTFOUND. */
apr_status_t ak_store_key_get(ak_store_t *store, const char *account_id, const char *id,
                              ak_key_record_t **key, apr_pool_t *p);
/* Digest of a key (hex), for dropping it from this node's table. */
apr_status_t ak_store_key_digest(ak_store_t *store, const char *id, unsigned char *digest, apr_pool_t *p);

typedef struct {
    const char *account_id;  /* NULL: all */
    const char *status;      /* active, expired, revoked, all; NULL: all but revoked */
    const char *environment; /* live, test; NULL: both */
    const char *search;      /* part of the name, the prefix or the id; NULL: none */
    const char *after;       /* id of the last key of the page before; NULL: the first page */
    int limit;               /* 1 to 101 */
    apr_int64_t now;
} ak_key_filter_t;
/* Newest first.  APR_NOTFOUND: `after` is no key of this account. */
apr_status_t ak_store_key_list(ak_store_t *store, const ak_key_filter_t *filter,
                               ak_key_record_t ***keys, int *count, apr_pool_t *p);
/* Write name, description, permissions, allowed_ips, limits, expires_at and auto_renew of
 * `key` over the row of the same id and version.  changes: JSON of what changed, for the audit log. */
apr_status_t ak_store_key_update(ak_store_t *store, const ak_actor_t *actor, const ak_key_record_t *key,
                                 const char *action, const char *changes, apr_int64_t now,
                                 apr_int64_t *sequence, apr_pool_t *p);
/* Revoking a revoked key succeeds and changes nothing; *sequence is the newest of the log
 * then, so that waiting for it still means that every node has heard. */
apr_status_t ak_store_key_revoke(ak_store_t *store, const ak_actor_t *actor, const char *account_id,
                                 const char *id, apr_int64_t now, apr_int64_t *sequence, apr_pool_t *p);
/* Make `successor` and set the old key's expiry to the earlier of its own and now + grace.
 * AK_ECHANGED: `old` moved on since it was read, or is revoked. */
apr_status_t ak_store_key_rotate(ak_store_t *store, const ak_actor_t *actor, const ak_key_record_t *old,
                                 const ak_key_new_t *successor, apr_int64_t grace_sec, apr_int64_t now,
                                 apr_int64_t *sequence, apr_pool_t *p);

/* --- accounts ---------------------------------------------------------------- */
apr_status_t ak_store_account_create(ak_store_t *store, const ak_actor_t *actor, const ak_account_t *account,
                                     apr_int64_t now, apr_pool_t *p);
apr_status_t ak_store_account_get(ak_store_t *store, const char *id, apr_int64_t now,
                                  ak_account_t **account, apr_pool_t *p);
/* Newest first.  APR_NOTFOUND: `after` is no account. */
apr_status_t ak_store_account_list(ak_store_t *store, const char *after, int limit, apr_int64_t now,
                                   ak_account_t ***accounts, int *count, apr_pool_t *p);
/* Writes name, contact, plan, limits and quota over the row of the same id and version; logs a
 * change for each of its keys; opens or closes the month by the new quota. */
apr_status_t ak_store_account_update(ak_store_t *store, const ak_actor_t *actor, const ak_account_t *account,
                                     const char *changes, apr_int64_t now, apr_int64_t *sequence,
                                     apr_pool_t *p);

/* --- figures, alerts, audit log ------------------------------------------------ */
/* Admitted requests of a key today and this month (UTC). */
apr_status_t ak_store_key_usage(ak_store_t *store, const char *key_id, apr_int64_t now,
                                apr_int64_t *today, apr_int64_t *month, apr_pool_t *p);
/* Series by hour or day over [from, to), by decision. key_id NULL: the whole account
 * (live keys only unless environment is given); account_id NULL: any. */
typedef struct {
    const char *account_id, *key_id, *environment;
    int by_day;
    apr_int64_t from, to;
} ak_usage_filter_t;
apr_status_t ak_store_usage(ak_store_t *store, const ak_usage_filter_t *filter, ak_usage_t **rows,
                            int *count, apr_pool_t *p);
apr_status_t ak_store_networks(ak_store_t *store, const char *key_id, ak_network_t **rows, int *count,
                               apr_pool_t *p);

/* The processes that wrote events, and which of their events are counted: all up to
 * contiguous, and the runs in beyond (the text of ak_runs.h). */
typedef struct {
    const char *name, *beyond;
    apr_uint64_t contiguous, lost;
    apr_int64_t first_seen, last_seen;
} ak_producer_t;
apr_status_t ak_store_producers(ak_store_t *store, ak_producer_t **rows, int *count, apr_pool_t *p);

typedef struct {
    const char *account_id, *key_id, *kind, *status, *severity, *after; /* NULL: any */
    int limit;
} ak_alert_filter_t;
/* Newest first.  APR_NOTFOUND: `after` is no alert of this account. */
apr_status_t ak_store_alert_list(ak_store_t *store, const ak_alert_filter_t *filter, ak_alert_t ***alerts,
                                 int *count, apr_pool_t *p);
apr_status_t ak_store_alert_get(ak_store_t *store, const char *account_id, const char *id,
                                ak_alert_t **alert, apr_pool_t *p);
/* APR_EEXIST: another alert of the same kind and subject is open already. */
apr_status_t ak_store_alert_set_status(ak_store_t *store, const ak_actor_t *actor, const char *id,
                                       const char *status, apr_int64_t now, apr_pool_t *p);

typedef struct {
    const char *account_id, *target, *action;
    apr_int64_t before; /* seq; 0: from the newest */
    int limit;
} ak_audit_filter_t;
apr_status_t ak_store_audit_list(ak_store_t *store, const ak_audit_filter_t *filter, ak_audit_t ***rows,
                                 int *count, apr_pool_t *p);
apr_status_t ak_store_audit_write(ak_store_t *store, const ak_actor_t *actor, const char *account_id,
                                  const char *action, const char *target, const char *details,
                                  apr_int64_t now, apr_pool_t *p);

#endif
