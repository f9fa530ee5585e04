/* SPDX-License-Identifier: Apache-2.0 */
/* How much of the disk the data directory may take and takes: index headers and the
 * snapshot first, and of the rest what the disk cache needs. Any thread. */
#ifndef STORE_DISK_USAGE_H
#define STORE_DISK_USAGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/compiler.h"

enum store_disk_kind {
    STORE_DISK_HEADERS,
    STORE_DISK_SNAPSHOT,
    STORE_DISK_CACHE,
    STORE_DISK_KINDS
};

/* Its name in metrics and status. */
const char *store_disk_kind_name(enum store_disk_kind kind);

struct store_disk_usage {
    uint64_t limit; /* bytes for everything; constant once it is made */
    atomic_uint_fast64_t used[STORE_DISK_KINDS];
    /* private, and constant */
    const char *data_dir;
    bool is_automatic;
};

/* limit in bytes for all that is in data_dir, which is borrowed and exists; 0 is nine
 * tenths of the file system, of which the cache takes a quarter and 16 GiB at most; one
 * that does not tell its size has no limit, and no cache.
 * The cache leaves a tenth of the file system free, whatever the limit. */
void store_disk_usage_init(struct store_disk_usage *u, const char *data_dir,
                           uint64_t limit);

/* Measure headers and snapshot anew: O(files). Best effort. */
void store_disk_usage_measure(struct store_disk_usage *u);

/* A header of so many bytes has come, or one has gone where bytes is negative. */
void store_disk_usage_add_header(struct store_disk_usage *u, int64_t bytes);

/* What the cache holds now. */
void store_disk_usage_set_cache(struct store_disk_usage *u, uint64_t bytes);

/* What the cache may hold now. */
uint64_t store_disk_usage_cache_room(const struct store_disk_usage *u);

/* What there is of a kind. */
uint64_t store_disk_usage_bytes(const struct store_disk_usage *u,
                                enum store_disk_kind kind);

/* By how much headers have to shrink because they and the snapshot are above the limit:
 * a sixteenth of it more than that; 0: they need not. */
uint64_t store_disk_usage_to_free(const struct store_disk_usage *u);

/* Whether headers that nobody has asked for yet had better not come. */
NODISCARD bool store_disk_usage_is_crowded(const struct store_disk_usage *u);

#endif
