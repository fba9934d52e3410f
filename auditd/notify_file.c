/* notify_file.c - alerts as lines of JSON in a file, for whatever follows files */
#include <apr_strings.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "auditd.h"

static int enabled(const settings_t *conf)
{
    return conf->alerts_file != NULL;
}

static const char *check(const settings_t *conf, apr_pool_t *p)
{
    return NULL; /* it is opened for each alert, so that it may be rotated */
}

static apr_status_t deliver(const settings_t *conf, const note_t *note, reply_t *reply, apr_pool_t *p)
{
    const char *line = apr_pstrcat(p, note->body, "\n", NULL);
    int fd = open(conf->alerts_file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
    apr_status_t rv = APR_SUCCESS;
    ssize_t len = (ssize_t)strlen(line);

    if (fd < 0) {
        rv = errno;
    } else {
        ssize_t got = write(fd, line, (size_t)len);
        if (got != len)
            rv = got < 0 ? errno : APR_ENOSPC;
        close(fd);
    }
    if (rv != APR_SUCCESS)
        reply->why = apr_psprintf(p, "%s: %pm", conf->alerts_file, &rv);
    return rv;
}

const sink_t sink_file = {
    .name = "file", .setting = "alerts_file", .enabled = enabled, .check = check, .deliver = deliver,
    .backoff = outbox_backoff, .couriers = 1,
};
