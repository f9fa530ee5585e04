/* SPDX-License-Identifier: Apache-2.0 */
/* Where a chunk becomes samples, for answers that cannot have chunks. They come in
 * portions: the floats of a chunk at once, because that is fast, histograms one by one,
 * because one may be large. */
#ifndef STORE_CHUNK_SAMPLES_H
#define STORE_CHUNK_SAMPLES_H

#include "common/tsdb/chunk_iter.h"

/* Used for one chunk after the other. */
struct store_chunk_samples {
    size_t count; /* samples of the portion; 0: the chunk has ended */
    /* private */
    int64_t mint_ms;
    int64_t maxt_ms;
    struct tsdb_chunk chunk;
    bool has_ended;
    struct buf floats; /* struct tsdb_sample; else the portion is it.histogram */
    struct tsdb_chunk_iter it; /* of all encodings but XOR */
    struct arena arena;        /* of *it */
    bool has_layout;           /* layout_size is known */
    uint64_t layout_size; /* of the chunk's histograms (wire_histogram_layout_size) */
};

/* What is held of a chunk is taken from budget, which outlives *s. */
void store_chunk_samples_init(struct store_chunk_samples *s, struct budget *budget);

/* Release all. Accepts the zero value. */
void store_chunk_samples_fini(struct store_chunk_samples *s);

/* Turn to a chunk, of which samples from mint_ms to maxt_ms are wanted, both inclusive.
 * Its data is borrowed until all portions were taken.
 * Errors ERR_UNSUPPORTED: the encoding; ERR_CORRUPT; ERR_BUDGET. */
NODISCARD bool store_chunk_samples_open(struct store_chunk_samples *s,
                                        const struct tsdb_chunk *chunk, int64_t mint_ms,
                                        int64_t maxt_ms, struct err *err);

/* Step to the next portion; its size is in s->count. Errors ERR_CORRUPT, ERR_BUDGET. */
NODISCARD bool store_chunk_samples_next(struct store_chunk_samples *s, struct err *err);

/* Bytes that the portion takes in a sampled answer; one of 0 samples none. */
uint64_t store_chunk_samples_size(struct store_chunk_samples *s);

/* Append it to such an answer. Failures are latched in out. */
void store_chunk_samples_put(struct store_chunk_samples *s, struct buf *out);

#endif
