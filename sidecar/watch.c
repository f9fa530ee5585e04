/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/watch.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/xmalloc.h"
#include "common/tsdb/ulid.h"
#include "sidecar/inotify.h"

struct sidecar_watch {
    char *directory;
    int wake_fd;
    int notify_fd; /* -1 when the kernel gives none: the deadline does the work */
    bool armed;    /* the directory is watched */
    bool warned;
};

/* Prometheus moves a block into place when it is complete; so does a restore. The watch
 * is lost when the directory goes away and is taken again when there is a new one. */
static void
arm(struct sidecar_watch *w)
{
    if (w->armed)
        return;
    w->armed = inotify_add_watch(w->notify_fd, w->directory,
                                 IN_MOVED_TO | IN_MOVE_SELF | IN_ONLYDIR) >= 0;
    if (!w->armed && !w->warned)
        LOG_WARN("data directory cannot be watched, will look at it regularly",
                 LOG_STR("path", w->directory), LOG_INT("code", errno));
    w->warned = !w->armed;
}

bool
sidecar_watch_open(struct sidecar_watch **out, const char *directory, struct err *err)
{
    int wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (wake_fd < 0)
        return err_sys(err, errno, "open an event descriptor");
    struct sidecar_watch *w = xcalloc(1, sizeof *w);
    w->directory = xstrdup(directory);
    w->wake_fd = wake_fd;
    w->notify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    arm(w);
    *out = w;
    return true;
}

struct drained {
    struct sidecar_watch *watch;
    bool block; /* one may have appeared */
};

static void
take_event(void *arg, const struct inotify_event *event)
{
    struct drained *drained = arg;
    struct tsdb_ulid id;
    if (event->mask & (IN_IGNORED | IN_MOVE_SELF))
        drained->watch->armed = false;
    if (event->mask & IN_Q_OVERFLOW)
        drained->block = true;
    if (event->len > 0 && tsdb_ulid_parse(&id, bytes_of_str(event->name)))
        drained->block = true;
}

/* Read what the kernel has told; returns whether a block may have appeared. */
static bool
drain_events(struct sidecar_watch *w)
{
    struct drained drained = {.watch = w};
    sidecar_inotify_drain(w->notify_fd, take_event, &drained);
    return drained.block;
}

static bool
drain_wakes(struct sidecar_watch *w)
{
    uint64_t count;
    return read(w->wake_fd, &count, sizeof count) == (ssize_t)sizeof count;
}

void
sidecar_watch_wait(struct sidecar_watch *w, int64_t deadline_ns)
{
    arm(w);
    bool done = false;
    while (!done) {
        bool in_time = sidecar_inotify_poll(w->wake_fd, w->notify_fd, deadline_ns);
        bool woken = drain_wakes(w);
        bool block = drain_events(w);
        done = woken || block || !in_time;
    }
}

void
sidecar_watch_wake(struct sidecar_watch *w)
{
    uint64_t one = 1;
    /* Fails only when wakes are pending already, which is as good. */
    ssize_t ignored = write(w->wake_fd, &one, sizeof one);
    (void)ignored;
}

void
sidecar_watch_close(struct sidecar_watch **out)
{
    struct sidecar_watch *w = TAKE(*out);
    if (w == NULL)
        return;
    file_close(&w->wake_fd);
    file_close(&w->notify_fd);
    free(w->directory);
    free(w);
}
