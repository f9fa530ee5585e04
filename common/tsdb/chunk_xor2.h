/* SPDX-License-Identifier: Apache-2.0 */
/* XOR2 chunks (encoding 4): float samples with or without start timestamps; read only.
 *
 * Format: Prometheus tsdb/chunkenc/xor2.go. */
#ifndef COMMON_TSDB_CHUNK_XOR2_H
#define COMMON_TSDB_CHUNK_XOR2_H

#include "common/tsdb/chunk_xor.h"
#include "common/tsdb/start_time.h"

struct tsdb_xor2_reader {
    /* private */
    struct bits_reader bits;
    uint32_t count;
    uint32_t seen;
    int64_t t;
    uint64_t delta;
    struct tsdb_xor_value value; /* the last one that is not stale */
    struct tsdb_start_time start;
};

/* Start reading chunk data (without length, encoding byte, CRC); borrowed.
 * Errors ERR_CORRUPT when shorter than its count. */
NODISCARD bool tsdb_xor2_reader_init(struct tsdb_xor2_reader *r, struct bytes data,
                                     struct err *err);

/* Samples in the chunk, as its header says; at most 65535. */
static inline uint32_t
tsdb_xor2_reader_count(const struct tsdb_xor2_reader *r)
{
    return r->count;
}

/* Start timestamp of the sample read last, in ms; 0 for none. */
static inline int64_t
tsdb_xor2_reader_start_ms(const struct tsdb_xor2_reader *r)
{
    return r->start.ms;
}

/* The next sample. Sets *end instead after the last one.
 * Errors ERR_CORRUPT: the data ends before the last sample. */
NODISCARD bool tsdb_xor2_next(struct tsdb_xor2_reader *r, struct tsdb_sample *sample,
                              bool *end, struct err *err);

#endif
