/* SPDX-License-Identifier: Apache-2.0 */
#include "store/header_metrics.h"

#include "common/base/compiler.h"

static struct metrics_histogram *
seconds(struct metrics_registry *r, const char *name, const char *help)
{
    static const double bounds[] = {0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300};
    return metrics_histogram_child(
        metrics_histogram_family_new(r, name, help, NULL, bounds, ARRAY_LEN(bounds)),
        NULL);
}

void
store_header_metrics_init(struct store_header_metrics *m, struct metrics_registry *r)
{
    m->loads = metrics_counter(r, "thanos_bucket_store_block_loads_total",
                               "Index headers to be opened or built.");
    m->load_failures = metrics_counter(
        r, "thanos_bucket_store_block_load_failures_total", "Failed builds.");
    m->load_seconds = seconds(r, "thanos_bucket_store_block_load_duration_seconds",
                              "How long it took to build an index header.");
    m->download_seconds =
        seconds(r, "thanos_bucket_store_indexheader_download_duration_seconds",
                "The same: a header is built while it is read from the bucket.");
    m->last_loaded =
        metrics_gauge(r, "thanos_bucket_store_blocks_last_loaded_timestamp_seconds",
                      "When an index header was built last.");
    m->unseen = metrics_gauge(r, "blockhouse_store_unseen_headers",
                              "Blocks whose index header may still have to be built.");
    m->evictions =
        metrics_counter(r, "blockhouse_store_disk_header_evictions_total",
                        "Index headers that were removed to make room on the disk.");
}
