/* SPDX-License-Identifier: Apache-2.0 */
/* k-way merge of the streams of many blocks: each series once, in label order, with the
 * chunks of all blocks that have it; replicas of one series (those whose streams had
 * other values of the labels that are dropped) de-duplicated. */
#ifndef STORE_SERIES_MERGE_H
#define STORE_SERIES_MERGE_H

#include "common/base/heap.h"
#include "store/replica_merge.h"
#include "store/series_stream.h"

struct store_series_merge {
    /* private */
    struct store_series_stream *streams;
    struct store_series *heads; /* per stream, its current series */
    struct heap heap;           /* streams with a head, smallest labels first */
    size_t *taken;              /* streams whose heads were yielded last */
    size_t taken_count;
    struct store_replica *replicas; /* of the series yielded last, while it is made */
    struct store_replica_rule rule;
    struct arena arena; /* chunks of the series yielded last */
};

/* *m stays where it is until fini. Read the first series of each of count streams
 * (primed; borrowed). The arrays come from arena, series from its budget. Call fini
 * also after an error. */
NODISCARD bool store_series_merge_init(struct store_series_merge *m,
                                       struct store_series_stream *streams,
                                       size_t count,
                                       const struct store_replica_rule *rule,
                                       struct arena *arena, struct err *err);

/* The next series, borrowed until the following call; *end after the last one. Errors
 * name the series. */
NODISCARD bool store_series_merge_next(struct store_series_merge *m,
                                       struct store_series *series, bool *end,
                                       struct err *err);

/* Accepts the zero value. */
void store_series_merge_fini(struct store_series_merge *m);

#endif
