/* SPDX-License-Identifier: Apache-2.0 */
/* Chunks for clients that do not know their encoding: XOR2 becomes XOR, histograms with
 * start timestamps become those without. All but the start timestamps is kept. */
#ifndef COMMON_TSDB_CHUNK_REENCODE_H
#define COMMON_TSDB_CHUNK_REENCODE_H

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/tsdb/chunk.h"

/* The encoding that all clients know for what one of this encoding holds; the same if
 * they know it, or if there is none. */
enum tsdb_chunk_encoding tsdb_chunk_plain_encoding(enum tsdb_chunk_encoding encoding);

/* Append the samples of a chunk, as data of its plain encoding, to out. A chunk of that
 * encoding already is copied. arena is scratch: it holds nothing of use afterwards.
 * Errors ERR_CORRUPT: the data is broken, and out holds a part; ERR_BUDGET, also of
 * out. */
NODISCARD bool tsdb_chunk_reencode(const struct tsdb_chunk *chunk, struct buf *out,
                                   struct arena *arena, struct err *err);

#endif
