/* SPDX-License-Identifier: Apache-2.0 */
/* One part of the range cache: which ranges it has, and which of them make room. One
 * thread at a time; range_cache.h has the locks and the memory. */
#ifndef STORE_RANGE_SHARD_H
#define STORE_RANGE_SHARD_H

#include "common/base/bytes.h"
#include "store/range_cache.h"
#include "store/range_ghosts.h"

struct store_range_entry {
    /* private */
    struct store_range_entry *next; /* in its chain, or in a list of evicted ones */
    struct store_range_entry *older;
    struct store_range_entry *newer;
    uint64_t hash;
    uint64_t offset;
    uint64_t len;
    size_t key_len;
    size_t data_len;
    uint8_t asked; /* how often since it last had to pass, up to a few */
    bool is_main;
    uint8_t bytes[]; /* key, data */
};

struct store_range_queue {
    struct store_range_entry *oldest;
    struct store_range_entry *newest;
    size_t used;
};

struct store_range_shard {
    /* private */
    struct store_range_entry **chains;
    size_t chain_count; /* a power of two */
    size_t limit;
    struct store_range_queue trial; /* ranges that came for the first time */
    struct store_range_queue main;  /* those that were asked for again */
    struct store_range_ghosts ghosts;
    struct store_range_cache_counts counts;
};

/* Bytes of the tables of a shard that holds up to limit bytes. */
size_t store_range_shard_tables(size_t limit);

/* limit in bytes, tables not included. */
void store_range_shard_init(struct store_range_shard *s, size_t limit);

/* All entries have been taken out. */
void store_range_shard_fini(struct store_range_shard *s);

/* Bytes that an entry takes, the allocation included, and that of them which is asked
 * of malloc. */
size_t store_range_entry_cost(size_t key_len, size_t data_len);
size_t store_range_entry_size(size_t key_len, size_t data_len);

/* Fill in an entry of store_range_entry_size bytes. */
void store_range_entry_init(struct store_range_entry *e, uint64_t hash,
                            const struct store_range *r, struct bytes data);

struct bytes store_range_entry_data(const struct store_range_entry *e);

/* Bytes that the entries take. */
size_t store_range_shard_used(const struct store_range_shard *s);

/* What there is of a range, or NULL. Counted, unless r is a repetition. O(1). */
struct store_range_entry *store_range_shard_ask(struct store_range_shard *s,
                                                uint64_t hash,
                                                const struct store_range *r);

/* Whether to insert a range that would take cost bytes; what is not wanted leaves a
 * ghost. O(1). */
NODISCARD bool store_range_shard_wants(struct store_range_shard *s, uint64_t hash,
                                       const struct store_range *r, size_t cost);

/* Take an entry of r that is wanted, and evict what has to make room, into the list at
 * *out; so does the entry if the range is there by now. Amortised O(1 + evicted). */
void store_range_shard_insert(struct store_range_shard *s, struct store_range_entry *e,
                              const struct store_range *r,
                              struct store_range_entry **out);

/* Evict until the entries take at most most bytes. */
void store_range_shard_evict(struct store_range_shard *s, size_t most,
                             struct store_range_entry **out);

/* Take out all entries whose keys begin with prefix. O(entries). */
void store_range_shard_forget(struct store_range_shard *s, struct bytes prefix,
                              struct store_range_entry **out);

#endif
