/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/xor_reference.h"

struct input {
    struct bytes data;
    size_t bit;
    bool broken;
};

static int
get_bit(struct input *in)
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

static uint64_t
get_bits(struct input *in, int n)
{
    uint64_t v = 0;
    for (int i = 0; i < n; i++)
        v = v * 2 + (uint64_t)get_bit(in);
    return v;
}

static uint64_t
get_uvarint(struct input *in)
{
    uint64_t v = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        uint64_t byte = get_bits(in, 8);
        if (shift == 63 && byte > 1)
            break;
        v += (byte % 128) << shift;
        if (byte < 128)
            return v;
    }
    in->broken = true;
    return 0;
}

static uint64_t
get_varint(struct input *in)
{
    uint64_t v = get_uvarint(in);
    return v % 2 == 0 ? v / 2 : ~(v / 2);
}

static uint64_t
get_field(struct input *in, int n)
{
    uint64_t v = get_bits(in, n);
    uint64_t largest = (uint64_t)1 << (n - 1);
    return v > largest ? v - largest - largest : v;
}

static uint64_t
get_dod(struct input *in)
{
    if (get_bit(in) == 0)
        return 0;
    if (get_bit(in) == 0)
        return get_field(in, 14);
    if (get_bit(in) == 0)
        return get_field(in, 17);
    if (get_bit(in) == 0)
        return get_field(in, 20);
    return get_bits(in, 64);
}

static uint64_t
get_value(struct input *in, uint64_t before, int *lead, int *trail)
{
    if (get_bit(in) == 0)
        return before;
    if (get_bit(in) == 1) {
        *lead = (int)get_bits(in, 5);
        int significant = (int)get_bits(in, 6);
        if (significant == 0)
            significant = 64;
        *trail = 64 - *lead - significant;
        if (*trail < 0) {
            in->broken = true;
            return 0;
        }
    }
    return before ^ get_bits(in, 64 - *lead - *trail) << *trail;
}

bool
xor_reference_decode(struct bytes data, struct tsdb_sample *out, size_t *count)
{
    struct input in = {.data = data};
    uint64_t t = 0, delta = 0, value = 0;
    int lead = 0, trail = 0;
    *count = get_bits(&in, 16);
    for (size_t i = 0; i < *count && !in.broken; i++) {
        if (i == 0) {
            t = get_varint(&in);
            value = get_bits(&in, 64);
        } else {
            delta = i == 1 ? get_uvarint(&in) : delta + get_dod(&in);
            t += delta;
            value = get_value(&in, value, &lead, &trail);
        }
        out[i] = (struct tsdb_sample){(int64_t)t, value};
    }
    return !in.broken;
}
