/* SPDX-License-Identifier: Apache-2.0 */
/* A record and a table of the disk cache whose checksums are right and whose content is
 * anything. What is taken for a record is what would be written for it. */
#include <stdlib.h>

#include "common/base/check.h"
#include "common/base/num.h"
#include "common/base/xmalloc.h"
#include "common/codec/crc32c.h"
#include "store/disk_record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAGIC_SIZE = 4, CRC_END = 8, KEY_LEN_AT = 12 };

static void
try_record(uint8_t *bytes, size_t size)
{
    CLEANUP(buf_fini) struct buf again = {0};
    struct store_disk_record r;
    struct err err;
    if (size < STORE_DISK_RECORD_SIZE)
        return;
    size_t len = STORE_DISK_RECORD_SIZE + (size_t)be16_load(bytes + KEY_LEN_AT);
    be32_store(bytes, 0x42525201);
    be32_store(bytes + MAGIC_SIZE,
               crc32c(bytes_of(bytes + CRC_END, NUM_MIN(size, len) - CRC_END)));
    if (!store_disk_parse_record(bytes_of(bytes, size), &r, &err))
        return;
    CHECK(r.range.key.len <= STORE_DISK_MAX_KEY && r.data_len <= r.range.len);
    store_disk_put_record(&again, &r);
    CHECK(again.len == len && memcmp(again.at, bytes, len) == 0);
    struct store_disk_row row = store_disk_row_of(&r, 0);
    CHECK(row.flags == r.flags);
}

/* Its rows lead nowhere but in front of it. */
static void
try_table(uint8_t *bytes, size_t size)
{
    struct err err;
    uint32_t at, count;
    if (size < STORE_DISK_TAIL_SIZE)
        return;
    uint8_t *tail = bytes + size - STORE_DISK_TAIL_SIZE;
    size_t rows = size - STORE_DISK_TAIL_SIZE;
    be32_store(tail, 0x42525401);
    be32_store(tail + MAGIC_SIZE, crc32c_extend(crc32c(bytes_of(bytes, rows)),
                                                bytes_of(tail + CRC_END, 8)));
    uint64_t file = be32_load(tail + CRC_END) + (uint64_t)size;
    if (!store_disk_parse_tail(tail, file, &at, &count, &err) ||
        !store_disk_check_table(bytes_of(bytes, size), at))
        return;
    CHECK(count == rows / STORE_DISK_ROW_SIZE && at + (uint64_t)size == file);
    for (size_t i = 0; i < rows; i += STORE_DISK_ROW_SIZE) {
        struct store_disk_row row = store_disk_parse_row(bytes + i);
        CHECK(row.at >= STORE_DISK_HEAD_SIZE && (uint64_t)row.at + row.len <= at);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(xfree) uint8_t *bytes = xcalloc(1, size + 1);
    if (size > 0)
        memcpy(bytes, data, size);
    try_record(bytes, size);
    if (size > 0)
        memcpy(bytes, data, size);
    try_table(bytes, size);
    return 0;
}
