/* SPDX-License-Identifier: Apache-2.0 */
/* A sampled answer on its way: what counting found of it, and how far it is written. */
#ifndef STORE_READ_SAMPLES_H
#define STORE_READ_SAMPLES_H

#include "common/base/cursor.h"
#include "store/chunk_samples.h"
#include "store/kept_series.h"

/* What the answer to one query holds. */
struct store_sampled_result {
    uint64_t series; /* yielded by the query, those without a sample included */
    uint64_t len;    /* bytes of those that are answered */
};

struct store_read_samples {
    struct store_sampled_result *results; /* per query; in the request's arena */
    struct buf sizes; /* per series a varint: 0 it is left out, else 1 more than the
                         bytes of its samples */
    uint64_t count;   /* samples */
    int64_t mint_ms;  /* range of the query that is being answered */
    int64_t maxt_ms;
    struct store_chunk_samples chunk; /* that is being counted or written */
    struct store_kept_series kept;
    /* Writing. */
    struct cursor next_size;
    size_t next_kept;
    bool in_result;
    struct store_sampled_result left; /* of the result that is being written */
    struct store_series series;       /* that is being written; borrowed */
    size_t next_chunk;
    bool in_chunk;         /* the one before next_chunk has more */
    uint64_t samples_left; /* of it, in bytes */
    struct buf plain;      /* written and not yet compressed */
    size_t record;         /* bytes of each sample of the portion written last; 0: they
                              differ */
    size_t records_len;    /* bytes of such samples that were written to plain */
};

/* Release all but *s, which lives in the request's arena. Accepts NULL. */
void store_read_samples_fini(struct store_read_samples *s);

#endif
