/* ak_table_open.c - map the key table's file, and the locks and the office in it */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <apr_strings.h>

#include "ak_table_map.h"
#include "ak_token.h"

#define LOCK_TRIES 100
#define LOCK_PAUSE_NSEC 50000               /* 100 tries of it: 5 ms */
#define LOCK_PATIENCE apr_time_from_sec(10) /* the work under a lock is microseconds */
#define PAGE ((apr_size_t)4096)

apr_int64_t ak_monotonic_usec(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (apr_int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* --- locks that a death cannot keep ------------------------------------------------------ */

apr_uint64_t ak_table_holder_now(void)
{
    return (apr_uint64_t)(apr_uint32_t)getpid() << 32 | (apr_uint32_t)(ak_monotonic_usec() / 1000);
}

int ak_table_holder_gone(apr_uint64_t holder, apr_interval_time_t patience)
{
    apr_uint32_t age_ms = (apr_uint32_t)(ak_monotonic_usec() / 1000) - (apr_uint32_t)holder;

    if ((apr_interval_time_t)age_ms * 1000 > patience && (apr_int32_t)age_ms > 0) {
        return 1;
    }
    return kill((pid_t)(holder >> 32), 0) != 0 && errno == ESRCH;
}

int ak_table_lock(_Atomic apr_uint64_t *lock)
{
    const struct timespec pause = {0, LOCK_PAUSE_NSEC};
    int tries;

    for (tries = 0; tries < LOCK_TRIES; tries++) {
        apr_uint64_t holder = atomic_load(lock);

        if (holder && tries > 2 && !ak_table_holder_gone(holder, LOCK_PATIENCE)) {
            nanosleep(&pause, NULL);
            continue;
        }
        if (holder && tries <= 2) {
            sched_yield();
            continue;
        }
        if (atomic_compare_exchange_strong(lock, &holder, ak_table_holder_now())) {
            return 1;
        }
    }
    return 0;
}

void ak_table_unlock(_Atomic apr_uint64_t *lock)
{
    atomic_store(lock, 0);
}

/* --- the poller's office ------------------------------------------------------------------ */

int ak_table_elect(ak_table_t *t, apr_interval_time_t patience)
{
    apr_uint64_t holder = atomic_load(&t->head->poller), me = ak_table_holder_now();

    if (holder && holder >> 32 != me >> 32 && !ak_table_holder_gone(holder, patience)) {
        return 0;
    }
    return atomic_compare_exchange_strong(&t->head->poller, &holder, me);
}

void ak_table_resign(ak_table_t *t)
{
    apr_uint64_t holder = atomic_load(&t->head->poller);

    if (holder >> 32 == (apr_uint32_t)getpid()) {
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

static void read_boot_id(char *out, apr_size_t size)
{
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = 0;

    memset(out, 0, size);
    if (fd >= 0) {
        n = read(fd, out, size - 1);
        close(fd);
    }
    if (n <= 0) {
        apr_cpystrn(out, "unknown", size);
    }
}

/* Is the open file a table of this layout and size? */
static int is_ours(int fd, apr_uint32_t slots)
{
    struct {
        apr_uint64_t magic;
        apr_uint32_t layout, slots;
    } head;
    struct stat st;

    return fstat(fd, &st) == 0 && (apr_size_t)st.st_size == file_bytes(slots)
        && pread(fd, &head, sizeof head, 0) == (ssize_t)sizeof head && head.magic == TABLE_MAGIC
        && head.layout == TABLE_LAYOUT && head.slots == slots;
}

/* Make the file beside its name and move it there, so that processes that still map an
 * older one keep theirs and none ever sees half a table. */
static apr_status_t make_file(const char *file, apr_uint32_t slots, const char **why, apr_pool_t *p)
{
    const char *fresh = apr_psprintf(p, "%s.%ld.new", file, (long)getpid());
    const char *node = ak_id_make(p, "");
    struct {
        apr_uint64_t magic;
        apr_uint32_t layout, slots;
        char node[AK_NODE_ID + 4]; /* NUL-padded, as in head_t */
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
            rv = errno;
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

static apr_status_t unmap(void *baton)
{
    ak_table_t *t = baton;

    munmap(t->head, t->bytes);
    return APR_SUCCESS;
}

/* Times and pids of another boot say nothing in this one. */
static void adopt_boot(head_t *head)
{
    char boot[sizeof head->boot];
    int i;

    read_boot_id(boot, sizeof boot);
    if (memcmp(boot, head->boot, sizeof boot) == 0) {
        return;
    }
    memcpy(head->boot, boot, sizeof boot);
    atomic_store(&head->stamp, 0);
    atomic_store(&head->poller, 0);
    for (i = 0; i < STRIPES; i++) {
        atomic_store(&head->stripe[i], 0);
    }
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
    apr_status_t rv;
    void *map;
    int fd;

    slots = power_of_two(slots);
    fd = open(file, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || !is_ours(fd, slots)) {
        if (fd >= 0) {
            close(fd);
        }
        if ((rv = make_file(file, slots, why, p)) != APR_SUCCESS) {
            return rv;
        }
        fd = open(file, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    }
    t->bytes = file_bytes(slots);
    map = fd < 0 ? MAP_FAILED : mmap(NULL, t->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    rv = errno;
    if (fd >= 0) {
        close(fd);
    }
    if (map == MAP_FAILED) {
        *why = apr_psprintf(p, "key table %s cannot be mapped (%pm)", file, &rv);
        return rv;
    }
    madvise(map, t->bytes, MADV_DONTDUMP); /* digests belong in no core file */
    t->head = map;
    t->tags = (void *)((char *)map + tags_offset());
    t->slots = (void *)((char *)map + slots_offset(slots));
    t->mask = slots - 1;
    adopt_boot(t->head);
    apr_pool_cleanup_register(p, t, unmap, apr_pool_cleanup_null);
    *table = t;
    return APR_SUCCESS;
}
