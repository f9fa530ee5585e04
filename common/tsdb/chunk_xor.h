/* SPDX-License-Identifier: Apache-2.0 */
/* XOR chunks (encoding 1): float samples, in and out, value bits exact.
 *
 * Format: Prometheus tsdb/docs/format/chunks.md; tsdb/chunkenc/xor.go. */
#ifndef COMMON_TSDB_CHUNK_XOR_H
#define COMMON_TSDB_CHUNK_XOR_H

#include "common/base/buf.h"
#include "common/codec/bits.h"
#include "common/tsdb/xor_value.h"

/* A sample; the value is its 64 bits, never a double, so that NaN payloads survive. */
struct tsdb_sample {
    int64_t t_ms;
    uint64_t value_bits;
};

struct tsdb_xor_reader {
    /* private */
    struct bits_reader bits;
    uint32_t count;
    uint32_t seen;
    int64_t t;
    uint64_t delta;
    struct tsdb_xor_value value;
};

/* Start reading chunk data (without length, encoding byte, CRC); borrowed.
 * Errors ERR_CORRUPT when shorter than its count. */
NODISCARD bool tsdb_xor_reader_init(struct tsdb_xor_reader *r, struct bytes data,
                                    struct err *err);

/* Samples in the chunk, as its header says; at most 65535. */
static inline uint32_t
tsdb_xor_reader_count(const struct tsdb_xor_reader *r)
{
    return r->count;
}

/* The next sample. Sets *end instead after the last one.
 * Errors ERR_CORRUPT: the data ends before the last sample. */
NODISCARD bool tsdb_xor_next(struct tsdb_xor_reader *r, struct tsdb_sample *sample,
                             bool *end, struct err *err);

/* All samples of a chunk of which none was read; to has room for as many as its count.
 * The same samples and errors as tsdb_xor_next, in less time. */
NODISCARD bool tsdb_xor_read_all(struct tsdb_xor_reader *r, struct tsdb_sample *to,
                                 struct err *err);

/* Encoder; byte-identical to upstream for the same samples. */
struct tsdb_xor_writer {
    /* private */
    struct buf *out;
    size_t count_at;
    struct bits_writer bits;
    uint32_t count;
    int64_t t;
    uint64_t delta;
    struct tsdb_xor_value value;
};

/* Start a chunk at the end of out, which must outlive *w. */
void tsdb_xor_writer_init(struct tsdb_xor_writer *w, struct buf *out);

/* Append a sample; at most 65535 in a chunk. */
void tsdb_xor_append(struct tsdb_xor_writer *w, struct tsdb_sample sample);

/* Write the count and pad the last byte. Failures are latched in out. */
void tsdb_xor_finish(struct tsdb_xor_writer *w);

#endif
