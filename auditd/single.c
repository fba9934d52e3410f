/* single.c - only one auditd at a time writes to a database
 *
 * SQLite: a locked file beside the database.  PostgreSQL: an advisory lock of a
 * session that is kept for it.  Both end with the process that held them.
 */
#include <apr_strings.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "auditd.h"

struct single_t {
    ak_dbd_t *db;
    const char *file;         /* SQLite */
    int fd;
    ak_dbd_handle_t *session; /* PostgreSQL */
    apr_pool_t *pool;         /* scratch, cleared at each call */
    atomic_int held;
};

static apr_status_t let_go(void *data)
{
    struct single_t *s = data;

    if (s->fd >= 0)
        close(s->fd);
    if (s->session)
        ak_dbd_release(s->session);
    s->fd = -1;
    s->session = NULL;
    atomic_store(&s->held, 0);
    return APR_SUCCESS;
}

struct single_t *single_create(ak_dbd_t *db, apr_pool_t *p)
{
    struct single_t *s = apr_pcalloc(p, sizeof(*s));

    s->db = db;
    s->fd = -1;
    if (ak_dbd_is_sqlite(db))
        s->file = apr_pstrcat(p, ak_dbd_file(db), ".auditd-lock", NULL);
    apr_pool_create(&s->pool, p);
    apr_pool_cleanup_register(p, s, let_go, apr_pool_cleanup_null);
    return s;
}

/* The file is never removed: a lock on a removed file would exclude nobody. */
static single_e hold_file(struct single_t *s)
{
    if (s->fd >= 0)
        return SINGLE_HELD;
    s->fd = open(s->file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (s->fd < 0)
        return SINGLE_UNKNOWN;
    if (flock(s->fd, LOCK_EX | LOCK_NB) == 0)
        return SINGLE_HELD;
    single_e state = errno == EWOULDBLOCK ? SINGLE_TAKEN : SINGLE_UNKNOWN;
    close(s->fd);
    s->fd = -1;
    return state;
}

static single_e hold_session(struct single_t *s)
{
    ak_rows_t rows;
    int fresh = s->session == NULL;

    if (fresh && ak_dbd_acquire(s->db, &s->session) != APR_SUCCESS) {
        s->session = NULL;
        return SINGLE_UNKNOWN;
    }
    /* a session that died took the lock with it: never repeat a statement on another one */
    if (ak_dbd_select(s->session, fresh ? AK_SQL_AUD_SINGLE_TRY : AK_SQL_AUD_SINGLE_HELD, NULL, &rows, s->pool) ==
            APR_SUCCESS &&
        rows.count == 1) {
        if (ak_rows_number(&rows, 0, 0, 0) == 1)
            return SINGLE_HELD;
        ak_dbd_release(s->session);
        s->session = NULL;
        return SINGLE_TAKEN;
    }
    ak_dbd_release(s->session);
    s->session = NULL;
    return SINGLE_UNKNOWN;
}

single_e single_hold(struct single_t *s)
{
    single_e state = s->file ? hold_file(s) : hold_session(s);

    apr_pool_clear(s->pool);
    atomic_store(&s->held, state == SINGLE_HELD);
    return state;
}

int single_is_held(const struct single_t *s)
{
    return atomic_load(&s->held);
}
