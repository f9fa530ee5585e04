/* SPDX-License-Identifier: Apache-2.0 */
/* Where a chunk becomes samples, for answers that cannot have chunks. */
#ifndef STORE_CHUNK_SAMPLES_H
#define STORE_CHUNK_SAMPLES_H

#include "common/tsdb/chunk.h"
#include "common/tsdb/chunk_xor.h"

/* Decode the samples of a chunk from mint_ms to maxt_ms, both inclusive.
 *
 * out  gets them as struct tsdb_sample, in place of what it held; they are aligned.
 * Errors ERR_UNSUPPORTED: the encoding; ERR_CORRUPT; ERR_BUDGET from out. */
NODISCARD bool store_chunk_samples(const struct tsdb_chunk *chunk, int64_t mint_ms,
                                   int64_t maxt_ms, struct buf *out, struct err *err);

/* What store_chunk_samples put there, and how many. */
static inline const struct tsdb_sample *
store_samples_at(const struct buf *samples)
{
    return (const struct tsdb_sample *)(const void *)samples->at;
}

static inline size_t
store_samples_count(const struct buf *samples)
{
    return samples->len / sizeof(struct tsdb_sample);
}

#endif
