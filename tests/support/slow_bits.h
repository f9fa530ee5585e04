/* SPDX-License-Identifier: Apache-2.0 */
/* Bits one at a time, and what is made of them, for the decoders that the real ones are
 * compared with: as the format is written down, with no thought for speed. */
#ifndef TESTS_SUPPORT_SLOW_BITS_H
#define TESTS_SUPPORT_SLOW_BITS_H

#include "common/base/bytes.h"

struct slow_bits {
    struct bytes data;
    size_t bit;  /* number of the next one */
    bool broken; /* read past the end, or what cannot be */
};

int slow_bit(struct slow_bits *in);
uint64_t slow_bits(struct slow_bits *in, int n);
uint64_t slow_uvarint(struct slow_bits *in);
uint64_t slow_varint(struct slow_bits *in);

/* A field whose largest number is 2^(n-1). */
uint64_t slow_biased(struct slow_bits *in, int n);

/* A field in two's complement. */
uint64_t slow_signed(struct slow_bits *in, int n);

uint64_t slow_varbit_uint(struct slow_bits *in);
uint64_t slow_varbit_int(struct slow_bits *in);

/* The value behind that before, which changes in a window of bits. */
struct slow_float {
    uint64_t value;
    int lead;
    int trail;
};
void slow_new_window(struct slow_bits *in, struct slow_float *f);
void slow_same_window(struct slow_bits *in, struct slow_float *f);
void slow_next_float(struct slow_bits *in, struct slow_float *f);

#endif
