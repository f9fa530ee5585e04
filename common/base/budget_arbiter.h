/* SPDX-License-Identifier: Apache-2.0 */
/* What happens when a shared budget is spent: caches give way; then those who joined
 * wait until another gives back, each within its own time; and when all of them would
 * wait for each other, or some have waited for long, the one of them that holds most is
 * refused, so that the others go on.
 * Who has not joined is refused at once. */
#ifndef COMMON_BASE_BUDGET_ARBITER_H
#define COMMON_BASE_BUDGET_ARBITER_H

#include "common/base/budget.h"
#include "common/base/mutex.h"

/* Give back about want bytes of what can be had again, and return how many; 0 when
 * there is nothing left. Any thread; must not take from the budget. */
typedef size_t budget_reclaim_fn(void *arg, size_t want);

enum { BUDGET_ARBITER_CACHES = 4 };

struct budget_arbiter {
    /* private */
    struct budget *root;
    struct {
        budget_reclaim_fn *reclaim;
        void *arg;
    } caches[BUDGET_ARBITER_CACHES];
    size_t cache_count;
    struct mutex lock; /* LOCK_BUDGET */
    struct cond given;
    atomic_size_t waiting; /* written under lock */
    /* guarded by lock */
    struct budget_member *members;
};

/* One that takes from a budget of its own, below the root, on one thread at a time. */
struct budget_member {
    struct budget *budget;
    /* Asked now and then while it waits: false, with err filled, to stop. No lock is
     * held. */
    bool (*go_on)(void *arg, struct err *err);
    void *arg;
    /* private */
    struct budget_arbiter *arbiter; /* NULL: not joined */
    struct budget_member *next;
    struct budget_member **link;
    bool waits;
    size_t asked;
    int64_t patient_until_ns;
    bool is_refused;
};

/* root has no parent and outlives *a, which outlives the last taking and giving. */
void budget_arbiter_init(struct budget_arbiter *a, struct budget *root);
void budget_arbiter_fini(struct budget_arbiter *a);

/* Caches are asked in this order. Before other threads take from the budget. */
void budget_arbiter_add_cache(struct budget_arbiter *a, budget_reclaim_fn *reclaim,
                              void *arg);

/* Between these two m's budget waits for others. Whoever parts has given all back, or
 * the others may be refused for want of it. Parting accepts one that did not join. */
void budget_arbiter_join(struct budget_arbiter *a, struct budget_member *m);
void budget_arbiter_part(struct budget_member *m);

/* Members that wait now. */
size_t budget_arbiter_waiting(struct budget_arbiter *a);

/* For budget.c: let caches give way until n bytes of the root fit, which are taken. */
NODISCARD bool budget_arbiter_reclaim(struct budget_arbiter *a, struct budget *root,
                                      size_t n);

/* For budget.c: have the ancestors of b lend n bytes, which they refused; err holds
 * that refusal. */
NODISCARD bool budget_arbiter_take(struct budget_arbiter *a, struct budget *b, size_t n,
                                   struct err *err);

/* For budget.c: something was given back. */
void budget_arbiter_wake(struct budget_arbiter *a);

#endif
