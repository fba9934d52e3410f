/* ak_event.h - the usage event, version 1: encode, decode
 *
 * One request, one line of JSON (RFC 8259) with the members below in this
 * order, ended by a newline: made and read by hand, because both ends are ours
 * and a JSON library costs fifty times the request's own work; still JSON, so that any SIEM reads it.
 *
 *   {"v":1,"producer":"n7…","seq":12,"time":1760437800123456,"class":"api",
 *    "key":"key_…","account":"acct_…","environment":"live","address":"192.0.2.7",
 *    "method":"GET","scope":"tasks:read","decision":"ok","status":200}
 *
 * producer names one process's run, seq counts its events from 1 without a gap:
 * together they are the event's identity.  key, account and environment are ""
 * for a request whose key is not known.  No member can hold any part of a secret;
 * the path of the request is left out because clients put keys in URLs.
 */
#ifndef AK_EVENT_H
#define AK_EVENT_H

#include "ak_problem.h"
#include "ak_types.h"

#define AK_EVENT_MAX 1024   /* bytes of a line, newline included */
#define AK_PRODUCER_MAX 64  /* bytes, [a-z0-9.-] */

/* api: counts in the usage figures.  manage: a call to the management endpoints,
 * which has a budget of its own and counts in no figure but last_used. */
typedef enum { AK_CLASS_API = 0, AK_CLASS_MANAGE = 1 } ak_class_e;

typedef struct {
    char producer[AK_PRODUCER_MAX + 1];
    apr_uint64_t seq;
    apr_time_t time;
    ak_class_e klass;
    char key[AK_ID_MAX + 1];     /* whole id with its prefix, or "" */
    char account[AK_ID_MAX + 1];
    char environment[5];         /* "live", "test" or "" */
    char address[46];            /* client, text form, or "" */
    char method[17];             /* cut to 16 */
    char scope[66];              /* the scope that was wanted, or "" */
    ak_code_e decision;
    int status;                  /* HTTP status of the answer, 100 to 599 */
} ak_event_t;

/* Encode into buf (AK_EVENT_MAX bytes); returns the length, newline included.
 * Characters that JSON would escape become '?'. */
apr_size_t ak_event_encode(char *buf, const ak_event_t *event);

/* Decode one line (with or without its newline).  Strict: any other member, order,
 * type or length is APR_EINVAL and *why says which (a static string).  Never reads past len. */
apr_status_t ak_event_decode(ak_event_t *event, const char *line, apr_size_t len, const char **why);

#endif
