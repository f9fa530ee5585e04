/* SPDX-License-Identifier: Apache-2.0 */
/* The samples of one chunk, whatever its encoding, one by one; what merges read
 * histograms with. */
#ifndef STORE_CHUNK_READER_H
#define STORE_CHUNK_READER_H

#include "common/tsdb/chunk_iter.h"
#include "store/chunk_writer.h"
#include "store/sample_order.h"

/* The zero value is closed. May be moved. */
struct store_chunk_reader {
    enum tsdb_sample_kind kind; /* of the sample; NONE: behind the last one */
    struct tsdb_chunk_iter it;  /* and the sample itself */
    /* private */
    int64_t maxt_ms;
    struct arena arena;
};

/* Read the first sample of a chunk (its data is borrowed). Scratch memory is charged to
 * budget. Call close also after an error. Errors ERR_CORRUPT: also times that do not
 * ascend or are not between those of the chunk; ERR_BUDGET; ERR_UNSUPPORTED: aggregated
 * chunks. */
NODISCARD bool store_chunk_reader_open(struct store_chunk_reader *r,
                                       const struct tsdb_timed_chunk *chunk,
                                       struct budget *budget, struct err *err);

/* Read the next one. */
NODISCARD bool store_chunk_reader_next(struct store_chunk_reader *r, struct err *err);

/* Hand the sample to a writer. */
NODISCARD bool store_chunk_reader_write(const struct store_chunk_reader *r,
                                        struct store_chunk_writer *writer,
                                        struct err *err);

/* The value of the sample; a histogram is borrowed until the next call. */
struct store_any_value store_chunk_reader_value(const struct store_chunk_reader *r);

void store_chunk_reader_close(struct store_chunk_reader *r);

#endif
