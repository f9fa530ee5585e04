/* SPDX-License-Identifier: Apache-2.0 */
/* Pieces of time, to the millisecond. */
#ifndef STORE_TIME_RANGE_H
#define STORE_TIME_RANGE_H

#include <stddef.h>
#include <stdint.h>

/* Both ends inclusive. */
struct store_time_range {
    int64_t mint_ms;
    int64_t maxt_ms;
};

/* All that there is. */
#define STORE_ALL_TIME ((struct store_time_range){INT64_MIN, INT64_MAX})

/* Ascending, without touching each other; borrowed. */
struct store_time_ranges {
    const struct store_time_range *at;
    size_t count;
};

/* The first of the ranges that ends at t_ms or later; count if there is none. */
static inline size_t
store_time_ranges_find(struct store_time_ranges r, int64_t t_ms)
{
    size_t low = 0, high = r.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (r.at[middle].maxt_ms < t_ms)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

#endif
