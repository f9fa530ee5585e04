/* SPDX-License-Identifier: Apache-2.0 */
/* One query over a set of blocks: what selects and merges. It yields every stored chunk
 * of every selected series in label order, of downsampled blocks the aggregate that the
 * hints ask for. It knows nothing of HTTP or protobuf; front doors encode what it
 * yields. */
#ifndef STORE_QUERY_H
#define STORE_QUERY_H

#include "store/block_set.h"
#include "store/query_hints.h"
#include "store/series_merge.h"

struct store_query_options {
    struct store_block_set *blocks;             /* borrowed; outlives the query */
    const struct tsdb_matcher *const *matchers; /* none select nothing */
    size_t matcher_count;
    int64_t mint_ms; /* both ends inclusive */
    int64_t maxt_ms;
    struct store_query_hints hints;      /* what downsampled blocks are used for */
    struct store_replica_labels dropped; /* from the labels of series; borrowed */
    bool labels_only; /* series come without chunks, which are then not read */
    struct store_fetch_source *source; /* of the request */
    struct store_limits *limits;       /* of the request */
    struct budget *budget;             /* of the request */
    size_t lookahead_bytes;            /* shared out over the blocks */
};

struct store_query {
    size_t blocks_queried;
    /* private */
    struct store_replica_labels dropped;
    struct arena arena;
    struct store_symbol_memo *memo;
    struct store_select *selects;
    size_t select_count; /* that there is room for */
    struct store_series_stream *streams;
    size_t stream_count;
    struct store_series_merge merge;
};

/* Which blocks answer a query: of the options only the blocks, the range, the hints and
 * labels_only count. The choice lives in arena. Errors ERR_BUDGET. */
NODISCARD bool store_query_choose(struct store_block_choice *choice,
                                  const struct store_query_options *options,
                                  struct arena *arena, struct err *err);

/* Select the series of the blocks that answer the range (block_choice.h) and start
 * reading them. Blocks for long: three round trips to the bucket. *q stays where it is
 * until fini; call that also after an error. */
NODISCARD bool store_query_open(struct store_query *q,
                                const struct store_query_options *options,
                                struct err *err);

/* The next series, borrowed until the following call; *end after the last one. Chunks
 * are whole: those at the edges reach beyond the range. */
NODISCARD bool store_query_next(struct store_query *q, struct store_series *series,
                                bool *end, struct err *err);

/* Accepts the zero value. Waits for reads in flight. */
void store_query_fini(struct store_query *q);

#endif
