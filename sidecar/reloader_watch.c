/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/reloader_watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/num.h"
#include "common/base/xmalloc.h"
#include "sidecar/inotify.h"

/* A file is often changed in steps: it is looked at when nothing has happened for
 * QUIET_NS, or, where there is no quiet, after SETTLE_NS. */
#define QUIET_NS (200 * CLOCK_NS_PER_MS)
#define SETTLE_NS (2 * CLOCK_NS_PER_S)

/* What is written is of interest when it is complete; what is only made (a link, a
 * directory) is complete then. */
enum {
    CHANGES = IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO |
              IN_DELETE_SELF | IN_MOVE_SELF
};

struct watched {
    int number;    /* of the kernel */
    unsigned pass; /* the last that has named it */
};

struct sidecar_reloader_watch {
    const struct sidecar_reloader_metrics *metrics;
    char *own; /* name of the temporary file of the output; NULL: there is no output */
    int fd;    /* -1 when the kernel gives none */
    struct watched *at;
    size_t count;
    unsigned pass;
    bool warned;
    bool changed;
};

struct sidecar_reloader_watch *
sidecar_reloader_watch_new(const struct sidecar_reloader_metrics *metrics,
                           const char *output)
{
    struct sidecar_reloader_watch *w = xcalloc(1, sizeof *w);
    const char *slash = strrchr(output, '/');
    w->metrics = metrics;
    if (*output != 0)
        w->own = xasprintf("%s.tmp", slash != NULL ? slash + 1 : output);
    w->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    return w;
}

void
sidecar_reloader_watch_free(struct sidecar_reloader_watch **out)
{
    struct sidecar_reloader_watch *w = TAKE(*out);
    if (w == NULL)
        return;
    file_close(&w->fd);
    free(w->own);
    free(w->at);
    free(w);
}

void
sidecar_reloader_watch_begin(struct sidecar_reloader_watch *w)
{
    w->pass++;
}

static size_t
find(const struct sidecar_reloader_watch *w, int number)
{
    size_t i = 0;
    while (i < w->count && w->at[i].number != number)
        i++;
    return i;
}

static void
drop(struct sidecar_reloader_watch *w, size_t i)
{
    w->at[i] = w->at[--w->count];
}

/* A directory that has gone away is no trouble of the watch. */
static void
cannot_watch(struct sidecar_reloader_watch *w, const char *path, int errnum)
{
    if (errnum == ENOENT || errnum == ENOTDIR)
        return;
    metrics_add(w->metrics->watch_errors, 1);
    if (!w->warned)
        LOG_WARN("directory cannot be watched for the reloader, which will look at it "
                 "regularly",
                 LOG_STR("path", path), LOG_INT("code", errnum));
    w->warned = true;
}

void
sidecar_reloader_watch_add(struct sidecar_reloader_watch *w, const char *path)
{
    int number = inotify_add_watch(w->fd, path, CHANGES | IN_ONLYDIR);
    if (number < 0) {
        cannot_watch(w, path, errno);
        return;
    }
    size_t i = find(w, number);
    if (i == w->count) {
        w->at = xrealloc(w->at, (w->count + 1) * sizeof *w->at);
        w->at[w->count++].number = number;
    }
    w->at[i].pass = w->pass;
}

void
sidecar_reloader_watch_end(struct sidecar_reloader_watch *w, bool is_whole)
{
    for (size_t i = w->count; is_whole && i-- > 0;) {
        if (w->at[i].pass == w->pass)
            continue;
        inotify_rm_watch(w->fd, w->at[i].number);
        drop(w, i);
    }
    metrics_set(w->metrics->watches, (double)w->count);
}

/* Of a file that we write. When it cannot become the output, the next try is due after
 * a pause, and not at once. */
static bool
is_own(const struct sidecar_reloader_watch *w, const struct inotify_event *event)
{
    return w->own != NULL && event->len > 0 && strcmp(event->name, w->own) == 0;
}

static void
take_event(void *arg, const struct inotify_event *event)
{
    struct sidecar_reloader_watch *w = arg;
    if ((event->mask & (CHANGES | IN_Q_OVERFLOW)) && !is_own(w, event)) {
        w->changed = true;
        metrics_add(w->metrics->events, 1);
    }
    size_t i = find(w, event->wd);
    if ((event->mask & IN_IGNORED) && i < w->count)
        drop(w, i);
}

/* Wait for the next change until deadline_ns. */
static bool
next_change(struct sidecar_reloader_watch *w, const struct cancel *cancel,
            int64_t deadline_ns)
{
    w->changed = false;
    bool in_time = true;
    while (!w->changed && in_time && !cancel_is_raised(cancel)) {
        int64_t sleep_ns = cancel_max_sleep_ns(cancel, clock_left_ns(deadline_ns));
        sidecar_inotify_poll(w->fd, cancel_fd(cancel), clock_deadline(sleep_ns));
        sidecar_inotify_drain(w->fd, take_event, w);
        in_time = clock_left_ns(deadline_ns) > 0;
    }
    return w->changed && !cancel_is_raised(cancel);
}

bool
sidecar_reloader_watch_wait(struct sidecar_reloader_watch *w,
                            const struct cancel *cancel, int64_t deadline_ns)
{
    if (!next_change(w, cancel, deadline_ns))
        return false;
    int64_t settled_ns = clock_deadline(SETTLE_NS);
    while (next_change(w, cancel, NUM_MIN(clock_deadline(QUIET_NS), settled_ns)))
        if (clock_left_ns(settled_ns) == 0)
            break;
    return !cancel_is_raised(cancel);
}
