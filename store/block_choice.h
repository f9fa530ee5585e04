/* SPDX-License-Identifier: Apache-2.0 */
/* Which blocks answer a query, and for what part of time. Pure: no I/O.
 *
 * For each set of external labels (replica labels are among them): all blocks of the
 * coarsest resolution that the query can use; then finer ones, where those leave holes;
 * then coarser ones, where there is nothing else. A block that fills holes is used for
 * them only, so that no time is answered by two resolutions. Where all blocks have the
 * same resolution, all that overlap the range are used, whole. */
#ifndef STORE_BLOCK_CHOICE_H
#define STORE_BLOCK_CHOICE_H

#include "common/base/arena.h"
#include "store/block_set.h"
#include "store/time_range.h"

/* What is asked. */
struct store_block_question {
    struct store_time_range range;
    enum store_resolution coarsest; /* that the query can use */
};

struct store_chosen_block {
    const struct store_block *block;
    /* Samples outside are not used; what is beyond the range of the query may be. At
     * least one range overlaps both block and query. */
    struct store_time_ranges parts;
};

struct store_block_choice {
    struct store_chosen_block *at; /* by the time from which on they are used */
    size_t count;
};

/* Choose among the blocks of a set. The choice lives in arena and borrows from the set.
 * O(blocks), and O(n log n) for those that have several resolutions.
 * Errors ERR_BUDGET. */
NODISCARD bool store_block_choose(struct store_block_choice *c,
                                  const struct store_block_set *set,
                                  const struct store_block_question *question,
                                  struct arena *arena, struct err *err);

/* The part of the query's range in which a chosen block is read: from the first of its
 * parts to the last. */
struct store_time_range store_chosen_block_reach(const struct store_chosen_block *b,
                                                 struct store_time_range query);

#endif
