/* scratch.h - a folder and a database of a test's own */
#ifndef SCRATCH_H
#define SCRATCH_H

#include "ak_store.h"

extern apr_pool_t *scratch_pool;
extern char scratch_dir[64];

/* Fixtures: the folder and the pool; the same with scratch_store, an up-to-date SQLite
 * database of the account acct_one, behind it. */
void scratch_set_up(void);
void scratch_set_up_store(void);
void scratch_tear_down(void);

extern ak_store_t *scratch_store;
extern const ak_actor_t scratch_actor;

/* A path within the folder. */
const char *scratch_file(const char *name);
void scratch_write(const char *name, const char *text);

/* Statements in SQL of the test's own, run by another connection than the store's. */
void scratch_sql(const char *sql);
const char *scratch_value(const char *sql); /* the first cell, or NULL */

/* A key of acct_one whose digest is the SHA-256 of its id. */
ak_key_new_t scratch_key(const char *id);
void scratch_digest(const char *id, unsigned char *digest);
apr_int64_t scratch_add_key(const char *id);

#endif
