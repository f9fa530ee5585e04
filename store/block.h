/* SPDX-License-Identifier: Apache-2.0 */
/* A block that is served: what the listing and its meta say, and its index header.
 * Immutable once published; reference-counted, because a query may still read a block
 * that a sync has dropped. */
#ifndef STORE_BLOCK_H
#define STORE_BLOCK_H

#include <stdatomic.h>

#include "common/tsdb/meta.h"
#include "store/index_header.h"

/* A chunk segment; its position in store_block.segments is the segment number. */
struct store_segment {
    char *key;     /* object key, "<ULID>/chunks/000001" */
    uint64_t size; /* bytes, from the listing */
};

struct store_block {
    struct tsdb_ulid id;
    struct tsdb_ulid_text name;
    struct tsdb_meta meta; /* external labels, times, resolution */
    char *index_key;
    uint64_t index_size;
    size_t segment_count;
    struct store_segment *segments;
    struct store_index_header *header;
    /* private */
    atomic_uint references;
};

struct store_block *store_block_ref(struct store_block *b);

/* Drop a reference; the last one closes the header and frees. *b becomes NULL. */
void store_block_unref(struct store_block **b);

#endif
