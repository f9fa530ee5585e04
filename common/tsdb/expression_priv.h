/* SPDX-License-Identifier: Apache-2.0 */
/* Regular expressions that are no more than a list of values or a prefix. */
#ifndef COMMON_TSDB_EXPRESSION_PRIV_H
#define COMMON_TSDB_EXPRESSION_PRIV_H

#include "common/base/arena.h"
#include "common/tsdb/matcher.h"

/* What is known of the texts that an expression matches. */
struct tsdb_expression {
    enum tsdb_matcher_shape shape;
    struct bytes prefix;     /* TSDB_SHAPE_PREFIX */
    size_t min_len;          /* TSDB_SHAPE_PREFIX: of a text that matches */
    const struct bytes *set; /* TSDB_SHAPE_SET: sorted, unique */
    size_t count;
};

/* Recognise an expression; what the result points to lives in arena.
 * Returns false, with *e untouched, if it is none of the simple ones, if it is broken,
 * or if the arena is too small for its values. */
NODISCARD bool tsdb_expression_recognise(struct tsdb_expression *e, struct bytes text,
                                         struct arena *arena);

/* Whether a recognised expression matches text. O(log values). */
NODISCARD bool tsdb_expression_matches(const struct tsdb_expression *e,
                                       struct bytes text);

#endif
