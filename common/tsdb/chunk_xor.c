/* SPDX-License-Identifier: Apache-2.0 */
/* Timestamps are deltas of deltas, values the bits that differ from the sample before,
 * both behind short prefixes. Arithmetic is unsigned, because it wraps. */
#include "common/tsdb/chunk_xor.h"

#include "common/base/check.h"
#include "common/codec/varbit.h"

enum { COUNT_SIZE = 2, DOD_MAX_ONES = 4 };

/* Width of the delta of delta behind 0 to DOD_MAX_ONES ones. */
static const uint8_t dod_widths[DOD_MAX_ONES + 1] = {0, 14, 17, 20, 64};

/* Bits that count samples take at least. */
static uint64_t
fewest_bits(uint64_t count)
{
    enum { FIRST = 8 + 64, SECOND = 8 + 1, OTHER = 1 + 1 };
    if (count < 2)
        return count * FIRST;
    return FIRST + SECOND + (count - 2) * OTHER;
}

bool
tsdb_xor_reader_init(struct tsdb_xor_reader *r, struct bytes data, struct err *err)
{
    if (data.len < COUNT_SIZE)
        return err_set(err, ERR_CORRUPT, "XOR chunk cut at %zu bytes", data.len);
    uint32_t count = be16_load(data.at);
    bytes_skip(&data, COUNT_SIZE);
    if (fewest_bits(count) > (uint64_t)data.len * 8)
        return err_set(err, ERR_CORRUPT, "XOR chunk: %zu bytes hold no %u samples",
                       data.len, count);
    *r = (struct tsdb_xor_reader){.bits = bits_reader_of(data), .count = count};
    return true;
}

static uint64_t
read_dod(struct bits_reader *bits)
{
    unsigned ones = 0;
    while (ones < DOD_MAX_ONES && bits_read(bits, 1) != 0)
        ones++;
    if (ones == 0)
        return 0;
    unsigned width = dod_widths[ones];
    return varbit_unbias(bits_read(bits, width), width);
}

bool
tsdb_xor_next(struct tsdb_xor_reader *r, struct tsdb_sample *sample, bool *end,
              struct err *err)
{
    *end = r->seen == r->count;
    if (*end)
        return true;
    if (r->seen == 0) {
        r->t = bits_read_varint(&r->bits);
        r->value.bits = bits_read(&r->bits, 64);
    } else {
        r->delta =
            r->seen == 1 ? bits_read_uvarint(&r->bits) : r->delta + read_dod(&r->bits);
        r->t = (int64_t)((uint64_t)r->t + r->delta);
        tsdb_xor_value_read(&r->value, &r->bits);
    }
    if (r->bits.bad)
        return err_set(err, ERR_CORRUPT, "XOR chunk broken in sample %u of %u",
                       r->seen + 1, r->count);
    r->seen++;
    *sample = (struct tsdb_sample){r->t, r->value.bits};
    return true;
}

/* The loop of tsdb_xor_read_all. It reads at any bit and has no check in between:
 * before each sample, the longest one and what the loads reach behind it are known to
 * be there. What is rare is left to tsdb_xor_next. */
struct fast {
    const uint8_t *data;
    uint64_t at; /* bit of data */
    struct tsdb_xor_reader r;
};

/* A sample has at most 145 bits; a load reaches 9 bytes from the one it begins in. */
enum { FAST_SLACK_BYTES = 32 };

/* The next 57 bits, and up to 7 more. One load: what follows waits for it. */
static inline uint64_t
peek_57(const struct fast *f)
{
    return be64_load(f->data + (f->at >> 3)) << (f->at & 7);
}

static inline uint64_t
peek_64(const struct fast *f)
{
    unsigned behind = f->data[(f->at >> 3) + sizeof(uint64_t)];
    return peek_57(f) | behind >> (8 - (f->at & 7));
}

/* Read the bits that change the value; lead and trail say where. */
static inline void
fast_value(struct fast *f)
{
    unsigned width = 64 - f->r.value.lead - f->r.value.trail; /* 1 to 64 */
    f->r.value.bits ^= peek_64(f) >> (64 - width) << f->r.value.trail;
    f->at += width;
}

/* Take a new window from next, whose first bits describe it; false if it is broken. */
static inline bool
fast_window(struct fast *f, uint64_t next)
{
    unsigned lead = (unsigned)(next >> (64 - TSDB_XOR_LEAD_BITS));
    unsigned significant =
        (unsigned)(next << TSDB_XOR_LEAD_BITS >> (64 - TSDB_XOR_SIGNIFICANT_BITS));
    if (significant == 0)
        significant = 64;
    if (lead + significant > 64)
        return false;
    f->r.value.lead = lead;
    f->r.value.trail = 64 - lead - significant;
    f->at += TSDB_XOR_LEAD_BITS + TSDB_XOR_SIGNIFICANT_BITS;
    return true;
}

/* The delta of delta behind so many ones, fewer than four; next begins behind the zero
 * that ends them. */
static inline uint64_t
fast_dod(uint64_t next, unsigned width)
{
    uint64_t field = next >> (64 - width);
    uint64_t range = UINT64_C(1) << width;
    return field > range / 2 ? field - range : field;
}

/* Read one sample; false, with f->at somewhere, if it is rare or broken. Branches, not
 * tables: the bits of a chunk are much alike, and a guess need not wait for loads. */
static inline bool
fast_sample(struct fast *f)
{
    uint64_t next = peek_57(f);
    uint64_t delta = f->r.delta;
    unsigned used;
    if (next >> 63 == 0) {
        used = 1;
    } else if (next >> 62 == 0x2) {
        delta += fast_dod(next << 2, dod_widths[1]);
        used = 2 + dod_widths[1];
    } else if (next >> 61 == 0x6) {
        delta += fast_dod(next << 3, dod_widths[2]);
        used = 3 + dod_widths[2];
    } else {
        return false;
    }
    next <<= used; /* 37 bits are left at least */
    f->at += used + 1;
    if (next >> 63 != 0) {
        f->at++;
        if ((next >> 62 & 1) != 0 && !fast_window(f, next << 2))
            return false;
        fast_value(f);
    }
    f->r.delta = delta;
    f->r.t = (int64_t)((uint64_t)f->r.t + delta);
    return true;
}

/* Read samples up to one that is rare, or near the end of data, which r reads. */
static void
read_fast(struct tsdb_xor_reader *r, struct bytes data, struct tsdb_sample *to)
{
    struct fast f = {data.at, 8 * (uint64_t)data.len - bits_left(&r->bits), *r};
    if (data.len < FAST_SLACK_BYTES)
        return;
    uint64_t last = 8 * (uint64_t)(data.len - FAST_SLACK_BYTES);
    uint64_t begin = f.at;
    while (f.r.seen < f.r.count && f.at <= last && fast_sample(&f)) {
        to[f.r.seen++] = (struct tsdb_sample){f.r.t, f.r.value.bits};
        begin = f.at;
    }
    bytes_skip(&data, begin / 8);
    f.r.bits = bits_reader_of(data);
    bits_read(&f.r.bits, begin % 8);
    *r = f.r;
}

bool
tsdb_xor_read_all(struct tsdb_xor_reader *r, struct tsdb_sample *to, struct err *err)
{
    struct bytes data = r->bits.rest;
    while (r->seen < r->count) {
        bool end;
        if (!tsdb_xor_next(r, &to[r->seen], &end, err))
            return false;
        if (r->seen > 1 && bits_left(&r->bits) > 8 * FAST_SLACK_BYTES)
            read_fast(r, data, to);
    }
    return true;
}

void
tsdb_xor_writer_init(struct tsdb_xor_writer *w, struct buf *out)
{
    *w = (struct tsdb_xor_writer){.out = out,
                                  .count_at = out->len,
                                  .bits = bits_writer_of(out),
                                  .value = {.lead = TSDB_XOR_NO_WINDOW}};
    bits_write(&w->bits, 0, 8 * COUNT_SIZE);
}

/* Behind as many ones as the first width has that holds it. */
static void
write_dod(struct bits_writer *bits, int64_t dod)
{
    unsigned ones = dod == 0 ? 0 : 1;
    while (dod != 0 && !varbit_fits(dod, dod_widths[ones]))
        ones++;
    bits_write_ones(bits, ones, DOD_MAX_ONES);
    bits_write(bits, (uint64_t)dod, dod_widths[ones]);
}

void
tsdb_xor_append(struct tsdb_xor_writer *w, struct tsdb_sample sample)
{
    uint64_t delta = (uint64_t)sample.t_ms - (uint64_t)w->t;
    CHECK(w->count < UINT16_MAX);
    if (w->count == 0) {
        bits_write_varint(&w->bits, sample.t_ms);
        bits_write(&w->bits, sample.value_bits, 64);
        w->value.bits = sample.value_bits;
    } else {
        if (w->count == 1)
            bits_write_uvarint(&w->bits, delta);
        else
            write_dod(&w->bits, (int64_t)(delta - w->delta));
        tsdb_xor_value_write(&w->value, &w->bits, sample.value_bits);
    }
    w->delta = delta;
    w->t = sample.t_ms;
    w->count++;
}

void
tsdb_xor_finish(struct tsdb_xor_writer *w)
{
    bits_flush(&w->bits);
    if (w->out->len >= w->count_at + COUNT_SIZE) /* unless out failed before */
        be16_store(w->out->at + w->count_at, (uint16_t)w->count);
}
