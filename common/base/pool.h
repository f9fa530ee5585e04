/* SPDX-License-Identifier: Apache-2.0 */
/* Fixed pool of worker threads. Jobs wait in lanes, first in first out in each; lanes
 * take turns, so that one with thousands of jobs does not stand before one with three.
 *
 * Jobs and lanes are embedded in the objects they work for, so submitting allocates
 * nothing. */
#ifndef COMMON_BASE_POOL_H
#define COMMON_BASE_POOL_H

#include <pthread.h>
#include <stdbool.h>

#include "common/base/err.h"

struct pool;

struct pool_job {
    /* Called once on a worker. The job may be submitted again or released from inside:
     * the pool does not touch it after this call has begun. */
    void (*run)(struct pool_job *job);
    /* private */
    struct pool_job *next;
};

/* The jobs of one user of a pool. The zero value is a lane that nobody has used. */
struct pool_lane {
    /* private */
    struct pool *pool;
    unsigned most;
    /* guarded by the lock of the pool */
    struct pool_job *first;
    struct pool_job *last;
    unsigned running;
    bool is_listed;         /* among the lanes that wait for a worker */
    struct pool_lane *next; /* there */
};

/* Start threads workers (1..1024) named name (at most 15 characters, as in ps). */
NODISCARD bool pool_new(struct pool **pool, const char *name, unsigned threads,
                        struct err *err);

/* Append a job to the pool's own lane. Any thread. Never blocks; the caller bounds how
 * many it submits. */
void pool_submit(struct pool *pool, struct pool_job *job);

/* A lane of which at most most jobs run at a time (at least 1). The pool outlives it.
 */
void pool_lane_init(struct pool_lane *lane, struct pool *pool, unsigned most);

/* Append a job to a lane; otherwise as pool_submit. O(1). */
void pool_lane_submit(struct pool_lane *lane, struct pool_job *job);

/* Wait until no job of the lane is queued or running: a job that has told its owner so
 * may still be about to return. Accepts the zero value. */
void pool_lane_fini(struct pool_lane *lane);

/* Run the jobs that are queued, then stop the workers. *pool becomes NULL; accepts
 * NULL. Nobody may submit any more. */
void pool_free(struct pool **pool);

/* Start one named thread with a 512 KiB stack. Join it with pthread_join. */
NODISCARD bool thread_start(pthread_t *thread, const char *name, void *(*run)(void *),
                            void *arg, struct err *err);

#endif
