/* SPDX-License-Identifier: Apache-2.0 */
/* Index headers of blocks, had when they are needed: a file that is there is opened by
 * who asks, one that is not is built by a fixed number of threads, once however many
 * ask. In the background those that nobody has asked for yet are opened or built, too,
 * the newest blocks first. Where there is a limit for the disk, those that no query has
 * used for longest are removed, and come back when one does.
 *
 * A failure is told to who asks within a while; then it is tried again, after ever
 * longer whiles but never later than half a minute. No file stays open. */
#ifndef STORE_BLOCK_HEADERS_H
#define STORE_BLOCK_HEADERS_H

#include "store/block_set.h"
#include "store/disk_usage.h"
#include "store/fetch.h"

struct store_block_headers;

/* All pointers are borrowed and outlive the headers. */
struct store_block_headers_options {
    struct objstore_bucket *bucket;
    struct store_page_cache *cache;
    struct metrics_registry *metrics;
    const char *data_dir;
    struct store_disk_usage *usage; /* what they take is told to; NULL: nobody cares */
    unsigned threads;               /* that build; 1 to 1024 */
    bool is_lazy;                   /* in the background none is built, only opened */
};

NODISCARD bool store_block_headers_new(struct store_block_headers **out,
                                       const struct store_block_headers_options *o,
                                       struct err *err);

/* Give up what is being built, and release. No query may run; blocks may outlive it.
 * *h becomes NULL; accepts NULL. */
void store_block_headers_free(struct store_block_headers **h);

/* Have the header of a block, waiting while it is built and as long as source wants it.
 * A block that was made without headers has one already. Any thread.
 * Errors those of building, and of store_fetch_check. */
NODISCARD bool store_block_headers_get(struct store_block *b,
                                       const struct store_fetch_source *source,
                                       struct err *err);

/* Whether it is there now. A query that goes on with one that made room for others has
 * it built again by itself. */
NODISCARD bool store_block_headers_has(const struct store_block *b);

/* The same as get without waiting: whether the header is there now. Otherwise a build
 * has begun, if there was room for one. */
bool store_block_headers_prepare(struct store_block *b);

/* Whether a block could not be read although its bucket could, twice for the same
 * reason: a header cannot be built, until something changes. */
NODISCARD bool store_block_headers_is_broken(const struct store_block *b);

/* Whether the last build of a block's header has failed, and why. Any thread. */
NODISCARD bool store_block_headers_failure(struct store_block *b, struct err *err);

/* What there is of a header now. Any thread. */
enum store_header_state {
    STORE_HEADER_READY,
    STORE_HEADER_BUILDING, /* or waits for its turn in that */
    STORE_HEADER_FAILED,
    STORE_HEADER_NONE /* nobody has asked for it yet, or since it made room */
};
enum store_header_state store_block_headers_state(struct store_block *b);

/* Whether a query goes on without a block when store_block_headers_get has failed with
 * err: it is served no more then, so that later queries do not even see it. One that
 * was deleted may have a successor; so that is an error. */
NODISCARD bool store_block_headers_leaves_out(const struct store_block *b,
                                              const struct err *err);

/* Have the headers of a set in the background, instead of those of an earlier one, and
 * try those again that are broken. Takes a reference of its own. When a block becomes
 * broken, or is so no longer, changed(arg, false) is called, by any thread; when it
 * turns out to be in the bucket no more, changed(arg, true). */
void store_block_headers_follow(struct store_block_headers *h,
                                struct store_block_set *set,
                                void (*changed)(void *arg, bool is_gone), void *arg);

/* Follow no set any more. changed is not called after this has returned. */
void store_block_headers_unfollow(struct store_block_headers *h);

/* Release what is remembered of builds of a block that nobody has any more. Accepts
 * NULL. */
void store_header_build_free(struct store_header_build **build);

/* Wait until each header of the set that is followed is there or has failed once. */
void store_block_headers_settle(struct store_block_headers *h);

#endif
