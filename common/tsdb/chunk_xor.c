/* SPDX-License-Identifier: Apache-2.0 */
/* Timestamps are coded as the change of their distance, in one of five widths; values as
 * the bits in which they differ from the value before, of which only a window is
 * stored. The window stays until it does not fit. All arithmetic wraps. */
#include "common/tsdb/chunk_xor.h"

#include "common/base/check.h"
#include "common/codec/varint.h"

enum { COUNT_SIZE = 2, MAX_COUNT = 65535, MAX_LEAD = 31, NO_WINDOW = 0xff };

/* Widths of the distance changes that are not zero: prefix bits, then the field. */
static const struct {
    unsigned prefix;
    unsigned prefix_bits;
    unsigned bits;
} widths[] = {{2, 2, 14}, {6, 3, 17}, {14, 4, 20}};

enum { WIDTHS = sizeof widths / sizeof widths[0], FULL_PREFIX = 15, FULL_PREFIX_BITS = 4 };

bool
tsdb_xor_reader_init(struct tsdb_xor_reader *r, struct bytes data, struct err *err)
{
    if (data.len < COUNT_SIZE)
        return err_set(err, ERR_CORRUPT, "XOR chunk of %zu bytes", data.len);
    uint32_t count = be16_load(data.at);
    bytes_skip(&data, COUNT_SIZE);
    *r = (struct tsdb_xor_reader){.bits = bits_reader_of(data), .count = count};
    return true;
}

/* A field of n bits; its range is shifted by one against two's complement. */
static uint64_t
read_biased(struct bits_reader *b, unsigned n)
{
    uint64_t u = bits_read(b, n);
    return u > UINT64_C(1) << (n - 1) ? u - (UINT64_C(1) << n) : u;
}

static uint64_t
read_distance_change(struct bits_reader *b)
{
    if (bits_read(b, 1) == 0)
        return 0;
    for (unsigned i = 0; i < WIDTHS; i++)
        if (bits_read(b, 1) == 0)
            return read_biased(b, widths[i].bits);
    return bits_read(b, 64);
}

static bool
read_value(struct tsdb_xor_reader *r)
{
    if (bits_read(&r->bits, 1) == 0)
        return true;
    if (bits_read(&r->bits, 1) == 1) {
        unsigned lead = (unsigned)bits_read(&r->bits, 5);
        unsigned significant = (unsigned)bits_read(&r->bits, 6);
        if (significant == 0)
            significant = 64;
        if (lead + significant > 64)
            return false;
        r->lead = lead;
        r->trail = 64 - lead - significant;
    }
    r->value ^= bits_read(&r->bits, 64 - r->lead - r->trail) << r->trail;
    return true;
}

bool
tsdb_xor_next(struct tsdb_xor_reader *r, struct tsdb_sample *sample, bool *end,
              struct err *err)
{
    bool fits = true;
    *end = r->seen == r->count;
    if (*end)
        return true;
    if (r->seen == 0) {
        r->t = bits_read_varint(&r->bits);
        r->value = bits_read(&r->bits, 64);
    } else {
        r->delta = r->seen == 1 ? bits_read_uvarint(&r->bits)
                                : r->delta + read_distance_change(&r->bits);
        r->t = (int64_t)((uint64_t)r->t + r->delta);
        fits = read_value(r);
    }
    if (r->bits.bad || !fits)
        return err_set(err, ERR_CORRUPT, "XOR chunk: sample %u of %u is cut or damaged",
                       r->seen + 1, r->count);
    r->seen++;
    *sample = (struct tsdb_sample){r->t, r->value};
    return true;
}

void
tsdb_xor_writer_init(struct tsdb_xor_writer *w, struct buf *out)
{
    *w = (struct tsdb_xor_writer){.out = out, .count_at = out->len, .lead = NO_WINDOW};
    buf_put(out, bytes_of((const uint8_t[COUNT_SIZE]){0}, COUNT_SIZE));
    w->bits = bits_writer_of(out);
}

static void
write_distance_change(struct bits_writer *b, uint64_t change)
{
    if (change == 0) {
        bits_write(b, 0, 1);
        return;
    }
    for (unsigned i = 0; i < WIDTHS; i++) {
        int64_t most = INT64_C(1) << (widths[i].bits - 1);
        if ((int64_t)change > most || (int64_t)change < 1 - most)
            continue;
        bits_write(b, widths[i].prefix, widths[i].prefix_bits);
        bits_write(b, change, widths[i].bits);
        return;
    }
    bits_write(b, FULL_PREFIX, FULL_PREFIX_BITS);
    bits_write(b, change, 64);
}

static void
write_value(struct tsdb_xor_writer *w, uint64_t value)
{
    uint64_t x = value ^ w->value;
    if (x == 0) {
        bits_write(&w->bits, 0, 1);
        return;
    }
    unsigned lead = (unsigned)__builtin_clzll(x);
    unsigned trail = (unsigned)__builtin_ctzll(x);
    if (lead > MAX_LEAD)
        lead = MAX_LEAD;
    if (w->lead != NO_WINDOW && lead >= w->lead && trail >= w->trail) {
        bits_write(&w->bits, 2, 2);
    } else {
        w->lead = lead;
        w->trail = trail;
        bits_write(&w->bits, 3, 2);
        bits_write(&w->bits, lead, 5);
        bits_write(&w->bits, 64 - lead - trail, 6); /* 64 is written as 0 */
    }
    bits_write(&w->bits, x >> w->trail, 64 - w->lead - w->trail);
}

static void
write_varint(struct bits_writer *b, const uint8_t *at, size_t len)
{
    for (size_t i = 0; i < len; i++)
        bits_write(b, at[i], 8);
}

void
tsdb_xor_append(struct tsdb_xor_writer *w, struct tsdb_sample sample)
{
    uint8_t raw[VARINT_MAX_BYTES];
    uint64_t delta = (uint64_t)sample.t_ms - (uint64_t)w->t;
    CHECK(w->count < MAX_COUNT);
    if (w->count == 0) {
        write_varint(&w->bits, raw, varint_store_i64(raw, sample.t_ms));
        bits_write(&w->bits, sample.value_bits, 64);
        delta = 0;
    } else {
        if (w->count == 1)
            write_varint(&w->bits, raw, varint_store_u64(raw, delta));
        else
            write_distance_change(&w->bits, delta - w->delta);
        write_value(w, sample.value_bits);
    }
    w->t = sample.t_ms;
    w->delta = delta;
    w->value = sample.value_bits;
    w->count++;
}

void
tsdb_xor_finish(struct tsdb_xor_writer *w)
{
    bits_flush(&w->bits);
    if (w->out->failure.code == ERR_NONE)
        be16_store(w->out->at + w->count_at, (uint16_t)w->count);
}
