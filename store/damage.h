/* SPDX-License-Identifier: Apache-2.0 */
/* What happens when the data of a block turn out to be damaged. It is counted, and at
 * the end of the request what the cache has of the block is forgotten, because the
 * damage may be the cache's or the wire's. Then, as the operator chose, the query
 * fails, or leaves out what is damaged and says so: a chunk or a series where that is
 * all, else the rest of the block. */
#ifndef STORE_DAMAGE_H
#define STORE_DAMAGE_H

#include "common/metrics/registry.h"
#include "store/block.h"
#include "store/disk_cache.h"
#include "store/range_cache.h"

/* The choice, shared by all requests. */
struct store_damage_policy {
    bool skips;
    struct metrics_value *found;
    struct metrics_value *skipped;
};

/* registry outlives *p. */
void store_damage_policy_init(struct store_damage_policy *p, bool skips,
                              struct metrics_registry *registry);

enum { STORE_DAMAGE_NAMED_MAX = 8 };

/* What one request found. */
struct store_damage {
    const struct store_damage_policy *policy; /* NULL: every damage is an error */
    bool is_repeat; /* data are read once more: what they were blamed for is known */
    size_t skipped; /* pieces */
    const struct store_block *vanished; /* its objects are not in the bucket; NULL */
    size_t block_count; /* of which pieces are damaged, or of an unknown kind */
    struct tsdb_ulid_text named[STORE_DAMAGE_NAMED_MAX]; /* the first of them */
    bool is_damaged[STORE_DAMAGE_NAMED_MAX];             /* those of them */
    bool is_any_damaged;
};

/* Whether to go on without a piece of block b that failed with err: it is damaged, or
 * nobody here can read it, and the policy is to skip. Then it is counted and logged. */
NODISCARD bool store_damage_skip(struct store_damage *d, const struct store_block *b,
                                 const struct err *err);

/* Block b failed with err and nothing can be skipped: count a damage, note that the
 * block vanished, and name it in err. Yields false. */
bool store_damage_blame(struct store_damage *d, const struct store_block *b,
                        struct err *err);

/* Drop what the caches, each of which may be NULL, have of the damaged blocks. No read
 * of the request may be running that still goes into them. */
void store_damage_forget(const struct store_damage *d, struct store_range_cache *cache,
                         struct store_disk_cache *disk);

/* The names of the damaged blocks, for people. */
void store_damage_print(const struct store_damage *d, struct buf *out);

#endif
