/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/memory.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "common/base/budget_arbiter.h"
#include "common/base/check.h"

/* A kept piece begins with its link. */
struct memory_piece {
    struct memory_piece *next;
};

static void *
map(size_t size)
{
    void *at =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return at == MAP_FAILED ? NULL : at;
}

/* The kernel refuses to split one mapping too many; then the addresses are lost, but
 * not the memory behind them. */
static void
unmap(void *at, size_t size)
{
    if (munmap(at, size) != 0)
        madvise(at, size, MADV_DONTNEED);
}

void
memory_keep_init(struct memory_keep *k, struct budget *root, size_t most)
{
    CHECK(root->parent == NULL && budget_used(root) == 0);
    *k = (struct memory_keep){.root = root, .most = most};
    mutex_init(&k->lock, LOCK_MEMORY);
#ifndef ARENA_EMULATE
    root->keep = k;
#endif
}

void
memory_keep_fini(struct memory_keep *k)
{
    memory_keep_reclaim(k, SIZE_MAX);
    k->root->keep = NULL;
    mutex_fini(&k->lock);
}

/* Position of the highest bit. */
static unsigned
log2_of(size_t n)
{
    return (unsigned)(sizeof(long) * 8 - 1) - (unsigned)__builtin_clzl(n);
}

/* Distance between the sizes among which n, of at least MEMORY_LARGE, lies. */
static size_t
step_of(size_t n)
{
    return ((size_t)1 << log2_of(n)) / MEMORY_STEPS;
}

/* n rounded up to a size of pieces; n itself where that would be beyond SIZE_MAX. */
static size_t
piece_size(size_t n)
{
    size_t step = step_of(n);
    return n > SIZE_MAX - step ? n : (n + step - 1) / step * step;
}

static bool
is_kept_size(size_t size)
{
    return size < MEMORY_MAX_KEPT;
}

/* Pieces of one size; size comes from piece_size. */
static struct memory_piece **
list_of(struct memory_keep *k, size_t size)
{
    mutex_check_held(&k->lock);
    unsigned doubling = log2_of(size / MEMORY_LARGE);
    size_t step = size / step_of(size) - MEMORY_STEPS;
    return &k->pieces[doubling * MEMORY_STEPS + step];
}

static struct memory_piece *
pop(struct memory_keep *k, size_t size)
{
    MUTEX_SCOPE(&k->lock);
    struct memory_piece **list = list_of(k, size);
    struct memory_piece *p = *list;
    if (p == NULL)
        return NULL;
    *list = p->next;
    k->kept -= size;
    return p;
}

static bool
push(struct memory_keep *k, void *at, size_t size)
{
    struct memory_piece *p = at;
    MUTEX_SCOPE(&k->lock);
    if (size > k->most || k->kept > k->most - size)
        return false;
    struct memory_piece **list = list_of(k, size);
    p->next = *list;
    *list = p;
    k->kept += size;
    return true;
}

/* The smallest size of which a piece is kept; 0 for none. */
static size_t
smallest_kept(struct memory_keep *k)
{
    MUTEX_SCOPE(&k->lock);
    for (size_t i = 0; i < ARRAY_LEN(k->pieces); i++)
        if (k->pieces[i] != NULL)
            return ((size_t)MEMORY_LARGE << i / MEMORY_STEPS) / MEMORY_STEPS *
                   (MEMORY_STEPS + i % MEMORY_STEPS);
    return 0;
}

size_t
memory_keep_reclaim(void *arg, size_t want)
{
    struct memory_keep *k = arg;
    size_t given = 0, size;
    while (given < want && (size = smallest_kept(k)) > 0) {
        struct memory_piece *p = pop(k, size);
        if (p == NULL)
            continue;
        unmap(p, size);
        budget_give(k->root, size);
        given += size;
    }
    return given;
}

static struct memory_keep *
keep_of(struct budget *b, size_t size)
{
    while (b->parent != NULL)
        b = b->parent;
    return size >= MEMORY_LARGE ? b->keep : NULL;
}

static void *
charged(struct budget *b, void *at, size_t size, struct err *err)
{
    if (at != NULL)
        return at;
    budget_give(b, size);
    err_set(err, ERR_NOMEM, "no memory for %zu bytes", size);
    return NULL;
}

/* A kept piece changes from the root's account to that of b. Who would have to wait
 * for that does not hold it meanwhile. */
static void *
take_kept(struct memory_keep *k, struct budget *b, size_t size)
{
    struct memory_piece *p = is_kept_size(size) ? pop(k, size) : NULL;
    if (p == NULL)
        return NULL;
    budget_give(k->root, size);
    if (budget_try(b, size))
        return p;
    unmap(p, size);
    return NULL;
}

static void *
alloc_large(struct memory_keep *k, struct budget *b, size_t size, struct err *err)
{
    void *kept = take_kept(k, b, size);
    if (kept != NULL)
        return kept;
    return budget_take(b, size, err) ? charged(b, map(size), size, err) : NULL;
}

void *
memory_alloc(struct budget *b, size_t *size, struct err *err)
{
    struct memory_keep *k = keep_of(b, *size);
    if (k != NULL) {
        *size = piece_size(*size);
        return alloc_large(k, b, *size, err);
    }
    return budget_take(b, *size, err) ? charged(b, malloc(*size), *size, err) : NULL;
}

static bool
is_wanted(struct memory_keep *k, size_t size)
{
    return is_kept_size(size) &&
           (k->root->arbiter == NULL ||
            budget_arbiter_waiting(k->root->arbiter) == 0) &&
           budget_try(k->root, size);
}

void
memory_free(struct budget *b, void *at, size_t size)
{
    struct memory_keep *k;
    if (at == NULL)
        return;
    k = keep_of(b, size);
    budget_give(b, size);
    if (k == NULL) {
        free(at);
    } else if (!is_wanted(k, size)) {
        unmap(at, size);
    } else if (!push(k, at, size)) {
        unmap(at, size);
        budget_give(k->root, size);
    }
}

size_t
memory_keep_held(struct memory_keep *k)
{
    MUTEX_SCOPE(&k->lock);
    return k->kept;
}
