/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/budget_arbiter.h"

#include "common/base/check.h"
#include "common/base/clock.h"

/* How often a waiting member asks whether it should go on. */
#define POLL_NS (100 * CLOCK_NS_PER_MS)

/* How long the largest of those who wait may keep what it has from the others. */
#define PATIENCE_NS (2 * CLOCK_NS_PER_S)

void
budget_arbiter_init(struct budget_arbiter *a, struct budget *root)
{
    CHECK(root->parent == NULL);
    *a = (struct budget_arbiter){.root = root};
    mutex_init(&a->lock, LOCK_BUDGET);
    cond_init(&a->given);
    root->arbiter = a;
}

void
budget_arbiter_fini(struct budget_arbiter *a)
{
    CHECK(a->members == NULL);
    a->root->arbiter = NULL;
    cond_fini(&a->given);
    mutex_fini(&a->lock);
}

void
budget_arbiter_add_cache(struct budget_arbiter *a, budget_reclaim_fn *reclaim,
                         void *arg)
{
    CHECK(a->cache_count < BUDGET_ARBITER_CACHES);
    a->caches[a->cache_count].reclaim = reclaim;
    a->caches[a->cache_count++].arg = arg;
}

void
budget_arbiter_join(struct budget_arbiter *a, struct budget_member *m)
{
    MUTEX_SCOPE(&a->lock);
    m->arbiter = a;
    m->next = a->members;
    m->link = &a->members;
    if (m->next != NULL)
        m->next->link = &m->next;
    a->members = m;
    m->budget->member = m;
}

void
budget_arbiter_part(struct budget_member *m)
{
    struct budget_arbiter *a = TAKE(m->arbiter);
    if (a == NULL)
        return;
    MUTEX_SCOPE(&a->lock);
    m->budget->member = NULL;
    *m->link = m->next;
    if (m->next != NULL)
        m->next->link = m->link;
    cond_broadcast(&a->given);
}

size_t
budget_arbiter_waiting(struct budget_arbiter *a)
{
    return atomic_load(&a->waiting);
}

void
budget_arbiter_wake(struct budget_arbiter *a)
{
    if (atomic_load(&a->waiting) == 0)
        return;
    MUTEX_SCOPE(&a->lock);
    cond_broadcast(&a->given);
}

/* Let caches give way until take does, or there is nothing left in them. */
static bool
reclaim_until(struct budget_arbiter *a, bool (*take)(struct budget *b, size_t n),
              struct budget *b, size_t n)
{
    for (size_t i = 0; i < a->cache_count; i++)
        while (a->caches[i].reclaim(a->caches[i].arg, n) > 0)
            if (take(b, n))
                return true;
    return false;
}

bool
budget_arbiter_reclaim(struct budget_arbiter *a, struct budget *root, size_t n)
{
    return reclaim_until(a, budget_try, root, n);
}

/* Refuse the one that holds most of those who wait: when all wait, because then nobody
 * gives back any more; and when it has waited for long, because those who do not wait
 * may be as slow as their readers. Who holds less than it asks for has hardly begun,
 * and is in nobody's way. */
static void
refuse_largest_if_stuck(struct budget_arbiter *a, struct budget_member *waiting)
{
    mutex_check_held(&a->lock);
    struct budget_member *largest = waiting;
    bool all_wait = true;
    for (struct budget_member *m = a->members; m != NULL; m = m->next) {
        if (m->is_refused)
            return;
        if (!m->waits)
            all_wait = false;
        else if (budget_used(m->budget) > budget_used(largest->budget))
            largest = m;
    }
    bool is_in_the_way = budget_used(largest->budget) / 2 > largest->asked &&
                         clock_left_ns(largest->patient_until_ns) == 0;
    if (!all_wait && !is_in_the_way)
        return;
    largest->is_refused = true;
    /* What it has may do for the others, once it has given that back. */
    for (struct budget_member *m = a->members; m != NULL; m = m->next)
        m->patient_until_ns = clock_deadline(PATIENCE_NS);
    cond_broadcast(&a->given);
}

enum step { TAKEN, REFUSED, WAITING };

static enum step
wait_a_while(struct budget_arbiter *a, struct budget_member *m, size_t n)
{
    if (reclaim_until(a, budget_try_above, m->budget, n))
        return TAKEN;
    MUTEX_SCOPE(&a->lock);
    if (budget_try_above(m->budget, n))
        return TAKEN;
    refuse_largest_if_stuck(a, m);
    if (m->is_refused)
        return REFUSED;
    cond_wait_until(&a->given, &a->lock, clock_deadline(POLL_NS));
    return WAITING;
}

static void
begin_waiting(struct budget_arbiter *a, struct budget_member *m, size_t n)
{
    MUTEX_SCOPE(&a->lock);
    m->waits = true;
    m->asked = n;
    m->patient_until_ns = clock_deadline(PATIENCE_NS);
    atomic_fetch_add(&a->waiting, 1);
}

static void
end_waiting(struct budget_arbiter *a, struct budget_member *m)
{
    MUTEX_SCOPE(&a->lock);
    m->waits = false;
    m->is_refused = false;
    atomic_fetch_sub(&a->waiting, 1);
}

static bool
refuse(struct budget_arbiter *a, const struct budget_member *m, size_t n,
       struct err *err)
{
    return err_set(err, ERR_UNAVAILABLE,
                   "memory budget of the %s is spent: limit %zu bytes, used %zu, asked "
                   "%zu more, and nobody gives back before this one does, which would "
                   "hold %zu: ask for less at a time, or raise the limit",
                   a->root->name, budget_limit(a->root), budget_used(a->root), n,
                   budget_used(m->budget));
}

static bool
wait_for_others(struct budget_arbiter *a, struct budget_member *m, size_t n,
                struct err *err)
{
    enum step step;
    bool goes_on;
    mutex_check_none_held();
    begin_waiting(a, m, n);
    do {
        step = wait_a_while(a, m, n);
        goes_on = step != WAITING || m->go_on(m->arg, err);
    } while (step == WAITING && goes_on);
    end_waiting(a, m);
    return step == TAKEN || (step == REFUSED && refuse(a, m, n, err));
}

bool
budget_arbiter_take(struct budget_arbiter *a, struct budget *b, size_t n,
                    struct err *err)
{
    return b->member != NULL ? wait_for_others(a, b->member, n, err)
                             : reclaim_until(a, budget_try_above, b, n);
}
