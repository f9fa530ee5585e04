/* SPDX-License-Identifier: Apache-2.0 */
/* Writer of histogram chunks without start timestamps (encodings 2 and 3);
 * byte-identical to upstream for the same histograms, of one layout, in one chunk. */
#ifndef COMMON_TSDB_CHUNK_HISTOGRAM_WRITER_H
#define COMMON_TSDB_CHUNK_HISTOGRAM_WRITER_H

#include "common/tsdb/chunk_histogram.h"

struct tsdb_histogram_writer {
    /* private */
    struct buf *out;
    struct arena *arena;
    size_t start_at;
    struct bits_writer bits;
    enum tsdb_counter_reset reset;
    uint32_t count;

    int64_t t;
    uint64_t t_delta;
    struct tsdb_histogram last; /* in arena */
    uint64_t count_delta;
    uint64_t zero_delta;
    struct tsdb_xor_value float_count;
    struct tsdb_xor_value float_zero;
    struct tsdb_xor_value sum;
    uint64_t *values; /* of all buckets, positive ones first */
    uint64_t *deltas;
    struct tsdb_bucket_window *windows;
};

/* Start a chunk at the end of out. The first histogram decides about integers or floats
 * and about the layout, of which arena keeps a copy; both must outlive *w.
 *
 * reset  for the header. GAUGE: all histograms of the chunk are gauges; else they are
 *        counters, and it tells of the first one compared with the chunk before. */
void tsdb_histogram_writer_init(struct tsdb_histogram_writer *w, struct buf *out,
                                struct arena *arena, enum tsdb_counter_reset reset);

/* Whether the chunk can hold h as its next sample: there is room for one more, and h
 * has the kind and the layout of the first one, or is a stale marker. O(spans). */
NODISCARD bool tsdb_histogram_writer_fits(const struct tsdb_histogram_writer *w,
                                          const struct tsdb_histogram *h);

/* Whether h may follow in the same chunk, as Prometheus sees it: it fits; all are
 * gauges or none is; counters have no reset; only stale markers follow a stale marker.
 */
NODISCARD bool tsdb_histogram_writer_takes(const struct tsdb_histogram_writer *w,
                                           const struct tsdb_histogram *h);

/* Append a histogram that fits; layouts are not compared again. Errors ERR_BUDGET, of
 * the first only; those of out are latched there. */
NODISCARD bool tsdb_histogram_append(struct tsdb_histogram_writer *w, int64_t t_ms,
                                     const struct tsdb_histogram *h, struct err *err);

/* What was appended is TSDB_CHUNK_FLOAT_HISTOGRAM or TSDB_CHUNK_HISTOGRAM. */
static inline enum tsdb_chunk_encoding
tsdb_histogram_writer_encoding(const struct tsdb_histogram_writer *w)
{
    return w->last.is_float ? TSDB_CHUNK_FLOAT_HISTOGRAM : TSDB_CHUNK_HISTOGRAM;
}

/* Write the header and pad the last byte. */
void tsdb_histogram_finish(struct tsdb_histogram_writer *w);

#endif
