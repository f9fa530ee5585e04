/* SPDX-License-Identifier: Apache-2.0 */
/* How a selection is made, shared by its planning (select_plan.c) and its execution
 * (select.c). */
#ifndef STORE_SELECT_PRIV_H
#define STORE_SELECT_PRIV_H

#include "store/select.h"

/* The postings lists whose union a matcher stands for: some that were looked up, or
 * values that have still to be scanned. */
struct store_select_group {
    const struct tsdb_matcher *matcher; /* NULL: every value */
    bool subtract;                      /* the matcher breaks for these, or holds */
    struct store_posting_range *ranges;
    size_t range_count;
    size_t range_cap;
    size_t range_next;            /* the first that is in no portion yet */
    struct store_value_rows rows; /* those that are in no portion yet */
    /* Estimates; nothing but speed depends on them. */
    uint64_t bytes;  /* of postings */
    uint64_t series; /* at most, about */
};

/* Values and references between two looks at whether the query is still wanted. */
enum { STORE_SELECT_PATIENCE = 4096 };

/* Decide what s->groups and s->filters are, by looking up but without scanning. */
NODISCARD bool store_select_plan(struct store_select *s,
                                 const struct tsdb_matcher *const *matchers,
                                 size_t count, struct err *err);

static inline bool
store_select_has_more(const struct store_select_group *g)
{
    return g->range_next < g->range_count || g->rows.begin < g->rows.end;
}

#endif
