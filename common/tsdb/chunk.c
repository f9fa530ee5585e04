/* SPDX-License-Identifier: Apache-2.0 */
#include "common/tsdb/chunk.h"

#include <inttypes.h>

#include "common/base/cursor.h"
#include "common/codec/crc32c.h"
#include "common/codec/varint.h"

enum { MAX_LENGTH_BYTES = 5, ENCODING_SIZE = 1, SEGMENT_VERSION = 1 };

static const uint32_t segment_magic = 0x85bd40dd;

const char *
tsdb_chunk_encoding_name(enum tsdb_chunk_encoding encoding)
{
    switch (encoding) {
    case TSDB_CHUNK_NONE:
        return "none";
    case TSDB_CHUNK_XOR:
        return "XOR";
    case TSDB_CHUNK_HISTOGRAM:
        return "HISTOGRAM";
    case TSDB_CHUNK_FLOAT_HISTOGRAM:
        return "FLOATHISTOGRAM";
    case TSDB_CHUNK_XOR2:
        return "XOR2";
    case TSDB_CHUNK_HISTOGRAM_ST:
        return "HISTOGRAM_ST";
    case TSDB_CHUNK_FLOAT_HISTOGRAM_ST:
        return "FLOATHISTOGRAM_ST";
    case TSDB_CHUNK_AGGR:
        return "AGGR";
    }
    return "unknown";
}

static bool
is_known(uint8_t encoding)
{
    return (encoding >= TSDB_CHUNK_XOR && encoding <= TSDB_CHUNK_FLOAT_HISTOGRAM_ST) ||
           encoding == TSDB_CHUNK_AGGR;
}

bool
tsdb_chunk_segment_header_parse(struct bytes header, struct err *err)
{
    struct cursor c = cursor_of(header);
    uint32_t magic = cursor_be32(&c);
    uint8_t version = cursor_u8(&c);
    cursor_take(&c, TSDB_SEGMENT_HEADER_SIZE - sizeof magic - sizeof version);
    if (c.bad)
        return err_set(err, ERR_CORRUPT, "segment header is cut at %zu bytes",
                       header.len);
    if (magic != segment_magic)
        return err_set(err, ERR_CORRUPT, "not a chunk segment: magic %08" PRIx32, magic);
    if (version != SEGMENT_VERSION)
        return err_set(err, ERR_UNSUPPORTED, "chunk segment of version %u", version);
    return true;
}

/* Read the length field; false when it is cut or too long. */
static bool
read_length(struct bytes b, uint64_t *data_len, size_t *field_len)
{
    struct cursor c = cursor_of(b);
    if (c.rest.len > MAX_LENGTH_BYTES)
        c.rest.len = MAX_LENGTH_BYTES;
    size_t before = c.rest.len;
    *data_len = varint_u64(&c);
    *field_len = before - c.rest.len;
    return !c.bad;
}

bool
tsdb_chunk_size(struct bytes b, uint64_t *size)
{
    uint64_t data_len;
    size_t field_len;
    if (!read_length(b, &data_len, &field_len))
        return false;
    *size = field_len + ENCODING_SIZE + data_len + TSDB_CHUNK_CRC_SIZE;
    return true;
}

bool
tsdb_chunk_parse(struct tsdb_chunk *out, struct bytes b, struct err *err)
{
    uint64_t data_len;
    size_t field_len;
    if (!read_length(b, &data_len, &field_len))
        return err_set(err, ERR_CORRUPT, "chunk: bad length field");
    bytes_skip(&b, field_len);
    struct cursor c = cursor_of(b);
    struct bytes covered = cursor_take(&c, data_len + ENCODING_SIZE);
    uint32_t stored_crc = cursor_be32(&c);
    if (c.bad)
        return err_set(err, ERR_CORRUPT, "chunk is cut at %zu of %" PRIu64 " bytes",
                       b.len, data_len + ENCODING_SIZE + TSDB_CHUNK_CRC_SIZE);
    if (crc32c(covered) != stored_crc)
        return err_set(err, ERR_CORRUPT, "chunk: checksum differs");
    if (!is_known(covered.at[0]))
        return err_set(err, ERR_UNSUPPORTED, "chunk encoding %u is not known",
                       covered.at[0]);
    out->encoding = (enum tsdb_chunk_encoding)covered.at[0];
    bytes_skip(&covered, ENCODING_SIZE);
    out->data = covered;
    return true;
}
