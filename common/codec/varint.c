/* SPDX-License-Identifier: Apache-2.0 */
#include "common/codec/varint.h"

#include "common/base/num.h"

uint64_t
varint_u64_long(struct cursor *c)
{
    size_t len = c->bad ? 0 : NUM_MIN(c->rest.len, (size_t)VARINT_MAX_BYTES);
    uint64_t v = 0;
    for (size_t i = 0; i < len; i++) {
        uint8_t byte = c->rest.at[i];
        v |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte >= 0x80)
            continue;
        if (i == VARINT_MAX_BYTES - 1 && byte > 1)
            break;
        bytes_skip(&c->rest, i + 1);
        return v;
    }
    c->bad = true;
    c->rest.len = 0;
    return 0;
}

size_t
varint_store_u64(uint8_t at[VARINT_MAX_BYTES], uint64_t v)
{
    size_t len = 0;
    for (; v >= 0x80; v >>= 7)
        at[len++] = (uint8_t)(v | 0x80);
    at[len++] = (uint8_t)v;
    return len;
}

static uint64_t
zigzag(int64_t v)
{
    return (uint64_t)v << 1 ^ (v < 0 ? UINT64_MAX : 0);
}

size_t
varint_store_i64(uint8_t at[VARINT_MAX_BYTES], int64_t v)
{
    return varint_store_u64(at, zigzag(v));
}

void
varint_put_u64(struct buf *b, uint64_t v)
{
    uint8_t raw[VARINT_MAX_BYTES];
    buf_put(b, (struct bytes){raw, varint_store_u64(raw, v)});
}

void
varint_put_i64(struct buf *b, int64_t v)
{
    varint_put_u64(b, zigzag(v));
}
