/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a compacted block may be shipped: a compactor stops at blocks of one stream
 * that overlap, and what it made of our blocks covers the same time as what Prometheus
 * made of them. */
#ifndef SIDECAR_BLOCK_OVERLAP_H
#define SIDECAR_BLOCK_OVERLAP_H

#include "common/base/cancel.h"
#include "common/objstore/bucket.h"
#include "common/tsdb/meta.h"

/* Remembers what the metas of the bucket say: each is read once; and the blocks that
 * are on their way there. */
struct sidecar_overlap;

struct sidecar_overlap *sidecar_overlap_new(void);
void sidecar_overlap_free(struct sidecar_overlap **o);

/* Compare with the complete blocks of the bucket, and those on their way, that have
 * these external labels and resolution 0, but for the block itself and those marked for
 * deletion. If none overlaps, the block is on its way from now on. One listing of the
 * bucket, and a request for each meta that is new. A meta that is broken is passed over
 * and logged. Any thread.
 * Errors ERR_CONFLICT: one overlaps, the text names it; those of the bucket. */
NODISCARD bool sidecar_overlap_check(struct sidecar_overlap *o,
                                     struct objstore_bucket *bucket,
                                     const struct cancel *cancel,
                                     const struct tsdb_meta *meta,
                                     struct tsdb_labels labels, struct err *err);

/* A block is on its way that is not compared. Any thread. */
void sidecar_overlap_begin(struct sidecar_overlap *o, const struct tsdb_meta *meta,
                           struct tsdb_labels labels);

/* A block is no longer on its way: the bucket has it, or it has failed. Nothing for one
 * that never was. Any thread. */
void sidecar_overlap_end(struct sidecar_overlap *o, const struct tsdb_ulid *id);

#endif
