/* SPDX-License-Identifier: Apache-2.0 */
/* Pins: hard links to the files of a block, so that they outlive Prometheus's retention
 * until the bucket has them.
 *
 * A pin is <tsdb.path>/thanos/upload/<ULID>/ and holds meta.json, index and the chunk
 * segments. It is built and taken down under <ULID>.tmp: under its own name it is whole
 * at every moment, whatever was killed. Where links are not possible (another file
 * system, links to other users' files are forbidden) the files are cloned or copied. */
#ifndef SIDECAR_BLOCK_PIN_H
#define SIDECAR_BLOCK_PIN_H

#include "common/base/err.h"
#include "common/tsdb/ulid.h"

/* The folder of pins of a data directory; release with free. */
char *sidecar_block_pin_folder(const char *tsdb_path);

/* Make the folder of pins if it is missing and remove what a former run left there half
 * made. */
NODISCARD bool sidecar_block_pin_prepare(const char *folder, struct err *err);

/* Pin the block in tsdb_path, or do nothing if its pin has all its files already; one
 * that lacks something is made again. *made tells whether one was made.
 * Errors ERR_NOT_FOUND: the block, or one of its files, is gone; ERR_CORRUPT: it has no
 * chunks; ERR_IO, ERR_DENIED. */
NODISCARD bool sidecar_block_pin(const char *tsdb_path, const char *folder,
                                 const struct tsdb_ulid *id, bool *made,
                                 struct err *err);

/* Remove the pin of a block; a missing one is success. */
NODISCARD bool sidecar_block_unpin(const char *folder, const struct tsdb_ulid *id,
                                   struct err *err);

#endif
