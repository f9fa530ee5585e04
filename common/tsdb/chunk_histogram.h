/* SPDX-License-Identifier: Apache-2.0 */
/* Histogram chunks: native histograms of integers (encodings 2 and 5) or floats (3 and
 * 6), the latter ones with start timestamps.
 *
 * Format: Prometheus tsdb/chunkenc/histogram.go, float_histogram.go, histogram_st.go.
 */
#ifndef COMMON_TSDB_CHUNK_HISTOGRAM_H
#define COMMON_TSDB_CHUNK_HISTOGRAM_H

#include "common/base/arena.h"
#include "common/tsdb/chunk.h"
#include "common/tsdb/histogram.h"
#include "common/tsdb/start_time.h"

/* Window of the changes of one float bucket. */
struct tsdb_bucket_window {
    uint8_t lead;
    uint8_t trail;
};

struct tsdb_histogram_reader {
    /* private */
    struct bits_reader bits;
    uint32_t count;
    uint32_t seen;
    enum tsdb_counter_reset reset;
    bool has_start;
    struct tsdb_start_time start;

    int64_t t;
    uint64_t t_delta;
    struct tsdb_histogram now; /* layout, and the buckets as of the last sample */
    uint64_t count_delta;      /* of integers */
    uint64_t zero_delta;
    struct tsdb_xor_value float_count; /* of floats */
    struct tsdb_xor_value float_zero;
    struct tsdb_xor_value sum;
    uint64_t *values;                   /* of all buckets, positive ones first */
    uint64_t *deltas;                   /* of integers */
    struct tsdb_bucket_window *windows; /* of floats */
};

/* Start reading a chunk of one of the four encodings; its data is borrowed. What is
 * known of its buckets lives in arena, 160 times the data's bytes at most.
 * Errors ERR_CORRUPT: shorter than its count of samples or buckets, or a layout that is
 * none. ERR_BUDGET. */
NODISCARD bool tsdb_histogram_reader_init(struct tsdb_histogram_reader *r,
                                          const struct tsdb_chunk *chunk,
                                          struct arena *arena, struct err *err);

/* Samples in the chunk, as its header says; at most 65535. */
static inline uint32_t
tsdb_histogram_reader_count(const struct tsdb_histogram_reader *r)
{
    return r->count;
}

/* What the header says of the first sample. It compares with a chunk that was its
 * neighbour when it was written, and may not be so any more. */
static inline enum tsdb_counter_reset
tsdb_histogram_reader_reset(const struct tsdb_histogram_reader *r)
{
    return r->reset;
}

/* Start timestamp of the sample read last, in ms; 0 for none. */
static inline int64_t
tsdb_histogram_reader_start_ms(const struct tsdb_histogram_reader *r)
{
    return r->start.ms;
}

/* The next sample. Sets *end instead after the last one.
 *
 * h        its buckets are borrowed from *r until the next call, spans and bounds as
 *          long as the arena keeps them. reset is GAUGE in a chunk of gauges, else NO
 *          but for the first sample, of which nothing is known.
 * Errors   ERR_CORRUPT: the data ends before the last sample. */
NODISCARD bool tsdb_histogram_next(struct tsdb_histogram_reader *r, int64_t *t_ms,
                                   struct tsdb_histogram *h, bool *end,
                                   struct err *err);

#endif
