/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/inotify.h"

#include <poll.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/compiler.h"
#include "common/base/num.h"

enum { EVENTS_BYTES = 2048 };

void
sidecar_inotify_drain(int fd, sidecar_inotify_fn *fn, void *arg)
{
    _Alignas(struct inotify_event) char events[EVENTS_BYTES];
    ssize_t len;
    while ((len = read(fd, events, sizeof events)) > 0) {
        for (ssize_t at = 0; at < len;) {
            const struct inotify_event *event =
                (const struct inotify_event *)(const void *)(events + at);
            fn(arg, event);
            at += (ssize_t)sizeof *event + event->len;
        }
    }
}

static int
timeout_ms(int64_t deadline_ns)
{
    int64_t left_ns = clock_left_ns(deadline_ns);
    int64_t left_ms =
        left_ns / CLOCK_NS_PER_MS + (left_ns % CLOCK_NS_PER_MS != 0 ? 1 : 0);
    return (int)NUM_MIN(left_ms, (int64_t)INT32_MAX);
}

bool
sidecar_inotify_poll(int a, int b, int64_t deadline_ns)
{
    struct pollfd fds[] = {{.fd = a, .events = POLLIN}, {.fd = b, .events = POLLIN}};
    int wait_ms = timeout_ms(deadline_ns);
    poll(fds, ARRAY_LEN(fds), wait_ms);
    return wait_ms != 0;
}
