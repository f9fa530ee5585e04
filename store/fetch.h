/* SPDX-License-Identifier: Apache-2.0 */
/* Fetching ranges of objects in parallel on a fixed pool of threads.
 *
 * A query thread plans reads, starts them as one group, does other work, and waits.
 * Worker threads own nothing between jobs and write only into buffers that the waiting
 * query has lent. */
#ifndef STORE_FETCH_H
#define STORE_FETCH_H

#include "common/base/arena.h"
#include "common/base/mutex.h"
#include "common/base/pool.h"
#include "common/objstore/bucket.h"
#include "store/damage.h"
#include "store/disk_cache.h"
#include "store/limits.h"
#include "store/range_cache.h"
#include "store/range_flight.h"
#include "store/read_totals.h"

/* What a query wants of an object. Pieces are planned in order of (object, offset). */
struct store_piece {
    uint32_t object; /* position in the caller's table of object keys */
    uint64_t offset;
    uint64_t len;
    uint64_t room; /* of a record (records.h): most bytes that it can have */
    uint32_t tag;  /* the caller's */
    uint32_t read; /* set by the plan: position of the read that covers it */
    bool is_again; /* of a record: it was read a second time */
    bool is_taken; /* on_piece was content with it */
};

/* What a worker does at once with a piece that it has read, while the bytes are in its
 * caches; got as of store_fetch_piece. Pieces of several reads come at the same time.
 * Returns whether that is all there is to do. */
typedef bool store_piece_fn(void *arg, const struct store_piece *piece,
                            struct bytes got);

/* Gaps between pieces up to this are read, too: that costs less than another request,
 * at 100 MB/s a third of a millisecond. Not measured against S3 yet. */
enum { STORE_FETCH_MAX_GAP = 32 * 1024 };

/* Reads of one query that run at a time, at most. Others take turns with it at the
 * rest, and at each that ends. */
enum { STORE_FETCH_IN_FLIGHT = 24 };

struct store_fetch;

/* One ranged read; it covers one or more pieces. */
struct store_read {
    uint32_t object;
    uint64_t offset;
    uint64_t len;
    uint8_t *into; /* len bytes in the group's arena */
    size_t got;    /* set when done: fewer than len only at the end of the object */
    /* private */
    struct store_piece *pieces; /* that it covers */
    size_t piece_count;
    const char *key;
    bool is_cached;       /* it was found in the cache: nothing runs */
    bool is_broad;        /* of a query that has read much: see struct store_range */
    bool is_shared;       /* another query made the read */
    bool is_on_disk;      /* that had it */
    uint64_t query_bytes; /* that the query had asked for by then */
    struct store_range_flight flight;
    struct store_fetch *group;
    struct pool_job job;
};

/* Where reads come from, and until when a query wants them. Shared by all groups of a
 * query; set up once. */
struct store_fetch_source {
    struct pool *pool;
    struct objstore_bucket *bucket;
    struct store_range_cache *cache;     /* NULL: none */
    struct store_range_flights *flights; /* NULL: equal reads are all made */
    struct store_disk_cache *disk;       /* below it; NULL: none */
    struct store_limits *limits;         /* of the request; NULL: none */
    struct store_damage damage;          /* found so far */
    int64_t deadline_ns;
    struct cancel cancel;
    /* Polled while a query waits: whether its reader has left. NULL: never. */
    bool (*is_abandoned)(void *arg);
    void *abandoned_arg;
    /* Asked when more is to be read ahead: what part of its look-ahead the query may
     * use now, above 0 and at most 1. NULL: all of it. */
    double (*share)(void *arg);
    void *share_arg;
    struct store_data_totals data[STORE_DATA_KINDS]; /* of the query */
    /* private */
    struct pool_lane lane;
};

/* Release what reading and waiting took, and forget what the cache has of damaged
 * blocks, when no group is left. CLEANUP handler. */
void store_fetch_source_fini(struct store_fetch_source *source);

/* For long work between fetches: whether the query is still wanted.
 * Errors ERR_TIMEOUT, ERR_CANCELLED. */
NODISCARD bool store_fetch_check(const struct store_fetch_source *source,
                                 struct err *err);

/* What the query may read ahead now of so many bytes. */
size_t store_fetch_share(const struct store_fetch_source *source, size_t bytes);

/* Whether the query has read much, beside what the cache holds: see struct store_range.
 */
bool store_fetch_is_broad(const struct store_fetch_source *source);

/* A group of reads. The zero value is an empty group. */
struct store_fetch {
    /* Set before the start, for the totals of the query. */
    enum store_data data; /* what the pieces are */
    bool is_again;        /* they were too long for an earlier group */
    /* Set before the start, too, or NULL. Not called for what is cached or fails; what
     * it touches is its own until the wait has ended. */
    store_piece_fn *on_piece;
    void *on_piece_arg;
    struct store_fetch_source *source;
    size_t count;
    struct store_read *reads;
    /* private */
    struct mutex lock;
    struct cond done;
    bool started;
    bool is_settled; /* what did not come from the bucket is no request any more */
    /* guarded by lock */
    size_t pending;
    const struct err *failure; /* kept; NULL: none */
};

/* Put pieces in the order of a plan. In place, O(count) when they already are. */
void store_fetch_sort(struct store_piece *pieces, size_t count);

/* Merge pieces (count of them, ascending by object and offset; lengths at least 1)
 * into reads that bridge gaps of at most max_gap bytes and are cut, between pieces, at
 * max_read bytes. reads has room for all, or is NULL: they are counted only. Returns
 * how many there are. Pure. */
size_t store_fetch_plan(struct store_piece *pieces, size_t count, uint64_t max_gap,
                        uint64_t max_read, struct store_read *reads);

/* g is zero, but for on_piece. Plan the pieces, take buffers from arena, copy what the
 * cache has, and start the other reads. keys[piece.object] is the object's key and
 * outlives the group, as the arena does. Errors ERR_BUDGET: nothing was started. */
NODISCARD bool store_fetch_start(struct store_fetch *g,
                                 struct store_fetch_source *source,
                                 const char *const *keys, struct store_piece *pieces,
                                 size_t count, struct arena *arena, struct err *err);

/* Whether all reads have ended, well or not. Does not block. */
NODISCARD bool store_fetch_is_done(struct store_fetch *g);

/* Wait for all reads.
 * Errors the first failure of a read; ERR_CANCELLED when the reader left; ERR_TIMEOUT.
 * Also after an error no read of the group is running any more. */
NODISCARD bool store_fetch_wait(struct store_fetch *g, struct err *err);

/* What a piece got: fewer bytes than asked only at the end of the object. Borrowed from
 * the group's arena. */
struct bytes store_fetch_piece(const struct store_fetch *g,
                               const struct store_piece *piece);

/* Wait until no read runs, cancelling them, and make the group empty. Call it before
 * the arena goes. Accepts the zero value. */
void store_fetch_fini(struct store_fetch *g);

#endif
