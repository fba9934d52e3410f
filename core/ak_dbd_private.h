/* ak_dbd_private.h - what the two files of the pool of handles share
 *
 * ak_dbd.c makes the pool and connects; ak_dbd_statement.c runs what is asked.
 */
#ifndef AK_DBD_PRIVATE_H
#define AK_DBD_PRIVATE_H

#include <apr_dbd.h>
#include <apr_reslist.h>
#include <apr_thread_mutex.h>
#include <sys/types.h>

#include "ak_dbd.h"

struct ak_dbd_t {
    apr_pool_t *pool;
    const apr_dbd_driver_t *driver;
    const char *params;
    int sqlite;
    apr_reslist_t *places;
    apr_thread_mutex_t *lock; /* over the two below */
    apr_int64_t hold_until;   /* monotonic: no new connection before */
    char problem[256];
};

/* A place in the pool, with a connection or without. */
struct ak_dbd_handle_t {
    ak_dbd_t *db;
    apr_pool_t *pool; /* lives as long as the connection */
    apr_dbd_t *conn;
    dev_t device;     /* of the SQLite file, as it was when we opened it */
    ino_t inode;
    apr_int64_t schema; /* SQLite's number of the schema for which statements are prepared */
    int broken, in_transaction;
    int busy;         /* what broke it was another's lock */
    int stale;        /* the schema was changed through it: what is prepared is void */
    int fresh;        /* connected since it was acquired */
    int used;         /* statements since it was acquired */
    apr_dbd_prepared_t *prepared[AK_SQL_COUNT];
    char error[256];
};

/* A statement failed, and the handle with it: keep what the driver said of it, but for what
 * holds an argument.  name: of the statement, NULL for a text of ours.  Gives APR_EGENERAL. */
apr_status_t ak_dbd_failed(ak_dbd_handle_t *h, const char *name, int code, const char *const *args, int count);

/* Close what is open, and connect. */
apr_status_t ak_dbd_reconnect(ak_dbd_handle_t *h);

/* The number of SQLite's schema; 0 on PostgreSQL, which keeps prepared statements good. */
apr_status_t ak_dbd_read_schema(ak_dbd_handle_t *h, apr_int64_t *schema);

#endif
