/* SPDX-License-Identifier: Apache-2.0 */
/* A window of series whose chunks are in memory: some consecutive entries of a batch,
 * copied, with all their chunks fetched together. The unit of look-ahead. */
#ifndef STORE_CHUNK_WINDOW_H
#define STORE_CHUNK_WINDOW_H

#include "store/series_batch.h"

struct store_chunk_window {
    /* private */
    struct arena arena;
    bool started;
    size_t count;                /* series */
    size_t next;                 /* the series to be yielded next */
    struct store_entry *entries; /* without chunks */
    /* One each per chunk of the series not yet yielded. Workers parse chunks when they
     * have read them; those that are cut, cached or damaged have no encoding yet. */
    struct store_piece **pieces;
    struct tsdb_timed_chunk *chunks;
    struct store_records records;
};

/* Start fetching the chunks of the first entries: as many as fit share_bytes, at least
 * one; w->count is their number.
 * Errors ERR_BUDGET, ERR_CORRUPT (a reference outside the segments). Call fini also
 * after an error. */
NODISCARD bool store_chunk_window_start(struct store_chunk_window *w,
                                        struct store_stream_context *c,
                                        const struct store_entry *entries, size_t count,
                                        size_t share_bytes, struct err *err);

/* Wait until all chunks are there. */
NODISCARD bool store_chunk_window_wait(struct store_chunk_window *w,
                                       struct store_stream_context *c, struct err *err);

static inline bool
store_chunk_window_is_empty(const struct store_chunk_window *w)
{
    return w->next == w->count;
}

/* The next series, the checksums of its chunks checked; the window is waited for and
 * not empty. Borrowed until fini. */
NODISCARD bool store_chunk_window_next(struct store_chunk_window *w,
                                       struct store_stream_context *c,
                                       struct store_series *series, struct err *err);

/* Accepts the zero value. */
void store_chunk_window_fini(struct store_chunk_window *w);

#endif
