/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/budget.h"

#include "common/base/budget_arbiter.h"
#include "common/base/check.h"

void
budget_init(struct budget *b, const char *name, size_t limit, struct budget *parent)
{
    b->name = name;
    b->parent = parent;
    b->limit = limit;
    b->arbiter = NULL;
    b->keep = NULL;
    b->member = NULL;
    b->headroom = 0;
    atomic_init(&b->used, 0);
    atomic_init(&b->peak, 0);
}

static void
raise_peak(struct budget *b, size_t used)
{
    size_t peak = atomic_load_explicit(&b->peak, memory_order_relaxed);
    while (used > peak && !atomic_compare_exchange_weak(&b->peak, &peak, used))
        continue;
}

void
budget_set_headroom(struct budget *b, size_t n)
{
    b->headroom = n;
}

/* What b may fill of itself or of an ancestor. */
static size_t
limit_for(const struct budget *b, const struct budget *of)
{
    if (of == b)
        return b->limit;
    return of->limit > b->headroom ? of->limit - b->headroom : 0;
}

static bool
take_one(struct budget *b, size_t n, size_t limit)
{
    size_t used = atomic_load_explicit(&b->used, memory_order_relaxed);
    do {
        if (used > limit || n > limit - used)
            return false;
    } while (!atomic_compare_exchange_weak(&b->used, &used, used + n));
    raise_peak(b, used + n);
    return true;
}

/* NULL when all gave; else the budget that is spent, and nothing is taken. */
static struct budget *
take_all(struct budget *b, size_t n)
{
    for (struct budget *at = b; at != NULL; at = at->parent) {
        if (take_one(at, n, limit_for(b, at)))
            continue;
        for (struct budget *undo = b; undo != at; undo = undo->parent)
            atomic_fetch_sub(&undo->used, n);
        return at;
    }
    return NULL;
}

bool
budget_try(struct budget *b, size_t n)
{
    return take_all(b, n) == NULL;
}

static struct budget_arbiter *
arbiter_of(struct budget *b)
{
    while (b->parent != NULL)
        b = b->parent;
    return b->arbiter;
}

/* Whether n more bytes will not fit into spent, whatever others give back. */
static bool
is_hopeless(const struct budget *b, const struct budget *spent, size_t n)
{
    if (spent == b)
        return b->arbiter == NULL || n > b->limit;
    size_t own = budget_used(b), limit = limit_for(b, spent);
    return own > limit || n > limit - own;
}

bool
budget_take(struct budget *b, size_t n, struct err *err)
{
    struct budget *spent = take_all(b, n);
    if (spent == NULL)
        return true;
    struct budget_arbiter *arbiter = arbiter_of(b);
    bool hopeless = is_hopeless(b, spent, n);
    struct err refusal = {0};
    err_set(&refusal, hopeless ? ERR_BUDGET : ERR_UNAVAILABLE,
            "memory budget of the %s is spent: limit %zu bytes, used %zu, asked %zu "
            "more",
            spent->name, limit_for(b, spent), budget_used(hopeless ? b : spent), n);
    if (!hopeless && arbiter != NULL && budget_arbiter_take(arbiter, b, n, &refusal))
        return true;
    *err = refusal; /* which may be one that latches: untouched until here */
    return false;
}

void
budget_give(struct budget *b, size_t n)
{
    struct budget *root = b;
    for (struct budget *at = b; at != NULL; at = at->parent) {
        size_t before = atomic_fetch_sub(&at->used, n);
        CHECK(before >= n);
        root = at;
    }
    if (root->arbiter != NULL)
        budget_arbiter_wake(root->arbiter);
}

size_t
budget_used(const struct budget *b)
{
    return atomic_load_explicit(&b->used, memory_order_relaxed);
}

size_t
budget_peak(const struct budget *b)
{
    return atomic_load_explicit(&b->peak, memory_order_relaxed);
}

size_t
budget_limit(const struct budget *b)
{
    return b->limit;
}

void
budget_fini(struct budget *b)
{
    CHECK(budget_used(b) == 0);
}
