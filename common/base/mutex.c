/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/mutex.h"

#include <errno.h>
#include <time.h>

#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/base/num.h"

/* Ranks that this thread holds, one bit each. */
static _Thread_local uint64_t held;
static _Thread_local char self_marker;

_Static_assert(LOCK_RANK_COUNT <= 64, "one bit per rank");

static uintptr_t
self(void)
{
    return (uintptr_t)&self_marker;
}

void
mutex_init(struct mutex *m, enum lock_rank rank)
{
    CHECK(rank > LOCK_NONE && rank < LOCK_RANK_COUNT);
    CHECK(pthread_mutex_init(&m->inner, NULL) == 0);
    m->rank = rank;
    atomic_init(&m->owner, 0);
}

void
mutex_fini(struct mutex *m)
{
    CHECK(atomic_load(&m->owner) == 0);
    CHECK(pthread_mutex_destroy(&m->inner) == 0);
}

static void
take_ownership(struct mutex *m)
{
    atomic_store_explicit(&m->owner, self(), memory_order_relaxed);
    held |= UINT64_C(1) << m->rank;
}

static void
drop_ownership(struct mutex *m)
{
    mutex_check_held(m);
    atomic_store_explicit(&m->owner, 0, memory_order_relaxed);
    held &= ~(UINT64_C(1) << m->rank);
}

void
mutex_lock(struct mutex *m)
{
    CHECK(held >> m->rank == 0);
    CHECK(pthread_mutex_lock(&m->inner) == 0);
    take_ownership(m);
}

void
mutex_unlock(struct mutex *m)
{
    drop_ownership(m);
    CHECK(pthread_mutex_unlock(&m->inner) == 0);
}

void
mutex_check_held(const struct mutex *m)
{
    CHECK(atomic_load_explicit(&m->owner, memory_order_relaxed) == self());
}

void
mutex_check_none_held(void)
{
    CHECK(held == 0);
}

void
cond_init(struct cond *c)
{
    pthread_condattr_t attr;
    CHECK(pthread_condattr_init(&attr) == 0);
    CHECK(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
    CHECK(pthread_cond_init(&c->inner, &attr) == 0);
    pthread_condattr_destroy(&attr);
}

void
cond_fini(struct cond *c)
{
    CHECK(pthread_cond_destroy(&c->inner) == 0);
}

void
cond_signal(struct cond *c)
{
    pthread_cond_signal(&c->inner);
}

void
cond_broadcast(struct cond *c)
{
    pthread_cond_broadcast(&c->inner);
}

bool
cond_wait_until(struct cond *c, struct mutex *m, int64_t deadline_ns)
{
    int status;
    drop_ownership(m);
    /* Waking up locks m again: no lock above it may be held over the wait. */
    CHECK(held >> m->rank == 0);
    deadline_ns = NUM_MAX(deadline_ns, 0);
    if (deadline_ns == CLOCK_NEVER) {
        status = pthread_cond_wait(&c->inner, &m->inner);
    } else {
        struct timespec until = {.tv_sec = (time_t)(deadline_ns / CLOCK_NS_PER_S),
                                 .tv_nsec = (long)(deadline_ns % CLOCK_NS_PER_S)};
        status = pthread_cond_timedwait(&c->inner, &m->inner, &until);
    }
    take_ownership(m);
    CHECK(status == 0 || status == ETIMEDOUT);
    return status == 0;
}
