/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps the served blocks those of the bucket.
 *
 * A pass lists the bucket once, reads what metas and deletion marks have changed,
 * judges every block (block_filter.h), and publishes the new set. Index headers are had
 * later (block_headers.h); blocks that turn out to have none leave the set. A block
 * that fails is named in the log, counted, and tried again in the next pass; the others
 * go on. When the bucket cannot be listed the old set stays. */
#ifndef STORE_BLOCK_SYNC_H
#define STORE_BLOCK_SYNC_H

#include "common/app/admin.h"
#include "common/metrics/registry.h"
#include "store/block_headers.h"
#include "store/relabel.h"
#include "store/time_bound.h"

struct store_block_sync;

/* All pointers are borrowed and outlive the sync. */
struct store_block_sync_options {
    struct objstore_bucket *bucket;
    struct store_block_headers *headers;
    struct store_block_view *view;
    struct metrics_registry *metrics;
    struct app_admin *admin; /* told when the first pass is done; NULL: nobody */
    const char *data_dir;
    int64_t interval_ns;
    unsigned meta_concurrency; /* at least 1 */
    struct store_time_bound mint;
    struct store_time_bound maxt;
    const struct store_relabel *selector; /* NULL: all blocks */
    int64_t consistency_delay_ms;
    int64_t deletion_delay_ms;
    int64_t max_resolution_ms;
};

/* Make the data directory and remove what an interrupted run has left unfinished in it.
 * Errors those of the file system. */
NODISCARD bool store_block_sync_new(struct store_block_sync **out,
                                    const struct store_block_sync_options *options,
                                    struct err *err);

/* One pass, for tests and before start. *complete is false when some block failed and
 * may not fail the next time.
 * Errors of the listing; nothing was published. */
NODISCARD bool store_block_sync_run(struct store_block_sync *s, bool *complete,
                                    struct err *err);

/* Wait until the header of each block that is to be served is there or has failed, and
 * publish what came of it. Not beside the thread. */
void store_block_sync_settle(struct store_block_sync *s);

/* Start the thread that makes a pass now and then one per interval, give or take a
 * tenth so that replicas do not list the bucket together, and sooner while a pass is
 * not complete. It becomes ready after a complete pass, or after a few others. */
NODISCARD bool store_block_sync_start(struct store_block_sync *s, struct err *err);

/* Have a pass made as soon as possible. One that is under way may have listed the
 * bucket before what the caller knows of; so another one follows it. Any thread. */
enum store_block_sync_asked {
    STORE_BLOCK_SYNC_BEGINS,
    STORE_BLOCK_SYNC_FOLLOWS,
    STORE_BLOCK_SYNC_STOPPED
};
enum store_block_sync_asked store_block_sync_ask(struct store_block_sync *s);

/* Have a pass made soon, because a query has seen that the bucket has changed: some
 * seconds after the last one at the earliest. Any thread; does not block. */
void store_block_sync_suggest(struct store_block_sync *s);

/* How far the sync is: the running pass, or the last one. */
struct store_block_sync_progress {
    bool is_passing;
    size_t listed; /* blocks in the bucket; 0 before the first listing has ended */
    size_t unread; /* those of them whose new meta or mark is still to be read */
};

/* Any thread. */
struct store_block_sync_progress store_block_sync_progress(struct store_block_sync *s);

/* Interrupt a running pass and stop the thread. The view keeps the last set. Accepts
 * NULL. */
void store_block_sync_stop(struct store_block_sync *s);

/* Stop and release; nobody may ask any more. *s becomes NULL; accepts NULL. */
void store_block_sync_free(struct store_block_sync **s);

#endif
