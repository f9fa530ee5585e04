/* SPDX-License-Identifier: Apache-2.0 */
/* As merge_floats.h, for chunks of floats and histograms: slower, as each sample is
 * looked at by itself. */
#ifndef STORE_MERGE_ANY_H
#define STORE_MERGE_ANY_H

#include "store/chunk_writer.h"

/* Write the samples of chunks, which are in the order of their first times. Scratch
 * memory is charged to budget. Errors ERR_CORRUPT, ERR_BUDGET; ERR_UNSUPPORTED:
 * aggregated chunks. */
NODISCARD bool store_merge_any(const struct tsdb_timed_chunk *chunks, size_t count,
                               struct budget *budget, struct store_chunk_writer *writer,
                               struct err *err);

#endif
