/* SPDX-License-Identifier: Apache-2.0 */
/* Bump allocator of one request or one batch; every byte is charged to a budget.
 *
 * Nothing is freed one by one: rewinding to a mark or resetting releases all that came
 * after. The first failure latches, so that a builder may check once with arena_ok.
 * One thread at a time. With -DARENA_EMULATE (sanitizer builds) each piece is a malloc
 * of its own, so that a read past a piece is seen. */
#ifndef COMMON_BASE_ARENA_H
#define COMMON_BASE_ARENA_H

#include "common/base/budget.h"
#include "common/base/bytes.h"

struct arena_block;

struct arena {
    /* private */
    struct budget *budget;
    struct arena_block *last;
    const struct err *failure; /* kept; NULL: none */
};

/* A point to rewind to. */
struct arena_mark {
    struct arena_block *block;
    size_t used;
};

/* budget (not NULL) must outlive *a. Nothing is allocated yet. */
void arena_init(struct arena *a, struct budget *budget);

/* Release everything. Accepts the zero value. */
void arena_fini(struct arena *a);

/* size uninitialised bytes, aligned for any object, or NULL with the failure latched.
 * They live until the arena is rewound past them, reset or finished. */
NODISCARD void *arena_alloc(struct arena *a, size_t size);

/* count zeroed objects of size bytes; the product is checked. */
NODISCARD void *arena_calloc(struct arena *a, size_t count, size_t size);

/* Room for one more object of size bytes in an array of count: at itself while count is
 * below *cap, else a copy with twice the room (at may be NULL). What it leaves behind
 * goes with the arena. NULL with the failure latched. */
NODISCARD void *arena_grow(struct arena *a, void *at, size_t count, size_t *cap,
                           size_t size);

/* Copy of data inside the arena; the empty slice if the arena failed. */
struct bytes arena_copy(struct arena *a, struct bytes data);

struct arena_mark arena_mark(const struct arena *a);

/* Release what was allocated since the mark, and forget a latched failure. */
void arena_rewind(struct arena *a, struct arena_mark mark);

/* Release everything; the arena can be used again. */
void arena_reset(struct arena *a);

/* False, with err filled, if an allocation since the last rewind or reset failed. */
NODISCARD bool arena_ok(const struct arena *a, struct err *err);

/* Bytes charged to the budget now. O(blocks). */
size_t arena_size(const struct arena *a);

#endif
