/* SPDX-License-Identifier: Apache-2.0 */
/* The samples of a chunk of floats as an array, which is the fastest way to read them,
 * and to rearrange them. */
#ifndef STORE_FLOAT_SAMPLES_H
#define STORE_FLOAT_SAMPLES_H

#include "common/base/arena.h"
#include "common/tsdb/chunk.h"
#include "common/tsdb/chunk_xor.h"

/* The zero value is empty. */
struct store_float_samples {
    struct tsdb_sample *at; /* in the arena */
    size_t count;
    /* private */
    size_t cap;
};

/* Whether a chunk of this encoding holds floats that can be read so. */
bool store_float_samples_has(enum tsdb_chunk_encoding encoding);

/* Read a chunk of floats in place of what *s holds; memory is taken from arena where
 * that of *s does not suffice. Start timestamps are left out.
 * Errors ERR_CORRUPT: cut data, times that do not ascend or that are not between those
 * of the chunk. ERR_BUDGET. */
NODISCARD bool store_float_samples_read(struct store_float_samples *s,
                                        const struct tsdb_timed_chunk *chunk,
                                        struct arena *arena, struct err *err);

/* Likewise a chunk of histograms, whose values are 0 here: to see which of its samples
 * are wanted before they are read one by one. Errors also ERR_UNSUPPORTED: aggregated
 * chunks. */
NODISCARD bool store_float_samples_read_times(struct store_float_samples *s,
                                              const struct tsdb_timed_chunk *chunk,
                                              struct arena *arena, struct err *err);

#endif
