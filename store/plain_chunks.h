/* SPDX-License-Identifier: Apache-2.0 */
/* Chunks of a series for a reader that does not know all encodings: those that it does
 * not know are encoded anew, with the same samples, but without start timestamps. */
#ifndef STORE_PLAIN_CHUNKS_H
#define STORE_PLAIN_CHUNKS_H

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "store/fetch.h"
#include "store/series.h"

/* Of one series. */
struct store_plain_chunks {
    /* private */
    struct arena made;
    struct arena scratch; /* of one chunk, as is */
    struct buf data;
};

/* What is made is taken from budget, which outlives *p. */
void store_plain_chunks_init(struct store_plain_chunks *p, struct budget *budget);

/* Release what was made. Accepts the zero value. */
void store_plain_chunks_fini(struct store_plain_chunks *p);

/* Replace the chunks of a series, unless a reader knows all of them who knows the
 * encodings up to newest (read_client.h). New ones live as long as *p, of which this is
 * the only call; their times stay, their crc is right. Errors ERR_CORRUPT, ERR_BUDGET,
 * those of store_fetch_check(source).
 */
NODISCARD bool store_plain_chunks_make(struct store_plain_chunks *p,
                                       enum tsdb_chunk_encoding newest,
                                       struct store_series *series,
                                       const struct store_fetch_source *source,
                                       struct err *err);

#endif
