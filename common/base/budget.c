/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/budget.h"

#include "common/base/check.h"

void
budget_init(struct budget *b, const char *name, size_t limit, struct budget *parent)
{
    b->name = name;
    b->parent = parent;
    b->limit = limit;
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

static bool
take_one(struct budget *b, size_t n)
{
    size_t used = atomic_load_explicit(&b->used, memory_order_relaxed);
    do {
        if (used > b->limit || n > b->limit - used)
            return false;
    } while (!atomic_compare_exchange_weak(&b->used, &used, used + n));
    raise_peak(b, used + n);
    return true;
}

bool
budget_take(struct budget *b, size_t n, struct err *err)
{
    for (struct budget *at = b; at != NULL; at = at->parent) {
        if (take_one(at, n))
            continue;
        for (struct budget *undo = b; undo != at; undo = undo->parent)
            atomic_fetch_sub(&undo->used, n);
        bool may_fit_later = at != b && n <= at->limit;
        return err_set(err, may_fit_later ? ERR_UNAVAILABLE : ERR_BUDGET,
                       "memory budget of the %s is spent: limit %zu bytes, used %zu, "
                       "asked %zu more",
                       at->name, at->limit, budget_used(at), n);
    }
    return true;
}

void
budget_give(struct budget *b, size_t n)
{
    for (; b != NULL; b = b->parent) {
        size_t before = atomic_fetch_sub(&b->used, n);
        CHECK(before >= n);
    }
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
