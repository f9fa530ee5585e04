/* SPDX-License-Identifier: Apache-2.0 */
#include "common/codec/bits.h"

#include "common/base/check.h"
#include "common/base/num.h"
#include "common/codec/varint.h"

struct bits_reader
bits_reader_of(struct bytes b)
{
    return (struct bits_reader){.rest = b};
}

/* Replace the empty window by the next 8 bytes, or by as many as are left. */
static void
refill(struct bits_reader *r)
{
    if (r->rest.len >= sizeof r->window) {
        r->window = be64_load(r->rest.at);
        r->loaded = 64;
        bytes_skip(&r->rest, sizeof r->window);
        return;
    }
    r->window = 0;
    for (size_t i = 0; i < r->rest.len; i++)
        r->window |= (uint64_t)r->rest.at[i] << (56 - 8 * i);
    r->loaded = (unsigned)r->rest.len * 8;
    r->rest.len = 0;
}

static uint64_t
fail(struct bits_reader *r)
{
    *r = (struct bits_reader){.bad = true};
    return 0;
}

/* The next n bits of the window, which holds them. */
static uint64_t
take(struct bits_reader *r, unsigned n)
{
    if (n < 64)
        return bits_read(r, n);
    r->loaded = 0;
    return r->window;
}

uint64_t
bits_read_long(struct bits_reader *r, unsigned n)
{
    CHECK(n <= 64);
    unsigned missing = n - r->loaded;
    uint64_t high = take(r, r->loaded);
    refill(r);
    if (missing > r->loaded)
        return fail(r);
    uint64_t low = take(r, missing);
    return missing == 64 ? low : high << missing | low;
}

unsigned
bits_read_ones_long(struct bits_reader *r, unsigned max)
{
    unsigned ones = 0;
    CHECK(max < 64);
    while (ones < max && bits_read(r, 1) != 0)
        ones++;
    return ones;
}

uint64_t
bits_read_uvarint(struct bits_reader *r)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < VARINT_MAX_BYTES; i++) {
        uint64_t byte = bits_read(r, 8);
        if (i == VARINT_MAX_BYTES - 1 && byte > 1)
            break;
        v |= (byte & 0x7f) << (7 * i);
        if (byte < 0x80)
            return r->bad ? 0 : v;
    }
    return fail(r);
}

int64_t
bits_read_varint(struct bits_reader *r)
{
    return varint_unzigzag(bits_read_uvarint(r));
}

struct bits_writer
bits_writer_of(struct buf *out)
{
    return (struct bits_writer){.out = out};
}

void
bits_write_long(struct bits_writer *w, uint64_t v, unsigned n)
{
    uint8_t raw[sizeof w->pending];
    unsigned room = 64 - w->used; /* at least 1 */
    CHECK(n <= 64);
    if (n == 0)
        return;
    v <<= 64 - n;
    be64_store(raw, w->pending | v >> w->used);
    buf_put(w->out, bytes_of(raw, sizeof raw));
    w->used = n - room;
    w->pending = room < 64 ? v << room : 0;
}

void
bits_write_ones(struct bits_writer *w, unsigned ones, unsigned max)
{
    CHECK(ones <= max && max < 64);
    bits_write(w, UINT64_MAX, ones);
    bits_write(w, 0, ones < max);
}

static void
write_bytes(struct bits_writer *w, const uint8_t *at, size_t len)
{
    for (size_t i = 0; i < len; i++)
        bits_write(w, at[i], 8);
}

void
bits_write_uvarint(struct bits_writer *w, uint64_t v)
{
    uint8_t at[VARINT_MAX_BYTES];
    write_bytes(w, at, varint_store_u64(at, v));
}

void
bits_write_varint(struct bits_writer *w, int64_t v)
{
    uint8_t at[VARINT_MAX_BYTES];
    write_bytes(w, at, varint_store_i64(at, v));
}

void
bits_flush(struct bits_writer *w)
{
    uint8_t raw[sizeof w->pending];
    be64_store(raw, w->pending);
    buf_put(w->out, bytes_of(raw, (w->used + 7) / 8));
    w->pending = 0;
    w->used = 0;
}
