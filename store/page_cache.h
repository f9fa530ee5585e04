/* SPDX-License-Identifier: Apache-2.0 */
/* Page cache: checked pages of local files, shared by all queries, drawing on the
 * process budget. A file is a sequence of pages of STORE_PAGE_SIZE bytes, each ending
 * in the CRC-32C of what stands before it (page_writer.h writes them). Copies out, so
 * no page is ever pinned; opens a file only while it reads a page of it, so that the
 * number of files is not bounded by that of descriptors. A page takes what stands in
 * it, without the zeros at its end: thousands of small files take little. */
#ifndef STORE_PAGE_CACHE_H
#define STORE_PAGE_CACHE_H

#include <stdint.h>

#include "common/base/budget.h"

enum { STORE_PAGE_SIZE = 16384, STORE_PAGE_DATA = STORE_PAGE_SIZE - 4 };

struct store_page_cache;

/* At most limit bytes of pages (rounded up to 16 pages), charged to budget. When the
 * budget refuses, an older page is evicted; with none left, reads go uncached. */
struct store_page_cache *store_page_cache_new(size_t limit, struct budget *budget);
void store_page_cache_free(struct store_page_cache **c);

/* The budget that pages are charged to. */
struct budget *store_page_cache_budget(struct store_page_cache *c);

/* A number for a newly opened file, never used twice. */
uint64_t store_page_cache_file_id(struct store_page_cache *c);

/* Copy len bytes from logical offset (page data only, CRCs not counted) of the file at
 * path. Any thread; no I/O under a lock.
 * Errors ERR_CORRUPT: the file ends before, or a page's CRC is wrong; ERR_NOT_FOUND;
 * ERR_IO. What into holds is then undefined. */
NODISCARD bool store_page_cache_read(struct store_page_cache *c, uint64_t file_id,
                                     const char *path, uint64_t offset, void *into,
                                     size_t len, struct err *err);

/* The same without a cache, for what is read once: len bytes that lie in one page. */
NODISCARD bool store_page_read(const char *path, uint64_t offset, void *into,
                               size_t len, struct err *err);

/* Evict at least want bytes of pages, or all there are. Returns how many. */
size_t store_page_cache_reclaim(struct store_page_cache *c, size_t want);

/* Bytes of pages that are held, and how many may be. Any thread. */
size_t store_page_cache_held(struct store_page_cache *c);
size_t store_page_cache_limit(const struct store_page_cache *c);

/* Drop the pages of a file that is being closed. O(pages). */
void store_page_cache_forget(struct store_page_cache *c, uint64_t file_id);

#endif
