/* SPDX-License-Identifier: Apache-2.0 */
/* Mutex that knows its owner and its rank (lock_rank.h); misuse aborts, in every build.
 */
#ifndef COMMON_BASE_MUTEX_H
#define COMMON_BASE_MUTEX_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/compiler.h"
#include "common/base/lock_rank.h"

struct mutex {
    /* private */
    pthread_mutex_t inner;
    enum lock_rank rank;
    atomic_uintptr_t owner;
};

struct cond {
    /* private */
    pthread_cond_t inner;
};

void mutex_init(struct mutex *m, enum lock_rank rank);
void mutex_fini(struct mutex *m);
void mutex_lock(struct mutex *m);
void mutex_unlock(struct mutex *m);

/* Abort unless the calling thread holds m. */
void mutex_check_held(const struct mutex *m);

/* Abort if the calling thread holds any lock: it is about to wait for others. */
void mutex_check_none_held(void);

void cond_init(struct cond *c);
void cond_fini(struct cond *c);
void cond_signal(struct cond *c);
void cond_broadcast(struct cond *c);

/* Wait until signalled or deadline_ns (clock_mono_ns; CLOCK_NEVER waits for ever). The
 * caller holds m and tests its condition again. Returns false once the deadline has
 * passed. */
bool cond_wait_until(struct cond *c, struct mutex *m, int64_t deadline_ns);

/* Hold a mutex until the end of the enclosing scope. */
#define MUTEX_SCOPE(m) \
    CLEANUP(mutex_scope_end) struct mutex *mutex_scope_ = mutex_scope_begin(m)

static inline struct mutex *
mutex_scope_begin(struct mutex *m)
{
    mutex_lock(m);
    return m;
}

static inline void
mutex_scope_end(struct mutex **m)
{
    mutex_unlock(*m);
}

#endif
