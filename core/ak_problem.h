/* ak_problem.h - the outcomes of a request, and how each is told to a client
 *
 * One table of codes: HTTP status, stable code, sentence and challenge
 * (RFC 9457 for the body, RFC 6750 section 3 for the challenge).
 * All strings are static; everything here is thread-safe.
 */
#ifndef AK_PROBLEM_H
#define AK_PROBLEM_H

#include "ak_types.h"

typedef enum {
    AK_OK = 0,
    AK_MISSING_CREDENTIALS,
    AK_MALFORMED_KEY,
    AK_UNKNOWN_KEY,
    AK_EXPIRED_KEY,
    AK_REVOKED_KEY,
    AK_INSUFFICIENT_SCOPE,
    AK_ENVIRONMENT_MISMATCH,
    AK_IP_NOT_ALLOWED,
    AK_PLAN_REQUIRED,
    AK_SCOPE_NOT_HELD,
    AK_FORBIDDEN, /* another Require of the site said no */
    AK_RATE_LIMIT_EXCEEDED,
    AK_QUOTA_EXCEEDED,
    AK_TOO_MANY_FAILURES,
    AK_STORE_UNAVAILABLE,
    AK_INVALID_JSON,
    AK_INVALID_REQUEST,
    AK_NOT_FOUND,
    AK_METHOD_NOT_ALLOWED,
    AK_CONFLICT,
    AK_PRECONDITION_FAILED,
    AK_BODY_TOO_LARGE,
    AK_UNSUPPORTED_MEDIA_TYPE,
    AK_VALIDATION_FAILED,
    AK_INTERNAL_ERROR,
    AK_CODE_COUNT
} ak_code_e;

typedef struct {
    ak_code_e code;
    int status;            /* HTTP status */
    const char *slug;      /* the stable `code` member, also the event's decision */
    const char *title;     /* the HTTP status phrase (type is about:blank) */
    const char *detail;    /* what happened and what to do, for people */
    const char *challenge; /* RFC 6750 error value, or NULL for none */
} ak_problem_t;

/* The entry of a code; never NULL (an unknown number gives AK_INTERNAL_ERROR). */
const ak_problem_t *ak_problem_of(ak_code_e code);

/* The code of a slug ("ok" included); AK_CODE_COUNT if there is none of that name. */
ak_code_e ak_problem_by_slug(const char *slug, apr_size_t len);

/* The WWW-Authenticate value for a code, allocated in p, or NULL where the
 * status carries none.  scope: the scopes wanted (space-separated) or NULL. */
const char *ak_problem_challenge(apr_pool_t *p, ak_code_e code, const char *realm,
                                 const char *scope);

/* The problem+json body for a code, allocated in p.  detail NULL: the table's.
 * detail must hold no character that JSON escapes (it is the table's, or ours). */
const char *ak_problem_body(apr_pool_t *p, ak_code_e code, const char *detail);

#endif
