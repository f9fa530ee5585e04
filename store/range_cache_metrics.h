/* SPDX-License-Identifier: Apache-2.0 */
/* What the range cache does, as metrics. */
#ifndef STORE_RANGE_CACHE_METRICS_H
#define STORE_RANGE_CACHE_METRICS_H

#include "common/metrics/registry.h"
#include "store/range_cache.h"

struct store_range_cache_metrics {
    /* private */
    struct store_range_cache *cache;
    struct metrics_value *hits;
    struct metrics_value *misses;
    struct metrics_value *ghost_hits;
    struct metrics_value *evictions;
    struct metrics_value *ranges;
    struct metrics_value *bytes;
    /* under the names of the index cache of Thanos */
    struct metrics_value *items_added;
    struct metrics_value *items_evicted;
    struct metrics_value *items;
    struct metrics_value *items_bytes;
    struct metrics_value *total_bytes;
};

/* cache (NULL: there is none, all stays at zero) and registry outlive *m, and *m the
 * last exposition. */
void store_range_cache_metrics_init(struct store_range_cache_metrics *m,
                                    struct store_range_cache *cache,
                                    struct metrics_registry *registry);

#endif
