/* SPDX-License-Identifier: Apache-2.0 */
/* Pins: hard links to the files of a block, so that they outlive Prometheus's retention
 * until the bucket has them.
 *
 * A pin is <tsdb.path>/thanos/upload/<ULID>/ and holds meta.json, index, the chunk
 * segments, and no-compact-mark.json if the block has one. It is built and taken down
 * under <ULID>.tmp: under its own name it is whole at every moment, whatever was
 * killed. Where links are refused the files are cloned or copied (pin_file.h); a copy
 * leaves as much room on its file system as the block takes, or is not made.
 *
 * A Thanos sidecar stages the blocks that it ships in the same place, and links them
 * there one file at a time. What it has left is a pin as any other if all files are
 * there, but for its meta.json, which is exchanged for that of the block; if some are
 * missing, it is made again. When the block is gone, what is whole is shipped, and the
 * rest stays where it is.
 *
 * Durable are: the folders, when a pin has its name; clones and copies, each before
 * that. Linked files are synced by Prometheus before the block has its name.
 *
 * Nothing outside of the folder of pins is written or removed. */
#ifndef SIDECAR_BLOCK_PIN_H
#define SIDECAR_BLOCK_PIN_H

#include "common/base/cancel.h"
#include "common/base/err.h"
#include "common/tsdb/ulid.h"
#include "sidecar/pin_file.h"

/* The folder of pins of a data directory; release with free. */
char *sidecar_block_pin_folder(const char *tsdb_path);

/* Make the folder of pins if it is missing and remove what a former run left there half
 * made. */
NODISCARD bool sidecar_block_pin_prepare(const char *folder, struct err *err);

/* Pin the block in tsdb_path, or do nothing if its pin has all its files already; one
 * that lacks something is made again. *cost tells what was made, SIDECAR_PIN_KEPT if
 * nothing. Blocks for as long as a copy takes; cancel (NULL: never) ends it. What
 * fails leaves no half pin behind.
 *
 * Errors of the block: ERR_NOT_FOUND: it has just been deleted; ERR_CORRUPT: it lacks
 * files, or they are none. ERR_CANCELLED. All others (no room: ERR_IO, err->sys is
 * ENOSPC; ERR_DENIED, ...) tell of the pin: the block itself may be whole. */
NODISCARD bool sidecar_block_pin(const char *tsdb_path, const char *folder,
                                 const struct tsdb_ulid *id,
                                 const struct cancel *cancel,
                                 struct sidecar_pin_cost *cost, struct err *err);

/* Whether there is a pin of this block. */
NODISCARD bool sidecar_block_is_pinned(const char *folder, const struct tsdb_ulid *id);

/* Remove the pin of a block; a missing one is success. */
NODISCARD bool sidecar_block_unpin(const char *folder, const struct tsdb_ulid *id,
                                   struct err *err);

/* Disk space in bytes that only the pin holds: copies, and links whose block has been
 * deleted. A clone counts in full, because only the file system knows what it still
 * shares. A missing pin holds nothing. */
NODISCARD bool sidecar_block_pin_bytes(const char *folder, const struct tsdb_ulid *id,
                                       uint64_t *bytes, struct err *err);

/* The same of all pins; two listings and some stats for each. */
NODISCARD bool sidecar_block_pins_bytes(const char *folder, uint64_t *bytes,
                                        struct err *err);

#endif
