/* SPDX-License-Identifier: Apache-2.0 */
/* One float after the other as the bits that differ from the one before: what XOR
 * chunks and the floats of histogram chunks share.
 *
 * Format: Prometheus tsdb/chunkenc/xor.go. */
#ifndef COMMON_TSDB_XOR_VALUE_H
#define COMMON_TSDB_XOR_VALUE_H

#include "common/codec/bits.h"

/* Bits of the value by which Prometheus says that a series has ended. */
#define TSDB_STALE_BITS UINT64_C(0x7ff0000000000002)

enum {
    TSDB_XOR_NO_WINDOW = 0xff, /* lead of a writer that wrote no window yet */
    TSDB_XOR_LEAD_BITS = 5,
    TSDB_XOR_SIGNIFICANT_BITS = 6
};

/* The last value, and the window of bits that the last change fit into. A reader begins
 * with the zero value: writers that were opened again use a window of 64 bits that was
 * never written. */
struct tsdb_xor_value {
    uint64_t bits;
    unsigned lead; /* zeros in front of the window */
    unsigned trail;
};

/* Change the value by bits of the window. */
static inline void
tsdb_xor_value_read_change(struct tsdb_xor_value *v, struct bits_reader *r)
{
    v->bits ^= bits_read(r, 64 - v->lead - v->trail) << v->trail;
}

/* Read a new window; marks r bad when it is wider than 64 bits. */
static inline void
tsdb_xor_value_read_window(struct tsdb_xor_value *v, struct bits_reader *r)
{
    unsigned field =
        (unsigned)bits_read(r, TSDB_XOR_LEAD_BITS + TSDB_XOR_SIGNIFICANT_BITS);
    unsigned lead = field >> TSDB_XOR_SIGNIFICANT_BITS;
    unsigned significant = field & ((1U << TSDB_XOR_SIGNIFICANT_BITS) - 1);
    if (significant == 0)
        significant = 64;
    if (lead + significant > 64) {
        r->bad = true;
        return;
    }
    v->lead = lead;
    v->trail = 64 - lead - significant;
}

/* Step to the next value. Errors are those of r. The prefix is read bit by bit: which
 * it is can be predicted mostly, so that is faster than to count its ones. */
static inline void
tsdb_xor_value_read(struct tsdb_xor_value *v, struct bits_reader *r)
{
    if (bits_read(r, 1) == 0)
        return;
    if (bits_read(r, 1) != 0)
        tsdb_xor_value_read_window(v, r);
    tsdb_xor_value_read_change(v, r);
}

/* Append the next value; v->lead is TSDB_XOR_NO_WINDOW before the first call. */
void tsdb_xor_value_write(struct tsdb_xor_value *v, struct bits_writer *w,
                          uint64_t bits);

#endif
