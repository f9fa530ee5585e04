/* SPDX-License-Identifier: Apache-2.0 */
/* What one recursive listing of the bucket tells about its blocks: no object is opened.
 * Objects that belong to no block, and files of a block that nobody reads, are left
 * out. */
#ifndef STORE_BLOCK_LISTING_H
#define STORE_BLOCK_LISTING_H

#include "common/objstore/bucket.h"
#include "common/tsdb/ulid.h"

/* By this a change of an object is noticed. The zero value: it is not there. */
struct store_stamp {
    bool exists;
    uint64_t size; /* bytes */
    int64_t mtime_ms;
};

static inline bool
store_stamp_eq(struct store_stamp a, struct store_stamp b)
{
    return a.exists == b.exists && a.size == b.size && a.mtime_ms == b.mtime_ms;
}

struct store_listed_segment {
    char *name; /* "000001" */
    uint64_t size;
};

struct store_listed {
    struct tsdb_ulid id;
    struct store_stamp meta; /* a block without it is not complete */
    struct store_stamp index;
    struct store_stamp chunks; /* all segments: sum of sizes, latest change */
    struct store_stamp mark;   /* deletion-mark.json */
    size_t segment_count;
    struct store_listed_segment *segments; /* by name */
};

/* The zero value is empty. */
struct store_listing {
    size_t count;
    struct store_listed *blocks; /* by ULID, which is by time of creation */
};

/* List the bucket into an empty listing. Call fini also after an error.
 * Errors those of the bucket. */
NODISCARD bool store_listing_read(struct store_listing *l,
                                  struct objstore_bucket *bucket,
                                  const struct objstore_call *call, struct err *err);
void store_listing_fini(struct store_listing *l);

#endif
