/* SPDX-License-Identifier: Apache-2.0 */
/* The reloader: puts the environment into the configuration of Prometheus, and has
 * Prometheus read configuration and rules again when they have changed.
 *
 * A pass looks at all files: at the start, when the kernel tells of a change, and once
 * in --reloader.watch-interval. Prometheus is asked to reload when what they hold is
 * not what it has taken last. A pass or a reload that fails is tried again after
 * --reloader.retry-interval, which doubles up to the watch interval, and at once when
 * something changes; none ends the process. */
#ifndef SIDECAR_RELOADER_H
#define SIDECAR_RELOADER_H

#include "sidecar/reloader_trigger.h"

struct metrics_registry;
struct sidecar_reloader;

/* All is borrowed and must outlive the reloader; texts are "" for none. */
struct sidecar_reloader_options {
    const char *config_file;
    const char *output_file; /* where the configuration goes, variables replaced */
    const char *const *rule_dirs;
    size_t rule_dir_count;
    int64_t watch_interval_ns;
    int64_t retry_interval_ns;
    enum sidecar_reloader_method method;
    const char *process_name;
    struct sidecar_prom_client *client;
    struct metrics_registry *metrics;
};

/* One word for it. */
const char *sidecar_reloader_method_name(enum sidecar_reloader_method method);

/* Whether there is anything to look at. */
NODISCARD bool sidecar_reloader_is_wanted(const struct sidecar_reloader_options *o);

/* Register the metrics and, if it is wanted, start the thread; the first pass follows
 * at once. */
NODISCARD bool sidecar_reloader_start(struct sidecar_reloader **out,
                                      const struct sidecar_reloader_options *options,
                                      struct err *err);

/* Write the output file once, for an init container (--reloader.watch-interval=0).
 * Prometheus is not asked for anything. */
NODISCARD bool sidecar_reloader_once(const struct sidecar_reloader_options *options,
                                     struct err *err);

/* Cancel a running request, end the thread, release. Accepts NULL. */
void sidecar_reloader_stop(struct sidecar_reloader **r);

#endif
