/* ak_decide.c - may this request pass?
 *
 * The order of the questions is part of the answer: what the client learns must
 * not depend on more than it has proven.  Whoever presents a whole key may be
 * told what is the matter with it; everybody else hears only "unknown".
 */
#include "ak_decide.h"

#include "ak_cidr.h"
#include "ak_scope.h"
#include "ak_window.h"

static int address_allowed(const ak_authn_facts_t *facts)
{
    int i;

    for (i = 0; i < facts->cidr_count; i++) {
        if (ak_cidr_contains(&facts->cidrs[i], facts->client)) {
            return 1;
        }
    }
    return facts->cidr_count == 0;
}

ak_code_e ak_decide_authn(const ak_authn_facts_t *facts)
{
    if (facts->presented == AK_PRESENTED_NOTHING) {
        return AK_MISSING_CREDENTIALS;
    }
    if (facts->presented == AK_PRESENTED_MALFORMED) {
        return AK_MALFORMED_KEY;
    }
    if (facts->lookup == AK_LOOKUP_UNKNOWN) {
        return AK_UNKNOWN_KEY;
    }
    if (facts->lookup != AK_LOOKUP_FOUND) {
        return AK_STORE_UNAVAILABLE; /* our own outage is never the client's 401 */
    }
    if (facts->key->status != AK_STATUS_ACTIVE) {
        return AK_REVOKED_KEY;
    }
    if (facts->key->expires_sec && facts->now_sec >= facts->key->expires_sec) {
        return AK_EXPIRED_KEY;
    }
    return address_allowed(facts) ? AK_OK : AK_IP_NOT_ALLOWED;
}

ak_code_e ak_decide_scope(const ak_key_t *key, const int *bits, int count)
{
    int i;

    for (i = 0; i < count; i++) {
        if (ak_scopes_has(&key->scopes, bits[i])) {
            return AK_OK;
        }
    }
    return AK_INSUFFICIENT_SCOPE;
}

ak_code_e ak_decide_environment(const ak_key_t *key, ak_env_e wanted)
{
    return key->environment == wanted ? AK_OK : AK_ENVIRONMENT_MISMATCH;
}

ak_code_e ak_decide_plan(const ak_key_t *key, unsigned wanted)
{
    return key->plan < AK_PLAN_COUNT && wanted & 1u << key->plan ? AK_OK : AK_PLAN_REQUIRED;
}

ak_code_e ak_decide_quota(const ak_key_t *key, apr_int64_t now_sec)
{
    if (key->environment != AK_ENV_LIVE || !key->quota_month) {
        return AK_OK;
    }
    return key->quota_month == (apr_uint32_t)ak_month_number(now_sec) ? AK_QUOTA_EXCEEDED : AK_OK;
}
