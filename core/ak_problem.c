/* ak_problem.c - the table of outcomes: status, code, sentence, challenge
 *
 * The only place where an outcome's words stand.  Details tell the reader what
 * happened and what to do; none of them can hold anything a client sent.
 */
#include "ak_problem.h"

#include <string.h>

#include <apr_strings.h>

static const ak_problem_t problems[] = {
    {AK_OK, 200, "ok", "OK", "The request is admitted.", NULL},
    {AK_MISSING_CREDENTIALS, 401, "missing_credentials", "Unauthorized",
     "No API key was sent. Send it as: Authorization: Bearer YOUR_API_KEY.", NULL},
    {AK_MALFORMED_KEY, 401, "malformed_key", "Unauthorized",
     "The credentials are not an API key of this service. Send the whole key, as: "
     "Authorization: Bearer YOUR_API_KEY.", "invalid_token"},
    {AK_UNKNOWN_KEY, 401, "unknown_key", "Unauthorized",
     "The API key is not valid. Check that it is whole and belongs to this service.",
     "invalid_token"},
    {AK_EXPIRED_KEY, 401, "expired_key", "Unauthorized",
     "The API key has expired. Extend its expiration or create a new key.", "invalid_token"},
    {AK_REVOKED_KEY, 401, "revoked_key", "Unauthorized",
     "The API key has been revoked. Create a new key.", "invalid_token"},
    {AK_INSUFFICIENT_SCOPE, 403, "insufficient_scope", "Forbidden",
     "The API key lacks a permission that this request needs. Add it to the key, or use "
     "another key.", "insufficient_scope"},
    {AK_ENVIRONMENT_MISMATCH, 403, "environment_mismatch", "Forbidden",
     "The API key belongs to the other environment: live keys reach live data, test keys the "
     "sandbox.", NULL},
    {AK_IP_NOT_ALLOWED, 403, "ip_not_allowed", "Forbidden",
     "The API key may not be used from this address. Add the address to the key's allowed_ips.",
     NULL},
    {AK_PLAN_REQUIRED, 403, "plan_required", "Forbidden",
     "The account's plan does not include this. Upgrade the plan.", NULL},
    {AK_SCOPE_NOT_HELD, 403, "scope_not_held", "Forbidden",
     "A key can grant only permissions that it holds itself.", NULL},
    {AK_FORBIDDEN, 403, "forbidden", "Forbidden", "The server's rules do not allow this request.",
     NULL},
    {AK_RATE_LIMIT_EXCEEDED, 429, "rate_limit_exceeded", "Too Many Requests",
     "The rate limit is used up. Wait for the seconds in Retry-After, then go on.", NULL},
    {AK_QUOTA_EXCEEDED, 429, "quota_exceeded", "Too Many Requests",
     "The account's monthly quota is used up. Wait for the next month or upgrade the plan.", NULL},
    {AK_TOO_MANY_FAILURES, 429, "too_many_failures", "Too Many Requests",
     "Too many requests from this address failed to authenticate. Wait for the seconds in "
     "Retry-After.", NULL},
    {AK_STORE_UNAVAILABLE, 503, "store_unavailable", "Service Unavailable",
     "The API key cannot be checked at the moment. Try again after the seconds in Retry-After.",
     NULL},
    {AK_INVALID_JSON, 400, "invalid_json", "Bad Request",
     "The body must be one JSON object in UTF-8.", NULL},
    {AK_INVALID_REQUEST, 400, "invalid_request", "Bad Request",
     "A parameter of the request is malformed.", NULL},
    {AK_NOT_FOUND, 404, "not_found", "Not Found", "There is no such resource.", NULL},
    {AK_METHOD_NOT_ALLOWED, 405, "method_not_allowed", "Method Not Allowed",
     "The resource does not support this method; Allow lists those that it does.", NULL},
    {AK_CONFLICT, 409, "conflict", "Conflict",
     "The request does not fit the state of the resource.", NULL},
    {AK_PRECONDITION_FAILED, 412, "precondition_failed", "Precondition Failed",
     "The resource has changed since it was read. Read it again.", NULL},
    {AK_BODY_TOO_LARGE, 413, "body_too_large", "Content Too Large",
     "The body is larger than 65536 bytes.", NULL},
    {AK_UNSUPPORTED_MEDIA_TYPE, 415, "unsupported_media_type", "Unsupported Media Type",
     "Send the body as Content-Type: application/json.", NULL},
    {AK_VALIDATION_FAILED, 422, "validation_failed", "Unprocessable Content",
     "Some fields are not acceptable; errors names each.", NULL},
    {AK_INTERNAL_ERROR, 500, "internal_error", "Internal Server Error",
     "The server failed to answer this request; its log says why.", NULL},
};

_Static_assert(sizeof problems / sizeof problems[0] == AK_CODE_COUNT, "one entry for each code");

const ak_problem_t *ak_problem_of(ak_code_e code)
{
    if ((unsigned)code >= AK_CODE_COUNT) {
        code = AK_INTERNAL_ERROR;
    }
    return &problems[code];
}

ak_code_e ak_problem_by_slug(const char *slug, apr_size_t len)
{
    int i;

    for (i = 0; i < AK_CODE_COUNT; i++) {
        if (strlen(problems[i].slug) == len && memcmp(problems[i].slug, slug, len) == 0) {
            return (ak_code_e)i;
        }
    }
    return AK_CODE_COUNT;
}

/* A realm comes from the configuration: quote what RFC 9110 section 5.6.4 wants quoted. */
static const char *quoted(apr_pool_t *p, const char *s)
{
    char *out = apr_palloc(p, 2 * strlen(s) + 1);
    char *o = out;

    for (; *s; s++) {
        if (*s == '"' || *s == '\\') {
            *o++ = '\\';
        }
        *o++ = *s;
    }
    *o = '\0';
    return out;
}

const char *ak_problem_challenge(apr_pool_t *p, ak_code_e code, const char *realm,
                                 const char *scope)
{
    const ak_problem_t *problem = ak_problem_of(code);
    const char *challenge;

    if (problem->status != 401 && !problem->challenge) {
        return NULL;
    }
    challenge = apr_psprintf(p, "Bearer realm=\"%s\"", quoted(p, realm));
    if (problem->challenge) {
        challenge = apr_pstrcat(p, challenge, ", error=\"", problem->challenge, "\"", NULL);
    }
    if (code == AK_INSUFFICIENT_SCOPE && scope && *scope) {
        challenge = apr_pstrcat(p, challenge, ", scope=\"", scope, "\"", NULL);
    }
    return challenge;
}

const char *ak_problem_body(apr_pool_t *p, ak_code_e code, const char *detail)
{
    const ak_problem_t *problem = ak_problem_of(code);

    if (!detail) {
        detail = problem->detail;
    }
    return apr_psprintf(p,
                        "{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%d,"
                        "\"detail\":\"%s\",\"message\":\"%s\",\"code\":\"%s\"}\n",
                        problem->title, problem->status, detail, detail, problem->slug);
}
