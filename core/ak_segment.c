/* ak_segment.c - append-only files of events, one writer each
 *
 * Appending takes no lock: threads number their events with one atomic addition
 * and write by one descriptor whose number never changes.  A new segment is put
 * behind that number with dup3(), so that a thread which is about to write meets
 * either the old file or the new one, never another's.
 */
#include "ak_segment.h"

#include <apr_strings.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SEGMENT_MODE 0640
#define OPEN_TRIES 16 /* names tried where one is taken */

struct ak_segment_t {
    const char *dir;
    const char *node;
    char producer[AK_PRODUCER_MAX + 1]; /* settled once a file is open */
    pthread_mutex_t lock;               /* opening and changing files */
    atomic_int fd;                      /* -1: none yet */
    unsigned number;                    /* of the file, under lock */
    atomic_uint_fast64_t seq;
    atomic_uint_fast64_t size;          /* bytes in the current file, as far as we wrote them */
    atomic_uint_fast64_t whole;         /* whole records in it */
    _Atomic apr_time_t opened;          /* time of the event that opened it */
    atomic_int torn;                    /* its last line may lack a newline */
    atomic_uint_fast64_t written, failed;
    atomic_int last_error;
    ak_segment_t *next;
};

/* All writers of this process, so that a forked child can make each its own. */
static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static ak_segment_t *registry;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

/* --- identity ---------------------------------------------------------------- */

static void base36(char *out, apr_uint64_t n)
{
    char digits[16];
    int count = 0;

    do {
        digits[count++] = "0123456789abcdefghijklmnopqrstuvwxyz"[n % 36];
        n /= 36;
    } while (n > 0);
    while (count > 0)
        *out++ = digits[--count];
    *out = '\0';
}

static void name_producer(ak_segment_t *seg)
{
    char start[16];

    base36(start, (apr_uint64_t)apr_time_now());
    snprintf(seg->producer, sizeof(seg->producer), "%s.%ld.%s", seg->node, (long)getpid(), start);
}

static void reset(ak_segment_t *seg)
{
    atomic_store(&seg->fd, -1);
    seg->number = 0;
    atomic_store(&seg->seq, 0);
    atomic_store(&seg->size, 0);
    atomic_store(&seg->whole, 0);
    atomic_store(&seg->torn, 0);
    atomic_store(&seg->written, 0);
    atomic_store(&seg->failed, 0);
    atomic_store(&seg->last_error, 0);
    name_producer(seg);
}

/* --- fork -------------------------------------------------------------------- */

static void before_fork(void)
{
    pthread_mutex_lock(&registry_lock);
    for (ak_segment_t *s = registry; s; s = s->next)
        pthread_mutex_lock(&s->lock);
}

static void after_fork_in_parent(void)
{
    for (ak_segment_t *s = registry; s; s = s->next)
        pthread_mutex_unlock(&s->lock);
    pthread_mutex_unlock(&registry_lock);
}

/* The child is another producer: two processes that counted on in one sequence
 * would look like repeats of each other. */
static void after_fork_in_child(void)
{
    for (ak_segment_t *s = registry; s; s = s->next) {
        int fd = atomic_load(&s->fd);
        if (fd >= 0)
            close(fd);
        reset(s);
        pthread_mutex_unlock(&s->lock);
    }
    pthread_mutex_unlock(&registry_lock);
}

static void watch_forks(void)
{
    pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

/* --- making a writer --------------------------------------------------------- */

static apr_status_t close_segment(void *data)
{
    ak_segment_t *seg = data, **link;
    int fd = atomic_exchange(&seg->fd, -1);

    pthread_mutex_lock(&registry_lock);
    for (link = &registry; *link && *link != seg; link = &(*link)->next)
        continue;
    if (*link)
        *link = seg->next;
    pthread_mutex_unlock(&registry_lock);
    if (fd >= 0)
        close(fd);
    pthread_mutex_destroy(&seg->lock);
    return APR_SUCCESS;
}

static int node_ok(const char *node)
{
    apr_size_t len = strspn(node, "abcdefghijklmnopqrstuvwxyz0123456789");

    return len >= 1 && len <= 20 && node[len] == '\0';
}

apr_status_t ak_segment_create(ak_segment_t **out, const char *dir, const char *node, apr_pool_t *p)
{
    ak_segment_t *seg;

    if (dir[0] == '\0' || !node_ok(node))
        return APR_EINVAL;
    seg = apr_pcalloc(p, sizeof(*seg));
    seg->dir = apr_pstrdup(p, dir);
    seg->node = apr_pstrdup(p, node);
    pthread_mutex_init(&seg->lock, NULL);
    reset(seg);

    pthread_once(&fork_once, watch_forks);
    pthread_mutex_lock(&registry_lock);
    seg->next = registry;
    registry = seg;
    pthread_mutex_unlock(&registry_lock);
    apr_pool_cleanup_register(p, seg, close_segment, apr_pool_cleanup_null);
    *out = seg;
    return APR_SUCCESS;
}

/* --- files ------------------------------------------------------------------- */

/* A file of a name that nobody has used.  Another's file of our name means another
 * producer of our name, so one that has not begun yet takes a new name. */
static apr_status_t open_fresh(ak_segment_t *seg, int *fd)
{
    char path[APR_PATH_MAX];
    apr_status_t rv = APR_EEXIST;

    for (int i = 0; i < OPEN_TRIES && rv == APR_EEXIST; i++) {
        int len = snprintf(path, sizeof(path), "%s/%s.%u" AK_SEGMENT_SUFFIX, seg->dir, seg->producer,
                           ++seg->number);
        if (len < 0 || (apr_size_t)len >= sizeof(path))
            return APR_ENAMETOOLONG;
        *fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, SEGMENT_MODE);
        if (*fd >= 0)
            return APR_SUCCESS;
        rv = errno;
        if (rv == APR_EEXIST && atomic_load(&seg->fd) < 0) {
            name_producer(seg);
            seg->number = 0;
        }
    }
    seg->number--;
    return rv;
}

/* Begin the next file.  Called with the lock held. */
static apr_status_t next_file(ak_segment_t *seg, apr_time_t now)
{
    int fresh, fd = atomic_load(&seg->fd);
    apr_status_t rv = open_fresh(seg, &fresh);

    if (rv != APR_SUCCESS)
        return rv;
    if (fd >= 0) {
        if (dup3(fresh, fd, O_CLOEXEC) < 0) {
            rv = errno;
            close(fresh);
            return rv;
        }
        close(fresh);
        fresh = fd;
    }
    atomic_store(&seg->size, 0);
    atomic_store(&seg->whole, 0);
    atomic_store(&seg->torn, 0);
    atomic_store(&seg->opened, now);
    atomic_store(&seg->fd, fresh);
    return APR_SUCCESS;
}

static int is_done(ak_segment_t *seg, apr_time_t now)
{
    return atomic_load(&seg->fd) < 0 || atomic_load(&seg->size) >= AK_SEGMENT_BYTES ||
           now - atomic_load(&seg->opened) > AK_SEGMENT_AGE;
}

/* See to it that there is a file to write to.  Where a full one cannot be
 * followed by a new one it is written on: better a long file than a lost event. */
static apr_status_t ready(ak_segment_t *seg, apr_time_t now)
{
    apr_status_t rv = APR_SUCCESS;

    if (!is_done(seg, now))
        return APR_SUCCESS;
    pthread_mutex_lock(&seg->lock);
    if (is_done(seg, now))
        rv = next_file(seg, now);
    if (rv != APR_SUCCESS && atomic_load(&seg->fd) >= 0)
        rv = APR_SUCCESS;
    pthread_mutex_unlock(&seg->lock);
    return rv;
}

/* --- appending --------------------------------------------------------------- */

/* One record by one write().  After a torn line the newline that ends it goes in the
 * same write, so that the record stands on a line of its own whatever others write. */
static apr_status_t write_record(ak_segment_t *seg, char *buf, apr_size_t len)
{
    int mend = atomic_load(&seg->torn) && atomic_exchange(&seg->torn, 0);
    const char *from = mend ? buf : buf + 1;
    apr_size_t want = len + (mend ? 1 : 0);
    ssize_t got;

    do
        got = write(atomic_load(&seg->fd), from, want);
    while (got < 0 && errno == EINTR);
    if (got == (ssize_t)want) {
        atomic_fetch_add(&seg->size, want);
        atomic_fetch_add(&seg->whole, 1);
        atomic_fetch_add(&seg->written, 1);
        return APR_SUCCESS;
    }
    apr_status_t rv = got < 0 ? errno : APR_ENOSPC;
    if (got > 0)
        atomic_fetch_add(&seg->size, (apr_uint64_t)got);
    if (mend || got > 0)
        atomic_store(&seg->torn, 1);
    return rv;
}

/* A file that may grow no further is left for a new one, unless it never took a
 * record: then a new one would not either, and there would be one for each event. */
static int may_try_anew(ak_segment_t *seg, apr_status_t rv)
{
    if (rv != EFBIG || atomic_load(&seg->whole) == 0)
        return 0;
    atomic_store(&seg->size, AK_SEGMENT_BYTES);
    return 1;
}

apr_status_t ak_segment_append(ak_segment_t *seg, ak_event_t *event)
{
    char buf[1 + AK_EVENT_MAX];
    apr_status_t rv = ready(seg, event->time);

    event->seq = atomic_fetch_add(&seg->seq, 1) + 1;
    if (rv == APR_SUCCESS) {
        memcpy(event->producer, seg->producer, sizeof(event->producer));
        buf[0] = '\n';
        apr_size_t len = ak_event_encode(buf + 1, event);
        rv = write_record(seg, buf, len);
        if (may_try_anew(seg, rv) && ready(seg, event->time) == APR_SUCCESS)
            rv = write_record(seg, buf, len);
    } else { /* the name is not settled before a file is open */
        pthread_mutex_lock(&seg->lock);
        memcpy(event->producer, seg->producer, sizeof(event->producer));
        pthread_mutex_unlock(&seg->lock);
    }
    if (rv != APR_SUCCESS) {
        atomic_fetch_add(&seg->failed, 1);
        atomic_store(&seg->last_error, rv);
    }
    return rv;
}

void ak_segment_stats(const ak_segment_t *seg, ak_segment_stats_t *out)
{
    out->written = atomic_load(&seg->written);
    out->failed = atomic_load(&seg->failed);
    out->last_error = atomic_load(&seg->last_error);
}
