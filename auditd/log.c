/* log.c - one line a message, to standard error, a file or syslog
 *
 * Nothing that is said here may hold a secret: what comes from outside (a line that
 * could not be read, a token) is counted and never quoted.
 */
#include <apr_strings.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "auditd.h"

#define LIMIT_INTERVAL apr_time_from_sec(60)

static const struct {
    const char *name;
    int priority;
} levels[] = {{"error", LOG_ERR}, {"warning", LOG_WARNING}, {"info", LOG_INFO}};

static atomic_int log_fd = STDERR_FILENO; /* replaced while other threads write */
static atomic_int use_syslog;

apr_status_t log_open(const char *file, int foreground)
{
    int fd, old = atomic_load(&log_fd);

    use_syslog = 0;
    if (!file) {
        log_fd = STDERR_FILENO;
        use_syslog = !foreground;
        if (use_syslog)
            openlog("apikey-auditd", LOG_PID, LOG_DAEMON);
    } else {
        fd = open(file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
        if (fd < 0)
            return errno;
        log_fd = fd;
    }
    if (old != STDERR_FILENO && old != log_fd)
        close(old);
    return APR_SUCCESS;
}

static void say(log_level_e level, const char *text)
{
    char stamp[AK_RFC3339_SIZE], line[2304];
    int len;

    if (use_syslog) {
        syslog(levels[level].priority, "%s", text);
        return;
    }
    len = snprintf(line, sizeof(line), "%s apikey-auditd[%ld]: %s: %s\n",
                   ak_rfc3339(stamp, apr_time_sec(apr_time_now())), (long)getpid(), levels[level].name, text);
    if (len > 0 && write(log_fd, line, (size_t)len < sizeof(line) ? (size_t)len : sizeof(line) - 1) < 0)
        return; /* there is nowhere to say it */
}

/* A message is one line, whatever went into it. */
static void say_formatted(log_level_e level, const char *format, va_list arguments)
{
    char text[2048];

    apr_vsnprintf(text, sizeof(text), format, arguments);
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = ' ';
    say(level, text);
}

void log_say(log_level_e level, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    say_formatted(level, format, arguments);
    va_end(arguments);
}

void log_limited(log_limit_t *limit, log_level_e level, const char *format, ...)
{
    va_list arguments;
    apr_time_t now = ak_monotonic_usec();
    unsigned kept_back;

    pthread_mutex_lock(&limit->lock);
    if (limit->said != 0 && now - limit->said < LIMIT_INTERVAL) {
        limit->kept_back++;
        pthread_mutex_unlock(&limit->lock);
        return;
    }
    limit->said = now;
    kept_back = limit->kept_back;
    limit->kept_back = 0;
    pthread_mutex_unlock(&limit->lock);

    va_start(arguments, format);
    say_formatted(level, format, arguments);
    va_end(arguments);
    if (kept_back > 0)
        log_say(level, "the message above was left out %u times in the minute before it", kept_back);
}
