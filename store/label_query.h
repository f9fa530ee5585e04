/* SPDX-License-Identifier: Apache-2.0 */
/* Which label names, or which values of a label, the series of a set of blocks have:
 * each once, in byte order, external labels included, labels of replicas left out. Of
 * blocks whose series are all meant nothing is read from the bucket. */
#ifndef STORE_LABEL_QUERY_H
#define STORE_LABEL_QUERY_H

#include "common/base/heap.h"
#include "store/block_set.h"
#include "store/label_part.h"

struct store_label_query_options {
    struct store_block_set *blocks;    /* borrowed; outlives the query */
    struct bytes name;                 /* values of this label; empty: the names */
    const struct store_matchers *sets; /* series that fulfil one of them; none: all */
    size_t set_count;
    struct store_replica_labels dropped; /* borrowed */
    int64_t mint_ms; /* of blocks that are looked into; both ends inclusive */
    int64_t maxt_ms;
    struct store_fetch_source *source; /* of the request */
    struct store_limits *limits;       /* of the request */
    struct budget *budget;             /* of the request */
    size_t lookahead_bytes;            /* shared out over the blocks */
};

/* What a block is asked for. */
struct store_label_block;

struct store_label_query {
    size_t blocks_queried;
    /* private */
    struct store_label_query_options options;
    struct arena arena;
    struct store_symbol_memo *memo;
    struct store_label_block *blocks;
    /* external names or values, ascending and unique */
    struct bytes *external;
    size_t external_count;
    size_t external_cap;
    size_t external_at;
    /* parts with a text, smallest on top; the last source is that of external ones */
    struct bytes *heads;
    struct heap heap;
    size_t *taken; /* sources whose heads were yielded last */
    size_t taken_count;
};

/* Select and start reading. Blocks until the series are selected. Call fini also after
 * an error. */
NODISCARD bool store_label_query_open(struct store_label_query *q,
                                      const struct store_label_query_options *options,
                                      struct err *err);

/* The next text, borrowed until the following call; *end after the last one. */
NODISCARD bool store_label_query_next(struct store_label_query *q, struct bytes *text,
                                      bool *end, struct err *err);

/* Accepts the zero value. Waits for reads in flight. */
void store_label_query_fini(struct store_label_query *q);

#endif
