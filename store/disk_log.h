/* SPDX-License-Identifier: Apache-2.0 */
/* The files of the disk cache (disk_record.h): one is being appended to, the others are
 * full and only read, or removed as a whole. Nothing is synced: what a crash or anybody
 * else takes away is found by its checksum. Files are opened while they are read and
 * not kept open, so that one that is deleted gives its space back. */
#ifndef STORE_DISK_LOG_H
#define STORE_DISK_LOG_H

#include "store/disk_index.h"

/* Where files are, and the one that is being written. One thread. */
struct store_disk_log {
    const char *dir;     /* borrowed */
    struct bytes bucket; /* name; borrowed */
    /* private */
    int fd; /* -1: none */
    char *path;
    uint32_t number;
    uint32_t size;
    struct buf table; /* rows of what it has */
};

void store_disk_log_init(struct store_disk_log *l, const char *dir,
                         struct bytes bucket);

/* Close what is being written, as full. */
void store_disk_log_fini(struct store_disk_log *l);

/* Begin a file; another one must not be open.
 * Errors those of the file system. */
NODISCARD bool store_disk_log_begin(struct store_disk_log *l, uint32_t number,
                                    struct err *err);

/* Whether a file is being written; its number and its bytes so far. */
NODISCARD bool store_disk_log_current(const struct store_disk_log *l, uint32_t *number,
                                      uint32_t *size);

/* Records that the file has so far. */
size_t store_disk_log_records(const struct store_disk_log *l);

/* Append a record. After a failure the file is as it was.
 * record  without its content, as store_disk_put_record has written it
 * row     set to what a table says of it
 * Errors those of the file system. */
NODISCARD bool store_disk_log_append(struct store_disk_log *l, struct bytes record,
                                     struct bytes content, struct store_disk_row *row,
                                     struct err *err);

/* Write the table of the file and close it; returns the bytes that it has then. A
 * failure costs the next start time. */
uint64_t store_disk_log_end(struct store_disk_log *l);

/* Close the file as it is, because it has been dropped. */
void store_disk_log_abandon(struct store_disk_log *l);

/* Put what is in all files into an empty index, the oldest first, and remove those that
 * are of another bucket or format. Returns the highest number that was found.
 * Errors those of the file system of the directory. */
NODISCARD bool store_disk_log_load(const struct store_disk_log *l,
                                   struct store_disk_index *x, uint32_t *last,
                                   struct err *err);

/* Read the range r that may stand at a place: *got bytes into r->len bytes. Any thread.
 * Memory for what is compressed is taken from budget, if there is some.
 * Errors ERR_NOT_FOUND: the file is gone; ERR_CORRUPT; ERR_CONFLICT: another range
 * stands there; ERR_BUDGET; ERR_IO. What into holds is then undefined. */
NODISCARD bool store_disk_log_read(const struct store_disk_log *l,
                                   const struct store_disk_place *place,
                                   const struct store_range *r, uint8_t *into,
                                   size_t *got, struct budget *budget, struct err *err);

/* Read a whole record into an empty buffer; *head is how much of it is not content.
 * Errors as above. */
NODISCARD bool store_disk_log_read_raw(const struct store_disk_log *l,
                                       const struct store_disk_place *place,
                                       struct buf *into, size_t *head, struct err *err);

/* Remove a file. Whether it is gone. Any thread. */
bool store_disk_log_remove(const struct store_disk_log *l, uint32_t number);

#endif
