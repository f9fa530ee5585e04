/* SPDX-License-Identifier: Apache-2.0 */
#include "store/range_cache_metrics.h"

static void
collect(void *arg)
{
    struct store_range_cache_metrics *m = arg;
    const struct store_range_cache_counts counts = store_range_cache_counts(m->cache);
    metrics_set(m->hits, (double)counts.hits);
    metrics_set(m->misses, (double)counts.misses);
    metrics_set(m->ghost_hits, (double)counts.ghost_hits);
    metrics_set(m->evictions, (double)counts.evictions);
    metrics_set(m->ranges, (double)counts.ranges);
    metrics_set(m->bytes, (double)counts.bytes);
}

void
store_range_cache_metrics_init(struct store_range_cache_metrics *m,
                               struct store_range_cache *cache,
                               struct metrics_registry *r)
{
    m->cache = cache;
    m->hits = metrics_counter(r, "blockhouse_store_range_cache_hits_total",
                              "Ranges of objects that the cache had.");
    m->misses = metrics_counter(r, "blockhouse_store_range_cache_misses_total",
                                "Ranges that it had not.");
    m->ghost_hits =
        metrics_counter(r, "blockhouse_store_range_cache_ghost_hits_total",
                        "Those of them that a cache of twice the size might have had.");
    m->evictions = metrics_counter(r, "blockhouse_store_range_cache_evictions_total",
                                   "Ranges that had to make room.");
    m->ranges =
        metrics_gauge(r, "blockhouse_store_range_cache_ranges", "Ranges in the cache.");
    m->bytes = metrics_gauge(r, "blockhouse_store_range_cache_bytes",
                             "Bytes of these ranges.");
    if (cache != NULL)
        metrics_on_collect(r, collect, m);
}
