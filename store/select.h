/* SPDX-License-Identifier: Apache-2.0 */
/* From matchers to series references in one block: which postings lists are needed is
 * told by the index header; the lists are fetched; then intersected and subtracted.
 *
 * Two steps, so that the fetches of many blocks overlap: begin plans and starts, finish
 * waits and combines. */
#ifndef STORE_SELECT_H
#define STORE_SELECT_H

#include "common/tsdb/matcher.h"
#include "common/tsdb/postings.h"
#include "store/block.h"
#include "store/fetch.h"

/* Series references in ascending order. */
struct store_refs {
    tsdb_ref *at;
    size_t count;
};

/* Parts of a selection. */
struct store_ref_lists {
    struct store_refs *at;
    size_t count;
    size_t cap;
};

/* Postings lists whose union a matcher stands for. */
struct store_select_group {
    bool subtract;
    size_t count;
    struct store_piece *lists;
};

struct store_select {
    /* private */
    const struct store_block *block;
    struct store_fetch_source *source;
    struct arena arena; /* lists and plans; gone after finish */
    bool nothing;       /* some matcher can never hold in this block */
    size_t group_count;
    struct store_select_group *groups;
    struct store_piece *pieces; /* the lists of all groups, by offset */
    size_t piece_count;
    struct store_fetch fetch;
};

/* Look up the matchers (those on external labels are already gone) in the block's
 * header and start fetching postings. No matchers select every series.
 * Errors ERR_BUDGET, ERR_CORRUPT, ERR_IO. Call fini also after an error. */
NODISCARD bool store_select_begin(struct store_select *s,
                                  const struct store_block *block,
                                  const struct tsdb_matcher *const *matchers,
                                  size_t count, struct store_fetch_source *source,
                                  struct budget *budget, struct err *err);

/* Wait, check the lists and combine them; refs live in arena.
 * Errors those of begin, and those of the bucket. */
NODISCARD bool store_select_finish(struct store_select *s, struct arena *arena,
                                   struct store_refs *refs, struct err *err);

/* Accepts the zero value. */
void store_select_fini(struct store_select *s);

/* Split each of the lists by the value that its series have for a label: into one list
 * per value that occurs and one for the series without it, empty ones left out. The new
 * lists live in arena. Blocks until the label's postings have been fetched. */
NODISCARD bool store_select_split(const struct store_block *block, struct bytes name,
                                  struct store_fetch_source *source,
                                  struct arena *arena, struct store_ref_lists *lists,
                                  struct err *err);

#endif
