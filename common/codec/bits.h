/* SPDX-License-Identifier: Apache-2.0 */
/* Bit streams of Prometheus chunks, most significant bit of each byte first: bounded
 * reader with a sticky error, and writer into a buf. */
#ifndef COMMON_CODEC_BITS_H
#define COMMON_CODEC_BITS_H

#include "common/base/buf.h"
#include "common/base/bytes.h"

struct bits_reader {
    struct bytes rest; /* bytes not yet loaded */
    uint64_t window;   /* loaded bits, left-aligned */
    unsigned loaded; /* how many of them are left, 0..63 between calls; zeros follow */
    bool bad;        /* read past the end; stays set, reads yield zeros */
};

struct bits_writer {
    struct buf *out;  /* borrowed */
    uint64_t pending; /* bits not yet in out, left-aligned; zeros follow */
    unsigned used;    /* how many of them, 0..63 between calls */
};

struct bits_reader bits_reader_of(struct bytes b);

/* bits_read where the window does not hold all n bits; call that one. */
uint64_t bits_read_long(struct bits_reader *r, unsigned n);

/* The next n bits, right-aligned; n is 0..64. */
static inline uint64_t
bits_read(struct bits_reader *r, unsigned n)
{
    if (n > r->loaded || n == 64)
        return bits_read_long(r, n);
    /* Two shifts: one by 64 would be undefined when n is 0. */
    uint64_t v = r->window >> 1 >> (63 - n);
    r->window <<= n;
    r->loaded -= n;
    return v;
}

/* Bits that are left. */
static inline uint64_t
bits_left(const struct bits_reader *r)
{
    return (uint64_t)r->rest.len * 8 + r->loaded;
}

/* bits_read_ones where the window does not hold max bits; call that one. */
unsigned bits_read_ones_long(struct bits_reader *r, unsigned max);

/* How many ones come before the next zero, which is read along; max of them, below 64,
 * are followed by none. */
static inline unsigned
bits_read_ones(struct bits_reader *r, unsigned max)
{
    if (r->loaded < max)
        return bits_read_ones_long(r, max);
    unsigned ones = (unsigned)__builtin_clzll(~r->window);
    unsigned n = ones < max ? ones + 1 : max;
    r->window <<= n;
    r->loaded -= n;
    return ones < max ? ones : max;
}

/* Byte-wise varints at the current bit position. A value above 64 bits is bad. */
uint64_t bits_read_uvarint(struct bits_reader *r);
int64_t bits_read_varint(struct bits_reader *r);

struct bits_writer bits_writer_of(struct buf *out);

/* bits_write where n is 0, or the bits do not fit beside those that are pending; call
 * that one. */
void bits_write_long(struct bits_writer *w, uint64_t v, unsigned n);

/* Append the low n bits of v; n is 0..64. */
static inline void
bits_write(struct bits_writer *w, uint64_t v, unsigned n)
{
    if (n - 1 >= 63 - w->used) { /* n is 0 or too large */
        bits_write_long(w, v, n);
        return;
    }
    w->pending |= v << (64 - n) >> w->used;
    w->used += n;
}

/* Append so many ones, and a zero if they are fewer than max; max is at most 63. */
void bits_write_ones(struct bits_writer *w, unsigned ones, unsigned max);

/* Byte-wise varints at the current bit position. */
void bits_write_uvarint(struct bits_writer *w, uint64_t v);
void bits_write_varint(struct bits_writer *w, int64_t v);

/* Write what is pending, the last byte padded with zeros. Nothing may be written
 * afterwards. */
void bits_flush(struct bits_writer *w);

#endif
