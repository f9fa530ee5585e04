/* SPDX-License-Identifier: Apache-2.0 */
/* What the reloader counts, under the names of Thanos. */
#ifndef SIDECAR_RELOADER_METRICS_H
#define SIDECAR_RELOADER_METRICS_H

#include "common/metrics/registry.h"

struct sidecar_reloader_metrics {
    struct metrics_value *passes;
    struct metrics_value *failed_passes;
    struct metrics_value *expansion_errors;
    struct metrics_value *reloads;
    struct metrics_value *failed_reloads;
    struct metrics_value *last_good;
    struct metrics_value *last_good_at;
    struct metrics_value *watches;
    struct metrics_value *events;
    struct metrics_value *watch_errors;
};

/* Register all with value 0; method labels the constant thanos_sidecar_reloader_info.
 */
void sidecar_reloader_metrics_init(struct sidecar_reloader_metrics *m,
                                   struct metrics_registry *registry,
                                   const char *method);

#endif
