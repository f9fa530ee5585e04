/* SPDX-License-Identifier: Apache-2.0 */
/* As in XOR chunks, but one prefix tells of time and value together, and stale markers
 * are no values: they have a code of their own, and the next value is the difference
 * to the last one that was not stale. */
#include "common/tsdb/chunk_xor2.h"

enum { HEADER_SIZE = 3, CONTROL_MAX_ONES = 5, VALUE_MAX_ONES = 3 };

/* What the control prefix of a sample says, by its ones. */
enum { SAME = 0, SAME_DELTA = 1, FIRST_DOD = 2, LAST_DOD = 4 };

/* Width of the delta of delta, in two's complement. */
static const uint8_t dod_widths[LAST_DOD + 1] = {0, 0, 13, 20, 64};

/* Bits that count samples take at least. */
static uint64_t
fewest_bits(uint64_t count)
{
    enum { FIRST = 8 + 64, SECOND = 8 + 1, OTHER = 1 };
    if (count < 2)
        return count * FIRST;
    return FIRST + SECOND + (count - 2) * OTHER;
}

bool
tsdb_xor2_reader_init(struct tsdb_xor2_reader *r, struct bytes data, struct err *err)
{
    if (data.len < HEADER_SIZE)
        return err_set(err, ERR_CORRUPT, "XOR2 chunk cut at %zu bytes", data.len);
    uint32_t count = be16_load(data.at);
    uint8_t start_header = data.at[2];
    bytes_skip(&data, HEADER_SIZE);
    if (fewest_bits(count) > (uint64_t)data.len * 8)
        return err_set(err, ERR_CORRUPT, "XOR2 chunk: %zu bytes hold no %u samples",
                       data.len, count);
    *r = (struct tsdb_xor2_reader){.bits = bits_reader_of(data),
                                   .count = count,
                                   .start = tsdb_start_time_of(start_header)};
    return true;
}

/* The value of the first sample, which stands there as it is. */
static uint64_t
read_first_value(struct tsdb_xor2_reader *r)
{
    uint64_t value = bits_read(&r->bits, 64);
    if (value != TSDB_STALE_BITS)
        r->value.bits = value;
    return value;
}

static uint64_t
read_value(struct tsdb_xor2_reader *r)
{
    switch (bits_read_ones(&r->bits, VALUE_MAX_ONES)) {
    case 0:
        return r->value.bits;
    case 1:
        break;
    case 2:
        tsdb_xor_value_read_window(&r->value, &r->bits);
        break;
    default:
        return TSDB_STALE_BITS;
    }
    tsdb_xor_value_read_change(&r->value, &r->bits);
    return r->value.bits;
}

/* A value that differs from the one before and is not stale. */
static uint64_t
read_other_value(struct tsdb_xor2_reader *r)
{
    if (bits_read(&r->bits, 1) != 0)
        tsdb_xor_value_read_window(&r->value, &r->bits);
    tsdb_xor_value_read_change(&r->value, &r->bits);
    return r->value.bits;
}

static uint64_t
read_dod(struct bits_reader *bits, unsigned width)
{
    uint64_t field = bits_read(bits, width);
    bool is_negative = width < 64 && field >> (width - 1) != 0;
    return is_negative ? field - (UINT64_C(1) << width) : field;
}

/* Step r->t and return the value of a sample that is neither the first nor the second.
 */
static uint64_t
read_sample(struct tsdb_xor2_reader *r)
{
    unsigned ones = bits_read_ones(&r->bits, CONTROL_MAX_ONES);
    bool has_dod = ones >= FIRST_DOD && ones <= LAST_DOD;
    if (has_dod)
        r->delta += read_dod(&r->bits, dod_widths[ones]);
    r->t = (int64_t)((uint64_t)r->t + r->delta);
    if (has_dod)
        return read_value(r);
    if (ones == SAME_DELTA)
        return read_other_value(r);
    return ones == SAME ? r->value.bits : TSDB_STALE_BITS;
}

bool
tsdb_xor2_next(struct tsdb_xor2_reader *r, struct tsdb_sample *sample, bool *end,
               struct err *err)
{
    int64_t before_ms = r->t;
    uint64_t value;
    *end = r->seen == r->count;
    if (*end)
        return true;
    if (r->seen == 0) {
        r->t = bits_read_varint(&r->bits);
        value = read_first_value(r);
    } else if (r->seen == 1) {
        r->delta = bits_read_uvarint(&r->bits);
        r->t = (int64_t)((uint64_t)r->t + r->delta);
        value = read_value(r);
    } else {
        value = read_sample(r);
    }
    tsdb_start_time_read(&r->start, &r->bits, r->seen, r->t, before_ms);
    if (r->bits.bad)
        return err_set(err, ERR_CORRUPT, "XOR2 chunk broken in sample %u of %u",
                       r->seen + 1, r->count);
    r->seen++;
    *sample = (struct tsdb_sample){r->t, value};
    return true;
}
