/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/slow_bits.h"

int
slow_bit(struct slow_bits *in)
{
    if (in->bit >= in->data.len * 8) {
        in->broken = true;
        return 0;
    }
    int shift = 7 - (int)(in->bit % 8);
    int bit = in->data.at[in->bit / 8] >> shift & 1;
    in->bit++;
    return bit;
}

uint64_t
slow_bits(struct slow_bits *in, int n)
{
    uint64_t v = 0;
    for (int i = 0; i < n; i++)
        v = v * 2 + (uint64_t)slow_bit(in);
    return v;
}

uint64_t
slow_uvarint(struct slow_bits *in)
{
    uint64_t v = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        uint64_t byte = slow_bits(in, 8);
        if (shift == 63 && byte > 1)
            break;
        v += (byte % 128) << shift;
        if (byte < 128)
            return v;
    }
    in->broken = true;
    return 0;
}

uint64_t
slow_varint(struct slow_bits *in)
{
    uint64_t v = slow_uvarint(in);
    return v % 2 == 0 ? v / 2 : ~(v / 2);
}

uint64_t
slow_biased(struct slow_bits *in, int n)
{
    uint64_t v = slow_bits(in, n);
    uint64_t largest = (uint64_t)1 << (n - 1);
    return v > largest ? v - largest - largest : v;
}

uint64_t
slow_signed(struct slow_bits *in, int n)
{
    uint64_t v = slow_bits(in, n);
    uint64_t half = (uint64_t)1 << (n - 1);
    return v >= half ? v - half - half : v;
}

uint64_t
slow_varbit_uint(struct slow_bits *in)
{
    if (slow_bit(in) == 0)
        return 0;
    if (slow_bit(in) == 0)
        return slow_bits(in, 3);
    if (slow_bit(in) == 0)
        return slow_bits(in, 6);
    if (slow_bit(in) == 0)
        return slow_bits(in, 9);
    if (slow_bit(in) == 0)
        return slow_bits(in, 12);
    if (slow_bit(in) == 0)
        return slow_bits(in, 18);
    if (slow_bit(in) == 0)
        return slow_bits(in, 25);
    if (slow_bit(in) == 0)
        return slow_bits(in, 56);
    return slow_bits(in, 64);
}

uint64_t
slow_varbit_int(struct slow_bits *in)
{
    if (slow_bit(in) == 0)
        return 0;
    if (slow_bit(in) == 0)
        return slow_biased(in, 3);
    if (slow_bit(in) == 0)
        return slow_biased(in, 6);
    if (slow_bit(in) == 0)
        return slow_biased(in, 9);
    if (slow_bit(in) == 0)
        return slow_biased(in, 12);
    if (slow_bit(in) == 0)
        return slow_biased(in, 18);
    if (slow_bit(in) == 0)
        return slow_biased(in, 25);
    if (slow_bit(in) == 0)
        return slow_biased(in, 56);
    return slow_bits(in, 64);
}

void
slow_same_window(struct slow_bits *in, struct slow_float *f)
{
    f->value ^= slow_bits(in, 64 - f->lead - f->trail) << f->trail;
}

void
slow_new_window(struct slow_bits *in, struct slow_float *f)
{
    int lead = (int)slow_bits(in, 5);
    int significant = (int)slow_bits(in, 6);
    if (significant == 0)
        significant = 64;
    if (lead + significant > 64) {
        in->broken = true;
        return;
    }
    f->lead = lead;
    f->trail = 64 - lead - significant;
    slow_same_window(in, f);
}

void
slow_next_float(struct slow_bits *in, struct slow_float *f)
{
    if (slow_bit(in) == 0)
        return;
    if (slow_bit(in) == 0)
        slow_same_window(in, f);
    else
        slow_new_window(in, f);
}
