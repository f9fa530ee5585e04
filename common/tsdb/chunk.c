/* SPDX-License-Identifier: Apache-2.0 */
#include "common/tsdb/chunk.h"

#include "common/codec/crc32c.h"
#include "common/tsdb/record_priv.h"

enum { SEGMENT_MAGIC = 0x85BD40DD, SEGMENT_VERSION = 1 };

_Static_assert((int)TSDB_CHUNK_MAX_HEAD == TSDB_RECORD_MAX_LENGTH_FIELD + 1 &&
                   (int)TSDB_CHUNK_CRC_SIZE == TSDB_RECORD_CRC_SIZE,
               "layout of a chunk record");

/* NULL for an encoding that is not known. */
static const char *
known_name(enum tsdb_chunk_encoding encoding)
{
    switch (encoding) {
    case TSDB_CHUNK_XOR:
        return "XOR";
    case TSDB_CHUNK_HISTOGRAM:
        return "HISTOGRAM";
    case TSDB_CHUNK_FLOAT_HISTOGRAM:
        return "FLOAT_HISTOGRAM";
    case TSDB_CHUNK_XOR2:
        return "XOR2";
    case TSDB_CHUNK_HISTOGRAM_ST:
        return "HISTOGRAM_ST";
    case TSDB_CHUNK_FLOAT_HISTOGRAM_ST:
        return "FLOAT_HISTOGRAM_ST";
    case TSDB_CHUNK_AGGR:
        return "AGGR";
    case TSDB_CHUNK_NONE:
        break;
    }
    return NULL;
}

const char *
tsdb_chunk_encoding_name(enum tsdb_chunk_encoding encoding)
{
    const char *name = known_name(encoding);
    return name != NULL ? name : "unknown";
}

uint32_t
tsdb_chunk_crc(const struct tsdb_chunk *c)
{
    const uint8_t encoding = (uint8_t)c->encoding;
    return crc32c_extend(crc32c(bytes_of(&encoding, 1)), c->data);
}

bool
tsdb_chunk_segment_header_parse(struct bytes header, struct err *err)
{
    struct cursor c = cursor_of(header);
    uint32_t magic = cursor_be32(&c);
    uint8_t version = cursor_u8(&c);
    cursor_take(&c, 3); /* padding */
    if (c.bad || magic != SEGMENT_MAGIC)
        return err_set(err, ERR_CORRUPT, "not a chunk segment");
    if (version != SEGMENT_VERSION)
        return err_set(err, ERR_UNSUPPORTED, "chunk segment of version %d", version);
    return true;
}

bool
tsdb_chunk_size(struct bytes b, uint64_t *size)
{
    struct cursor c = cursor_of(b);
    uint64_t length = tsdb_record_length(&c);
    if (c.bad)
        return false;
    *size = (b.len - c.rest.len) + 1 + length + TSDB_CHUNK_CRC_SIZE;
    return true;
}

bool
tsdb_chunk_parse(struct tsdb_chunk *c, struct bytes b, struct err *err)
{
    struct cursor outer = cursor_of(b);
    uint64_t length = tsdb_record_length(&outer);
    struct bytes data = cursor_take(&outer, length + 1);
    uint32_t stored_crc = cursor_be32(&outer);
    if (outer.bad)
        return err_set(err, ERR_CORRUPT, "chunk cut at %zu bytes", b.len);
    if (crc32c(data) != stored_crc)
        return err_set(err, ERR_CORRUPT, "chunk checksum mismatch");
    enum tsdb_chunk_encoding encoding = data.at[0];
    if (known_name(encoding) == NULL)
        return err_set(err, ERR_UNSUPPORTED, "chunk encoding %d", data.at[0]);
    bytes_skip(&data, 1);
    *c = (struct tsdb_chunk){.encoding = encoding, .data = data, .crc = stored_crc};
    return true;
}
