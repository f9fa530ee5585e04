/* SPDX-License-Identifier: Apache-2.0 */
/* The matchers of one selector, each charged before it is made. */
#ifndef STORE_MATCHER_SET_H
#define STORE_MATCHER_SET_H

#include "common/base/arena.h"
#include "common/tsdb/matcher.h"

struct store_matcher_set {
    struct tsdb_matcher **at;
    size_t count;
    /* private */
    struct budget *budget;
    size_t charge;
};

/* Room in arena for most matchers; what they take is charged to budget. Call fini also
 * after an error. */
NODISCARD bool store_matcher_set_init(struct store_matcher_set *s, size_t most,
                                      struct arena *arena, struct budget *budget,
                                      struct err *err);

/* Add one, within the room. name and value are copied.
 * Errors those of tsdb_matcher_new and ERR_BUDGET. */
NODISCARD bool store_matcher_set_add(struct store_matcher_set *s,
                                     enum tsdb_matcher_type type, struct bytes name,
                                     struct bytes value, struct err *err);

/* Accepts the zero value. */
void store_matcher_set_fini(struct store_matcher_set *s);

#endif
