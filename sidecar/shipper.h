/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps the data directory: finds blocks, pins them, and records and unpins what
 * workers (ship_work) have brought to the bucket. It never waits for the bucket, so
 * that a new block is pinned at once whatever is being uploaded. A block that fails
 * waits by its own clock and holds no other back. */
#ifndef SIDECAR_SHIPPER_H
#define SIDECAR_SHIPPER_H

#include "sidecar/block_table.h"
#include "sidecar/ext_labels.h"
#include "sidecar/shipper_metrics.h"

struct sidecar_shipper;

/* All is borrowed and must outlive the shipper. */
struct sidecar_shipper_options {
    const char *tsdb_path;
    const char *pins;       /* the folder of pins */
    const char *state_name; /* of the state file, in tsdb_path */
    bool upload_compacted;
    /* Bytes that pins alone may hold before new blocks are no longer pinned, but
     * shipped from their place; 0: no limit. */
    uint64_t spool_limit_bytes;
    struct sidecar_block_table *table;
    const struct sidecar_shipper_metrics *metrics;
    const struct cancel *cancel; /* of copies, where links are refused; NULL: never */
    /* The external labels now, empty while they are not known: blocks are then pinned
     * and wait. */
    struct sidecar_ext_labels (*labels)(void *arg);
    void *labels_arg;
};

struct sidecar_shipper *
sidecar_shipper_new(const struct sidecar_shipper_options *options);
void sidecar_shipper_free(struct sidecar_shipper **s);

/* Pin all new blocks and hand them to the workers; record and unpin what they have
 * shipped. Failures are logged and counted here. Returns whether all that was tried
 * succeeded, here and by the workers since the last pass. One thread. */
bool sidecar_shipper_pass(struct sidecar_shipper *s);

/* Whether the last pass has found the data directory in order, and no other sidecar in
 * it. */
NODISCARD bool sidecar_shipper_has_directory(const struct sidecar_shipper *s);

/* When to make the next pass if nothing happens before: a failed block is due, or 30 s
 * have passed. */
int64_t sidecar_shipper_next_ns(const struct sidecar_shipper *s);

#endif
