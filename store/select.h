/* SPDX-License-Identifier: Apache-2.0 */
/* From matchers to series references in one block: which postings lists are needed is
 * told by the index header; the lists are fetched; then intersected and subtracted.
 *
 * Two steps, so that the fetches of many blocks overlap: begin plans and starts, finish
 * waits and combines. */
#ifndef STORE_SELECT_H
#define STORE_SELECT_H

#include "common/tsdb/matcher.h"
#include "store/block.h"
#include "store/fetch.h"
#include "store/refs.h"
#include "store/replica_labels.h"

/* Matchers that must all hold. */
struct store_matchers {
    const struct tsdb_matcher *const *at;
    size_t count;
};

struct store_ref_lists {
    struct store_refs *at;
    size_t count;
    size_t cap;
};

/* What is selected in a block; lives in the arena given to finish. */
struct store_selection {
    /* The series, in parts that keep their order when the external labels of the block
     * are added and labels of replicas are dropped (but for what tail_split.h tells);
     * all series of a part have the same labels of replicas. None is empty. */
    struct store_ref_lists parts;
    /* Matchers whose postings would cost more than reading the series: each series has
     * still to be tested for them, by its own labels. Borrowed from the caller. */
    const struct tsdb_matcher **filters;
    size_t filter_count;
};

/* Postings lists that are fetched together. The zero value holds none. */
struct store_select_portion {
    struct arena arena;
    struct store_piece *pieces; /* the tag is the group that a list belongs to */
    size_t count;
    size_t cap;
    struct store_fetch fetch;
};

/* How a selection is found again (select_memo.h). The zero value is of none. */
struct store_select_memo {
    uint64_t
        lists; /* what it cost: postings lists, and bytes that were read for them */
    uint64_t bytes;
    /* private */
    struct bytes key;                   /* empty: it is not kept */
    const struct tsdb_matcher **sorted; /* the matchers, in the order of the key */
    size_t count;
};

struct store_select_group;

struct store_select {
    /* private */
    const struct store_block *block;
    struct store_fetch_source *source;
    struct arena arena; /* plans and intermediate sets; gone after fini */
    bool is_exact;      /* no filters, one part */
    const struct store_replica_labels *dropped;
    bool nothing;                      /* some matcher can never hold in this block */
    struct store_select_group *groups; /* what the matchers stand for; the base first */
    size_t group_count;
    const struct tsdb_matcher **filters;
    size_t filter_count;
    struct store_select_portion first; /* of all groups */
    struct store_select_portion *splits;
    size_t split_count;
    struct store_select_memo memo;
    struct store_selection known; /* by the memo */
    bool is_known;
};

/* Look up the matchers (those on external labels are already gone): the selection in
 * the cache, or else their values in the block's header, and start fetching postings.
 * No matchers select every series. dropped is borrowed. Errors ERR_BUDGET, ERR_CORRUPT,
 * ERR_IO. Call fini also after an error. */
NODISCARD bool store_select_begin(struct store_select *s,
                                  const struct store_block *block,
                                  struct store_matchers matchers,
                                  const struct store_replica_labels *dropped,
                                  struct store_fetch_source *source,
                                  struct budget *budget, struct err *err);

/* The same for who needs no order of series with their external labels and does not
 * test series: at most one part, no filters. */
NODISCARD bool store_select_begin_exact(struct store_select *s,
                                        const struct store_block *block,
                                        struct store_matchers matchers,
                                        struct store_fetch_source *source,
                                        struct budget *budget, struct err *err);

/* Bytes of postings that are being fetched. */
uint64_t store_select_pending(const struct store_select *s);

/* Wait, check the lists and combine them. Once.
 * Errors those of begin, and those of the bucket. */
NODISCARD bool store_select_finish(struct store_select *s, struct arena *arena,
                                   struct store_selection *selection, struct err *err);

/* Give up the selection, but not the query: waits for its reads. It then selects
 * nothing. */
void store_select_end(struct store_select *s);

/* Accepts the zero value. Ends the query if reads are running. */
void store_select_fini(struct store_select *s);

#endif
