/* SPDX-License-Identifier: Apache-2.0 */
/* Makes chunks of samples of the aggregated chunks of downsampled blocks.
 *
 * Lowest and highest value, sum and number pass through as they are stored. An average
 * is written anew, sum / number of each window; that of native histograms is the sum of
 * them divided likewise. Native histograms have no lowest and no highest: there is
 * nothing then. Counters are not for here, but for counter_chain.h.
 *
 * Format: Thanos pkg/compact/downsample/aggr.go, downsample.go. */
#ifndef STORE_CHUNK_AGGREGATE_H
#define STORE_CHUNK_AGGREGATE_H

#include "common/tsdb/chunk_aggr.h"
#include "store/chunk_clip.h"
#include "store/query_hints.h"

/* Write what a chunk of a downsampled block says of an aggregation, in parts of time.
 * One that is not aggregated is taken as it is: the compactor once left such ones, and
 * empty ones, of which nothing comes. scratch holds nothing of use afterwards.
 * Errors ERR_CORRUPT, ERR_BUDGET. */
NODISCARD bool store_chunk_aggregate(const struct tsdb_timed_chunk *chunk,
                                     enum store_aggregation aggregation,
                                     struct store_time_ranges parts,
                                     struct store_chunk_writer *w,
                                     struct arena *scratch, struct err *err);

/* Set the times of a chunk to those of its samples; *any is false, and the times are
 * not set, if it has none. Errors ERR_CORRUPT: the samples do not ascend, too. */
NODISCARD bool store_chunk_find_times(struct tsdb_timed_chunk *chunk, bool *any,
                                      struct arena *scratch, struct err *err);

#endif
