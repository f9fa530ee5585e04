/* SPDX-License-Identifier: Apache-2.0 */
/* The chunks that blocks have of one series, as chunks of samples: of aggregated ones
 * what the query needs, of blocks that fill holes what lies in the holes.
 *
 * Nothing happens to the chunks of raw blocks that are used whole. */
#ifndef STORE_SERIES_CHUNKS_H
#define STORE_SERIES_CHUNKS_H

#include "store/series.h"
#include "store/series_batch.h"

/* What one stream yielded of the series. */
struct store_stream_chunks {
    struct store_stream_context *context; /* aggregation, parts, block */
    const struct tsdb_timed_chunk *chunks;
    size_t count;
};

/* Chunks that are being collected; the zero value with an arena is none. */
struct store_chunk_list {
    struct arena *arena;
    struct tsdb_timed_chunk *at;
    size_t count;
    size_t cap; /* private */
};

/* What is wrong with a chunk that a stream yielded is in err: whether to go on without
 * it, as with all damage. Names chunk and block. */
NODISCARD bool store_stream_skip_chunk(struct store_stream_context *c,
                                       const struct tsdb_timed_chunk *chunk,
                                       struct err *err);

/* Append count chunks. Errors ERR_BUDGET. */
NODISCARD bool store_chunk_list_add(struct store_chunk_list *list,
                                    const struct tsdb_timed_chunk *chunks, size_t count,
                                    struct err *err);

/* Append the chunks of the series to list, in any order; they may overlap. New ones
 * come from its arena. All streams have the same aggregation.
 * Errors ERR_CORRUPT, naming the block, unless damages are skipped; ERR_BUDGET. */
NODISCARD bool store_series_chunks(const struct store_stream_chunks *streams,
                                   size_t count, struct store_chunk_list *list,
                                   struct err *err);

#endif
