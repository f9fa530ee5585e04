/* SPDX-License-Identifier: Apache-2.0 */
/* Base-128 varints and zigzag, as in Prometheus files and protobuf. */
#ifndef COMMON_CODEC_VARINT_H
#define COMMON_CODEC_VARINT_H

#include "common/base/buf.h"
#include "common/base/cursor.h"

enum { VARINT_MAX_BYTES = 10 };

/* varint_u64 of any length; call that one. */
uint64_t varint_u64_long(struct cursor *c);

/* Read an unsigned varint. Marks c bad (and yields 0) when it is cut or overflows 64
 * bits; non-minimal forms are accepted. */
static inline uint64_t
varint_u64(struct cursor *c)
{
    if (c->bad || c->rest.len == 0 || c->rest.at[0] >= 0x80)
        return varint_u64_long(c);
    uint64_t v = c->rest.at[0];
    bytes_skip(&c->rest, 1);
    return v;
}

/* The signed value that zigzag encoding made v of. */
static inline int64_t
varint_unzigzag(uint64_t v)
{
    return (int64_t)(v >> 1 ^ (0 - (v & 1)));
}

/* Read a zigzag signed varint; as above. */
static inline int64_t
varint_i64(struct cursor *c)
{
    return varint_unzigzag(varint_u64(c));
}

/* Write v; returns the number of bytes, 1..10. */
size_t varint_store_u64(uint8_t at[VARINT_MAX_BYTES], uint64_t v);
size_t varint_store_i64(uint8_t at[VARINT_MAX_BYTES], int64_t v);

/* Bytes that varint_store_u64 would write. */
static inline size_t
varint_size_u64(uint64_t v)
{
    unsigned bits = 64 - (unsigned)__builtin_clzll(v | 1);
    return (bits + 6) / 7;
}

void varint_put_u64(struct buf *b, uint64_t v);
void varint_put_i64(struct buf *b, int64_t v);

#endif
