/* SPDX-License-Identifier: Apache-2.0 */
/* How long the block sync rests between two passes. */
#ifndef STORE_SYNC_PAUSE_H
#define STORE_SYNC_PAUSE_H

#include <stdbool.h>
#include <stdint.h>

/* One thread. The zero value with interval_ns is ready. */
struct store_sync_pause {
    int64_t interval_ns; /* after a pass that has left nothing; at least 1 */
    int64_t retry_ns;    /* private: after the next one that leaves something */
};

/* How a pass went. */
struct store_sync_outcome {
    bool has_listed; /* the bucket */
    bool is_done;    /* nothing is left that another pass could do better */
    int64_t took_ns;
    /* How long the newest of what is left has been refused, if all of it is refused in
     * a way that a server means; 0: some of it failed in another way. */
    int64_t refused_ns;
};

/* The pause after it, give or take a tenth. It is short where something is left, and
 * grows, a little; where what is left stays refused, up to the interval: each pass
 * lists the whole bucket. */
int64_t store_sync_pause_after(struct store_sync_pause *p,
                               const struct store_sync_outcome *o);

#endif
