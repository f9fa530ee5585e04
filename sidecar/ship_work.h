/* SPDX-License-Identifier: Apache-2.0 */
/* What a worker of the shipper does: everything with the bucket, and nothing to the
 * data directory. What has come of it, the table of blocks tells. */
#ifndef SIDECAR_SHIP_WORK_H
#define SIDECAR_SHIP_WORK_H

#include "common/tsdb/block_verify.h"
#include "sidecar/block_table.h"
#include "sidecar/shipper_metrics.h"

struct objstore_bucket;

/* Shared by all workers. All is borrowed. */
struct sidecar_ship_work_options {
    const char *tsdb_path;
    const char *pins; /* the folder of pins */
    struct objstore_bucket *bucket;
    struct sidecar_block_table *table;
    const struct sidecar_shipper_metrics *metrics;
    const struct cancel *cancel; /* NULL: never */
    enum tsdb_verify_level verify;
    bool hash_sha256;
    bool allow_overlaps;            /* of compacted blocks */
    unsigned block_concurrency;     /* workers */
    unsigned file_concurrency;      /* segments of a block side by side; 0: 1 */
    uint64_t bandwidth_bytes_per_s; /* of all; 0: no limit */
};

struct sidecar_ship_work;

struct sidecar_ship_work *
sidecar_ship_work_new(const struct sidecar_ship_work_options *options);
void sidecar_ship_work_free(struct sidecar_ship_work **w);

/* Take one job from the table, waiting for it until deadline_ns, and do it. Returns
 * whether there was one. Any thread. */
bool sidecar_ship_work_one(struct sidecar_ship_work *w, int64_t deadline_ns);

#endif
