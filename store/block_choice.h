/* SPDX-License-Identifier: Apache-2.0 */
/* Which blocks answer a query, and for what part of time. Pure: no I/O.
 *
 * For each set of external labels (replica labels are among them): all blocks of the
 * coarsest resolution that the query can use; then finer ones, where those leave holes;
 * then coarser ones, where there is nothing else. A block that fills holes is used for
 * them only, a downsampled one for whole windows only, so that no time is answered by
 * two resolutions; holes shorter than a window stay empty. Where all blocks have the
 * same resolution, all that overlap the range are used, whole.
 *
 * What answers a moment does not depend on the range that is asked for. So it is
 * planned once for a set of blocks. */
#ifndef STORE_BLOCK_CHOICE_H
#define STORE_BLOCK_CHOICE_H

#include "common/base/arena.h"
#include "store/block.h"
#include "store/resolution.h"
#include "store/time_range.h"

/* A block, and the parts of time that it answers; at least one overlaps it. Samples
 * outside are not used. */
struct store_chosen_block {
    struct store_block *block;
    struct store_time_ranges parts;
};

/* Some of them, by the time from which on they are used for any range. */
struct store_block_choice {
    struct store_chosen_block *at;
    size_t count;
};

/* What is chosen for a query that can use the resolution, over all time. */
struct store_block_plan {
    struct store_block_choice by_coarsest[STORE_RESOLUTION_COUNT];
    /* private */
    struct store_owned_ranges *owned;
};

/* Plan for blocks (by mint_ms, ULID; borrowed). O(n log n), or O(n) if all are raw. */
void store_block_plan_init(struct store_block_plan *p,
                           struct store_block *const *blocks, size_t count);
void store_block_plan_fini(struct store_block_plan *p);

/* What is asked. */
struct store_block_question {
    struct store_time_range range;
    enum store_resolution coarsest; /* that the query can use; the finest blocks tell
                                     * best which series there are */
};

/* Choose the blocks that answer a range. The choice lives in arena and borrows from the
 * plan. O(blocks). Errors ERR_BUDGET. */
NODISCARD bool store_block_choose(struct store_block_choice *c,
                                  const struct store_block_plan *plan,
                                  const struct store_block_question *question,
                                  struct arena *arena, struct err *err);

/* The part of a range in which a block that is chosen for it is read: from the first of
 * its parts to the last. */
struct store_time_range store_chosen_block_reach(const struct store_chosen_block *b,
                                                 struct store_time_range range);

/* Order by mint_ms, then ULID; for qsort over pointers to blocks. */
int store_block_by_time(const void *a, const void *b);

#endif
