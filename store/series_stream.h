/* SPDX-License-Identifier: Apache-2.0 */
/* The selected series of one block with their chunks, as a stream in the order of
 * answers, with a bounded look-ahead.
 *
 * Opening starts the first fetch and does not wait; so the streams of all blocks of a
 * query are opened, then primed, and only then read: their round trips overlap. */
#ifndef STORE_SERIES_STREAM_H
#define STORE_SERIES_STREAM_H

#include "store/chunk_window.h"

/* How far a stream reads ahead. */
struct store_lookahead {
    size_t bytes; /* of entries and chunks; a single series may be larger. Times the
                   * share that the query has of it (fetch.h) */
    size_t depth; /* in so many portions of each; at least 2 */
};

struct store_series_stream {
    /* private */
    struct store_stream_context context;
    struct store_lookahead ahead;
    struct store_refs refs;
    size_t next_ref;     /* the first that is in no batch yet */
    size_t next_entry;   /* of the decoded batch: the first that is in no window yet */
    size_t most_refs;    /* in the next batch */
    size_t window_bytes; /* of the next window, if its share allows it */
    bool is_begun;
    struct store_label_order order;
    /* Rings of depth, because reads in flight must not move: the one at turn is used,
     * those ahead of it are being fetched. */
    size_t batch_turn;
    size_t batches_ahead;
    struct store_series_batch *batches;
    size_t window_turn;
    size_t windows_ahead;
    struct store_chunk_window *windows;
};

/* Start. refs is borrowed; it and arena, in which the stream lives, outlive it. Call
 * fini also after an error. */
NODISCARD bool store_series_stream_open(struct store_series_stream *s,
                                        const struct store_stream_context *context,
                                        struct store_refs refs,
                                        struct store_lookahead ahead,
                                        struct arena *arena, struct err *err);

/* Wait for the first series entries and start fetching their chunks; with labels_only
 * there is nothing to do. */
NODISCARD bool store_series_stream_prime(struct store_series_stream *s,
                                         struct err *err);

/* The next series, borrowed until the following call; *end after the last one. With
 * labels_only it has no chunks. */
NODISCARD bool store_series_stream_next(struct store_series_stream *s,
                                        struct store_series *series, bool *end,
                                        struct err *err);

/* Drop what is left: the next step is the end. Also after an error. */
void store_series_stream_end(struct store_series_stream *s);

/* Accepts the zero value. */
void store_series_stream_fini(struct store_series_stream *s);

#endif
