/* SPDX-License-Identifier: Apache-2.0 */
/* Index headers of blocks, shared by who builds them (block_headers.c) and the thread
 * that goes through the set (header_walk.c). */
#ifndef STORE_BLOCK_HEADERS_PRIV_H
#define STORE_BLOCK_HEADERS_PRIV_H

#include "store/block_headers.h"
#include "store/header_metrics.h"
#include "store/header_room.h"

/* What is remembered of a block while its header is built, and after a failure. */
struct store_header_build {
    struct pool_job job;
    struct store_block *block; /* referenced while the build runs */
    bool is_running;           /* or waits for a thread */
    bool is_asked;             /* by a query */
    const struct err *failure; /* kept; of the last build */
    int64_t wait_ns;
    int64_t retry_ns; /* until then the failure is told */
};

/* Who is told of changes; the zero value is nobody. */
struct store_header_listener {
    void (*changed)(void *arg, bool is_gone);
    void *arg;
};

struct store_block_headers {
    struct store_block_headers_options options;
    struct store_header_metrics metrics;
    struct cancel cancel;
    struct pool *pool;
    pthread_t follower;
    bool has_follower; /* owned by the thread that makes and frees */
    struct mutex lock; /* LOCK_HEADERS */
    struct cond changed;
    struct store_header_room room; /* owned by who has set is_making_room */
    int64_t measure_due_ns;        /* owned by the follower; 0: now */
    /* guarded by lock, as are the builds of all blocks */
    bool is_stopping;
    bool is_making_room;
    bool has_evicted; /* so the disk has to be looked at */
    unsigned builds;
    struct store_block_set *set; /* that is followed; NULL: none yet */
    uint64_t generation;         /* of set */
    uint64_t settled;            /* the last generation that was gone through */
    struct store_header_listener listener;
    unsigned telling; /* threads that are calling it */
    int64_t pause_ns; /* after a failure of the bucket nothing is tried unasked */
    int64_t pause_until_ns;
};

/* Whether it was had, be it gone by now. */
static inline bool
store_block_headers_had(const struct store_block *b)
{
    return atomic_load_explicit(&b->header, memory_order_acquire) != NULL;
}

/* Whether the file is there. Errors of any kind are for the build to tell. */
NODISCARD bool store_block_headers_open(struct store_block *b);

/* Whether a build runs or waits for a thread. Like the next two under the lock. */
NODISCARD bool store_block_headers_is_running(const struct store_block *b);

/* Whether a failure is to be told instead of a new try: to who has waited for it, and
 * for a while to others. */
NODISCARD bool store_block_headers_tells_failure(const struct store_block *b,
                                                 bool waited, struct err *err);

/* Build the header of a block for which no build runs. False: there is no room for
 * another build. */
bool store_block_headers_start(struct store_block_headers *h, struct store_block *b,
                               bool is_asked);

/* Remove files of others if there is too much of them, or for so many bytes. */
void store_block_headers_make_room(struct store_block_headers *h, uint64_t bytes);

#endif
