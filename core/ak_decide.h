/* ak_decide.h - may this request pass?  Facts in, one code out
 *
 * The heart of mod_apikey, and pure: no clock, no store, no server.  Every
 * refusal of an authenticated or unauthenticated request is decided here; the
 * hooks only gather the facts and translate the answer.
 */
#ifndef AK_DECIDE_H
#define AK_DECIDE_H

#include "ak_problem.h"
#include "ak_types.h"

/* What the client presented. */
typedef enum {
    AK_PRESENTED_NOTHING = 0, /* no credentials at all */
    AK_PRESENTED_MALFORMED,   /* another scheme, another shape, a wrong checksum */
    AK_PRESENTED_KEY          /* something worth a look-up */
} ak_presented_e;

/* What the table or the store said of it. */
typedef enum { AK_LOOKUP_NONE = 0, AK_LOOKUP_FOUND, AK_LOOKUP_UNKNOWN, AK_LOOKUP_UNAVAILABLE } ak_lookup_e;

typedef struct {
    ak_presented_e presented;
    ak_lookup_e lookup;
    const ak_key_t *key;       /* when AK_LOOKUP_FOUND */
    const ak_cidr_t *cidrs;    /* the whole allowed list (key->cidr, or read from SQL) */
    int cidr_count;            /* 0: any address */
    unsigned char client[16];  /* the client's address */
    apr_int64_t now_sec;
} ak_authn_facts_t;

/* Who is it, and may this key be used at all from here and now? */
ak_code_e ak_decide_authn(const ak_authn_facts_t *facts);

/* Is any one of the wanted scopes held?  A bit of -1 stands for a scope that is
 * in no registry, which nobody but an administrator holds. */
ak_code_e ak_decide_scope(const ak_key_t *key, const int *bits, int count);

ak_code_e ak_decide_environment(const ak_key_t *key, ak_env_e wanted);

/* wanted: bit mask of 1 << ak_plan_e. */
ak_code_e ak_decide_plan(const ak_key_t *key, unsigned wanted);

/* Has the account used up its month? Test keys have no quota. */
ak_code_e ak_decide_quota(const ak_key_t *key, apr_int64_t now_sec);

#endif
