/* SPDX-License-Identifier: Apache-2.0 */
/* Timestamps are deltas of deltas, values the bits that differ from the sample before,
 * both behind short prefixes. Arithmetic is unsigned, because it wraps. */
#include "common/tsdb/chunk_xor.h"

#include "common/base/check.h"
#include "common/base/num.h"
#include "common/codec/varint.h"

enum {
    COUNT_SIZE = 2,
    MAX_LEAD = 31,
    LEAD_BITS = 5,
    SIGNIFICANT_BITS = 6,
    NO_WINDOW = 0xff
};

/* Width of the delta of delta behind 1, 2, 3 or 4 ones. */
static const unsigned dod_widths[] = {14, 17, 20, 64};

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

/* The range of a field of n bits is shifted by one from two's complement:
 * -(2^(n-1)-1) .. 2^(n-1). */
static uint64_t
read_dod(struct bits_reader *bits)
{
    size_t ones = 0;
    while (ones < ARRAY_LEN(dod_widths) && bits_read(bits, 1))
        ones++;
    if (ones == 0)
        return 0;
    unsigned width = dod_widths[ones - 1];
    uint64_t field = bits_read(bits, width);
    if (width < 64 && field > UINT64_C(1) << (width - 1))
        field -= UINT64_C(1) << width;
    return field;
}

static void
read_value(struct tsdb_xor_reader *r)
{
    if (!bits_read(&r->bits, 1))
        return;
    if (bits_read(&r->bits, 1)) {
        r->lead = (unsigned)bits_read(&r->bits, LEAD_BITS);
        unsigned significant = (unsigned)bits_read(&r->bits, SIGNIFICANT_BITS);
        if (significant == 0)
            significant = 64;
        if (r->lead + significant > 64) {
            r->bits.bad = true;
            return;
        }
        r->trail = 64 - r->lead - significant;
    }
    r->value ^= bits_read(&r->bits, 64 - r->lead - r->trail) << r->trail;
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
        r->value = bits_read(&r->bits, 64);
    } else {
        r->delta =
            r->seen == 1 ? bits_read_uvarint(&r->bits) : r->delta + read_dod(&r->bits);
        r->t = (int64_t)((uint64_t)r->t + r->delta);
        read_value(r);
    }
    if (r->bits.bad)
        return err_set(err, ERR_CORRUPT, "XOR chunk broken in sample %u of %u",
                       r->seen + 1, r->count);
    r->seen++;
    *sample = (struct tsdb_sample){r->t, r->value};
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
    unsigned width = 64 - f->r.lead - f->r.trail; /* 1 to 64 */
    f->r.value ^= peek_64(f) >> (64 - width) << f->r.trail;
    f->at += width;
}

/* Take a new window from next, whose first bits describe it; false if it is broken. */
static inline bool
fast_window(struct fast *f, uint64_t next)
{
    unsigned lead = (unsigned)(next >> (64 - LEAD_BITS));
    unsigned significant = (unsigned)(next << LEAD_BITS >> (64 - SIGNIFICANT_BITS));
    if (significant == 0)
        significant = 64;
    if (lead + significant > 64)
        return false;
    f->r.lead = lead;
    f->r.trail = 64 - lead - significant;
    f->at += LEAD_BITS + SIGNIFICANT_BITS;
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
        delta += fast_dod(next << 2, dod_widths[0]);
        used = 2 + dod_widths[0];
    } else if (next >> 61 == 0x6) {
        delta += fast_dod(next << 3, dod_widths[1]);
        used = 3 + dod_widths[1];
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
        to[f.r.seen++] = (struct tsdb_sample){f.r.t, f.r.value};
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
                                  .lead = NO_WINDOW};
    bits_write(&w->bits, 0, 8 * COUNT_SIZE);
}

static void
write_varint(struct bits_writer *bits, const uint8_t *at, size_t len)
{
    for (size_t i = 0; i < len; i++)
        bits_write(bits, at[i], 8);
}

/* How many ones announce a delta of delta: those of the first width that holds it. */
static unsigned
dod_ones(int64_t dod)
{
    if (dod == 0)
        return 0;
    for (unsigned i = 0; i < ARRAY_LEN(dod_widths) - 1; i++) {
        int64_t limit = INT64_C(1) << (dod_widths[i] - 1);
        if (dod > -limit && dod <= limit)
            return i + 1;
    }
    return ARRAY_LEN(dod_widths);
}

static void
write_dod(struct bits_writer *bits, int64_t dod)
{
    unsigned ones = dod_ones(dod);
    bits_write(bits, 0xf, ones);
    if (ones < ARRAY_LEN(dod_widths))
        bits_write(bits, 0, 1);
    if (ones > 0)
        bits_write(bits, (uint64_t)dod, dod_widths[ones - 1]);
}

static void
write_value(struct tsdb_xor_writer *w, uint64_t value)
{
    uint64_t changed = value ^ w->value;
    bits_write(&w->bits, changed != 0, 1);
    if (changed == 0)
        return;
    unsigned lead = NUM_MIN((unsigned)__builtin_clzll(changed), (unsigned)MAX_LEAD);
    unsigned trail = (unsigned)__builtin_ctzll(changed);
    bool fits = w->lead != NO_WINDOW && lead >= w->lead && trail >= w->trail;
    bits_write(&w->bits, !fits, 1);
    if (!fits) {
        w->lead = lead;
        w->trail = trail;
        bits_write(&w->bits, lead, LEAD_BITS);
        bits_write(&w->bits, 64 - lead - trail, SIGNIFICANT_BITS); /* 64 becomes 0 */
    }
    bits_write(&w->bits, changed >> w->trail, 64 - w->lead - w->trail);
}

void
tsdb_xor_append(struct tsdb_xor_writer *w, struct tsdb_sample sample)
{
    uint8_t varint[VARINT_MAX_BYTES];
    uint64_t delta = (uint64_t)sample.t_ms - (uint64_t)w->t;
    CHECK(w->count < UINT16_MAX);
    if (w->count == 0) {
        write_varint(&w->bits, varint, varint_store_i64(varint, sample.t_ms));
        bits_write(&w->bits, sample.value_bits, 64);
    } else if (w->count == 1) {
        write_varint(&w->bits, varint, varint_store_u64(varint, delta));
        write_value(w, sample.value_bits);
    } else {
        write_dod(&w->bits, (int64_t)(delta - w->delta));
        write_value(w, sample.value_bits);
    }
    w->delta = delta;
    w->t = sample.t_ms;
    w->value = sample.value_bits;
    w->count++;
}

void
tsdb_xor_finish(struct tsdb_xor_writer *w)
{
    bits_flush(&w->bits);
    if (w->out->len >= w->count_at + COUNT_SIZE) /* unless out failed before */
        be16_store(w->out->at + w->count_at, (uint16_t)w->count);
}
