/* SPDX-License-Identifier: Apache-2.0 */
/* Which series fulfil one of several sets of matchers: each once, in label order,
 * without chunks. */
#ifndef STORE_QUERY_UNION_H
#define STORE_QUERY_UNION_H

#include "store/matcher_set.h"
#include "store/query.h"

struct store_query_union {
    /* private */
    struct arena arena;
    struct store_query *queries;
    size_t count;
    struct tsdb_labels *heads; /* per query, its current series */
    struct heap heap;          /* queries with a series, smallest labels first */
    size_t *taken;             /* queries whose series were yielded last */
    size_t taken_count;
};

/* Open a query for each set; options (but for its matchers) hold for all together. Call
 * fini also after an error. */
NODISCARD bool store_query_union_open(struct store_query_union *u,
                                      const struct store_query_options *options,
                                      const struct store_matcher_set *sets,
                                      size_t set_count, struct err *err);

/* The next series, borrowed until the following call; *end after the last one. */
NODISCARD bool store_query_union_next(struct store_query_union *u,
                                      struct tsdb_labels *labels, bool *end,
                                      struct err *err);

/* Accepts the zero value. Waits for reads in flight. */
void store_query_union_fini(struct store_query_union *u);

#endif
