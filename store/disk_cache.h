/* SPDX-License-Identifier: Apache-2.0 */
/* Disk cache: bytes of objects that queries have read, in files of the data directory,
 * below the range cache in memory; it outlives the process. Nothing waits for it but
 * for the read of what it has: a thread of its own writes. An error of any kind is a
 * miss. Any thread. */
#ifndef STORE_DISK_CACHE_H
#define STORE_DISK_CACHE_H

#include "store/disk_usage.h"
#include "store/range_cache.h"

struct store_disk_cache;

/* Borrowed pointers outlive the cache. */
struct store_disk_cache_options {
    const char *data_dir;
    struct bytes bucket; /* a name that other buckets do not have */
    struct budget *budget;
    size_t index_limit;             /* bytes of memory for what is known of the files */
    struct store_disk_usage *usage; /* how much room there is */
};

/* What the cache did and holds, for metrics. */
struct store_disk_cache_counts {
    uint64_t hits;
    uint64_t misses;
    uint64_t written;
    uint64_t written_bytes;
    uint64_t dropped; /* that were to be written and for which there was no time */
    uint64_t damaged;
    uint64_t failures; /* of writing */
    uint64_t ranges;
    uint64_t bytes; /* of the files */
    bool is_off;    /* after a failure, for a while */
};

/* Find what an earlier process has left.
 * Errors ERR_NOMEM: no thread can be started. */
NODISCARD bool store_disk_cache_new(struct store_disk_cache **out,
                                    const struct store_disk_cache_options *options,
                                    struct err *err);

/* Write what was put, and release. *c becomes NULL; accepts NULL. */
void store_disk_cache_free(struct store_disk_cache **c);

/* As store_range_cache_get, but reads a file. */
NODISCARD bool store_disk_cache_get(struct store_disk_cache *c,
                                    const struct store_range *r, uint8_t *into,
                                    size_t *got);

/* Have a copy of what was read written, later. query_bytes is what the query has
 * fetched so far: what a broad one reads is written only when it was missed before.
 * Best effort. */
void store_disk_cache_put(struct store_disk_cache *c, const struct store_range *r,
                          struct bytes data, uint64_t query_bytes);

/* Drop the ranges of a block, or of all with an empty name, also for later processes;
 * what is being written now may be dropped a moment later. */
void store_disk_cache_forget(struct store_disk_cache *c, struct bytes block);

/* Wait until all that was put has been written or given up. */
void store_disk_cache_settle(struct store_disk_cache *c);

struct store_disk_cache_counts store_disk_cache_counts(struct store_disk_cache *c);

#endif
