/* SPDX-License-Identifier: Apache-2.0 */
/* Random samples of all kinds, as values that can be copied and compared, and chunks of
 * all encodings made of them. For tests of what rearranges samples. */
#ifndef TESTS_SUPPORT_ANY_SAMPLES_H
#define TESTS_SUPPORT_ANY_SAMPLES_H

#include "common/tsdb/chunk_iter.h"

enum { ANY_MAX_BUCKETS = 5, ANY_LAYOUTS = 6, ANY_CHUNK_MAX = 120 };

struct any_sample {
    int64_t t_ms;
    uint64_t bits; /* of a float, or the sum of a histogram */
    bool is_histogram;
    /* of histograms; of stale ones only is_float */
    bool is_float;
    bool is_gauge;
    unsigned layout; /* one of ANY_LAYOUTS */
    uint64_t count;
    uint64_t zero_count;
    uint64_t values[ANY_MAX_BUCKETS]; /* positive buckets first */
};

/* A number below n, of a random state that is not 0. */
uint64_t any_below(uint64_t *state, uint64_t n);

/* One of the encodings that hold samples. */
enum tsdb_chunk_encoding any_encoding(uint64_t *state);

/* Count samples from t_ms on, up to max_step_ms apart, that fit into one chunk of the
 * encoding: of one kind and layout, counters without reset, stale markers last. */
void any_run(uint64_t *state, enum tsdb_chunk_encoding encoding, int64_t t_ms,
             uint64_t max_step_ms, struct any_sample *to, size_t count);

/* The histogram that a sample is; borrows from it. Its reset says gauge or unknown. */
struct tsdb_histogram any_histogram(const struct any_sample *s);

/* The sample that the iterator has just read. */
struct any_sample any_sample_read(const struct tsdb_chunk_iter *it,
                                  enum tsdb_sample_kind kind);

/* Whether two samples are the same bit for bit. */
bool any_sample_eq(const struct any_sample *a, const struct any_sample *b);

/* A chunk of such a run, with its CRC; the data lives in arena. */
struct tsdb_timed_chunk any_chunk(struct arena *arena,
                                  enum tsdb_chunk_encoding encoding,
                                  const struct any_sample *samples, size_t count);

/* All samples of a sequence of chunks, up to max; ends the program unless they are in
 * order, the chunks' times and CRCs are right, and hints inside chunks are true. */
size_t any_read(const struct tsdb_timed_chunk *chunks, size_t count,
                struct any_sample *to, size_t max);

#endif
