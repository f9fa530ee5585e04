/* SPDX-License-Identifier: Apache-2.0 */
/* Names inside a block, in a directory and in a bucket. */
#ifndef COMMON_TSDB_BLOCK_PATH_H
#define COMMON_TSDB_BLOCK_PATH_H

#include "common/base/bytes.h"
#include "common/base/compiler.h"
#include "common/tsdb/ulid.h"

#define TSDB_BLOCK_PATH_META "meta.json"
#define TSDB_BLOCK_PATH_INDEX "index"
#define TSDB_BLOCK_PATH_CHUNKS "chunks"

/* In a bucket only: notes of a compactor, of people, and for it. */
#define TSDB_BLOCK_PATH_DELETION_MARK "deletion-mark.json"
#define TSDB_BLOCK_PATH_NO_COMPACT_MARK "no-compact-mark.json"
#define TSDB_BLOCK_PATH_NO_DOWNSAMPLE_MARK "no-downsample-mark.json"

/* Whether a name inside chunks/ is a segment: an unsigned decimal number, any width.
 * Segments are ordered by name bytes, not by value. */
NODISCARD bool tsdb_block_path_is_segment(struct bytes name);

/* Split an object key "<ULID>/rest"; false when the first part is not a canonical ULID
 * or rest is empty. rest borrows from key. */
NODISCARD bool tsdb_block_path_split(struct bytes key, struct tsdb_ulid *id,
                                     struct bytes *rest);

#endif
