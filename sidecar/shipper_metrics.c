/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/shipper_metrics.h"

#include "common/base/clock.h"
#include "common/base/num.h"
#include "sidecar/block_table.h"

/* What a scrape asks of the table. */
struct summary {
    int64_t oldest_end_ms;  /* of the ranges that wait; INT64_MAX: none */
    int64_t oldest_made_ms; /* when the first block that waits was made */
    double failing[ERR_INTERNAL + 1];
};

static void
add_row(struct summary *sum, const struct sidecar_block_row *row)
{
    if (sidecar_block_row_is_settled(row))
        return;
    if (sidecar_block_row_has_range(row))
        sum->oldest_end_ms = NUM_MIN(sum->oldest_end_ms, row->block.maxt_ms);
    sum->oldest_made_ms =
        NUM_MIN(sum->oldest_made_ms, tsdb_ulid_time_ms(&row->block.id));
    sum->failing[row->code]++;
}

static void
collect(void *arg)
{
    const struct sidecar_shipper_metrics *m = arg;
    CLEANUP(sidecar_block_rows_fini) struct sidecar_block_rows rows = {0};
    struct summary sum = {.oldest_end_ms = INT64_MAX, .oldest_made_ms = INT64_MAX};
    sidecar_block_table_copy(m->table, &rows);
    for (size_t i = 0; i < rows.count; i++)
        add_row(&sum, &rows.at[i]);
    int64_t now_ms = clock_wall_ns() / CLOCK_NS_PER_MS;
    bool none_waits = sum.oldest_made_ms == INT64_MAX;
    double age_ms = none_waits ? 0 : (double)(now_ms - sum.oldest_made_ms);
    metrics_set(m->oldest_age, NUM_MAX(age_ms, 0) / 1000);
    metrics_set(m->oldest,
                sum.oldest_end_ms == INT64_MAX ? 0 : (double)sum.oldest_end_ms / 1000);
    metrics_set(m->newest, rows.newest_shipped_ms == INT64_MIN
                               ? 0
                               : (double)rows.newest_shipped_ms / 1000);
    for (enum err_code code = ERR_NONE + 1; code <= ERR_INTERNAL; code++)
        metrics_set(m->failing[code], sum.failing[code]);
}

static void
register_failing(struct sidecar_shipper_metrics *m, struct metrics_registry *r)
{
    static const char *const LABELS[] = {"code", NULL};
    struct metrics_family *f = metrics_family_new(
        r, METRICS_GAUGE, "blockhouse_sidecar_failing_blocks",
        "Blocks whose last try failed, by the kind of failure.", LABELS);
    for (enum err_code code = ERR_NONE + 1; code <= ERR_INTERNAL; code++)
        m->failing[code] =
            metrics_child(f, (const char *const[]){err_code_name(code), NULL});
}

void
sidecar_shipper_metrics_init(struct sidecar_shipper_metrics *m,
                             struct metrics_registry *r,
                             struct sidecar_block_table *table)
{
    *m = (struct sidecar_shipper_metrics){
        .table = table,
        .passes = metrics_counter(r, "thanos_shipper_dir_syncs_total",
                                  "Passes over the data directory."),
        .failed_passes = metrics_counter(r, "thanos_shipper_dir_sync_failures_total",
                                         "Passes in which something failed."),
        .uploads = metrics_counter(r, "thanos_shipper_uploads_total",
                                   "Blocks shipped and verified."),
        .failed_uploads = metrics_counter(r, "thanos_shipper_upload_failures_total",
                                          "Tries to ship a block that failed."),
        .corrupted = metrics_counter(r, "thanos_shipper_corrupted_blocks_total",
                                     "Times that a block was found broken."),
        .compacted_done =
            metrics_gauge(r, "thanos_shipper_upload_compacted_done",
                          "1 when all blocks, compacted ones too, are shipped."),
        .pinned = metrics_gauge(r, "blockhouse_sidecar_pinned_blocks",
                                "Blocks that are pinned because they are not shipped."),
        .pinned_bytes =
            metrics_gauge(r, "blockhouse_sidecar_pinned_bytes",
                          "Disk space that only pins hold: of deleted blocks, and of "
                          "copies."),
        .unpinned = metrics_gauge(r, "blockhouse_sidecar_unpinned_blocks",
                                  "Blocks that are shipped from their place because "
                                  "they cannot be pinned."),
        .unnoted = metrics_gauge(r, "blockhouse_sidecar_unnoted_blocks",
                                 "Blocks whose labels cannot be noted on the disk."),
        .passed_over =
            metrics_gauge(r, "blockhouse_sidecar_compacted_blocks_passed_over",
                          "Compacted blocks that are not shipped without "
                          "--shipper.upload-compacted."),
        .oldest = metrics_gauge(
            r, "blockhouse_sidecar_oldest_unshipped_block_timestamp_seconds",
            "End of the time range of the oldest block that waits, 0 if none does."),
        .oldest_age =
            metrics_gauge(r, "blockhouse_sidecar_oldest_unshipped_block_age_seconds",
                          "Time since the first block that waits was made."),
        .newest = metrics_gauge(
            r, "blockhouse_sidecar_newest_shipped_block_timestamp_seconds",
            "End of the newest time range that is shipped, 0 if none is known."),
    };
    register_failing(m, r);
    metrics_on_collect(r, collect, m);
}
