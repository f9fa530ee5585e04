/* SPDX-License-Identifier: Apache-2.0 */
#include "store/sync_metrics.h"

static void
init_meta(struct store_sync_metrics *m, struct metrics_registry *r)
{
    static const double bounds[] = {0.01, 1, 10, 100, 300, 600, 1000};
    static const char *const labels[] = {"state", NULL};
    static const char *const states[] = {
#define X(name, label) label,
        STORE_BLOCK_STATES(X)
#undef X
    };
    m->listings = metrics_counter(r, "thanos_blocks_meta_base_syncs_total",
                                  "Listings of the bucket.");
    m->syncs =
        metrics_counter(r, "thanos_blocks_meta_syncs_total", "Passes over the bucket.");
    m->sync_failures =
        metrics_counter(r, "thanos_blocks_meta_sync_failures_total",
                        "Passes that could not see or read all of the bucket.");
    m->sync_seconds = metrics_histogram_child(
        metrics_histogram_family_new(r, "thanos_blocks_meta_sync_duration_seconds",
                                     "How long passes took.", NULL, bounds,
                                     ARRAY_LEN(bounds)),
        NULL);
    m->cache_busts = metrics_counter(r, "thanos_blocks_meta_base_cache_busts_total",
                                     "Times that a known meta.json had changed.");
    struct metrics_family *synced =
        metrics_family_new(r, METRICS_GAUGE, "thanos_blocks_meta_synced",
                           "Blocks by what the last pass made of them.", labels);
    for (size_t i = 0; i < STORE_BLOCK_STATE_COUNT; i++)
        m->blocks[i] = metrics_child(synced, &states[i]);
    m->consistency_delay = metrics_gauge(r, "thanos_consistency_delay_seconds",
                                         "Age below which blocks are not served.");
}

static void
init_served(struct store_sync_metrics *m, struct metrics_registry *r)
{
    static const char *const labels[] = {"resolution", NULL};
    static const char *const resolutions[] = {
#define X(name, ms, text) text,
        STORE_RESOLUTIONS(X)
#undef X
    };
    struct metrics_family *served =
        metrics_family_new(r, METRICS_GAUGE, "blockhouse_store_blocks_served",
                           "Blocks that are served, by their resolution.", labels);
    for (size_t i = 0; i < STORE_RESOLUTION_COUNT; i++)
        m->served[i] = metrics_child(served, &resolutions[i]);
}

static void
init_bucket(struct store_sync_metrics *m, struct metrics_registry *r)
{
    m->drops = metrics_counter(r, "thanos_bucket_store_block_drops_total",
                               "Blocks that are served no longer.");
    m->drop_failures =
        metrics_counter(r, "thanos_bucket_store_block_drop_failures_total",
                        "Local files of vanished blocks that could not be removed.");
    m->loaded = metrics_gauge(r, "thanos_bucket_store_blocks_loaded",
                              "Blocks that are served.");
}

static void
init_view(struct store_sync_metrics *m, struct metrics_registry *r)
{
    m->from_snapshot = metrics_gauge(r, "blockhouse_store_serves_snapshot",
                                     "1 while blocks are served as an earlier run knew "
                                     "them, before the bucket is read.");
    m->view_time =
        metrics_gauge(r, "blockhouse_store_view_timestamp_seconds",
                      "When the bucket was as it is served: when it was listed.");
    m->listed = metrics_gauge(r, "blockhouse_store_listed_blocks",
                              "Blocks that the last listing of the bucket has.");
    m->unread = metrics_gauge(
        r, "blockhouse_store_unread_metas",
        "Blocks whose new meta.json or mark the running pass has still to read.");
}

void
store_sync_metrics_init(struct store_sync_metrics *m, struct metrics_registry *r)
{
    init_meta(m, r);
    init_bucket(m, r);
    init_served(m, r);
    init_view(m, r);
}
