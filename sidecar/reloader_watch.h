/* SPDX-License-Identifier: Apache-2.0 */
/* The directories whose changes the reloader is told of.
 *
 * A pass over the files names every directory, before it lists it, so that nothing
 * which comes later is missed; directories that a pass does not name are let go.
 * Directories and not files are watched: a ConfigMap is changed by a rename of the link
 * ..data beside the files, which themselves never change. As everywhere the kernel's
 * notice is only a shortcut: without it the regular passes do the work. One thread. */
#ifndef SIDECAR_RELOADER_WATCH_H
#define SIDECAR_RELOADER_WATCH_H

#include "common/base/cancel.h"
#include "sidecar/reloader_metrics.h"

struct sidecar_reloader_watch;

/* metrics are borrowed. output is the path of a file that is written with file_replace,
 * whose temporary file is no change; "": none. */
struct sidecar_reloader_watch *
sidecar_reloader_watch_new(const struct sidecar_reloader_metrics *metrics,
                           const char *output);

/* CLEANUP handler; accepts NULL inside. */
void sidecar_reloader_watch_free(struct sidecar_reloader_watch **w);

/* Around a pass. One that failed half-way ends with is_whole false, and lets go of
 * nothing. */
void sidecar_reloader_watch_begin(struct sidecar_reloader_watch *w);
void sidecar_reloader_watch_add(struct sidecar_reloader_watch *w, const char *path);
void sidecar_reloader_watch_end(struct sidecar_reloader_watch *w, bool is_whole);

/* Whether something changed, and has been quiet since for a moment, before deadline_ns
 * and before cancel is raised. */
NODISCARD bool sidecar_reloader_watch_wait(struct sidecar_reloader_watch *w,
                                           const struct cancel *cancel,
                                           int64_t deadline_ns);

#endif
