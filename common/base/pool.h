/* SPDX-License-Identifier: Apache-2.0 */
/* Fixed pool of worker threads with one queue of jobs, first in first out.
 *
 * A job is embedded in the object it works on, so submitting allocates nothing. */
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

/* Start threads workers (1..1024) named name (at most 15 characters, as in ps). */
NODISCARD bool pool_new(struct pool **pool, const char *name, unsigned threads,
                        struct err *err);

/* Append a job. Any thread. Never blocks; the caller bounds how many it submits. */
void pool_submit(struct pool *pool, struct pool_job *job);

/* Run the jobs that are queued, then stop the workers. *pool becomes NULL; accepts
 * NULL. Nobody may submit any more. */
void pool_free(struct pool **pool);

/* Start one named thread with a 512 KiB stack. Join it with pthread_join. */
NODISCARD bool thread_start(pthread_t *thread, const char *name, void *(*run)(void *),
                            void *arg, struct err *err);

#endif
