/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/xor_reference.h"

#include "tests/support/slow_bits.h"

static uint64_t
get_dod(struct slow_bits *in)
{
    if (slow_bit(in) == 0)
        return 0;
    if (slow_bit(in) == 0)
        return slow_biased(in, 14);
    if (slow_bit(in) == 0)
        return slow_biased(in, 17);
    if (slow_bit(in) == 0)
        return slow_biased(in, 20);
    return slow_bits(in, 64);
}

bool
xor_reference_decode(struct bytes data, struct tsdb_sample *out, size_t *count)
{
    struct slow_bits in = {.data = data};
    struct slow_float value = {0};
    uint64_t t = 0, delta = 0;
    *count = slow_bits(&in, 16);
    for (size_t i = 0; i < *count && !in.broken; i++) {
        if (i == 0) {
            t = slow_varint(&in);
            value.value = slow_bits(&in, 64);
        } else {
            delta = i == 1 ? slow_uvarint(&in) : delta + get_dod(&in);
            t += delta;
            slow_next_float(&in, &value);
        }
        out[i] = (struct tsdb_sample){(int64_t)t, value.value};
    }
    return !in.broken;
}
