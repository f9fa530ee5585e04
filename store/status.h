/* SPDX-License-Identifier: Apache-2.0 */
/* What the store does and holds, for people and programs: a page and JSON of the same
 * facts. */
#ifndef STORE_STATUS_H
#define STORE_STATUS_H

#include "common/app/admin.h"
#include "common/app/info.h"
#include "common/base/budget_arbiter.h"
#include "common/base/memory.h"
#include "common/objstore/bucket.h"
#include "common/objstore/prices.h"
#include "store/api_read.h"
#include "store/block_sync.h"
#include "store/disk_cache.h"
#include "store/options.h"
#include "store/page_cache.h"
#include "store/range_cache.h"
#include "store/status_rows.h"

/* All pointers are borrowed and must outlive the routes. */
struct store_status {
    struct app_admin *admin;
    struct objstore_bucket *bucket;
    struct store_block_view *view;
    struct store_block_sync *sync;
    struct store_api_read *read;
    struct budget *budget; /* of the process; pages draw on it, too */
    struct budget_arbiter *arbiter;
    struct memory_keep *keep;
    struct store_page_cache *pages;
    struct store_range_cache *ranges; /* NULL: none */
    struct store_disk_usage *disk_usage;
    struct store_disk_cache *disk; /* NULL: none */
    /* by store_status_configure */
    struct app_info info;
    struct objstore_prices prices;
    const char *label; /* for pages that read /api/v1/blocks; may be "" */
    bool has_pages;    /* not only JSON */
};

/* One moment. Times are of the wall clock; INT64_MIN: not known. */
struct store_status_view {
    bool is_ready;
    const char *reason; /* of not being ready */
    const char *bucket;
    int64_t now_ms;
    int64_t next_sync_ms;
    struct store_sync_moment sync;
    struct store_status_query query;
    struct store_status_rows rows;
    struct store_api_load load;
    size_t memory_limit; /* bytes, as all that follows */
    size_t memory_used;
    size_t memory_peak;
    size_t memory_kept;    /* freed, for the next who needs some */
    size_t memory_waiting; /* queries that wait for memory */
    size_t pages_held;
    size_t pages_limit;
    size_t ranges_limit;
    struct store_range_cache_counts ranges;
    uint64_t disk_limit;
    uint64_t disk_used[STORE_DISK_KINDS];
    bool has_disk_cache;
    uint64_t disk_cache_limit; /* as things are now */
    struct store_disk_cache_counts disk;
    bool has_requests; /* of a bucket that is asked by requests */
    struct objstore_request_figures requests;
    const struct objstore_prices *prices;
};

/* *view must be the zero value but for its query; release it with fini. */
void store_status_look(const struct store_status *s, struct store_status_view *view);
void store_status_view_fini(struct store_status_view *view);

/* Take what the command line says of pages and prices; options outlives *s.
 * Errors those of reading the prices. */
NODISCARD bool store_status_configure(struct store_status *s,
                                      const struct store_options *options,
                                      struct err *err);

/* Write the routes /, /blocks, /loaded (where has_pages), those below /api/v1/status
 * and /api/v1/blocks to at; returns their number, at most STORE_STATUS_ROUTES. */
enum { STORE_STATUS_ROUTES = APP_INFO_ROUTES + 5 };
size_t store_status_routes(struct store_status *s, struct net_http_route *at);

#endif
