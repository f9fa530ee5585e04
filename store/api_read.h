/* SPDX-License-Identifier: Apache-2.0 */
/* POST /api/v1/read: Prometheus remote read over the served blocks, both response
 * types. One encoder of the engine in query.h. */
#ifndef STORE_API_READ_H
#define STORE_API_READ_H

#include "common/base/budget_arbiter.h"
#include "common/base/memory.h"
#include "common/base/pool.h"
#include "common/metrics/registry.h"
#include "common/net/http_server.h"
#include "store/block_sync.h"
#include "store/range_cache.h"
#include "store/range_flight.h"
#include "store/read_client.h"
#include "store/replica_labels.h"

struct store_api_read;

struct store_api_read_options {
    struct store_block_view *view; /* all pointers borrowed */
    struct objstore_bucket *bucket;
    struct store_block_sync *sync; /* asked when a block has vanished; NULL: nobody */
    struct pool *fetch_pool;
    struct store_range_cache *cache;     /* NULL: none */
    struct store_range_flights *flights; /* NULL: none */
    struct store_disk_cache *disk;       /* NULL: none */
    struct budget *budget;               /* of the process */
    struct budget_arbiter *arbiter;      /* of that */
    struct memory_keep *keep;            /* of that */
    struct metrics_registry *metrics;
    const struct store_replica_labels *replica_labels; /* not NULL */
    size_t query_memory_limit;                         /* bytes */
    size_t lookahead_bytes;
    int64_t query_timeout_ns;
    int64_t queue_timeout_ns;
    uint64_t max_series;  /* per request; 0: none */
    uint64_t max_samples; /* per request, by chunks; 0: none */
    uint64_t max_bytes;   /* per request, of index and chunks; 0: none */
    uint64_t max_sampled; /* samples in a sampled answer; 0: none */
    unsigned concurrency; /* 0: no gate */
    bool skip_bad_blocks; /* damaged data are left out; else they are an error */
    enum store_read_encodings encodings; /* of streamed answers */
};

struct store_api_read *store_api_read_new(const struct store_api_read_options *options);

/* No request may be running. *r becomes NULL; accepts NULL. */
void store_api_read_free(struct store_api_read **r);

/* Requests now, of all endpoints that are admitted alike. */
struct store_api_load {
    unsigned running;
    unsigned waiting;
    unsigned slots;        /* 0: there is no gate */
    uint64_t refused;      /* for want of a slot, so far */
    uint64_t beyond_limit; /* that asked for more than a limit allows, so far */
    uint64_t shared_reads; /* that they left to others who made them, so far */
};
struct store_api_load store_api_read_load(struct store_api_read *r);

/* Largest body, compressed and not. */
enum { STORE_API_READ_MAX_BODY = 8 * 1024 * 1024 };

/* Route handler; arg is the struct store_api_read. */
void store_api_read_handle(void *arg, struct net_http_exchange *x);

#endif
