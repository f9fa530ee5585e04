/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/base/pool.h"
#include "common/base/xmalloc.h"
#include "tests/support/expect.h"

enum { JOBS = 1000 };

struct log_of_runs {
    struct mutex lock;
    /* guarded by lock */
    int order[JOBS];
    int count;
};

struct numbered_job {
    struct pool_job job;
    struct log_of_runs *log;
    int number;
};

static void
note_run(struct pool_job *job)
{
    const struct numbered_job *j = (const struct numbered_job *)job;
    MUTEX_SCOPE(&j->log->lock);
    j->log->order[j->log->count++] = j->number;
}

static void
submit_all(unsigned threads, struct log_of_runs *runs)
{
    struct err err;
    struct pool *pool = NULL;
    static struct numbered_job jobs[JOBS];
    *runs = (struct log_of_runs){.count = 0};
    mutex_init(&runs->lock, LOCK_TEST);
    expect_ok(pool_new(&pool, "test", threads, &err), err);
    for (int i = 0; i < JOBS; i++) {
        jobs[i] = (struct numbered_job){{.run = note_run}, runs, i};
        pool_submit(pool, &jobs[i].job);
    }
    pool_free(&pool);
    assert_null(pool);
    mutex_fini(&runs->lock);
}

static void
runs_in_order_with_one_worker(void **state)
{
    static struct log_of_runs runs;
    (void)state;
    submit_all(1, &runs);
    assert_int_equal(runs.count, JOBS);
    for (int i = 0; i < JOBS; i++)
        assert_int_equal(runs.order[i], i);
}

static void
runs_each_job_once_with_many_workers(void **state)
{
    static struct log_of_runs runs;
    (void)state;
    submit_all(8, &runs);
    assert_int_equal(runs.count, JOBS);
    bool seen[JOBS] = {false};
    for (int i = 0; i < JOBS; i++) {
        assert_false(seen[runs.order[i]]);
        seen[runs.order[i]] = true;
    }
}

struct own_job {
    struct pool_job job;
    atomic_int *done;
};

static void
release_itself(struct pool_job *job)
{
    struct own_job *j = (struct own_job *)job;
    atomic_fetch_add(j->done, 1);
    free(j);
}

static void
lets_a_job_release_itself(void **state)
{
    (void)state;
    struct err err;
    struct pool *pool = NULL;
    atomic_int done = 0;
    expect_ok(pool_new(&pool, "test", 2, &err), err);
    for (int i = 0; i < 100; i++) {
        struct own_job *j = xcalloc(1, sizeof *j);
        *j = (struct own_job){{.run = release_itself}, &done};
        pool_submit(pool, &j->job);
    }
    pool_free(&pool);
    assert_int_equal(done, 100);
}

struct again_job {
    struct pool_job job;
    struct pool *pool;
    struct mutex lock;
    struct cond changed;
    /* guarded by lock */
    int left;
};

static void
submit_again(struct pool_job *job)
{
    struct again_job *j = (struct again_job *)job;
    bool again;
    {
        MUTEX_SCOPE(&j->lock);
        again = --j->left > 0;
        if (!again)
            cond_signal(&j->changed);
    }
    if (again)
        pool_submit(j->pool, job);
}

static void
lets_a_job_submit_itself_again(void **state)
{
    (void)state;
    struct err err;
    struct again_job j = {.job = {.run = submit_again}, .left = 10};
    mutex_init(&j.lock, LOCK_TEST);
    cond_init(&j.changed);
    expect_ok(pool_new(&j.pool, "test", 2, &err), err);
    pool_submit(j.pool, &j.job);
    mutex_lock(&j.lock);
    while (j.left > 0)
        assert_true(
            cond_wait_until(&j.changed, &j.lock, clock_deadline(10 * CLOCK_NS_PER_S)));
    mutex_unlock(&j.lock);
    pool_free(&j.pool);
    cond_fini(&j.changed);
    mutex_fini(&j.lock);
}

static void *
read_name(void *arg)
{
    pthread_getname_np(pthread_self(), arg, 16);
    return NULL;
}

static void
runs_what_it_is_given(void **state)
{
    (void)state;
    struct err err;
    pthread_t thread;
    char name[16] = "";
    expect_ok(thread_start(&thread, "shipper", read_name, name, &err), err);
    pthread_join(thread, NULL);
    assert_string_not_equal(name, "");
}

/* Jobs that stand until a gate opens, and tell who began. */
struct gate {
    struct mutex lock;
    struct cond changed;
    /* guarded by lock */
    bool open;
    int begun;
    int most; /* of the broad lane at a time */
    int running;
    int order[JOBS];
};

struct gated_job {
    struct pool_job job;
    struct gate *gate;
    int number; /* negative: of the small lane */
};

static void
pass_gate(struct pool_job *job)
{
    const struct gated_job *j = (const struct gated_job *)job;
    struct gate *g = j->gate;
    MUTEX_SCOPE(&g->lock);
    g->order[g->begun++] = j->number;
    g->running += j->number >= 0;
    if (g->running > g->most)
        g->most = g->running;
    cond_broadcast(&g->changed);
    while (!g->open)
        assert_true(cond_wait_until(&g->changed, &g->lock,
                                    clock_deadline(10 * CLOCK_NS_PER_S)));
    g->running -= j->number >= 0;
}

static void
wait_begun(struct gate *g, int count)
{
    MUTEX_SCOPE(&g->lock);
    while (g->begun < count)
        assert_true(cond_wait_until(&g->changed, &g->lock,
                                    clock_deadline(10 * CLOCK_NS_PER_S)));
}

static void
open_gate(struct gate *g)
{
    MUTEX_SCOPE(&g->lock);
    g->open = true;
    cond_broadcast(&g->changed);
}

static void
gives_lanes_their_turns(void **state)
{
    enum { BROAD = 100, SMALL = 3 };
    (void)state;
    struct err err;
    struct pool *pool = NULL;
    static struct gated_job jobs[BROAD + SMALL];
    static struct gate g;
    struct pool_lane broad, small;
    g = (struct gate){.open = false};
    mutex_init(&g.lock, LOCK_TEST);
    cond_init(&g.changed);
    expect_ok(pool_new(&pool, "test", 1, &err), err);
    pool_lane_init(&broad, pool, 1);
    pool_lane_init(&small, pool, 1);
    for (int i = 0; i < BROAD; i++) {
        jobs[i] = (struct gated_job){{.run = pass_gate}, &g, i};
        pool_lane_submit(&broad, &jobs[i].job);
    }
    wait_begun(&g, 1);
    for (int i = BROAD; i < BROAD + SMALL; i++) {
        jobs[i] = (struct gated_job){{.run = pass_gate}, &g, BROAD - 1 - i};
        pool_lane_submit(&small, &jobs[i].job);
    }
    open_gate(&g);
    pool_lane_fini(&small);
    pool_lane_fini(&broad);
    pool_free(&pool);
    assert_int_equal(g.begun, BROAD + SMALL);
    for (int i = 1; i <= 2 * SMALL; i++)
        assert_int_equal(g.order[i], i % 2 ? -(i + 1) / 2 : i / 2);
    cond_fini(&g.changed);
    mutex_fini(&g.lock);
}

static void
keeps_a_lane_within_its_share(void **state)
{
    enum { BROAD = 100, MOST = 3 };
    (void)state;
    struct err err;
    struct pool *pool = NULL;
    static struct gated_job jobs[BROAD + 1];
    static struct gate g;
    struct pool_lane broad, small;
    g = (struct gate){.open = false};
    mutex_init(&g.lock, LOCK_TEST);
    cond_init(&g.changed);
    expect_ok(pool_new(&pool, "test", MOST + 1, &err), err);
    pool_lane_init(&broad, pool, MOST);
    pool_lane_init(&small, pool, MOST);
    for (int i = 0; i < BROAD; i++) {
        jobs[i] = (struct gated_job){{.run = pass_gate}, &g, i};
        pool_lane_submit(&broad, &jobs[i].job);
    }
    wait_begun(&g, MOST);
    /* The worker that is left is free for another lane. */
    jobs[BROAD] = (struct gated_job){{.run = pass_gate}, &g, -1};
    pool_lane_submit(&small, &jobs[BROAD].job);
    wait_begun(&g, MOST + 1);
    assert_int_equal(g.order[MOST], -1);
    open_gate(&g);
    pool_free(&pool);
    assert_int_equal(g.begun, BROAD + 1);
    assert_int_equal(g.most, MOST);
    cond_fini(&g.changed);
    mutex_fini(&g.lock);
}

static void
a_lane_ends_after_its_jobs(void **state)
{
    enum { ROUNDS = 200 };
    (void)state;
    struct err err;
    struct pool *pool = NULL;
    atomic_int done = 0;
    expect_ok(pool_new(&pool, "test", 4, &err), err);
    for (int i = 1; i <= ROUNDS; i++) {
        struct pool_lane *lane = xcalloc(1, sizeof *lane);
        pool_lane_init(lane, pool, 2);
        for (int k = 0; k < 5; k++) {
            struct own_job *j = xcalloc(1, sizeof *j);
            *j = (struct own_job){{.run = release_itself}, &done};
            pool_lane_submit(lane, &j->job);
        }
        pool_lane_fini(lane);
        free(lane);
        assert_int_equal(done, 5 * i);
    }
    pool_free(&pool);
    pool_lane_fini(&(struct pool_lane){0});
}

static void
releases_nothing(void **state)
{
    (void)state;
    struct pool *none = NULL;
    pool_free(&none);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_in_order_with_one_worker),
        cmocka_unit_test(runs_each_job_once_with_many_workers),
        cmocka_unit_test(lets_a_job_release_itself),
        cmocka_unit_test(lets_a_job_submit_itself_again),
        cmocka_unit_test(gives_lanes_their_turns),
        cmocka_unit_test(keeps_a_lane_within_its_share),
        cmocka_unit_test(a_lane_ends_after_its_jobs),
        cmocka_unit_test(runs_what_it_is_given),
        cmocka_unit_test(releases_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
