/* SPDX-License-Identifier: Apache-2.0 */
/* Room for index headers: those that no query has used for longest are removed, because
 * all of them are above --store.disk-limit or the disk is full. They are built again
 * when a query needs them. */
#ifndef STORE_HEADER_ROOM_H
#define STORE_HEADER_ROOM_H

#include "common/metrics/registry.h"
#include "store/block_set.h"
#include "store/disk_usage.h"

/* One thread at a time. The zero value with data_dir, usage and metric is ready. */
struct store_header_room {
    const char *data_dir;
    struct store_disk_usage *usage;
    struct metrics_value *evictions;
    int64_t log_due_ns; /* private; 0: now */
};

/* Remove files until bytes are free, or as many as headers are above the limit and a
 * little more: first those of blocks that are not in the set, then by the last use.
 * Those that were built or used in the last five seconds stay, lest queries take them
 * away from each other for ever. Blocks of the set are told. Returns how many were
 * removed. O(files). */
size_t store_header_room_make(struct store_header_room *r,
                              const struct store_block_set *set, uint64_t bytes);

#endif
