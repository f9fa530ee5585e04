/* SPDX-License-Identifier: Apache-2.0 */
/* Ghosts: what a cache no longer has, or did not take, remembered by hashes alone. A
 * miss that finds one was wanted before; so it tells what is worth keeping, and what a
 * larger cache would have had. The oldest are forgotten. One thread at a time. */
#ifndef STORE_RANGE_GHOSTS_H
#define STORE_RANGE_GHOSTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store_range_ghost;

/* The zero value remembers nothing. */
struct store_range_ghosts {
    /* private */
    struct store_range_ghost *ring; /* count slots, the oldest at oldest */
    uint32_t *chains;               /* count of them, slot + 1; 0 is empty */
    uint32_t count;                 /* a power of two, or 0 */
    uint32_t oldest;
    uint32_t used; /* slots from oldest on, those that were taken out included */
    uint64_t most;
    uint64_t bytes; /* of what they stand for, at most most */
};

/* Bytes of memory that count ghosts take. */
size_t store_range_ghosts_size(uint32_t count);

/* Remember up to count (a power of two, at most 2^31) ghosts that stand for up to most
 * bytes together. */
void store_range_ghosts_init(struct store_range_ghosts *g, uint32_t count,
                             uint64_t most);
void store_range_ghosts_fini(struct store_range_ghosts *g);

/* Remember what had size bytes, as the newest. O(1)
 * amortised. */
void store_range_ghosts_add(struct store_range_ghosts *g, uint64_t hash, size_t size);

/* O(1). */
bool store_range_ghosts_has(const struct store_range_ghosts *g, uint64_t hash);

/* Forget one; whether it was there. O(1). */
bool store_range_ghosts_take(struct store_range_ghosts *g, uint64_t hash);

#endif
