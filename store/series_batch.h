/* SPDX-License-Identifier: Apache-2.0 */
/* A batch of series entries of one block: fetched together, decoded, given their final
 * labels and their place in the order of answers. */
#ifndef STORE_SERIES_BATCH_H
#define STORE_SERIES_BATCH_H

#include "store/label_order.h"
#include "store/limits.h"
#include "store/query_hints.h"
#include "store/records.h"
#include "store/select.h"
#include "store/symbol_memo.h"
#include "store/time_range.h"

/* What a stream of one block works with; outlives its batches and windows. */
struct store_stream_context {
    const struct store_block *block;
    struct tsdb_labels external; /* added to each series; replaces none of its labels
                                  * in a way that changes the order (select.h) */
    const struct store_replica_labels *dropped; /* taken from each series */
    /* Those labels and their values, the same for all series of the stream: of external
     * labels, and from the first series that is decoded on, also of its own. */
    struct tsdb_labels replica;
    bool knows_replica;
    struct arena *arena;                       /* of the stream */
    const struct tsdb_matcher *const *filters; /* that series have to pass */
    size_t filter_count;
    int64_t mint_ms; /* range of the query in which the block is read, both ends
                      * inclusive */
    int64_t maxt_ms;
    struct store_time_ranges parts; /* of time that the block answers (block_choice.h);
                                     * chunks outside are neither read nor counted */
    enum store_aggregation aggregation; /* of what is downsampled */
    bool labels_only;                   /* chunks are neither read nor counted */
    struct store_fetch_source *source;
    struct store_symbol_memo *memo;
    struct store_limits *limits;
    struct budget *budget;
    uint64_t series_guess; /* bytes to read for an entry of unknown length; learned */
    uint64_t chunk_guess;  /* the same for a chunk record */
};

struct store_series_batch {
    struct store_entries entries; /* after decode: those with chunks in the range that
                                   * pass the filters */
    size_t turn; /* while fn of each runs: which of the references the entry is of */
    /* private */
    struct arena arena;
    bool started;
    size_t count; /* of the references that are in this batch */
    struct store_piece *pieces;
    struct store_records records;
    /* The entry decoded last: neighbours share most symbols. */
    const struct tsdb_series_label *last_refs;
    struct tsdb_labels last;
};

/* Start fetching the entries of the first of refs (ascending, not empty): as many as
 * share_bytes allow, few at least; b->count is their number.
 * Errors ERR_BUDGET, ERR_CORRUPT (a reference outside the series section). Call fini
 * also after an error. */
NODISCARD bool store_series_batch_start(struct store_series_batch *b,
                                        struct store_stream_context *c,
                                        struct store_refs refs, size_t share_bytes,
                                        struct err *err);

/* Wait and decode into b->entries. Waiting series of order move into this batch, so the
 * batch before it may go; is_last flushes them. */
NODISCARD bool store_series_batch_decode(struct store_series_batch *b,
                                         struct store_stream_context *c,
                                         struct store_label_order *order, bool is_last,
                                         struct err *err);

/* Instead of decode: wait and call fn with each entry, as it stands in the index; with
 * an empty range in c it has no chunks. fn returns false, with err filled, to stop. */
typedef bool store_raw_series_fn(void *arg, const struct tsdb_series *series,
                                 struct err *err);
NODISCARD bool store_series_batch_each(struct store_series_batch *b,
                                       struct store_stream_context *c,
                                       store_raw_series_fn *fn, void *arg,
                                       struct err *err);

/* Accepts the zero value. */
void store_series_batch_fini(struct store_series_batch *b);

#endif
