/* SPDX-License-Identifier: Apache-2.0 */
/* Ships the blocks of one data directory: find, pin, upload, record, unpin; pass after
 * pass. A block that fails waits by its own clock and holds no other back. */
#ifndef SIDECAR_SHIPPER_H
#define SIDECAR_SHIPPER_H

#include "common/base/cancel.h"
#include "common/metrics/registry.h"
#include "common/objstore/bucket.h"
#include "sidecar/ext_labels.h"

struct sidecar_shipper;

/* All is borrowed and must outlive the shipper. */
struct sidecar_shipper_options {
    const char *tsdb_path;
    const char *state_name; /* of the state file, in tsdb_path */
    bool upload_compacted;
    bool hash_sha256;
    struct objstore_bucket *bucket;
    struct metrics_registry *metrics;
    const struct cancel *cancel; /* ends a pass and a running upload */
    /* The external labels now, empty while they are not known: blocks are then pinned
     * and wait. */
    struct sidecar_ext_labels (*labels)(void *arg);
    void *labels_arg;
};

/* Read the state file; one that is missing or broken is an empty one. */
struct sidecar_shipper *
sidecar_shipper_new(const struct sidecar_shipper_options *options);
void sidecar_shipper_free(struct sidecar_shipper **s);

/* Pin all new blocks, then ship each pinned one that is due, oldest first; new blocks
 * are pinned in between. Failures are logged and counted here. Returns whether all that
 * was tried succeeded. One thread. */
bool sidecar_shipper_pass(struct sidecar_shipper *s);

/* When to make the next pass if nothing happens before: a failed block is due, or 30 s
 * have passed. */
int64_t sidecar_shipper_next_ns(const struct sidecar_shipper *s);

#endif
