/* SPDX-License-Identifier: Apache-2.0 */
#include "store/disk_record.h"

#include "common/base/check.h"
#include "common/base/cursor.h"
#include "common/codec/crc32c.h"

static const uint32_t HEAD_MAGIC = 0x42524301;   /* "BRC", version 1 */
static const uint32_t RECORD_MAGIC = 0x42525201; /* "BRR" */
static const uint32_t TAIL_MAGIC = 0x42525401;   /* "BRT" */

enum { CRC_AT = 4, CRC_END = 8 };

uint64_t
store_disk_hash(const struct store_range *r)
{
    uint64_t hash = crc32c(r->key);
    hash ^= r->offset * UINT64_C(0x9e3779b97f4a7c15);
    hash = (hash ^ (hash >> 32)) * UINT64_C(0xff51afd7ed558ccd);
    hash ^= r->len * UINT64_C(0xc4ceb9fe1a85ec53);
    hash = (hash ^ (hash >> 29)) * UINT64_C(0xbf58476d1ce4e5b9);
    return hash ^ (hash >> 32);
}

uint32_t
store_disk_group(struct bytes key)
{
    const uint8_t *slash = key.len > 0 ? memchr(key.at, '/', key.len) : NULL;
    return crc32c(slash != NULL ? bytes_of(key.at, (size_t)(slash - key.at)) : key);
}

void
store_disk_print_head(uint32_t number, struct bytes bucket,
                      uint8_t head[STORE_DISK_HEAD_SIZE])
{
    be32_store(head, HEAD_MAGIC);
    be32_store(head + 8, number);
    be32_store(head + 12, crc32c(bucket));
    be32_store(head + CRC_AT,
               crc32c(bytes_of(head + CRC_END, STORE_DISK_HEAD_SIZE - CRC_END)));
}

bool
store_disk_check_head(const uint8_t head[STORE_DISK_HEAD_SIZE], uint32_t number,
                      struct bytes bucket)
{
    uint8_t wanted[STORE_DISK_HEAD_SIZE];
    store_disk_print_head(number, bucket, wanted);
    return memcmp(head, wanted, sizeof wanted) == 0;
}

void
store_disk_put_record(struct buf *b, const struct store_disk_record *r)
{
    size_t begin = b->len;
    CHECK(r->range.key.len <= STORE_DISK_MAX_KEY);
    buf_put_be32(b, RECORD_MAGIC);
    buf_put_be32(b, 0);
    buf_put_be32(b, r->content_crc);
    buf_put_be32(b, (uint32_t)r->range.key.len << 16 | r->flags);
    buf_put_be32(b, r->content_len);
    buf_put_be32(b, r->data_len);
    buf_put_be64(b, r->range.offset);
    buf_put_be64(b, r->range.len);
    buf_put(b, r->range.key);
    be32_store(b->at + begin + CRC_AT,
               crc32c(bytes_of(b->at + begin + CRC_END, b->len - begin - CRC_END)));
}

/* Whether what a right checksum covers can be. */
static bool
is_sane(const struct store_disk_record *r)
{
    bool is_raw = (r->flags & STORE_DISK_ZSTD) == 0;
    if (r->flags == STORE_DISK_FORGET)
        return r->content_len == 0 && r->data_len == 0;
    return r->flags <= STORE_DISK_ZSTD && r->data_len <= r->range.len &&
           r->range.key.len > 0 && (!is_raw || r->content_len == r->data_len);
}

bool
store_disk_parse_record(struct bytes bytes, struct store_disk_record *r,
                        struct err *err)
{
    struct cursor c = cursor_of(bytes);
    uint32_t magic = cursor_be32(&c);
    uint32_t crc = cursor_be32(&c);
    *r = (struct store_disk_record){.content_crc = cursor_be32(&c)};
    uint16_t key_len = cursor_be16(&c);
    r->flags = cursor_be16(&c);
    r->content_len = cursor_be32(&c);
    r->data_len = cursor_be32(&c);
    r->range.offset = cursor_be64(&c);
    r->range.len = cursor_be64(&c);
    r->range.key = cursor_take(&c, key_len);
    if (c.bad || magic != RECORD_MAGIC || key_len > STORE_DISK_MAX_KEY)
        return err_set(err, ERR_CORRUPT, "no record");
    size_t covered = STORE_DISK_RECORD_SIZE + (size_t)key_len - CRC_END;
    if (crc32c(bytes_of(bytes.at + CRC_END, covered)) != crc)
        return err_set(err, ERR_CORRUPT, "checksum mismatch of a record");
    return is_sane(r) || err_set(err, ERR_CORRUPT, "a record contradicts itself");
}

uint64_t
store_disk_record_len(const struct store_disk_record *r)
{
    return STORE_DISK_RECORD_SIZE + r->range.key.len + (uint64_t)r->content_len;
}

struct store_disk_row
store_disk_row_of(const struct store_disk_record *r, uint32_t at)
{
    return (struct store_disk_row){.hash = store_disk_hash(&r->range),
                                   .group = store_disk_group(r->range.key),
                                   .at = at,
                                   .len = (uint32_t)store_disk_record_len(r),
                                   .flags = r->flags};
}

void
store_disk_put_row(struct buf *table, const struct store_disk_row *row)
{
    buf_put_be64(table, row->hash);
    buf_put_be32(table, row->group);
    buf_put_be32(table, row->at);
    buf_put_be32(table, row->len);
    buf_put_be32(table, row->flags);
}

struct store_disk_row
store_disk_parse_row(const uint8_t row[STORE_DISK_ROW_SIZE])
{
    return (struct store_disk_row){.hash = be64_load(row),
                                   .group = be32_load(row + 8),
                                   .at = be32_load(row + 12),
                                   .len = be32_load(row + 16),
                                   .flags = be32_load(row + 20)};
}

/* Of the rows, and of the two numbers at the end of the tail. */
static uint32_t
table_crc(struct bytes rows, const uint8_t *tail)
{
    return crc32c_extend(crc32c(rows), bytes_of(tail + CRC_END, 8));
}

void
store_disk_put_tail(struct buf *table, uint32_t at)
{
    uint8_t tail[STORE_DISK_TAIL_SIZE];
    be32_store(tail, TAIL_MAGIC);
    be32_store(tail + 8, at);
    be32_store(tail + 12, (uint32_t)(table->len / STORE_DISK_ROW_SIZE));
    be32_store(tail + CRC_AT, table_crc(buf_bytes(table), tail));
    buf_put(table, bytes_of(tail, sizeof tail));
}

bool
store_disk_parse_tail(const uint8_t tail[STORE_DISK_TAIL_SIZE], uint64_t file_size,
                      uint32_t *at, uint32_t *count, struct err *err)
{
    *at = be32_load(tail + 8);
    *count = be32_load(tail + 12);
    /* A row is shorter than its record. */
    if (be32_load(tail) != TAIL_MAGIC || *at < STORE_DISK_HEAD_SIZE ||
        *count > *at / STORE_DISK_ROW_SIZE ||
        *at + *count * (uint64_t)STORE_DISK_ROW_SIZE + STORE_DISK_TAIL_SIZE !=
            file_size)
        return err_set(err, ERR_CORRUPT, "no table");
    return true;
}

bool
store_disk_check_table(struct bytes table, uint32_t at)
{
    if (table.len < STORE_DISK_TAIL_SIZE ||
        table.len % STORE_DISK_ROW_SIZE != STORE_DISK_TAIL_SIZE)
        return false;
    struct bytes rows = bytes_of(table.at, table.len - STORE_DISK_TAIL_SIZE);
    const uint8_t *tail = rows.at + rows.len;
    if (be32_load(tail) != TAIL_MAGIC ||
        be32_load(tail + CRC_AT) != table_crc(rows, tail))
        return false;
    for (size_t i = 0; i < rows.len; i += STORE_DISK_ROW_SIZE) {
        struct store_disk_row row = store_disk_parse_row(rows.at + i);
        if (row.at < STORE_DISK_HEAD_SIZE || row.at > at || row.len > at - row.at ||
            row.len < STORE_DISK_RECORD_SIZE)
            return false;
    }
    return true;
}
