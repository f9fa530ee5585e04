/* SPDX-License-Identifier: Apache-2.0 */
/* What the block sync counts, under the names of Thanos. */
#ifndef STORE_SYNC_METRICS_H
#define STORE_SYNC_METRICS_H

#include "common/metrics/registry.h"
#include "store/block_filter.h"
#include "store/resolution.h"

struct store_sync_metrics {
    struct metrics_value *listings;
    struct metrics_value *syncs;
    struct metrics_value *sync_failures;
    struct metrics_histogram *sync_seconds;
    struct metrics_value *cache_busts; /* metas fetched because they changed */
    struct metrics_value *blocks[STORE_BLOCK_STATE_COUNT];
    struct metrics_value *consistency_delay;
    struct metrics_value *drops;
    struct metrics_value *drop_failures;
    struct metrics_value *loaded;
    struct metrics_value *served[STORE_RESOLUTION_COUNT];
    struct metrics_value *from_snapshot;
    struct metrics_value *view_time; /* seconds since the epoch */
    struct metrics_value *listed;
    struct metrics_value *unread;
};

void store_sync_metrics_init(struct store_sync_metrics *m, struct metrics_registry *r);

#endif
