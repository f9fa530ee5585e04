/* SPDX-License-Identifier: Apache-2.0 */
/* Makes a sequence of chunks from the samples of one series in time order: what stages
 * that decode chunks hand to those that only know chunks.
 *
 * Floats become XOR chunks of as many samples as Prometheus puts into one. Histograms
 * become chunks without start timestamps; a new one begins wherever Prometheus begins
 * one: other kind, other buckets, a counter reset, gauge after counter, size. Chunks
 * that need no change pass through between them, byte for byte. */
#ifndef STORE_CHUNK_WRITER_H
#define STORE_CHUNK_WRITER_H

#include "common/tsdb/chunk_histogram_writer.h"
#include "common/tsdb/chunk_iter.h"

struct store_chunk_writer {
    /* private */
    struct arena *arena;
    struct tsdb_timed_chunk *chunks; /* the finished ones */
    size_t count;
    size_t cap;
    enum tsdb_sample_kind open; /* what the chunk being written holds; NONE: no chunk */
    int64_t mint_ms;            /* of that chunk, as the following ones */
    int64_t maxt_ms;
    uint32_t samples;
    struct buf data;
    struct arena layout; /* of its histograms */
    struct tsdb_xor_writer floats;
    struct tsdb_histogram_writer histograms;
    size_t first_len; /* of data with the first histogram */
};

/* Start with no chunk. The chunks and their data come from arena, which must outlive
 * them; scratch is charged to its budget. Call fini also after an error. */
void store_chunk_writer_init(struct store_chunk_writer *w, struct arena *arena);

/* Append a sample, later than all before it. Errors ERR_BUDGET. */
NODISCARD bool store_chunk_writer_float(struct store_chunk_writer *w,
                                        struct tsdb_sample sample, struct err *err);

/* Likewise a histogram (borrowed until the call returns). Its reset says RESET_GAUGE if
 * it is a gauge, and RESET_YES if it is known not to continue the sample before; of
 * other counters, that is found out by comparing them. */
NODISCARD bool store_chunk_writer_histogram(struct store_chunk_writer *w, int64_t t_ms,
                                            const struct tsdb_histogram *h,
                                            struct err *err);

/* End the chunk being written, and append one whose samples are later than all before
 * it, as it is; its data is borrowed as long as the sequence is used. */
NODISCARD bool store_chunk_writer_chunk(struct store_chunk_writer *w,
                                        const struct tsdb_timed_chunk *chunk,
                                        struct err *err);

/* End the chunk being written and set *out to the sequence. None has no samples. */
NODISCARD bool store_chunk_writer_finish(struct store_chunk_writer *w,
                                         const struct tsdb_timed_chunk **out,
                                         size_t *count, struct err *err);

/* Release the scratch memory, not the sequence. */
void store_chunk_writer_fini(struct store_chunk_writer *w);

#endif
