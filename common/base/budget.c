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
    b->headroom = parent != NULL ? parent->headroom : 0;
    b->reserve = 0;
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

/* What b may fill of an ancestor. */
static size_t
limit_for(const struct budget *b, const struct budget *of)
{
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

/* What ancestors lend when b uses so much: all, but at least its reserve. */
static size_t
lent(const struct budget *b, size_t used)
{
    return used > b->reserve ? used : b->reserve;
}

/* What has to be lent for the n bytes that b has just taken. */
static size_t
more_for(const struct budget *b, size_t n)
{
    size_t used = budget_used(b);
    return b->reserve == 0 ? n : lent(b, used) - lent(b, used - n);
}

/* Give n bytes back here; yields what ancestors need not lend any more. */
static size_t
give_one(struct budget *b, size_t n)
{
    size_t before = atomic_fetch_sub(&b->used, n);
    CHECK(before >= n);
    return lent(b, before) - lent(b, before - n);
}

static void
give_above(struct budget *b, size_t n, const struct budget *end)
{
    for (struct budget *at = b->parent; at != end; at = at->parent)
        n = give_one(at, n);
}

/* NULL when all ancestors lent n; else the one that is spent, and nothing is taken. */
static struct budget *
take_above(struct budget *b, size_t n)
{
    size_t more = n;
    for (struct budget *at = b->parent; at != NULL; at = at->parent) {
        if (!take_one(at, more, limit_for(b, at))) {
            give_above(b, n, at);
            return at;
        }
        more = more_for(at, more);
    }
    return NULL;
}

bool
budget_try_above(struct budget *b, size_t n)
{
    return take_above(b, n) == NULL;
}

static struct budget_arbiter *
arbiter_of(struct budget *b)
{
    while (b->parent != NULL)
        b = b->parent;
    return b->arbiter;
}

static bool
refuse(const struct budget *b, size_t limit, size_t used, size_t n, enum err_code code,
       struct err *err)
{
    return err_set(err, code,
                   "memory budget of the %s is spent: limit %zu bytes, used %zu, asked "
                   "%zu more",
                   b->name, limit, used, n);
}

/* Let the ancestors lend n more for b, which will then use or reserve total. */
static bool
borrow(struct budget *b, size_t n, size_t total, struct err *err)
{
    struct budget *spent = take_above(b, n);
    if (spent == NULL)
        return true;
    if (total > limit_for(b, spent))
        return refuse(spent, limit_for(b, spent), total - n, n, ERR_BUDGET, err);
    struct budget_arbiter *arbiter = spent->arbiter; /* only caches of the root help */
    struct err refusal = {0};                        /* err may be one that latches */
    refuse(spent, limit_for(b, spent), budget_used(spent), n, ERR_UNAVAILABLE,
           &refusal);
    if (arbiter != NULL && budget_arbiter_take(arbiter, b, n, &refusal))
        return true;
    *err = refusal;
    return false;
}

/* The root of all: caches may give way, nobody lends. */
static bool
take_root(struct budget *b, size_t n, struct err *err)
{
    bool may_fit = b->arbiter != NULL && n <= b->limit;
    if (may_fit && budget_arbiter_reclaim(b->arbiter, b, n))
        return true;
    return refuse(b, b->limit, budget_used(b), n,
                  may_fit ? ERR_UNAVAILABLE : ERR_BUDGET, err);
}

bool
budget_take(struct budget *b, size_t n, struct err *err)
{
    if (!take_one(b, n, b->limit))
        return take_root(b, n, err);
    size_t more = more_for(b, n);
    if (more == 0 || borrow(b, more, lent(b, budget_used(b)), err))
        return true;
    atomic_fetch_sub(&b->used, n);
    return false;
}

bool
budget_try(struct budget *b, size_t n)
{
    if (!take_one(b, n, b->limit))
        return false;
    size_t more = more_for(b, n);
    if (more == 0 || budget_try_above(b, more))
        return true;
    atomic_fetch_sub(&b->used, n);
    return false;
}

static void
give_back(struct budget *b, size_t n)
{
    struct budget_arbiter *arbiter = arbiter_of(b);
    give_above(b, n, NULL);
    if (arbiter != NULL)
        budget_arbiter_wake(arbiter);
}

bool
budget_reserve(struct budget *b, size_t n, struct err *err)
{
    size_t used = budget_used(b);
    size_t reserve = n < b->limit ? n : b->limit;
    size_t before = lent(b, used), after = reserve > used ? reserve : used;
    if (after > before && !borrow(b, after - before, after, err))
        return false;
    b->reserve = reserve;
    if (before > after)
        give_back(b, before - after);
    return true;
}

void
budget_give(struct budget *b, size_t n)
{
    give_back(b, give_one(b, n));
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
    if (b->reserve > 0)
        give_back(b, b->reserve);
    b->reserve = 0;
}
