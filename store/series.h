/* SPDX-License-Identifier: Apache-2.0 */
/* What the engine yields: series with their chunks, in label order; and what it knows
 * of a series before its chunks are read. */
#ifndef STORE_SERIES_H
#define STORE_SERIES_H

#include "common/tsdb/chunk.h"
#include "common/tsdb/labels.h"
#include "common/tsdb/series.h"

/* Borrowed until the source that yielded it takes its next step. */
struct store_series {
    struct tsdb_labels labels; /* external labels included */
    size_t chunk_count;
    const struct tsdb_timed_chunk *chunks;
};

/* A series entry, decoded; bytes live in the arena of whoever made it. */
struct store_entry {
    struct tsdb_labels labels; /* external labels included */
    size_t chunk_count;
    const struct tsdb_chunk_meta *chunks;
};

/* Put the labels of a series in front of an error, cut so that its text keeps its
 * place. Yields false. */
bool store_series_name(struct tsdb_labels labels, struct err *err);

/* Copy an entry and all its bytes into arena.
 * Errors ERR_BUDGET. */
NODISCARD bool store_entry_copy(struct store_entry *to, const struct store_entry *from,
                                struct arena *arena, struct err *err);

/* Copy count entries without their chunks, of which only the number is kept, and the
 * bytes of their labels into arena. Bytes that an entry borrows from where the one
 * before it does are copied once. Errors ERR_BUDGET. */
NODISCARD bool store_entries_copy_labels(struct store_entry *to,
                                         const struct store_entry *from, size_t count,
                                         struct arena *arena, struct err *err);

/* Copy a label set and its bytes into arena. */
NODISCARD bool store_labels_copy(struct tsdb_labels *to, struct tsdb_labels from,
                                 struct arena *arena, struct err *err);

#endif
