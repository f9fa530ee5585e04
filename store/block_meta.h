/* SPDX-License-Identifier: Apache-2.0 */
/* What a store keeps of a block's meta.json: little, because it does so for every block
 * of the bucket. */
#ifndef STORE_BLOCK_META_H
#define STORE_BLOCK_META_H

#include "common/tsdb/meta.h"

/* Release with store_block_meta_fini; the zero value is empty. What is added here has
 * to be in the snapshot, too (block_snapshot.c). */
struct store_block_meta {
    int64_t mint_ms;        /* inclusive */
    int64_t maxt_ms;        /* exclusive */
    int64_t resolution_ms;  /* 0 for raw */
    int64_t upload_time_ms; /* INT64_MIN when not set */
    bool is_rewrite;        /* made by a compactor or a repair of blocks long there */
    uint8_t source;         /* who made it: store_block_meta_source */
    uint32_t level;         /* of compaction; more than there can be is the most */
    /* As its maker counted; 0 when it did not. */
    uint64_t series_count;
    uint64_t sample_count;
    uint64_t chunk_count;
    struct tsdb_labels external;
    size_t source_count;
    const struct tsdb_ulid *sources; /* sorted: the level-1 blocks it was made of */
    /* private */
    void *storage;
};

/* Copy labels and sources as well: nothing is borrowed afterwards. */
void store_block_meta_copy(struct store_block_meta *m,
                           const struct store_block_meta *from);

/* Who made a block, as Thanos calls it: "sidecar"; "" when that is not said, or not
 * known here. A constant. */
const char *store_block_meta_source(const struct store_block_meta *m);

/* Copy what is needed of a parsed meta. */
void store_block_meta_init(struct store_block_meta *m, const struct tsdb_meta *parsed);
void store_block_meta_fini(struct store_block_meta *m);

#endif
