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
