/* SPDX-License-Identifier: Apache-2.0 */
/* What the shipper counts; the names of Thanos, then ours. */
#ifndef SIDECAR_SHIPPER_METRICS_H
#define SIDECAR_SHIPPER_METRICS_H

#include "common/base/err.h"
#include "common/metrics/registry.h"

struct sidecar_block_table;

struct sidecar_shipper_metrics {
    struct metrics_value *passes;
    struct metrics_value *failed_passes;
    struct metrics_value *uploads;
    struct metrics_value *failed_uploads;
    struct metrics_value *corrupted;
    struct metrics_value *compacted_done;
    struct metrics_value *pinned;
    struct metrics_value *pinned_bytes;
    struct metrics_value *unpinned;
    struct metrics_value *unnoted;
    struct metrics_value *passed_over;
    /* private: set from the table whenever the metrics are read */
    struct sidecar_block_table *table;
    struct metrics_value *oldest;
    struct metrics_value *oldest_age;
    struct metrics_value *newest;
    struct metrics_value *failing[ERR_INTERNAL + 1]; /* by code */
};

/* Register all with value 0. *m and the table are borrowed by the registry. */
void sidecar_shipper_metrics_init(struct sidecar_shipper_metrics *m,
                                  struct metrics_registry *registry,
                                  struct sidecar_block_table *table);

#endif
