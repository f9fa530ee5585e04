/* SPDX-License-Identifier: Apache-2.0 */
/* What is on the disk, and what the cache there does, as metrics. */
#ifndef STORE_DISK_METRICS_H
#define STORE_DISK_METRICS_H

#include "common/metrics/registry.h"
#include "store/disk_cache.h"

struct store_disk_metrics {
    /* private */
    struct store_disk_usage *usage;
    struct store_disk_cache *cache;
    struct metrics_value *limit;
    struct metrics_value *used[STORE_DISK_KINDS];
    struct metrics_value *hits;
    struct metrics_value *misses;
    struct metrics_value *written_bytes;
    struct metrics_value *damages;
    struct metrics_value *failures;
    struct metrics_value *is_off;
    struct metrics_value *ranges;
};

/* usage, cache (NULL: there is none) and registry outlive *m, and *m the last
 * exposition. */
void store_disk_metrics_init(struct store_disk_metrics *m,
                             struct store_disk_usage *usage,
                             struct store_disk_cache *cache,
                             struct metrics_registry *registry);

#endif
