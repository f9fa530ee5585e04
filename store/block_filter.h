/* SPDX-License-Identifier: Apache-2.0 */
/* Which of the bucket's complete blocks are served, and why the others are not. Pure:
 * no I/O, no clock. */
#ifndef STORE_BLOCK_FILTER_H
#define STORE_BLOCK_FILTER_H

#include "store/block_meta.h"
#include "store/relabel.h"

/* X(name, value of the label "state" of thanos_blocks_meta_synced), in the order in
 * which rules are tried. The first is for blocks to serve. */
#define STORE_BLOCK_STATES(X)                      \
    X(STORE_BLOCK_SERVED, "loaded")                \
    X(STORE_BLOCK_NO_META, "no-meta-json")         \
    X(STORE_BLOCK_BAD_META, "corrupted-meta-json") \
    X(STORE_BLOCK_FAILED, "failed")                \
    X(STORE_BLOCK_DOWNSAMPLED, "downsampled")      \
    X(STORE_BLOCK_OUTSIDE, "time-excluded")        \
    X(STORE_BLOCK_UNSELECTED, "label-excluded")    \
    X(STORE_BLOCK_FRESH, "too-fresh")              \
    X(STORE_BLOCK_MARKED, "marked-for-deletion")   \
    X(STORE_BLOCK_DUPLICATE, "duplicate")

enum store_block_state {
#define X(name, label) name,
    STORE_BLOCK_STATES(X)
#undef X
        STORE_BLOCK_STATE_COUNT
};

struct store_block_rules {
    int64_t mint_ms; /* of the time range to serve, both ends inclusive */
    int64_t maxt_ms;
    const struct store_relabel *selector; /* borrowed; NULL: all blocks */
    int64_t consistency_delay_ms;         /* hide blocks that are younger; 0: none */
    int64_t deletion_delay_ms;            /* serve marked blocks for that long */
    int64_t max_resolution_ms; /* serve no coarser blocks; 0: only raw ones */
};

struct store_candidate {
    struct tsdb_ulid id;
    const struct store_block_meta *meta;
    int64_t marked_ms; /* time of the deletion mark, INT64_MAX for none */
    enum store_block_state state;
};

/* Set the state of each candidate by the first rule that it breaks: downsampled too
 * coarsely, or to a resolution that there is not (resolution.h), time range, selector,
 * consistency delay, deletion mark, and then, among those that are left and have the
 * same external labels and resolution, blocks whose sources are all among those of
 * another. O(sources log sources). */
void store_block_filter(struct store_candidate *candidates, size_t count,
                        const struct store_block_rules *rules, int64_t now_ms);

#endif
