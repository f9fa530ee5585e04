/* SPDX-License-Identifier: Apache-2.0 */
/* Writes sequences of pages as the page cache reads them, front to back: to an open
 * file, or to a temporary one that is only there once more than a page has been
 * written. */
#ifndef STORE_PAGE_WRITER_H
#define STORE_PAGE_WRITER_H

#include "common/base/bytes.h"
#include "store/page_cache.h"

/* What is being written. The zero value is closed. */
struct store_page_writer {
    uint64_t size; /* logical bytes so far */
    /* private */
    const char *path;
    int fd; /* -1: nothing was written yet */
    bool is_temporary;
    uint8_t *page; /* STORE_PAGE_SIZE bytes, charged to budget */
    struct budget *budget;
};

/* Begin a temporary file, unnamed and in the folder of path (borrowed, for messages
 * also).
 * Errors ERR_BUDGET. */
NODISCARD bool store_page_writer_open(struct store_page_writer *w, const char *path,
                                      struct budget *budget, struct err *err);

/* Begin at the end of the open file fd, which is borrowed.
 * Errors ERR_BUDGET. */
NODISCARD bool store_page_writer_open_at(struct store_page_writer *w, int fd,
                                         const char *path, struct budget *budget,
                                         struct err *err);

/* An error of our own file system, whatever it was, becomes ERR_IO, so that nobody
 * takes it for one of the bucket or of a block; those of budgets stay. Yields false. */
bool store_page_disk_failed(struct err *err);

/* Errors ERR_IO, like the next two. */
NODISCARD bool store_page_writer_put(struct store_page_writer *w, struct bytes data,
                                     struct err *err);

/* Put all that was put into a temporary file. */
NODISCARD bool store_page_writer_append(struct store_page_writer *w,
                                        const struct store_page_writer *from,
                                        struct err *err);

/* Fill the last page with zeros and write it. */
NODISCARD bool store_page_writer_end(struct store_page_writer *w, struct err *err);

/* Close and release. Accepts the zero value. */
void store_page_writer_fini(struct store_page_writer *w);

/* Write the CRC of a page's data behind it. */
void store_page_seal(uint8_t page[STORE_PAGE_SIZE]);

/* Pages that hold size logical bytes. */
static inline uint64_t
store_page_count(uint64_t size)
{
    return size / STORE_PAGE_DATA + (size % STORE_PAGE_DATA != 0);
}

#endif
