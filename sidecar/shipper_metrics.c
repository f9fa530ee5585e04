/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/shipper_metrics.h"

struct sidecar_shipper_metrics
sidecar_shipper_metrics_new(struct metrics_registry *r)
{
    return (struct sidecar_shipper_metrics){
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
        .oldest = metrics_gauge(
            r, "blockhouse_sidecar_oldest_unshipped_block_timestamp_seconds",
            "End of the time range of the oldest block that waits, 0 if none does."),
        .pinned = metrics_gauge(r, "blockhouse_sidecar_pinned_blocks",
                                "Blocks that are pinned because they are not shipped."),
        .passed_over =
            metrics_gauge(r, "blockhouse_sidecar_compacted_blocks_passed_over",
                          "Compacted blocks that are not shipped without "
                          "--shipper.upload-compacted."),
    };
}
