/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/pool.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/base/xmalloc.h"

enum { STACK_BYTES = 512 * 1024, MAX_THREADS = 1024 };

struct pool {
    struct mutex lock;
    struct cond changed;
    struct cond drained;
    struct pool_lane own;
    /* guarded by lock */
    struct pool_lane *first; /* lanes that wait for a worker, in turn */
    struct pool_lane *last;
    bool stopping;
    /* owned by the creator */
    unsigned count;
    pthread_t threads[];
};

bool
thread_start(pthread_t *thread, const char *name, void *(*run)(void *), void *arg,
             struct err *err)
{
    pthread_attr_t attr;
    CHECK(pthread_attr_init(&attr) == 0);
    CHECK(pthread_attr_setstacksize(&attr, STACK_BYTES) == 0);
    int status = pthread_create(thread, &attr, run, arg);
    pthread_attr_destroy(&attr);
    if (status != 0)
        return err_sys(err, status, "start thread %s", name);
    pthread_setname_np(*thread, name);
    return true;
}

/* Put the lane behind the others, if it has a job that may run. */
static void
list_lane(struct pool *pool, struct pool_lane *lane)
{
    mutex_check_held(&pool->lock);
    if (lane->is_listed || lane->first == NULL || lane->running == lane->most)
        return;
    lane->is_listed = true;
    lane->next = NULL;
    if (pool->last != NULL)
        pool->last->next = lane;
    else
        pool->first = lane;
    pool->last = lane;
    cond_signal(&pool->changed);
}

static void
end_job(struct pool *pool, struct pool_lane *lane)
{
    mutex_check_held(&pool->lock);
    lane->running--;
    list_lane(pool, lane);
    if (lane->running == 0 && lane->first == NULL)
        cond_broadcast(&pool->drained);
}

/* The next job of the lane whose turn it is. */
static struct pool_job *
start_job(struct pool *pool, struct pool_lane **out)
{
    mutex_check_held(&pool->lock);
    struct pool_lane *lane = pool->first;
    struct pool_job *job = lane->first;
    pool->first = lane->next;
    if (pool->first == NULL)
        pool->last = NULL;
    lane->is_listed = false;
    lane->first = job->next;
    if (lane->first == NULL)
        lane->last = NULL;
    lane->running++;
    list_lane(pool, lane);
    *out = lane;
    return job;
}

/* *lane is that of the job that has ended, if any, and becomes that of the next. */
static struct pool_job *
take_job(struct pool *pool, struct pool_lane **lane)
{
    MUTEX_SCOPE(&pool->lock);
    if (*lane != NULL)
        end_job(pool, *lane);
    while (pool->first == NULL && !pool->stopping)
        cond_wait_until(&pool->changed, &pool->lock, CLOCK_NEVER);
    return pool->first != NULL ? start_job(pool, lane) : NULL;
}

static void *
work(void *arg)
{
    struct pool *pool = arg;
    struct pool_lane *lane = NULL;
    struct pool_job *job;
    while ((job = take_job(pool, &lane)) != NULL)
        job->run(job);
    return NULL;
}

bool
pool_new(struct pool **out, const char *name, unsigned threads, struct err *err)
{
    CHECK(threads >= 1 && threads <= MAX_THREADS);
    struct pool *pool = xcalloc(1, sizeof *pool + threads * sizeof(pthread_t));
    mutex_init(&pool->lock, LOCK_POOL);
    cond_init(&pool->changed);
    cond_init(&pool->drained);
    pool_lane_init(&pool->own, pool, threads);
    while (pool->count < threads) {
        if (!thread_start(&pool->threads[pool->count], name, work, pool, err)) {
            pool_free(&pool);
            return false;
        }
        pool->count++;
    }
    *out = pool;
    return true;
}

void
pool_submit(struct pool *pool, struct pool_job *job)
{
    pool_lane_submit(&pool->own, job);
}

void
pool_lane_init(struct pool_lane *lane, struct pool *pool, unsigned most)
{
    CHECK(most >= 1);
    *lane = (struct pool_lane){.pool = pool, .most = most};
}

void
pool_lane_submit(struct pool_lane *lane, struct pool_job *job)
{
    struct pool *pool = lane->pool;
    job->next = NULL;
    MUTEX_SCOPE(&pool->lock);
    CHECK(!pool->stopping);
    if (lane->last != NULL)
        lane->last->next = job;
    else
        lane->first = job;
    lane->last = job;
    list_lane(pool, lane);
}

void
pool_lane_fini(struct pool_lane *lane)
{
    struct pool *pool = lane->pool;
    if (pool == NULL)
        return;
    MUTEX_SCOPE(&pool->lock);
    while (lane->running > 0 || lane->first != NULL)
        cond_wait_until(&pool->drained, &pool->lock, CLOCK_NEVER);
    lane->pool = NULL;
}

void
pool_free(struct pool **out)
{
    struct pool *pool = TAKE(*out);
    if (pool == NULL)
        return;
    {
        MUTEX_SCOPE(&pool->lock);
        pool->stopping = true;
        cond_broadcast(&pool->changed);
    }
    for (unsigned i = 0; i < pool->count; i++)
        pthread_join(pool->threads[i], NULL);
    cond_fini(&pool->drained);
    cond_fini(&pool->changed);
    mutex_fini(&pool->lock);
    free(pool);
}
