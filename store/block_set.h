/* SPDX-License-Identifier: Apache-2.0 */
/* The served blocks: an immutable snapshot, published by the sync, referenced by
 * queries. A query takes one reference and needs no lock afterwards. */
#ifndef STORE_BLOCK_SET_H
#define STORE_BLOCK_SET_H

#include "common/base/mutex.h"
#include "store/block_choice.h"

struct store_block_set {
    size_t count;
    struct store_block **blocks;  /* by mint_ms, then ULID; one reference each */
    struct store_block_plan plan; /* which of them answer what */
    /* private */
    atomic_uint references;
};

/* Make a set with one reference; takes over the array blocks (from xcalloc; NULL for
 * none), which it sorts, and the references in it. */
struct store_block_set *store_block_set_new(struct store_block **blocks, size_t count);

struct store_block_set *store_block_set_ref(struct store_block_set *s);

/* Drop a reference. *s becomes NULL; accepts NULL. */
void store_block_set_unref(struct store_block_set **s);

/* Whether a block of the set has all that gone had: its labels, its resolution and all
 * its sources. O(count), as long as labels differ. */
NODISCARD bool store_block_set_replaces(const struct store_block_set *s,
                                        const struct store_block *gone);

/* The place where the current set is published. */
struct store_block_view {
    struct mutex lock; /* LOCK_BLOCK_SET */
    /* guarded by lock */
    struct store_block_set *current; /* NULL until a set is published */
};

void store_block_view_init(struct store_block_view *v);
void store_block_view_fini(struct store_block_view *v);

/* A reference to the current set; NULL while nothing is known of the bucket, which is
 * something else than an empty one. Any thread. */
struct store_block_set *store_block_view_get(struct store_block_view *v);

/* Publish a set, taking over its reference; the old one is dropped. */
void store_block_view_put(struct store_block_view *v, struct store_block_set *set);

#endif
