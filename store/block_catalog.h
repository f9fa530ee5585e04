/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of each complete block of the bucket, carried from pass to pass of the
 * block sync. One thread; inside fetch and load it works with threads of its own. */
#ifndef STORE_BLOCK_CATALOG_H
#define STORE_BLOCK_CATALOG_H

#include "common/base/pool.h"
#include "common/net/patience.h"
#include "store/block.h"
#include "store/block_filter.h"
#include "store/sync_metrics.h"

struct store_catalog;

struct store_entry {
    struct tsdb_ulid id;
    struct tsdb_ulid_text name;
    struct store_block *block; /* NULL: its meta was never read */
    enum store_block_state state;
    bool is_served; /* in the published set */
    bool is_wanted; /* in it, too, unless it is broken (block_headers.h) */
    bool may_heal;  /* failed in this pass, and need not fail in the next */
    bool is_tried;  /* in this pass: it was fetched, well or not */
    bool is_unread; /* in this pass: not well, and another pass may do better */
    int64_t unread_since_ns; /* the end of the first pass in a row; 0: of none */
    /* Since when the bucket has it no more, although what it became may be among the
     * blocks that could not be read; 0: the bucket has it. */
    int64_t gone_ns;
    const struct err *failure; /* kept; why block is NULL, or older than the bucket's */
    /* private */
    struct pool_job job;
    struct store_catalog *catalog;
    const struct store_listed *listed; /* until the pass ends */
    enum store_block_state refusal;    /* of a block without meta; SERVED: none */
    /* Of which block was made, or refused. */
    struct store_stamp meta;
    struct store_stamp index;
    struct store_stamp chunks;
    struct store_stamp mark; /* of which marked_ms was read */
    int64_t marked_ms;       /* INT64_MAX: not marked */
};

/* Set up by its user; all pointers are borrowed and outlive it. */
struct store_catalog {
    struct objstore_bucket *bucket;
    struct store_sync_metrics *metrics;
    const struct cancel *cancel;
    unsigned meta_concurrency;
    struct net_patience patience; /* of reads of metas and marks */
    /* read-only for others */
    atomic_ulong changes;    /* of what a snapshot has (block_snapshot.h), so far */
    bool is_complete;        /* of each block in the bucket is known what can be */
    bool is_read;            /* nothing is left that another pass could read */
    int64_t unread_since_ns; /* of what is left, that of the newest */
    size_t unread;           /* blocks of which this pass has still to read something */
    size_t count;
    struct store_entry *entries; /* by ULID */
};

/* Make the entries those of the listing, not complete yet, keeping what is known, and
 * served blocks that are gone, until the pass has read what they may have become. The
 * listing is borrowed until the pass ends. */
void store_catalog_update(struct store_catalog *c, const struct store_listing *listing);

/* Read metas and deletion marks that are new or have changed, of at most some blocks,
 * once a pass. Where a changed one cannot be read, what is known stays. When none is
 * unread any more the catalog may be complete, and blocks that are gone leave it,
 * unless newer ones could not be read: for some minutes these keep them. Errors only
 * when threads cannot be started: of blocks, see their state. */
NODISCARD bool store_catalog_fetch(struct store_catalog *c, struct err *err);

/* Judge all blocks whose meta is known: which are wanted. */
void store_catalog_judge(struct store_catalog *c, const struct store_block_rules *rules,
                         int64_t now_ms);

/* Log and count that a served block is served no longer. */
void store_entry_note_drop(const struct store_entry *e);

/* The entry of a block or NULL. O(log count). */
struct store_entry *store_catalog_find(struct store_catalog *c,
                                       const struct tsdb_ulid *id);

void store_catalog_fini(struct store_catalog *c);

#endif
