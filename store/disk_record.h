/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of the disk cache's files: what was read of objects, appended record by
 * record. All integers are big-endian.
 *
 *   file      a head, records without gaps, and, once it is full, their table
 *   head      0  u32 "BRC", version of this format
 *             4  u32 CRC-32C of what follows
 *             8  u32 number of the file
 *             12 u32 CRC-32C of the name of the bucket
 *   record    0  u32 "BRR", version
 *             4  u32 CRC-32C of what follows, key included
 *             8  u32 CRC-32C of the content as it is stored
 *             12 u16 length of the key
 *             14 u16 flags: 1 the content is a zstd frame, 2 forget (below)
 *             16 u32 length of the content as it is stored
 *             20 u32 bytes that were read: fewer than asked at the end of the object
 *             24 u64 offset and
 *             32 u64 length that were asked of the object
 *             40 key of the object, then the content
 *   table     24 bytes per record: u64 hash, u32 group, u32 position, u32 length,
 *             u32 flags, as in the record
 *   tail      0  u32 "BRT", version
 *             4  u32 CRC-32C of the table and of what follows
 *             8  u32 position of the table
 *             12 u32 records
 *
 * Hash and group find ranges in memory: store_disk_hash, store_disk_group. A record
 * that says forget has no content, and as its key that of a group, or none: what stands
 * in front of it, in all files, is void.
 *
 * Pure: bytes in, values out. */
#ifndef STORE_DISK_RECORD_H
#define STORE_DISK_RECORD_H

#include "common/base/buf.h"
#include "store/range_cache.h"

enum {
    STORE_DISK_HEAD_SIZE = 16,
    STORE_DISK_RECORD_SIZE = 40, /* without key and content */
    STORE_DISK_ROW_SIZE = 24,
    STORE_DISK_TAIL_SIZE = 16,
    STORE_DISK_MAX_KEY = 512
};

enum { STORE_DISK_ZSTD = 1, STORE_DISK_FORGET = 2 };

/* A record but for its content. */
struct store_disk_record {
    struct store_range range; /* the key is borrowed */
    unsigned flags;
    uint32_t content_crc;
    uint32_t content_len;
    uint32_t data_len;
};

/* A row of a table, and what memory holds of a record. */
struct store_disk_row {
    uint64_t hash;
    uint32_t group;
    uint32_t at;
    uint32_t len; /* of the whole record */
    unsigned flags;
};

/* Under what a range is looked for; different ranges may share it. */
uint64_t store_disk_hash(const struct store_range *r);

/* What the objects of a block have in common: key is that of one of them, or the name
 * of the block. */
uint32_t store_disk_group(struct bytes key);

void store_disk_print_head(uint32_t number, struct bytes bucket,
                           uint8_t head[STORE_DISK_HEAD_SIZE]);

/* Whether a file that should have this number and be of this bucket is. */
NODISCARD bool store_disk_check_head(const uint8_t head[STORE_DISK_HEAD_SIZE],
                                     uint32_t number, struct bytes bucket);

/* Append a record but for its content. The key has at most STORE_DISK_MAX_KEY bytes. */
void store_disk_put_record(struct buf *b, const struct store_disk_record *r);

/* Read a record whose first bytes are given, the key among them; the rest of them does
 * not matter. Nothing is read behind them, nor believed of a record that its checksum
 * does not cover.
 * Errors ERR_CORRUPT. */
NODISCARD bool store_disk_parse_record(struct bytes bytes, struct store_disk_record *r,
                                       struct err *err);

/* Bytes of a record with its content. */
uint64_t store_disk_record_len(const struct store_disk_record *r);

/* The row of a record that stands at a position. */
struct store_disk_row store_disk_row_of(const struct store_disk_record *r, uint32_t at);

/* Append a row to what is to become a table. */
void store_disk_put_row(struct buf *table, const struct store_disk_row *row);
struct store_disk_row store_disk_parse_row(const uint8_t row[STORE_DISK_ROW_SIZE]);

/* Append the tail to a table that is to stand at a position. */
void store_disk_put_tail(struct buf *table, uint32_t at);

/* Where the table of a file of so many bytes stands, according to its tail.
 * Errors ERR_CORRUPT: there is none, or it cannot be there. */
NODISCARD bool store_disk_parse_tail(const uint8_t tail[STORE_DISK_TAIL_SIZE],
                                     uint64_t file_size, uint32_t *at, uint32_t *count,
                                     struct err *err);

/* Whether table, of which the tail is a part, is what was written, and its rows are
 * inside what stands in front of it. */
NODISCARD bool store_disk_check_table(struct bytes table, uint32_t at);

#endif
