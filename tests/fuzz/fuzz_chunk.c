/* SPDX-License-Identifier: Apache-2.0 */
/* Chunk records: as they come, and with length and checksum repaired. */
#include "common/base/check.h"
#include "common/tsdb/chunk.h"
#include "tests/support/seal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
parse(struct bytes record)
{
    struct tsdb_chunk chunk;
    struct err err = {0};
    uint64_t size;
    if (!tsdb_chunk_parse(&chunk, record, &err)) {
        CHECK(err.code == ERR_CORRUPT || err.code == ERR_UNSUPPORTED);
        return;
    }
    CHECK(tsdb_chunk_size(record, &size) && size <= record.len);
    CHECK(chunk.data.len + TSDB_CHUNK_CRC_SIZE < size);
    CHECK(chunk.data.at >= record.at &&
          chunk.data.at + chunk.data.len <= record.at + size - TSDB_CHUNK_CRC_SIZE);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes in = bytes_of(data, size);
    CLEANUP(buf_fini) struct buf sealed = {0};
    struct err err;
    if (tsdb_chunk_segment_header_parse(in, &err))
        CHECK(size >= TSDB_SEGMENT_HEADER_SIZE);
    parse(in);
    if (size == 0)
        return 0;
    varint_put_u64(&sealed, size - 1); /* the first byte is the encoding */
    size_t from = sealed.len;
    buf_put(&sealed, in);
    put_crc_from(&sealed, from);
    parse(buf_bytes(&sealed));
    return 0;
}
