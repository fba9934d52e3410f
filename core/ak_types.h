/* ak_types.h - the vocabulary that every part of mod_apikey shares
 *
 * Plain data only: no function, no pool, no lock.  Times are apr_time_t
 * (microseconds since 1970 UTC) where the name says nothing, and whole
 * seconds where it ends in _sec.
 */
#ifndef AK_TYPES_H
#define AK_TYPES_H

#include <apr.h>
#include <apr_errno.h>
#include <apr_pools.h>
#include <apr_time.h>

#define AK_VERSION "0.1.0"

/* Which world a key belongs to: real data, or the sandbox. */
typedef enum { AK_ENV_LIVE = 0, AK_ENV_TEST = 1 } ak_env_e;

/* The plans of an account, in the order of their worth. */
typedef enum { AK_PLAN_FREE = 0, AK_PLAN_PROFESSIONAL, AK_PLAN_ENTERPRISE, AK_PLAN_COUNT } ak_plan_e;

/* A key's stored state; "expired" is a matter of the clock and not stored. */
typedef enum { AK_STATUS_ACTIVE = 0, AK_STATUS_REVOKED = 1 } ak_status_e;

#define AK_DIGEST_BYTES 32 /* HMAC-SHA-256 or SHA-256 */

/* Ids are a prefix (key_, acct_, alert_) and up to 20 characters of [a-z0-9_];
 * the shared table holds the part behind the prefix, padded with NULs. */
#define AK_ID_SUFFIX 20
#define AK_ID_MAX 26 /* "alert_" + 20, no terminator */

/* Bits of the scope registry; bit 0 is admin:* and means everything. */
#define AK_SCOPE_MAX 128
#define AK_SCOPE_WORDS (AK_SCOPE_MAX / 64)
#define AK_SCOPE_ADMIN_BIT 0

typedef struct {
    apr_uint64_t word[AK_SCOPE_WORDS];
} ak_scopes_t;

/* A network: an IPv4 address stands as ::ffff:a.b.c.d, so one form serves both. */
typedef struct {
    unsigned char addr[16];
    unsigned char bits; /* 0 to 128, counted in the 16-byte form */
} ak_cidr_t;

/* CIDR entries that fit a table slot; a longer list is read from SQL per request. */
#define AK_CIDR_INLINE 4
/* Most entries an allowed_ips list may have. */
#define AK_CIDR_MAX 64

/* The facts of a key that a decision needs, by value: what a table slot caches.
 * Limits are what is in force for this key (its own, else its account's, else the plan's). */
typedef struct {
    unsigned char digest[AK_DIGEST_BYTES];
    char id[AK_ID_SUFFIX];      /* behind "key_", NUL-padded */
    char account[AK_ID_SUFFIX]; /* behind "acct_", NUL-padded */
    ak_scopes_t scopes;
    apr_int64_t expires_sec;    /* 0: never */
    apr_uint32_t per_hour;      /* requests; 0: none admitted */
    apr_uint32_t per_minute;
    apr_uint32_t quota_month;   /* the month number (year * 12 + month0) whose quota is used up; 0: none */
    unsigned char environment;  /* ak_env_e */
    unsigned char status;       /* ak_status_e */
    unsigned char plan;         /* ak_plan_e */
    unsigned char cidr_count;   /* 0: any address; > AK_CIDR_INLINE: the list is in SQL */
    ak_cidr_t cidr[AK_CIDR_INLINE];
} ak_key_t;

#endif
