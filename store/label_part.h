/* SPDX-License-Identifier: Apache-2.0 */
/* What one block says of label names, or of the values of one label, as a sorted stream
 * of texts. External labels are not seen here.
 *
 * Three ways, by what is cheapest: all of the block's names or values, perhaps tested
 * against matchers, come from its index header alone; values of selected series are
 * those whose postings meet the selection, or those that the series entries name. */
#ifndef STORE_LABEL_PART_H
#define STORE_LABEL_PART_H

#include "store/series_batch.h"

struct store_label_part_options {
    struct bytes name; /* values of this label; empty: the names */
    /* Of the block's series: all, or those of refs. */
    bool all;
    struct store_refs refs;
    /* A value is left out unless the matchers on its own label hold in one of these. */
    const struct store_matchers *sets;
    size_t set_count;
    size_t share_bytes; /* of what is read ahead */
};

enum store_label_way {
    STORE_LABELS_OF_HEADER,
    STORE_LABELS_BY_POSTINGS,
    STORE_LABELS_BY_SERIES
};

struct store_label_part {
    /* private */
    struct store_stream_context *context; /* its range is empty: no chunks */
    struct store_label_part_options options;
    enum store_label_way way;
    struct store_index_cursor cursor;
    /* by postings: a page of values whose lists are being fetched, or have been */
    struct arena arena;
    struct store_fetch fetch;
    struct store_piece *pieces;
    struct bytes *values;
    bool *met; /* whether a selected series has the value; after the wait */
    size_t count;
    size_t at;
    /* by series: the references of names or values that were seen */
    struct store_series_batch batches[2];
    size_t next_ref;
    bool knows_name;
    uint32_t name_ref;
    struct buf symbols;
    size_t sorted; /* of symbols: this many are ascending and unique */
};

/* Choose the way and start reading, without waiting for it. context (its budget, source
 * and memo are used) and what options point to outlive the part. Call fini also after
 * an error. */
NODISCARD bool store_label_part_open(struct store_label_part *p,
                                     struct store_stream_context *context,
                                     const struct store_label_part_options *options,
                                     struct err *err);

/* The next text, borrowed until the following call; *end after the last one. */
NODISCARD bool store_label_part_next(struct store_label_part *p, struct bytes *text,
                                     bool *end, struct err *err);

/* Accepts the zero value. Waits for reads in flight. */
void store_label_part_fini(struct store_label_part *p);

#endif
