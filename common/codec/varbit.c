/* SPDX-License-Identifier: Apache-2.0 */
#include "common/codec/varbit.h"

const uint8_t varbit_widths[VARBIT_MAX_ONES + 1] = {0, 3, 6, 9, 12, 18, 25, 56, 64};

static void
write_field(struct bits_writer *w, uint64_t v, unsigned ones)
{
    bits_write_ones(w, ones, VARBIT_MAX_ONES);
    bits_write(w, v, varbit_widths[ones]);
}

void
varbit_write_u64(struct bits_writer *w, uint64_t v)
{
    unsigned ones = 0;
    while (ones < VARBIT_MAX_ONES && v >> varbit_widths[ones] != 0)
        ones++;
    write_field(w, v, ones);
}

void
varbit_write_i64(struct bits_writer *w, int64_t v)
{
    unsigned ones = v == 0 ? 0 : 1;
    while (v != 0 && !varbit_fits(v, varbit_widths[ones]))
        ones++;
    write_field(w, (uint64_t)v, ones);
}
