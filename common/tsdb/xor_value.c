/* SPDX-License-Identifier: Apache-2.0 */
#include "common/tsdb/xor_value.h"

#include "common/base/num.h"

enum { MAX_LEAD = (1 << TSDB_XOR_LEAD_BITS) - 1 };

void
tsdb_xor_value_write(struct tsdb_xor_value *v, struct bits_writer *w, uint64_t bits)
{
    uint64_t changed = bits ^ v->bits;
    bits_write(w, changed != 0, 1);
    if (changed == 0)
        return;
    unsigned lead = NUM_MIN((unsigned)__builtin_clzll(changed), (unsigned)MAX_LEAD);
    unsigned trail = (unsigned)__builtin_ctzll(changed);
    bool fits = v->lead != TSDB_XOR_NO_WINDOW && lead >= v->lead && trail >= v->trail;
    bits_write(w, !fits, 1);
    if (!fits) {
        v->lead = lead;
        v->trail = trail;
        bits_write(w, lead, TSDB_XOR_LEAD_BITS);
        /* 64 becomes 0 */
        bits_write(w, 64 - lead - trail, TSDB_XOR_SIGNIFICANT_BITS);
    }
    bits_write(w, changed >> v->trail, 64 - v->lead - v->trail);
    v->bits = bits;
}
