/* SPDX-License-Identifier: Apache-2.0 */
/* The samples of a chunk, whatever its encoding. */
#ifndef COMMON_TSDB_CHUNK_ITER_H
#define COMMON_TSDB_CHUNK_ITER_H

#include "common/tsdb/chunk_histogram.h"
#include "common/tsdb/chunk_xor2.h"

enum tsdb_sample_kind {
    TSDB_SAMPLE_NONE, /* behind the last one */
    TSDB_SAMPLE_FLOAT,
    TSDB_SAMPLE_HISTOGRAM
};

struct tsdb_chunk_iter {
    struct tsdb_sample sample; /* the last one read; of a histogram only its time */
    struct tsdb_histogram histogram; /* likewise, after TSDB_SAMPLE_HISTOGRAM */
    /* private */
    enum tsdb_chunk_encoding encoding;
    union {
        struct tsdb_xor_reader xor ;
        struct tsdb_xor2_reader xor2;
        struct tsdb_histogram_reader histogram;
    } reader;
};

/* Start with the first sample; the data is borrowed. Only histograms take memory from
 * arena (see chunk_histogram.h), which has to keep it as long as *it is used.
 * Errors ERR_CORRUPT, ERR_BUDGET; ERR_UNSUPPORTED: aggregated chunks, of which one
 * aggregate has to be chosen before (chunk_aggr.h). */
NODISCARD bool tsdb_chunk_iter_init(struct tsdb_chunk_iter *it,
                                    const struct tsdb_chunk *chunk, struct arena *arena,
                                    struct err *err);

/* Samples in the chunk, as its header says; at most 65535. */
uint32_t tsdb_chunk_iter_count(const struct tsdb_chunk_iter *it);

/* Start timestamp of the sample read last, in ms; 0 for none. */
int64_t tsdb_chunk_iter_start_ms(const struct tsdb_chunk_iter *it);

/* tsdb_chunk_next of a chunk that is not XOR; call that one. */
NODISCARD bool tsdb_chunk_next_other(struct tsdb_chunk_iter *it,
                                     enum tsdb_sample_kind *kind, struct err *err);

/* Read the next sample into *it and set *kind. The buckets of a histogram are borrowed
 * until the next call. Errors ERR_CORRUPT: the data ends before the last sample. */
NODISCARD static inline bool
tsdb_chunk_next(struct tsdb_chunk_iter *it, enum tsdb_sample_kind *kind,
                struct err *err)
{
    bool end;
    if (it->encoding != TSDB_CHUNK_XOR)
        return tsdb_chunk_next_other(it, kind, err);
    if (!tsdb_xor_next(&it->reader.xor, &it->sample, &end, err))
        return false;
    *kind = end ? TSDB_SAMPLE_NONE : TSDB_SAMPLE_FLOAT;
    return true;
}

#endif
