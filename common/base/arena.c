/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/arena.h"

#include <stddef.h>

#include "common/base/memory.h"
#include "common/base/num.h"

/* Small pieces share blocks. The first two have the first size, because a query over
 * thousands of blocks holds thousands of arenas; then they double up to the last size,
 * where the number of mallocs no longer matters. Both are guesses. */
enum { FIRST_BLOCK_BYTES = 512, LAST_BLOCK_BYTES = 64 * 1024, ALIGN = 16 };

/* Objects in an array when it first grows. */
enum { GROW_FIRST = 4 };

struct arena_block {
    struct arena_block *before;
    size_t cap; /* bytes behind this header */
    size_t used;
    size_t pad; /* keeps data aligned */
    uint8_t data[];
};

_Static_assert(offsetof(struct arena_block, data) % ALIGN == 0, "data is aligned");

void
arena_init(struct arena *a, struct budget *budget)
{
    *a = (struct arena){.budget = budget};
}

void
arena_reset(struct arena *a)
{
    arena_rewind(a, (struct arena_mark){0});
}

void
arena_fini(struct arena *a)
{
    arena_reset(a);
}

static bool
latch(struct arena *a, const struct err *err)
{
    if (a->failure == NULL)
        a->failure = err_keep(err);
    return false;
}

static bool
refuse(struct arena *a, size_t count, size_t size)
{
    struct err err;
    err_set(&err, ERR_INVALID, "allocation of %zu times %zu bytes", count, size);
    return latch(a, &err);
}

static bool
add_block(struct arena *a, size_t cap)
{
    struct err err;
    size_t total;
    if (!num_add(cap, sizeof(struct arena_block), &total))
        return refuse(a, 1, cap);
    struct arena_block *b = memory_alloc(a->budget, &total, &err);
    if (b == NULL)
        return latch(a, &err);
    *b = (struct arena_block){.before = a->last, .cap = total - sizeof *b};
    a->last = b;
    return true;
}

static size_t
block_size_for(const struct arena *a, size_t size)
{
#ifdef ARENA_EMULATE
    (void)a;
    return size;
#else
    const struct arena_block *last = a->last;
    size_t before = last != NULL ? last->cap + sizeof *last : 0;
    size_t wanted = last != NULL && last->before != NULL ? 2 * before : before;
    size_t total =
        NUM_MIN(NUM_MAX(wanted, (size_t)FIRST_BLOCK_BYTES), (size_t)LAST_BLOCK_BYTES);
    size_t cap = total - sizeof(struct arena_block);
    /* What leaves little room for others in a small block gets one of its own. */
    return size > cap / 2 && total < LAST_BLOCK_BYTES ? size : NUM_MAX(size, cap);
#endif
}

void *
arena_alloc(struct arena *a, size_t size)
{
    if (a->failure != NULL)
        return NULL;
    size_t rounded;
    if (!num_add(size, (size_t)ALIGN - 1, &rounded)) {
        refuse(a, 1, size);
        return NULL;
    }
    rounded -= rounded % ALIGN;
    if (a->last == NULL || rounded > a->last->cap - a->last->used) {
#ifdef ARENA_EMULATE
        rounded = size;
#endif
        if (!add_block(a, block_size_for(a, rounded)))
            return NULL;
    }
    void *at = a->last->data + a->last->used;
    a->last->used += rounded;
    return at;
}

void *
arena_calloc(struct arena *a, size_t count, size_t size)
{
    size_t total;
    if (!num_mul(count, size, &total)) {
        refuse(a, count, size);
        return NULL;
    }
    void *at = arena_alloc(a, total);
    if (at != NULL)
        memset(at, 0, total);
    return at;
}

void *
arena_grow(struct arena *a, void *at, size_t count, size_t *cap, size_t size)
{
    if (count < *cap)
        return at;
    size_t doubled = NUM_MAX(*cap * 2, (size_t)GROW_FIRST);
    void *moved = arena_calloc(a, doubled, size);
    if (moved == NULL)
        return NULL;
    if (count > 0)
        memcpy(moved, at, count * size);
    *cap = doubled;
    return moved;
}

struct bytes
arena_copy(struct arena *a, struct bytes data)
{
    uint8_t *at = arena_alloc(a, data.len);
    if (at == NULL)
        return (struct bytes){0};
    if (data.len != 0)
        memcpy(at, data.at, data.len);
    return (struct bytes){at, data.len};
}

struct arena_mark
arena_mark(const struct arena *a)
{
    return (struct arena_mark){a->last, a->last ? a->last->used : 0};
}

void
arena_rewind(struct arena *a, struct arena_mark mark)
{
    while (a->last != mark.block) {
        struct arena_block *gone = a->last;
        a->last = gone->before;
        memory_free(a->budget, gone, gone->cap + sizeof *gone);
    }
    if (a->last != NULL)
        a->last->used = mark.used;
    err_forget(&a->failure);
}

bool
arena_ok(const struct arena *a, struct err *err)
{
    if (a->failure == NULL)
        return true;
    *err = *a->failure;
    return false;
}

size_t
arena_size(const struct arena *a)
{
    size_t total = 0;
    for (const struct arena_block *b = a->last; b != NULL; b = b->before)
        total += b->cap + sizeof *b;
    return total;
}
