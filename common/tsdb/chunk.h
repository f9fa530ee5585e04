/* SPDX-License-Identifier: Apache-2.0 */
/* Chunk records and segment files.
 *
 * Format: Prometheus tsdb/docs/format/chunks.md; tsdb/chunks/chunks.go. */
#ifndef COMMON_TSDB_CHUNK_H
#define COMMON_TSDB_CHUNK_H

#include "common/base/bytes.h"
#include "common/base/err.h"

enum tsdb_chunk_encoding {
    TSDB_CHUNK_NONE = 0,
    TSDB_CHUNK_XOR = 1,
    TSDB_CHUNK_HISTOGRAM = 2,
    TSDB_CHUNK_FLOAT_HISTOGRAM = 3,
    TSDB_CHUNK_XOR2 = 4,
    TSDB_CHUNK_HISTOGRAM_ST = 5,
    TSDB_CHUNK_FLOAT_HISTOGRAM_ST = 6,
    TSDB_CHUNK_AGGR = 255
};

enum {
    TSDB_SEGMENT_HEADER_SIZE = 8,
    TSDB_CHUNK_CRC_SIZE = 4,
    TSDB_CHUNK_MAX_HEAD = 6 /* length varint of at most 5 bytes, encoding byte */
};

struct tsdb_chunk {
    enum tsdb_chunk_encoding encoding;
    uint32_t crc;      /* of the encoding byte and data, as in the record */
    struct bytes data; /* without length, encoding byte and CRC; borrowed */
};

/* A chunk that is in no record, and has no CRC. */
static inline struct tsdb_chunk
tsdb_chunk_loose(enum tsdb_chunk_encoding encoding, struct bytes data)
{
    return (struct tsdb_chunk){.encoding = encoding, .data = data};
}

/* A chunk with the times of its first and last sample, both inclusive and exact. */
struct tsdb_timed_chunk {
    int64_t mint_ms;
    int64_t maxt_ms;
    struct tsdb_chunk chunk;
};

/* Name of an encoding for messages: "XOR2", "unknown" for bytes not in the enum. */
const char *tsdb_chunk_encoding_name(enum tsdb_chunk_encoding encoding);

/* What crc must be. O(data.len). */
uint32_t tsdb_chunk_crc(const struct tsdb_chunk *c);

/* Check the first TSDB_SEGMENT_HEADER_SIZE bytes of a segment file. */
NODISCARD bool tsdb_chunk_segment_header_parse(struct bytes header, struct err *err);

/* Bytes of the record at the start of b, CRC included, from its length field alone.
 * Returns false when that field is cut or longer than 5 bytes. */
NODISCARD bool tsdb_chunk_size(struct bytes b, uint64_t *size);

/* Parse the record at the start of b and check its CRC.
 * Errors ERR_CORRUPT: cut, CRC differs; ERR_UNSUPPORTED: encoding not in the enum. */
NODISCARD bool tsdb_chunk_parse(struct tsdb_chunk *c, struct bytes b, struct err *err);

#endif
