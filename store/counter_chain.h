/* SPDX-License-Identifier: Apache-2.0 */
/* Makes one counter of the counter aggregates and the raw chunks of a series.
 *
 * The values of an aggregate are totals since its first sample, resets added up, so
 * they can only be read together with all that came before: the series is counted
 * through from its first sample, and nothing in it falls any more. What is lost are the
 * resets themselves, and stale markers. Native histograms pass through unchanged.
 *
 * Where a chunk whose totals have resets in them is cut, nothing is counted across the
 * cut: its totals cannot be compared with the values behind.
 *
 * Format: Thanos pkg/compact/downsample/downsample.go. */
#ifndef STORE_COUNTER_CHAIN_H
#define STORE_COUNTER_CHAIN_H

#include "store/series_chunks.h"

/* Whether there is an aggregated chunk among them: then the chain is needed. */
NODISCARD bool store_counter_chain_is_needed(const struct store_stream_chunks *streams,
                                             size_t count);

/* As store_series_chunks. */
NODISCARD bool store_counter_chain(const struct store_stream_chunks *streams,
                                   size_t count, struct store_chunk_list *list,
                                   struct err *err);

#endif
