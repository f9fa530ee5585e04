/* SPDX-License-Identifier: Apache-2.0 */
/* Aggregated chunks (encoding 255) of downsampled blocks: five chunks in one, a sample
 * a window in each.
 *
 * Format: Thanos pkg/compact/downsample/aggr.go, downsample.go. */
#ifndef COMMON_TSDB_CHUNK_AGGR_H
#define COMMON_TSDB_CHUNK_AGGR_H

#include "common/tsdb/chunk.h"
#include "common/tsdb/chunk_xor.h"

enum tsdb_aggregate {
    TSDB_AGGREGATE_COUNT,
    TSDB_AGGREGATE_SUM,
    TSDB_AGGREGATE_MIN,
    TSDB_AGGREGATE_MAX,
    TSDB_AGGREGATE_COUNTER,
    TSDB_AGGREGATES
};

/* By enum tsdb_aggregate; TSDB_CHUNK_NONE is one that is absent: of native histograms
 * there are count, sum and counter. */
struct tsdb_aggr {
    struct tsdb_chunk chunks[TSDB_AGGREGATES]; /* data borrowed */
};

/* "count", "sum", ... */
const char *tsdb_aggregate_name(enum tsdb_aggregate aggregate);

/* Split chunk data (without length, encoding byte, CRC) into chunks without a CRC;
 * borrowed. What is inside is
 * not looked at. Errors ERR_CORRUPT: cut (but the counter may be missing whole), bytes
 * behind the last one, or an encoding that no aggregate has. */
NODISCARD bool tsdb_aggr_parse(struct tsdb_aggr *a, struct bytes data, struct err *err);

/* A series of floats made of the counter aggregates of its chunks. In each, the first
 * sample is the first raw one, the others are totals since then, resets added up, and
 * a last one at the time of the one before has the last raw value, to which the first
 * of the next chunk is compared. The zero value is the start. Chunks of raw samples may
 * be mixed in. */
struct tsdb_aggr_counter {
    double total;
    /* private */
    bool has_last;
    bool is_broken;
    double last;
    int64_t last_ms;
};

/* Take the next sample. Returns whether it belongs to the series; its value is then
 * replaced by the running total. */
NODISCARD bool tsdb_aggr_counter_next(struct tsdb_aggr_counter *c,
                                      struct tsdb_sample *sample);

/* Samples are left out here: nothing is known of what was counted since the last one,
 * and the next one adds nothing. For cuts through a chunk whose totals have resets in
 * them, which no value behind the cut can be compared with. */
void tsdb_aggr_counter_break(struct tsdb_aggr_counter *c);

#endif
