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
    metrics_set(m->items_added, (double)(counts.evictions + counts.ranges));
    metrics_set(m->items_evicted, (double)counts.evictions);
    metrics_set(m->items, (double)counts.ranges);
    metrics_set(m->items_bytes, (double)counts.bytes);
    metrics_set(m->total_bytes, (double)counts.bytes);
}

static struct metrics_value *
of_ranges(struct metrics_registry *r, enum metrics_kind kind, const char *name,
          const char *help)
{
    static const char *const labels[] = {"item_type", NULL};
    return metrics_child(metrics_family_new(r, kind, name, help, labels),
                         (const char *const[]){"Ranges"});
}

/* Dashboards of Thanos ask for these; the cache does not know what a range holds. */
static void
init_items(struct store_range_cache_metrics *m, struct metrics_registry *r)
{
    m->items_added =
        of_ranges(r, METRICS_COUNTER, "thanos_store_index_cache_items_added_total",
                  "Ranges that were evicted, or are in the cache.");
    m->items_evicted =
        of_ranges(r, METRICS_COUNTER, "thanos_store_index_cache_items_evicted_total",
                  "Ranges that had to make room.");
    m->items = of_ranges(r, METRICS_GAUGE, "thanos_store_index_cache_items",
                         "Ranges in the cache.");
    m->items_bytes =
        of_ranges(r, METRICS_GAUGE, "thanos_store_index_cache_items_size_bytes",
                  "Bytes of these ranges.");
    m->total_bytes = of_ranges(
        r, METRICS_GAUGE, "thanos_store_index_cache_total_size_bytes", "The same.");
    struct metrics_value *max =
        metrics_gauge(r, "thanos_store_index_cache_max_size_bytes",
                      "What the cache may hold at most.");
    if (m->cache != NULL)
        metrics_set(max, (double)store_range_cache_limit(m->cache));
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
    init_items(m, r);
    if (cache != NULL)
        metrics_on_collect(r, collect, m);
}
