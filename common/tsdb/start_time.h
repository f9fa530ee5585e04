/* SPDX-License-Identifier: Apache-2.0 */
/* Start timestamps: since when a counter counts. XOR2 chunks, and the histogram chunks
 * named ST, carry one behind each sample, from the first that differs on.
 *
 * Format: Prometheus tsdb/chunkenc/st.go. */
#ifndef COMMON_TSDB_START_TIME_H
#define COMMON_TSDB_START_TIME_H

#include "common/codec/varbit.h"

struct tsdb_start_time {
    int64_t ms; /* of the last sample; 0: it has none */
    /* private */
    uint64_t delta; /* from it to the sample before */
    bool is_first_known;
    uint8_t change_on; /* number of the first sample with another one; 0: none */
};

/* Before the first sample; header is the byte for start timestamps in the chunk's. */
static inline struct tsdb_start_time
tsdb_start_time_of(uint8_t header)
{
    return (struct tsdb_start_time){.is_first_known = (header & 0x80) != 0,
                                    .change_on = header & 0x7f};
}

/* Read what stands behind a sample, whose number counts from 0: it is at t_ms, the one
 * before it at before_ms. Errors are those of bits. */
static inline void
tsdb_start_time_read(struct tsdb_start_time *s, struct bits_reader *bits,
                     uint32_t number, int64_t t_ms, int64_t before_ms)
{
    if (number == 0) {
        if (s->is_first_known)
            s->ms = (int64_t)((uint64_t)t_ms - (uint64_t)bits_read_varint(bits));
        return;
    }
    if (s->change_on == 0 || number < s->change_on)
        return;
    uint64_t field = (uint64_t)varbit_read_i64(bits);
    s->delta = number == s->change_on ? field : s->delta + field;
    s->ms = (int64_t)((uint64_t)before_ms - s->delta);
}

#endif
