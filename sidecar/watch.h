/* SPDX-License-Identifier: Apache-2.0 */
/* Waits until there may be something to do: a block appeared in the data directory,
 * somebody called, or time is up.
 *
 * The kernel's notice is only a shortcut. Where it is missing (too many watches, a file
 * system without it, a directory that is not there yet) the deadline still comes. */
#ifndef SIDECAR_WATCH_H
#define SIDECAR_WATCH_H

#include <stdint.h>

#include "common/base/err.h"

struct sidecar_watch;

/* Watch a data directory; it need not exist. The path is copied.
 * Errors ERR_IO: the process has no descriptor left. */
NODISCARD bool sidecar_watch_open(struct sidecar_watch **out, const char *directory,
                                  struct err *err);

/* Return when a directory with the name of a block was moved into place, after a wake,
 * or at deadline_ns (clock_mono_ns). One thread. */
void sidecar_watch_wait(struct sidecar_watch *w, int64_t deadline_ns);

/* Make the running or the next wait return at once. Any thread. */
void sidecar_watch_wake(struct sidecar_watch *w);

/* Release; CLEANUP handler. */
void sidecar_watch_close(struct sidecar_watch **w);

#endif
