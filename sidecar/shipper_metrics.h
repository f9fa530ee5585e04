/* SPDX-License-Identifier: Apache-2.0 */
/* What the shipper counts; the names of Thanos, then ours. */
#ifndef SIDECAR_SHIPPER_METRICS_H
#define SIDECAR_SHIPPER_METRICS_H

#include "common/metrics/registry.h"

struct sidecar_shipper_metrics {
    struct metrics_value *passes;
    struct metrics_value *failed_passes;
    struct metrics_value *uploads;
    struct metrics_value *failed_uploads;
    struct metrics_value *corrupted;
    struct metrics_value *compacted_done;
    struct metrics_value *oldest;
    struct metrics_value *pinned;
    struct metrics_value *passed_over;
};

/* Register all with value 0. */
struct sidecar_shipper_metrics
sidecar_shipper_metrics_new(struct metrics_registry *registry);

#endif
