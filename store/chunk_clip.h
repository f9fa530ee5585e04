/* SPDX-License-Identifier: Apache-2.0 */
/* Leaves of chunks only the samples that lie in given parts of time. A chunk inside
 * them passes through byte for byte; one that is cut becomes a new one, without its
 * start timestamps. */
#ifndef STORE_CHUNK_CLIP_H
#define STORE_CHUNK_CLIP_H

#include "store/chunk_writer.h"
#include "store/time_range.h"

/* A walk over samples in time order, and whether they are kept. */
struct store_clip {
    struct store_time_ranges parts;
    size_t at; /* private */
};

/* Whether a time is in the parts; no call may go back in time. */
static inline bool
store_clip_keeps(struct store_clip *c, int64_t t_ms)
{
    while (c->at < c->parts.count && c->parts.at[c->at].maxt_ms < t_ms)
        c->at++;
    return c->at < c->parts.count && c->parts.at[c->at].mint_ms <= t_ms;
}

/* Write what is left of a chunk of samples, whose times are exact. scratch holds
 * nothing of use afterwards. Errors ERR_CORRUPT, ERR_BUDGET. */
NODISCARD bool store_chunk_clip(const struct tsdb_timed_chunk *chunk,
                                struct store_time_ranges parts,
                                struct store_chunk_writer *w, struct arena *scratch,
                                struct err *err);

#endif
