/* SPDX-License-Identifier: Apache-2.0 */
/* Writes sequences of pages as the page cache reads them, front to back. */
#ifndef STORE_PAGE_WRITER_H
#define STORE_PAGE_WRITER_H

#include "common/base/bytes.h"
#include "store/page_cache.h"

/* An unnamed temporary file that is being written. The zero value is closed. */
struct store_page_writer {
    uint64_t size; /* logical bytes so far */
    /* private */
    const char *path;
    int fd;
    uint8_t *page; /* STORE_PAGE_SIZE bytes, charged to budget */
    struct budget *budget;
};

/* Open a temporary file in the folder of path (borrowed, for messages also).
 * Errors ERR_BUDGET, ERR_IO and others of the file system. */
NODISCARD bool store_page_writer_open(struct store_page_writer *w, const char *path,
                                      struct budget *budget, struct err *err);

NODISCARD bool store_page_writer_put(struct store_page_writer *w, struct bytes data,
                                     struct err *err);

/* Fill the last page with zeros and append all pages to the open file to. */
NODISCARD bool store_page_writer_copy(struct store_page_writer *w, int to,
                                      struct err *err);

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
