/* SPDX-License-Identifier: Apache-2.0 */
/* What memory holds of the disk cache: in which file, and where in it, the record of a
 * range stands: 36 bytes of the budget for each. Not thread-safe. */
#ifndef STORE_DISK_INDEX_H
#define STORE_DISK_INDEX_H

#include "common/base/budget.h"
#include "store/disk_record.h"

/* Where a record stands. */
struct store_disk_place {
    uint32_t file; /* its number */
    uint32_t at;
    uint32_t len;
};

/* A file with records, of which some may have been dropped. */
struct store_disk_file {
    uint32_t number;
    uint64_t bytes;
    bool is_blamed; /* damage of it was told */
    /* private */
    uint32_t first; /* of its entries */
};

struct store_disk_index {
    size_t ranges;
    size_t most;    /* ranges that there is memory for */
    uint64_t bytes; /* of the files */
    size_t file_count;
    struct store_disk_file *files; /* the oldest first, ascending by number */
    /* private */
    struct budget *budget;
    size_t file_room;
    uint32_t capacity; /* entries, and as many chains: a power of two, or 0 */
    uint32_t used;     /* entries that have ever been in use: the first ones */
    uint32_t free;     /* names of entries are positions plus one; 0 is none */
    struct store_disk_entry *entries;
    uint32_t *chains;
};

/* At most limit bytes of memory (9 KiB at least), taken from budget, which outlives *x.
 */
void store_disk_index_init(struct store_disk_index *x, size_t limit,
                           struct budget *budget);
void store_disk_index_fini(struct store_disk_index *x);

/* Begin a file, whose number is above those of all others. */
void store_disk_index_add_file(struct store_disk_index *x, uint32_t number,
                               uint64_t bytes);

/* NULL: there is none. O(log files). Valid until files come or go. */
struct store_disk_file *store_disk_index_file(const struct store_disk_index *x,
                                              uint32_t number);

/* A file has grown. */
void store_disk_index_set_bytes(struct store_disk_index *x, struct store_disk_file *f,
                                uint64_t bytes);

/* Drop a file with its records. */
void store_disk_index_drop_file(struct store_disk_index *x, uint32_t number);

/* Where a range may be; it counts as wanted then. False: nowhere. */
NODISCARD bool store_disk_index_find(struct store_disk_index *x, uint64_t hash,
                                     struct store_disk_place *place);

/* Whether it is somewhere; it does not count as wanted. */
NODISCARD bool store_disk_index_has(const struct store_disk_index *x, uint64_t hash);

/* Add a record of a file, in place of an earlier one of that range; one that says
 * forget drops all of its group. False: there is no memory for it. */
NODISCARD bool store_disk_index_put(struct store_disk_index *x, uint32_t file,
                                    const struct store_disk_row *row);

/* Drop the ranges of a group; of all where that is of no name. O(ranges). */
void store_disk_index_forget(struct store_disk_index *x, uint32_t group);

/* Drop what stands there, if it still is known. */
void store_disk_index_drop(struct store_disk_index *x, uint64_t hash,
                           const struct store_disk_place *place);

/* A record of the file that was wanted since it was written; it does not count as
 * wanted any more. False: there is no other one. O(records) for all calls together,
 * when *from is 0 for the first. */
NODISCARD bool store_disk_index_next_wanted(struct store_disk_index *x, uint32_t file,
                                            uint32_t *from, uint64_t *hash,
                                            struct store_disk_place *place);

#endif
