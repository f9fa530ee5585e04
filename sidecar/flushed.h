/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks of the head that were flushed, until their heir comes: the regular block that
 * Prometheus makes of the same samples once it is back with its log, or the next flush.
 *
 * Both are in the bucket then and overlap, at which a compactor of Thanos halts,
 * whatever is marked. So the heir names the flushed block among the sources of its
 * meta.json, as a compacted block names what went into it: stores and compactors then
 * pass over the flushed one, and the compactor removes it. What a flushed block has
 * behind the end of its heir is in the head of Prometheus until the next block.
 *
 * An heir is the first regular block found that is newer and overlaps. Blocks of
 * out-of-order and of stale series are none: they do not hold all samples of their
 * time.
 *
 * Format: thanos/flushed.json, {"version":1,"blocks":[{"ulid":"...","minTime":0,
 * "maxTime":0}]}. It is there while there are such blocks. */
#ifndef SIDECAR_FLUSHED_H
#define SIDECAR_FLUSHED_H

#include "common/tsdb/labels.h"
#include "sidecar/block_note.h"
#include "sidecar/block_scan.h"

/* Write the note of a block that is to be shipped (block_note.h): its labels, and the
 * flushed blocks that it is the heir of, which are then forgotten. Durable. */
NODISCARD bool sidecar_flushed_inherit(const char *tsdb_path, const char *pins,
                                       const struct sidecar_block *block,
                                       struct tsdb_labels labels, struct err *err);

/* The same for a block of the head, which is remembered with those that it replaces. */
NODISCARD bool sidecar_flushed_add(const char *tsdb_path, const char *pins,
                                   const struct sidecar_block *block,
                                   struct tsdb_labels labels, struct err *err);

/* Which flushed blocks a block is the heir of, while they are not forgotten. *ids must
 * be the zero value. */
NODISCARD bool sidecar_flushed_find(const char *tsdb_path,
                                    const struct sidecar_block *block,
                                    struct sidecar_block_ids *ids, struct err *err);

#endif
