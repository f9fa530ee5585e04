/* SPDX-License-Identifier: Apache-2.0 */
/* Payloads with a right length and a right checksum around them, so that a parser reads
 * past both. */
#ifndef TESTS_SUPPORT_SEAL_H
#define TESTS_SUPPORT_SEAL_H

#include "common/base/buf.h"
#include "common/codec/crc32c.h"
#include "common/codec/varint.h"

/* Append the BE32 CRC of what stands behind position from. */
static inline void
put_crc_from(struct buf *b, size_t from)
{
    buf_put_be32(b, crc32c(bytes_of(b->at + from, b->len - from)));
}

/* Append "BE32 length | payload | BE32 crc". */
static inline void
put_section(struct buf *b, struct bytes payload)
{
    buf_put_be32(b, (uint32_t)payload.len);
    size_t from = b->len;
    buf_put(b, payload);
    put_crc_from(b, from);
}

/* Append "uvarint length | payload | BE32 crc". */
static inline void
put_record(struct buf *b, struct bytes payload)
{
    varint_put_u64(b, payload.len);
    size_t from = b->len;
    buf_put(b, payload);
    put_crc_from(b, from);
}

#endif
