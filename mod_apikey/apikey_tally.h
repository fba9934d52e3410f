/* apikey_tally.h - which counter of the shared table counts what
 *
 * The table keeps AK_TALLY_MAX node-wide counters that all processes share
 * (ak_table_tally).  The first ones count decisions: the index of a code is the code
 * itself, so that whoever decides needs no mapping.
 */
#ifndef APIKEY_TALLY_H
#define APIKEY_TALLY_H

#include "ak_problem.h"
#include "ak_table.h"

typedef enum {
    APIKEY_TALLY_DECISIONS = 0,                    /* + ak_code_e */
    APIKEY_TALLY_EVENTS_WRITTEN = AK_CODE_COUNT,   /* events appended to a segment */
    APIKEY_TALLY_EVENTS_FAILED,                    /* events that could not be written */
    APIKEY_TALLY_LOOKUP_CACHED,                    /* keys found in the table */
    APIKEY_TALLY_LOOKUP_STORE,                     /* keys read from SQL */
    APIKEY_TALLY_LOOKUP_UNKNOWN,                   /* unknown keys remembered as such */
    APIKEY_TALLY_LOOKUP_SHED,                      /* look-ups not made: too many at a time */
    APIKEY_TALLY_STORE_FAILURES,                   /* calls to the store that failed */
    APIKEY_TALLY_RATE_FAILURES,                    /* counters that could not be reached */
    APIKEY_TALLY_CHANGES_APPLIED,                  /* rows of the change log followed */
    APIKEY_TALLY_KEYS_CREATED,                     /* by the management endpoints */
    APIKEY_TALLY_KEYS_CHANGED,
    APIKEY_TALLY_KEYS_REVOKED,
    APIKEY_TALLY_COUNT
} apikey_tally_e;

_Static_assert(APIKEY_TALLY_COUNT <= AK_TALLY_MAX, "the table holds too few tallies");

#endif
