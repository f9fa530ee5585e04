/* SPDX-License-Identifier: Apache-2.0 */
/* Merges chunks of one series that overlap, sample by sample: where several have a
 * sample at the same millisecond, the one that is greatest (sample_order.h) is taken.
 * Each chunk is decoded when the merge comes to its first sample, and forgotten behind
 * its last, so that not more of them are held than overlap each other. */
#ifndef STORE_MERGE_FLOATS_H
#define STORE_MERGE_FLOATS_H

#include "store/chunk_writer.h"

/* Write the samples of chunks of floats, which are in the order of their first times.
 * Scratch memory is charged to budget. Errors ERR_CORRUPT, ERR_BUDGET. */
NODISCARD bool store_merge_floats(const struct tsdb_timed_chunk *chunks, size_t count,
                                  struct budget *budget,
                                  struct store_chunk_writer *writer, struct err *err);

#endif
