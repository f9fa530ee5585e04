/* SPDX-License-Identifier: Apache-2.0 */
#include "store/disk_metrics.h"

static void
collect(void *arg)
{
    struct store_disk_metrics *m = arg;
    metrics_set(m->limit, (double)m->usage->limit);
    for (int kind = 0; kind < STORE_DISK_KINDS; kind++)
        metrics_set(m->used[kind], (double)store_disk_usage_bytes(
                                       m->usage, (enum store_disk_kind)kind));
    if (m->cache == NULL)
        return;
    const struct store_disk_cache_counts counts = store_disk_cache_counts(m->cache);
    metrics_set(m->hits, (double)counts.hits);
    metrics_set(m->misses, (double)counts.misses);
    metrics_set(m->written_bytes, (double)counts.written_bytes);
    metrics_set(m->damages, (double)counts.damaged);
    metrics_set(m->failures, (double)counts.failures);
    metrics_set(m->is_off, counts.is_off);
    metrics_set(m->ranges, (double)counts.ranges);
}

static void
make_used(struct store_disk_metrics *m, struct metrics_registry *r)
{
    static const char *const labels[] = {"kind", NULL};
    struct metrics_family *f =
        metrics_family_new(r, METRICS_GAUGE, "blockhouse_store_disk_used_bytes",
                           "Bytes of the data directory by kind.", labels);
    for (int kind = 0; kind < STORE_DISK_KINDS; kind++) {
        const char *name = store_disk_kind_name((enum store_disk_kind)kind);
        m->used[kind] = metrics_child(f, &name);
    }
}

void
store_disk_metrics_init(struct store_disk_metrics *m, struct store_disk_usage *usage,
                        struct store_disk_cache *cache, struct metrics_registry *r)
{
    m->usage = usage;
    m->cache = cache;
    m->limit = metrics_gauge(r, "blockhouse_store_disk_limit_bytes",
                             "What the data directory may take: --store.disk-limit.");
    make_used(m, r);
    m->hits = metrics_counter(r, "blockhouse_store_disk_cache_hits_total",
                              "Ranges of objects that the cache on disk had.");
    m->misses = metrics_counter(r, "blockhouse_store_disk_cache_misses_total",
                                "Ranges that it had not.");
    m->written_bytes =
        metrics_counter(r, "blockhouse_store_disk_cache_written_bytes_total",
                        "Bytes of ranges that were written to it.");
    m->damages = metrics_counter(r, "blockhouse_store_disk_cache_damages_total",
                                 "Ranges in it that were damaged or gone.");
    m->failures = metrics_counter(r, "blockhouse_store_disk_cache_failures_total",
                                  "Writes to it that failed.");
    m->is_off = metrics_gauge(r, "blockhouse_store_disk_cache_off",
                              "1 while it is only read, because writing failed.");
    m->ranges = metrics_gauge(r, "blockhouse_store_disk_cache_ranges", "Ranges in it.");
    metrics_on_collect(r, collect, m);
}
