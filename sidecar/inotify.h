/* SPDX-License-Identifier: Apache-2.0 */
/* What the two users of inotify here share: reading events, and waiting for them. */
#ifndef SIDECAR_INOTIFY_H
#define SIDECAR_INOTIFY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/inotify.h>

/* Call fn for each event that the kernel has told; fd does not block. -1: none. */
typedef void sidecar_inotify_fn(void *arg, const struct inotify_event *event);
void sidecar_inotify_drain(int fd, sidecar_inotify_fn *fn, void *arg);

/* Wait until one of two descriptors (-1: none) is readable, or until deadline_ns, which
 * may have passed. Returns false once it has. */
bool sidecar_inotify_poll(int a, int b, int64_t deadline_ns);

#endif
