/* SPDX-License-Identifier: Apache-2.0 */
/* Range cache: bytes of objects that queries have read, in memory, drawing on the
 * process budget. A query that comes again plans the same reads, so a range is found
 * under exactly the place it was read from. Objects of blocks never change; one that
 * turns out to be damaged is forgotten by whoever notices. What is asked for again and
 * again stays, whatever is read once beside it (range_shard.c). Copies in and out, so
 * nothing is pinned. Any thread. */
#ifndef STORE_RANGE_CACHE_H
#define STORE_RANGE_CACHE_H

#include <stdint.h>

#include "common/base/budget.h"
#include "common/base/bytes.h"

struct store_range_cache;

/* What was asked of an object. */
struct store_range {
    struct bytes key;
    uint64_t offset;
    uint64_t len; /* bytes; the object may have ended before */
    /* How it is asked for; no part of what it is. */
    bool is_repeat; /* by who did before: not counted, no sign that it is wanted more */
    bool is_broad;  /* by who put much into the cache: if nobody asked for the range
                     * before, nothing makes room for it */
};

/* What the cache did and holds, for metrics. */
struct store_range_cache_counts {
    uint64_t hits;
    uint64_t misses;
    uint64_t ghost_hits; /* misses that a cache of twice the size might have had */
    uint64_t evictions;
    uint64_t ranges;
    uint64_t bytes;
};

/* At most limit bytes, keys and bookkeeping included, charged to budget, which outlives
 * the cache; the tables, about a hundredth, as long as it lives. Too little for them,
 * here or in the budget, and nothing is kept. */
struct store_range_cache *store_range_cache_new(size_t limit, struct budget *budget);
void store_range_cache_free(struct store_range_cache **c);

/* How many bytes there are of a range. False: not cached. Not counted. O(1). */
NODISCARD bool store_range_cache_find(struct store_range_cache *c,
                                      const struct store_range *r, size_t *len);

/* Copy what is known of a range into room bytes at into; *got is how many there were.
 * False: not cached, or more than room. O(1) and the copy. */
NODISCARD bool store_range_cache_get(struct store_range_cache *c,
                                     const struct store_range *r, uint8_t *into,
                                     size_t room, size_t *got);

/* Keep a copy of what was read, in place of what has not been asked for again. Best
 * effort: nothing is kept that is too large or that the budget refuses. Amortised O(1)
 * and the copy. */
void store_range_cache_put(struct store_range_cache *c, const struct store_range *r,
                           struct bytes data);

/* Evict at least want bytes, or all there are. Returns how many. */
size_t store_range_cache_reclaim(struct store_range_cache *c, size_t want);

/* Drop the ranges of all objects whose keys begin with prefix. O(ranges). */
void store_range_cache_forget(struct store_range_cache *c, struct bytes prefix);

/* Bytes that ranges can take: the limit less the tables. */
size_t store_range_cache_limit(const struct store_range_cache *c);

struct store_range_cache_counts store_range_cache_counts(struct store_range_cache *c);

#endif
