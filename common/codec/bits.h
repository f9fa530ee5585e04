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
    unsigned loaded;   /* how many of them are left, 0..63 between calls */
    bool bad;          /* read past the end; stays set, reads yield zeros */
};

struct bits_writer {
    struct buf *out; /* borrowed */
    uint8_t partial; /* bits not yet in out, left-aligned */
    unsigned used;   /* how many of them, 0..7 */
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

/* Bits that can be read. */
static inline uint64_t
bits_left(const struct bits_reader *r)
{
    return 8 * (uint64_t)r->rest.len + r->loaded;
}

/* Byte-wise varints at the current bit position. A value above 64 bits is bad. */
uint64_t bits_read_uvarint(struct bits_reader *r);
int64_t bits_read_varint(struct bits_reader *r);

struct bits_writer bits_writer_of(struct buf *out);

/* Append the low n bits of v; n is 0..64. */
void bits_write(struct bits_writer *w, uint64_t v, unsigned n);

/* Pad the last byte with zeros. Nothing may be written afterwards. */
void bits_flush(struct bits_writer *w);

#endif
