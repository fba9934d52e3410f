/* ak_scope.c - the registry of scopes, and sets of them as bits */
#include "ak_scope.h"

#include <string.h>

#include <apr_strings.h>

#define PART_MAX 32 /* characters of a resource, and of an action */
#define ADMIN "admin:*"

ak_registry_t *ak_registry_create(apr_pool_t *p)
{
    return apr_pcalloc(p, sizeof(ak_registry_t));
}

/* Length of the [a-z][a-z0-9-]* at s, 0 if there is none or it is too long. */
static apr_size_t part_length(const char *s)
{
    apr_size_t n = 0;

    if (!(s[0] >= 'a' && s[0] <= 'z')) {
        return 0;
    }
    while ((s[n] >= 'a' && s[n] <= 'z') || (s[n] >= '0' && s[n] <= '9') || s[n] == '-') {
        n++;
    }
    return n <= PART_MAX ? n : 0;
}

int ak_scope_name_ok(const char *name, int wildcard)
{
    apr_size_t resource = part_length(name), action;

    if (!resource || name[resource] != ':') {
        return 0;
    }
    name += resource + 1;
    if (wildcard && strcmp(name, "*") == 0) {
        return 1;
    }
    action = part_length(name);
    return action && !name[action];
}

apr_status_t ak_registry_add(ak_registry_t *reg, const char *name, const char *description, int bit,
                             apr_pool_t *p)
{
    int is_admin = strcmp(name, ADMIN) == 0;

    if (bit < 0 || bit >= AK_SCOPE_MAX || !ak_scope_name_ok(name, is_admin)
        || is_admin != (bit == AK_SCOPE_ADMIN_BIT)) {
        return APR_EINVAL;
    }
    if (reg->name[bit] || ak_registry_bit(reg, name) >= 0) {
        return APR_EEXIST;
    }
    reg->name[bit] = apr_pstrdup(p, name);
    reg->description[bit] = apr_pstrdup(p, description);
    reg->quantity++;
    if (bit >= reg->count) {
        reg->count = bit + 1;
    }
    return APR_SUCCESS;
}

int ak_registry_bit(const ak_registry_t *reg, const char *name)
{
    int i;

    for (i = 0; i < reg->count; i++) {
        if (reg->name[i] && strcmp(reg->name[i], name) == 0) {
            return i;
        }
    }
    return -1;
}

/* Set the bits of every action of the resource in "resource:*"; how many were there? */
static int set_wildcard(ak_scopes_t *out, const ak_registry_t *reg, const char *name)
{
    apr_size_t head = strlen(name) - 1; /* with the colon */
    int i, found = 0;

    for (i = 0; i < reg->count; i++) {
        if (reg->name[i] && strncmp(reg->name[i], name, head) == 0) {
            ak_scopes_set(out, i);
            found++;
        }
    }
    return found;
}

static int set_name(ak_scopes_t *out, const ak_registry_t *reg, const char *name)
{
    int bit = ak_registry_bit(reg, name);

    if (bit >= 0) {
        ak_scopes_set(out, bit);
        return 1;
    }
    return ak_scope_name_ok(name, 1) && name[strlen(name) - 1] == '*'
        && set_wildcard(out, reg, name) > 0;
}

int ak_scope_known(const ak_registry_t *reg, const char *name)
{
    ak_scopes_t ignored = {{0}};

    return set_name(&ignored, reg, name);
}

apr_status_t ak_scopes_parse(ak_scopes_t *out, const ak_registry_t *reg, const char *list,
                             const char **bad, apr_pool_t *p)
{
    apr_status_t rv = APR_SUCCESS;
    char *state = NULL, *copy, *name;

    memset(out, 0, sizeof *out);
    if (!list) {
        return APR_SUCCESS;
    }
    copy = apr_pstrdup(p, list);
    for (name = apr_strtok(copy, " ", &state); name; name = apr_strtok(NULL, " ", &state)) {
        if (!set_name(out, reg, name) && rv == APR_SUCCESS) {
            rv = APR_NOTFOUND;
            if (bad) {
                *bad = name;
            }
        }
    }
    return rv;
}

void ak_scopes_set(ak_scopes_t *set, int bit)
{
    set->word[bit / 64] |= (apr_uint64_t)1 << (bit % 64);
}

static int holds(const ak_scopes_t *set, int bit)
{
    return (int)(set->word[bit / 64] >> (bit % 64) & 1);
}

int ak_scopes_is_admin(const ak_scopes_t *set)
{
    return holds(set, AK_SCOPE_ADMIN_BIT);
}

int ak_scopes_has(const ak_scopes_t *set, int bit)
{
    return ak_scopes_is_admin(set) || (bit >= 0 && bit < AK_SCOPE_MAX && holds(set, bit));
}

int ak_scopes_cover(const ak_scopes_t *held, const ak_scopes_t *wanted)
{
    int i;

    if (ak_scopes_is_admin(held)) {
        return 1;
    }
    for (i = 0; i < AK_SCOPE_WORDS; i++) {
        if (wanted->word[i] & ~held->word[i]) {
            return 0;
        }
    }
    return 1;
}

const char *ak_scopes_names(apr_pool_t *p, const ak_registry_t *reg, const ak_scopes_t *set)
{
    apr_size_t size = 1;
    char *out, *o;
    int i;

    if (ak_scopes_is_admin(set)) {
        return ADMIN;
    }
    for (i = 0; i < reg->count; i++) {
        if (reg->name[i] && holds(set, i)) {
            size += strlen(reg->name[i]) + 1;
        }
    }
    o = out = apr_palloc(p, size);
    for (i = 0; i < reg->count; i++) {
        if (reg->name[i] && holds(set, i)) {
            apr_size_t n = strlen(reg->name[i]);
            if (o != out) {
                *o++ = ' ';
            }
            memcpy(o, reg->name[i], n);
            o += n;
        }
    }
    *o = '\0';
    return out;
}

const char *ak_scope_action(const char *method)
{
    static const struct {
        const char *method, *action;
    } actions[] = {
        {"GET", "read"},   {"HEAD", "read"}, {"OPTIONS", "read"},  {"POST", "write"},
        {"PUT", "write"},  {"PATCH", "write"}, {"DELETE", "delete"},
    };
    apr_size_t i;

    for (i = 0; i < sizeof actions / sizeof actions[0]; i++) {
        if (strcmp(actions[i].method, method) == 0) {
            return actions[i].action;
        }
    }
    return NULL;
}
