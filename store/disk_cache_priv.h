/* SPDX-License-Identifier: Apache-2.0 */
/* The disk cache, shared by what queries call (disk_cache.c) and the thread that writes
 * (disk_writer.c). */
#ifndef STORE_DISK_CACHE_PRIV_H
#define STORE_DISK_CACHE_PRIV_H

#include "common/base/mutex.h"
#include "store/disk_cache.h"
#include "store/disk_log.h"

/* What is to be written, or a block to be forgotten. */
struct store_disk_item {
    struct store_disk_item *next;
    struct store_range range; /* its key is in bytes */
    bool is_forget;
    size_t cost; /* taken from the budget */
    size_t data_len;
    uint8_t bytes[]; /* key, data */
};

struct store_disk_cache {
    struct store_disk_cache_options options;
    bool has_thread; /* owned by the thread that makes and frees */
    pthread_t thread;
    struct mutex lock; /* LOCK_DISK_CACHE */
    struct cond changed;
    /* guarded by lock */
    bool is_stopping;
    bool is_writing;    /* an item that is in the queue no longer */
    bool is_index_full; /* something written cannot be found */
    struct store_disk_index index;
    struct store_disk_item *first;
    struct store_disk_item **last;
    size_t queued;    /* bytes of items */
    uint32_t *ghosts; /* NULL: no memory for them; what was missed, by hash */
    uint64_t room;    /* when the writer asked last */
    int64_t off_ns;   /* how long it is off; 0: it is on */
    int64_t off_until_ns;
    struct store_disk_cache_counts counts;
    /* owned by the thread that writes; others use dir alone */
    struct store_disk_log log;
    uint32_t last_number;
};

/* After a failure nothing is written for a while. */
bool store_disk_writer_is_off(const struct store_disk_cache *c);

/* Whether there is room for a cache at all. */
bool store_disk_writer_is_possible(const struct store_disk_cache *c);

/* Bytes of a file that is begun now. */
uint64_t store_disk_writer_file_bytes(const struct store_disk_cache *c);

/* Drop what is in memory of the ranges of a block. */
void store_disk_cache_forget_now(struct store_disk_cache *c, struct bytes block);

/* Take out what could not be read, and say so where something is wrong; not what failed
 * for want of memory or descriptors. */
void store_disk_cache_drop(struct store_disk_cache *c, uint64_t hash,
                           const struct store_disk_place *place, const struct err *err);

/* Give back what others need. Like the next one by the thread that writes. */
void store_disk_writer_trim(struct store_disk_cache *c);

/* Write an item, unless that is in vain. */
void store_disk_writer_write(struct store_disk_cache *c,
                             const struct store_disk_item *item);

#endif
