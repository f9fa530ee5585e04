/* SPDX-License-Identifier: Apache-2.0 */
/* A block: what the listing and its meta say, and its index header once it was needed
 * (block_headers.h). Otherwise immutable once published; reference-counted, because a
 * query may still read a block that a sync has dropped. */
#ifndef STORE_BLOCK_H
#define STORE_BLOCK_H

#include <stdatomic.h>

#include "common/tsdb/matcher.h"
#include "store/block_listing.h"
#include "store/block_meta.h"
#include "store/index_header.h"

struct store_block_headers;
struct store_header_build;

/* A chunk segment; its position in store_block.segments is the segment number. */
struct store_segment {
    char *key;     /* object key, "<ULID>/chunks/000001" */
    uint64_t size; /* bytes, from the listing */
};

struct store_block {
    struct tsdb_ulid id;
    struct tsdb_ulid_text name;
    struct store_block_meta meta; /* external labels, times, resolution */
    char *index_key;
    uint64_t index_size;
    size_t segment_count;
    struct store_segment *segments;
    /* NULL until it is had, and then the same for ever. */
    struct store_index_header *_Atomic header;
    atomic_bool is_header_gone; /* its file made room for others (header_room.h) */
    /* When a query asked for it last, of the monotonic clock; 0: none did. */
    atomic_int_fast64_t header_used_ns;
    /* private, of block_headers.c */
    struct store_block_headers *headers; /* set before the block is published */
    struct store_header_build *build; /* guarded by the lock of headers; NULL: none */
    atomic_bool is_broken;
    /* private */
    atomic_uint references;
};

/* A block with one reference, not loaded. The order of segments is that of the meta if
 * it has one, else that of their names.
 * Errors ERR_CORRUPT: the meta is of another block, or a file is not in the bucket; the
 * text names it. */
NODISCARD bool store_block_new(struct store_block **out,
                               const struct store_listed *listed,
                               const struct tsdb_meta *meta, struct err *err);

/* A block of an earlier run, with one reference and no segments, not loaded. */
struct store_block *store_block_restore(const struct tsdb_ulid *id, uint64_t index_size,
                                        const struct store_block_meta *meta);

/* Make room for the segments of a block that has none, and add them, before it is
 * published. */
void store_block_reserve_segments(struct store_block *b, size_t count);
void store_block_add_segment(struct store_block *b, struct bytes name, uint64_t size);

/* The name of a segment: "000001". Borrowed. */
struct bytes store_block_segment_name(const struct store_block *b, size_t segment);

/* Name of a block's header file behind its ULID. */
#define STORE_BLOCK_HEADER_SUFFIX ".bhx"

/* Have the header: open the block's file in the folder data_dir. Any thread.
 * Errors ERR_NOT_FOUND, ERR_CORRUPT: it has to be built, or is not the one that the
 * block has had. */
NODISCARD bool store_block_open(struct store_block *b, const char *data_dir,
                                struct objstore_bucket *bucket,
                                struct store_page_cache *cache, struct err *err);

/* The same, building the file if it is missing or damaged. Any thread. */
NODISCARD bool store_block_load(struct store_block *b, const char *data_dir,
                                struct objstore_bucket *bucket,
                                const struct objstore_call *call,
                                struct store_page_cache *cache, struct err *err);

/* Bytes of that file; 0: it is not there. */
uint64_t store_block_header_bytes(const struct store_block *b, const char *data_dir);

/* Whether a block may have samples in a range, both ends inclusive. */
NODISCARD bool store_block_overlaps(const struct store_block *b, int64_t mint_ms,
                                    int64_t maxt_ms);

/* Test matchers on the block's external labels; the others go to rest, which has room
 * for count. An external label hides one of the series, so a matcher on it never looks
 * at series. False: no series of the block fulfils them. */
NODISCARD bool store_block_reduce(const struct store_block *b,
                                  const struct tsdb_matcher *const *matchers,
                                  size_t count, const struct tsdb_matcher **rest,
                                  size_t *rest_count);

struct store_block *store_block_ref(struct store_block *b);

/* Drop a reference; the last one closes the header and frees. *b becomes NULL; accepts
 * NULL. */
void store_block_unref(struct store_block **b);

#endif
