/* SPDX-License-Identifier: Apache-2.0 */
/* Makes the chunks of one series, from one or several blocks, a sequence that readers
 * accept: in time order, none twice, none overlapping.
 *
 * Chunks that overlap nothing pass through byte for byte. Overlapping ones are merged
 * sample by sample into new chunks, as of one kind of sample each; start timestamps are
 * lost there, because two sources of samples have two opinions of them. Of several
 * samples at the same millisecond, the greatest is answered (sample_order.h). So the
 * samples of the answer depend on those of the blocks only, not on how they are cut
 * into chunks, nor on the order of blocks. */
#ifndef STORE_CHUNK_MERGE_H
#define STORE_CHUNK_MERGE_H

#include "common/base/arena.h"
#include "store/series.h"

/* Put chunks (count of them, any order; rearranged) into such a sequence, in place or
 * with new ones from arena. *out and what it points to live as long as chunks and
 * arena. Errors ERR_UNSUPPORTED: aggregated chunks overlap; ERR_CORRUPT; ERR_BUDGET. */
NODISCARD bool store_chunk_merge(struct tsdb_timed_chunk *chunks, size_t count,
                                 struct arena *arena,
                                 const struct tsdb_timed_chunk **out, size_t *out_count,
                                 struct err *err);

#endif
