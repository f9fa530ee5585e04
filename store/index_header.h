/* SPDX-License-Identifier: Apache-2.0 */
/* Index header: what planning a query needs of a block's index, in one local file laid
 * out for use in place (<ULID>.bhx), read through the page cache. No heap per block but
 * a small struct.
 *
 * Index versions are normalised here: above, a symbol reference is what a series entry
 * holds and a series reference times store_index_header_series_unit is a file offset.
 */
#ifndef STORE_INDEX_HEADER_H
#define STORE_INDEX_HEADER_H

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/objstore/bucket.h"
#include "common/tsdb/index.h"
#include "common/tsdb/postings.h"
#include "store/page_cache.h"

struct store_index_header;

/* The index that a header is made of. */
struct store_index_source {
    struct objstore_bucket *bucket;
    const char *key;
    uint64_t size;         /* bytes */
    struct budget *budget; /* that building draws on */
};

/* Where a postings list stands in the index: from its length field, CRC included;
 * a few pad bytes may follow inside len. */
struct store_posting_range {
    uint64_t offset;
    uint64_t len;
};

/* How many references so many bytes of so many lists hold: the rest are lengths, counts
 * and checksums. */
static inline uint64_t
store_posting_refs(uint64_t bytes, uint64_t lists)
{
    uint64_t extra = lists * 12;
    return bytes > extra ? (bytes - extra) / sizeof(tsdb_ref) : 0;
}

/* Read the two tables of the index as streams, check their CRCs and write the header
 * file at path (temporary file, fsync, rename), making its folder if it is missing. At
 * most two ranged reads one after the other, and a third beside the second; one of a
 * small index. Memory does not grow with the tables (index version 1: with the postings
 * table, which has to be sorted), but takes up to 512 KiB of the index. Any thread; two
 * builders of one path do not disturb each other.
 * Errors ERR_CORRUPT, ERR_UNSUPPORTED, ERR_BUDGET, those of the bucket, and ERR_IO for
 * whatever is wrong with the folder of path. */
NODISCARD bool store_index_header_build(const struct store_index_source *source,
                                        const struct objstore_call *call,
                                        const char *path, struct err *err);

/* Open a header file. source is copied with its key; bucket, budget and cache must
 * outlive the header. The file is checked page by page when it is read; then one that
 * was damaged or removed is built again, unless source->bucket is NULL.
 * Errors ERR_NOT_FOUND; ERR_CORRUPT (also for another version of the file, or when it
 * was made of an index of another size): build it again. */
NODISCARD bool store_index_header_open(struct store_index_header **out,
                                       const struct store_index_source *source,
                                       const char *path, struct store_page_cache *cache,
                                       struct err *err);

/* Whether two headers are of one index, as far as what is known of their files tells.
 */
NODISCARD bool store_index_header_is_same(const struct store_index_header *a,
                                          const struct store_index_header *b);

/* *h becomes NULL; accepts NULL. */
void store_index_header_free(struct store_index_header **h);

/* All functions below may be called by any number of threads and fail with ERR_CORRUPT
 * (contradictions behind right CRCs), ERR_IO, ERR_BUDGET, or why a damaged file could
 * not be built again. */

const struct tsdb_index_toc *store_index_header_toc(const struct store_index_header *h);

/* Bytes per unit of a series reference: 16, or 1 for index version 1. */
uint32_t store_index_header_series_unit(const struct store_index_header *h);

/* The list of all series (empty name, empty value). Its length is 0 when the index has
 * no lists at all, because the block has no series. */
struct store_posting_range store_index_header_all(const struct store_index_header *h);

/* Look up one label pair. O(log values). */
NODISCARD bool store_index_header_find(struct store_index_header *h, struct bytes name,
                                       struct bytes value, bool *found,
                                       struct store_posting_range *range,
                                       struct err *err);

/* Whether any series has this label. */
NODISCARD bool store_index_header_has_name(struct store_index_header *h,
                                           struct bytes name, bool *has,
                                           struct err *err);

/* Rows [begin, end) of the table of values, in byte order; they belong to one label. */
struct store_value_rows {
    uint64_t begin;
    uint64_t end;
};

/* The values of a label that start with prefix; none of an unknown one. O(log values),
 * so that their number is known before they are looked at. */
NODISCARD bool store_index_header_rows(struct store_index_header *h, struct bytes name,
                                       struct bytes prefix,
                                       struct store_value_rows *rows, struct err *err);

/* Bytes of the index from the first list of the rows to the last: what the lists take,
 * when they stand beside each other, as writers put them. 0 for no rows. */
NODISCARD bool store_index_header_span(struct store_index_header *h,
                                       struct store_value_rows rows, uint64_t *bytes,
                                       struct err *err);

/* Call fn for each value of the rows, in byte order, with its postings. value is
 * borrowed for the call. fn returns false, with err filled, to stop. */
typedef bool store_value_fn(void *arg, struct bytes value,
                            struct store_posting_range range, struct err *err);
NODISCARD bool store_index_header_scan(struct store_index_header *h,
                                       struct store_value_rows rows, store_value_fn *fn,
                                       void *arg, struct err *err);

/* A walk over all label names, or the values of one label, in byte order. Memory is one
 * gulp, or one text that is longer. One thread. */
struct store_index_cursor {
    uint64_t left; /* texts that next has not yielded yet */
    /* private */
    struct store_index_header *header;
    bool is_of_names;
    size_t gulp_bytes;
    uint64_t row;      /* behind those that have been read */
    size_t at;         /* of the rows in memory, the one to be yielded next */
    size_t count;      /* of the rows in memory */
    uint32_t texts_at; /* where texts begins in its section */
    struct buf rows;
    struct buf texts;
};

/* An empty walk. Gulps are charged to budget. Call fini, also after an error. */
void store_index_cursor_init(struct store_index_cursor *c, struct store_index_header *h,
                             size_t gulp_bytes, struct budget *budget);

/* Go to the first label name, or to the first of some values. Once. */
void store_index_cursor_names(struct store_index_cursor *c);
void store_index_cursor_values(struct store_index_cursor *c,
                               struct store_value_rows rows);

/* The next text, borrowed until the following call, and the postings of a value; *end
 * after the last one. */
NODISCARD bool store_index_cursor_next(struct store_index_cursor *c, struct bytes *text,
                                       struct store_posting_range *range, bool *end,
                                       struct err *err);

/* Accepts the zero value. */
void store_index_cursor_fini(struct store_index_cursor *c);

/* The text of a symbol reference out of a series entry, copied into arena.
 * Errors ERR_CORRUPT also for a reference that no symbol has (index version 1: one that
 * points outside the table, or at no string). */
NODISCARD bool store_index_header_symbol(struct store_index_header *h, uint32_t ref,
                                         struct arena *arena, struct bytes *text,
                                         struct err *err);

#endif
