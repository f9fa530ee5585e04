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
    /* guarded by lock */
    struct pool_job *first;
    struct pool_job *last;
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

static struct pool_job *
take_job(struct pool *pool)
{
    MUTEX_SCOPE(&pool->lock);
    while (pool->first == NULL && !pool->stopping)
        cond_wait_until(&pool->changed, &pool->lock, CLOCK_NEVER);
    struct pool_job *job = pool->first;
    if (job != NULL)
        pool->first = job->next;
    if (pool->first == NULL)
        pool->last = NULL;
    return job;
}

static void *
work(void *arg)
{
    struct pool *pool = arg;
    struct pool_job *job;
    while ((job = take_job(pool)) != NULL)
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
    job->next = NULL;
    MUTEX_SCOPE(&pool->lock);
    CHECK(!pool->stopping);
    if (pool->last != NULL)
        pool->last->next = job;
    else
        pool->first = job;
    pool->last = job;
    cond_signal(&pool->changed);
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
    cond_fini(&pool->changed);
    mutex_fini(&pool->lock);
    free(pool);
}
