/* SPDX-License-Identifier: Apache-2.0 */
/* Served blocks by external labels and resolution: prepared once for each set, so that
 * a query finds those among which it has a choice. */
#ifndef STORE_BLOCK_GROUPS_H
#define STORE_BLOCK_GROUPS_H

#include "store/block.h"
#include "store/resolution.h"

/* Blocks of the same external labels and of several resolutions. */
struct store_block_group {
    struct store_block *const *blocks[STORE_RESOLUTION_COUNT]; /* by mint_ms, ULID */
    size_t counts[STORE_RESOLUTION_COUNT];
};

struct store_block_groups {
    /* Those whose external labels have one resolution only. */
    struct store_block *const *plain; /* by mint_ms, ULID */
    size_t plain_count;
    struct store_block_group *at;
    size_t count;
    /* private */
    struct store_block **sorted;
    struct store_block **others;
};

/* Group blocks (by mint_ms, ULID; borrowed). O(n log n), or O(n) if all are raw. */
void store_block_groups_init(struct store_block_groups *g, struct store_block **blocks,
                             size_t count);
void store_block_groups_fini(struct store_block_groups *g);

/* Order by mint_ms, then ULID; for qsort over pointers to blocks. */
int store_block_by_time(const void *a, const void *b);

#endif
