/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers of few bits in the streams of bits.h: a prefix of ones tells the width of the
 * field behind it.
 *
 * Format: Prometheus tsdb/chunkenc/varbit.go, tsdb/chunkenc/xor.go. */
#ifndef COMMON_CODEC_VARBIT_H
#define COMMON_CODEC_VARBIT_H

#include "common/codec/bits.h"

enum { VARBIT_MAX_ONES = 8 };

/* Width of the field behind 0 to VARBIT_MAX_ONES ones. */
extern const uint8_t varbit_widths[VARBIT_MAX_ONES + 1];

/* The number that a field of width bits, 1..64, stands for, modulo 2^64. The range is
 * that of two's complement shifted by one, -(2^(width-1)-1) .. 2^(width-1); 64 bits are
 * two's complement itself. */
static inline uint64_t
varbit_unbias(uint64_t field, unsigned width)
{
    bool is_negative = width < 64 && field > UINT64_C(1) << (width - 1);
    return is_negative ? field - (UINT64_C(1) << width) : field;
}

/* Whether a field of width bits, 1..64, can hold v. */
static inline bool
varbit_fits(int64_t v, unsigned width)
{
    if (width >= 64)
        return true;
    int64_t limit = INT64_C(1) << (width - 1);
    return v > -limit && v <= limit;
}

static inline uint64_t
varbit_read_u64(struct bits_reader *r)
{
    if (bits_read(r, 1) == 0)
        return 0;
    unsigned ones = 1 + bits_read_ones(r, VARBIT_MAX_ONES - 1);
    return bits_read(r, varbit_widths[ones]);
}

static inline int64_t
varbit_read_i64(struct bits_reader *r)
{
    if (bits_read(r, 1) == 0)
        return 0;
    unsigned ones = 1 + bits_read_ones(r, VARBIT_MAX_ONES - 1);
    unsigned width = varbit_widths[ones];
    return (int64_t)varbit_unbias(bits_read(r, width), width);
}

/* Append v in the first form that holds it. */
void varbit_write_u64(struct bits_writer *w, uint64_t v);
void varbit_write_i64(struct bits_writer *w, int64_t v);

#endif
