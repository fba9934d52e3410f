/* ak_table_open.c - map the key table's file, and the locks and the office in it
 *
 * The locks are robust mutexes of pthread: the kernel itself frees those of a process that
 * dies, whatever became of its number since, and never those of one that is only stopped.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <apr_strings.h>

#include "ak_table_map.h"
#include "ak_token.h"

#define LOCK_YIELDS 8
#define LOCK_PAUSES 1000 /* of 50 us and what the kernel adds: about a tenth of a second */
#define LOCK_PAUSE_NSEC 50000
#define OPEN_PAUSES 100 /* of 50 ms, until another process has opened the table */
#define PAGE ((apr_size_t)4096)

apr_int64_t ak_monotonic_usec(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (apr_int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* --- locks ---------------------------------------------------------------------------------- */

/* Tried and slept for instead of waited on with a deadline: that would hang on a clock. */
int ak_table_lock(pthread_mutex_t *lock, int patient)
{
    const struct timespec pause = {0, LOCK_PAUSE_NSEC};
    int tries, most = patient ? LOCK_YIELDS + LOCK_PAUSES : LOCK_YIELDS;

    for (tries = 0; tries < most; tries++) {
        switch (pthread_mutex_trylock(lock)) {
        case 0:
            return 1;
        case EOWNERDEAD:
            return pthread_mutex_consistent(lock) == 0;
        default:
            if (tries < LOCK_YIELDS) {
                sched_yield();
            }
            else {
                nanosleep(&pause, NULL);
            }
        }
    }
    return 0;
}

void ak_table_unlock(pthread_mutex_t *lock)
{
    pthread_mutex_unlock(lock);
}

static int make_locks(pthread_mutex_t *locks, int count)
{
    pthread_mutexattr_t attributes;
    int i, bad;

    if (pthread_mutexattr_init(&attributes) != 0) {
        return 0;
    }
    bad = pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED)
        || pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    for (i = 0; !bad && i < count; i++) {
        bad = pthread_mutex_init(&locks[i], &attributes);
    }
    pthread_mutexattr_destroy(&attributes);
    return !bad;
}

/* --- the poller's office ------------------------------------------------------------------ */

/* The holder's word: its process in the upper 22 bits (Linux has no higher), and when it was
 * last heard of, in monotonic milliseconds.  Two holders at once would only do the work twice. */
#define HEARD_BITS 42

static apr_uint64_t holder_now(void)
{
    return (apr_uint64_t)getpid() << HEARD_BITS | (apr_uint64_t)(ak_monotonic_usec() / 1000);
}

static pid_t holder_pid(apr_uint64_t holder)
{
    return (pid_t)(holder >> HEARD_BITS);
}

static int holder_gone(apr_uint64_t holder, apr_interval_time_t patience)
{
    apr_int64_t heard_ms = (apr_int64_t)(holder & ((UINT64_C(1) << HEARD_BITS) - 1));
    apr_int64_t age = ak_monotonic_usec() - heard_ms * 1000;

    return age > patience || age < -patience || (kill(holder_pid(holder), 0) != 0 && errno == ESRCH);
}

int ak_table_elect(ak_table_t *t, apr_interval_time_t patience)
{
    apr_uint64_t holder = atomic_load(&t->head->poller);

    if (holder && holder_pid(holder) != getpid() && !holder_gone(holder, patience)) {
        return 0;
    }
    return atomic_compare_exchange_strong(&t->head->poller, &holder, holder_now());
}

int ak_table_replaced(const ak_table_t *t)
{
    apr_uint64_t holder = atomic_load(&t->head->poller);

    return holder && holder_pid(holder) != getpid();
}

void ak_table_resign(ak_table_t *t)
{
    apr_uint64_t holder = atomic_load(&t->head->poller);

    if (holder_pid(holder) == getpid()) {
        atomic_compare_exchange_strong(&t->head->poller, &holder, 0);
    }
}

/* --- the file ------------------------------------------------------------------------------ */

/* Offsets: the header, then the tags, then the slots, each on a page of its own. */
static apr_size_t page_up(apr_size_t n)
{
    return (n + PAGE - 1) & ~(PAGE - 1);
}

static apr_size_t tags_offset(void)
{
    return page_up(sizeof(head_t));
}

static apr_size_t slots_offset(apr_uint32_t slots)
{
    return tags_offset() + page_up((apr_size_t)slots * sizeof(apr_uint64_t));
}

static apr_size_t file_bytes(apr_uint32_t slots)
{
    return slots_offset(slots) + (apr_size_t)slots * sizeof(slot_t);
}

typedef enum { FILE_OURS, FILE_OLD, FILE_FOREIGN } file_e;

/* What is the open file: a table of this layout and size, one of another or nothing yet, or
 * something that a mistaken name must not destroy? */
static file_e look_at(int fd, apr_uint32_t slots)
{
    struct {
        apr_uint64_t magic;
        apr_uint32_t layout, slots;
    } head;
    struct stat st;

    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        return FILE_FOREIGN;
    }
    if (st.st_size == 0) {
        return FILE_OLD;
    }
    if (pread(fd, &head, sizeof head, 0) != (ssize_t)sizeof head || head.magic != TABLE_MAGIC) {
        return FILE_FOREIGN;
    }
    return head.layout == TABLE_LAYOUT && head.slots == slots && (apr_size_t)st.st_size == file_bytes(slots)
        ? FILE_OURS : FILE_OLD;
}

/* Make the file beside its name and move it there, so that processes that still map an
 * older one keep theirs and none ever sees half a table. */
static apr_status_t make_file(const char *file, apr_uint32_t slots, const char **why, apr_pool_t *p)
{
    const char *fresh = apr_pstrcat(p, file, ".new", NULL);
    const char *node = ak_id_make(p, "");
    struct {
        apr_uint64_t magic;
        apr_uint32_t layout, slots;
        char node[AK_NODE_ID + 4]; /* no padding behind it, whose bytes would be anything */
    } head = {TABLE_MAGIC, TABLE_LAYOUT, slots, {0}};
    apr_status_t rv = APR_SUCCESS;
    int fd = open(fresh, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0) {
        rv = errno;
        *why = apr_psprintf(p, "key table %s cannot be made (%pm): name a file in an existing "
                               "folder that httpd may write to", file, &rv);
        return rv;
    }
    if (!node) {
        rv = APR_EGENERAL;
    }
    else if ((rv = posix_fallocate(fd, 0, (off_t)file_bytes(slots))) == 0) {
        memcpy(head.node, node, AK_NODE_ID);
        if (pwrite(fd, &head, sizeof head, 0) != (ssize_t)sizeof head || rename(fresh, file) != 0) {
            rv = errno ? errno : APR_EGENERAL;
        }
    }
    close(fd);
    if (rv != APR_SUCCESS) {
        unlink(fresh);
        *why = apr_psprintf(p, "key table %s needs %" APR_SIZE_T_FMT " bytes and cannot be made "
                               "(%pm): free some space or name fewer slots",
                            file, file_bytes(slots), &rv);
    }
    return rv;
}

/* The table's file, open, made anew where need be. */
static apr_status_t open_file(int *fd, const char *file, apr_uint32_t slots, const char **why, apr_pool_t *p)
{
    apr_status_t rv;
    file_e what;

    *fd = open(file, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (*fd < 0 && errno != ENOENT) {
        rv = errno;
        *why = apr_psprintf(p, "key table %s cannot be opened (%pm): name a plain file that httpd may "
                               "read and write", file, &rv);
        return rv;
    }
    what = *fd < 0 ? FILE_OLD : look_at(*fd, slots);
    if (what == FILE_OURS) {
        return APR_SUCCESS;
    }
    if (*fd >= 0) {
        close(*fd);
        *fd = -1;
    }
    if (what == FILE_FOREIGN) {
        *why = apr_psprintf(p, "%s is no key table: name another file, or remove this one", file);
        return APR_EINVAL;
    }
    if ((rv = make_file(file, slots, why, p)) != APR_SUCCESS) {
        return rv;
    }
    *fd = open(file, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    return *fd < 0 ? errno : APR_SUCCESS;
}

/* --- mapping it ------------------------------------------------------------------------------ */

static apr_status_t unmap(void *baton)
{
    ak_table_t *t = baton;

    munmap(t->head, t->bytes);
    return APR_SUCCESS;
}

static apr_status_t map_file(ak_table_t *t, int fd, apr_uint32_t slots)
{
    void *map;

    t->bytes = file_bytes(slots);
    map = mmap(NULL, t->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
        return errno;
    }
    madvise(map, t->bytes, MADV_DONTDUMP); /* digests belong in no core file */
    t->head = map;
    t->tags = (void *)((char *)map + tags_offset());
    t->slots = (void *)((char *)map + slots_offset(slots));
    t->mask = slots - 1;
    t->clock = apr_time_now;
    return APR_SUCCESS;
}

static apr_status_t read_boot_id(char *out, apr_size_t size)
{
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = 0;

    memset(out, 0, size);
    if (fd >= 0) {
        n = read(fd, out, size - 1);
        close(fd);
    }
    return n > 0 ? APR_SUCCESS : APR_EGENERAL;
}

/* Monotonic times, pids and locks of another boot say nothing in this one; a new file has
 * none at all.  The boot is written last: who dies before leaves the work to the next. */
static apr_status_t adopt_boot(ak_table_t *t)
{
    head_t *head = t->head;
    char boot[sizeof head->boot];

    if (read_boot_id(boot, sizeof boot) != APR_SUCCESS) {
        return APR_EGENERAL;
    }
    if (memcmp(boot, head->boot, sizeof boot) == 0) {
        return APR_SUCCESS;
    }
    atomic_store(&head->stamp, 0);
    atomic_store(&head->poller, 0);
    ak_table_forget_all_unknown(t);
    if (!make_locks(head->stripe, STRIPES) || !make_locks(head->slot_lock, SLOT_LOCKS)) {
        return APR_ENOLOCK;
    }
    memcpy(head->boot, boot, sizeof boot);
    return APR_SUCCESS;
}

/* Opening is for one process at a time: the folder is locked, so that two that find no table
 * do not each make one and count apart. */
static apr_status_t lock_folder(int *fd, const char *file, apr_pool_t *p)
{
    const struct timespec pause = {0, 50000000};
    const char *slash = strrchr(file, '/');
    const char *folder = !slash ? "." : slash == file ? "/" : apr_pstrmemdup(p, file, (apr_size_t)(slash - file));
    int tries;

    if ((*fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
        return errno;
    }
    for (tries = 0; flock(*fd, LOCK_EX | LOCK_NB) != 0; tries++) {
        if ((errno != EWOULDBLOCK && errno != EINTR) || tries == OPEN_PAUSES) {
            apr_status_t rv = errno;
            close(*fd);
            return rv;
        }
        nanosleep(&pause, NULL);
    }
    return APR_SUCCESS;
}

static apr_uint32_t power_of_two(apr_uint32_t n)
{
    apr_uint32_t size = AK_TABLE_SLOTS_MIN;

    while (size < n && size < AK_TABLE_SLOTS_MAX) {
        size *= 2;
    }
    return size;
}

apr_status_t ak_table_open(ak_table_t **table, const char *file, apr_uint32_t slots,
                           const char **why, apr_pool_t *p)
{
    ak_table_t *t = apr_pcalloc(p, sizeof *t);
    int folder = -1, fd = -1;
    apr_status_t rv;

    slots = power_of_two(slots);
    if ((rv = lock_folder(&folder, file, p)) != APR_SUCCESS) {
        *why = apr_psprintf(p, "key table %s cannot be made (%pm): name a file in an existing "
                               "folder that httpd may write to", file, &rv);
        return rv;
    }
    *why = NULL;
    rv = open_file(&fd, file, slots, why, p);
    if (rv == APR_SUCCESS) {
        rv = map_file(t, fd, slots);
    }
    if (rv == APR_SUCCESS) {
        apr_pool_cleanup_register(p, t, unmap, apr_pool_cleanup_null);
        rv = adopt_boot(t);
    }
    if (rv != APR_SUCCESS && !*why) {
        *why = apr_psprintf(p, "key table %s cannot be mapped (%pm): it needs memory that processes may "
                               "share, and /proc", file, &rv);
    }
    if (fd >= 0) {
        close(fd);
    }
    close(folder);
    if (rv == APR_SUCCESS) {
        *table = t;
    }
    return rv;
}
