/* SPDX-License-Identifier: Apache-2.0 */
/* Series that a query yielded, copied with their chunks to be gone through once more:
 * all of them, if they are few enough, else none. */
#ifndef STORE_KEPT_SERIES_H
#define STORE_KEPT_SERIES_H

#include "common/base/arena.h"
#include "store/series.h"

/* The zero value has given up. One thread at a time. */
struct store_kept_series {
    size_t count;
    struct store_series *at; /* in the order of add */
    /* private */
    bool keeps;
    size_t cap;
    struct budget budget;
    struct arena arena;
};

/* Keep what fits most bytes, which are taken from parent; it outlives *k. */
void store_kept_series_init(struct store_kept_series *k, size_t most,
                            struct budget *parent);

/* Copy a series. If there is no room for it, give up: release all and take no more. */
void store_kept_series_add(struct store_kept_series *k,
                           const struct store_series *series);

/* Whether all series that were added are there. */
static inline bool
store_kept_series_is_whole(const struct store_kept_series *k)
{
    return k->keeps;
}

/* Release all. Accepts the zero value. */
void store_kept_series_fini(struct store_kept_series *k);

#endif
