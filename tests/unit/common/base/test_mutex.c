/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>

#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/base/pool.h"
#include "tests/support/aborts.h"
#include "tests/support/expect.h"

struct pair {
    struct mutex low;
    struct mutex high;
};

static void
pair_init(struct pair *p)
{
    mutex_init(&p->low, LOCK_POOL);
    mutex_init(&p->high, LOCK_TEST);
}

static void
pair_fini(struct pair *p)
{
    mutex_fini(&p->low);
    mutex_fini(&p->high);
}

static void
nests_by_rank(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p);
    for (int i = 0; i < 2; i++) {
        MUTEX_SCOPE(&p.low);
        mutex_check_held(&p.low);
        mutex_lock(&p.high);
        mutex_check_held(&p.high);
        mutex_unlock(&p.high);
    }
    pair_fini(&p);
}

static void
lock_against_rank(void *arg)
{
    struct pair *p = arg;
    mutex_lock(&p->high);
    mutex_lock(&p->low);
}

static void
lock_twice(void *arg)
{
    struct pair *p = arg;
    mutex_lock(&p->low);
    mutex_lock(&p->low);
}

static void
wait_with_a_lock(void *arg)
{
    struct pair *p = arg;
    mutex_check_none_held();
    mutex_lock(&p->low);
    mutex_check_none_held();
}

static void
unlock_what_is_free(void *arg)
{
    struct pair *p = arg;
    mutex_unlock(&p->low);
}

static void
check_what_is_free(void *arg)
{
    const struct pair *p = arg;
    mutex_check_held(&p->low);
}

static void
destroy_what_is_held(void *arg)
{
    struct pair *p = arg;
    mutex_lock(&p->low);
    mutex_fini(&p->low);
}

static void
init_without_rank(void *arg)
{
    struct pair *p = arg;
    mutex_init(&p->low, LOCK_NONE);
}

static void
wait_with_a_higher_lock(void *arg)
{
    struct pair *p = arg;
    struct cond c;
    cond_init(&c);
    mutex_lock(&p->low);
    mutex_lock(&p->high);
    cond_wait_until(&c, &p->low, 0);
}

static void
aborts_on_misuse(void **state)
{
    static void (*const misuses[])(void *) = {
        lock_against_rank,       lock_twice,        unlock_what_is_free,
        check_what_is_free,      init_without_rank, destroy_what_is_held,
        wait_with_a_higher_lock, wait_with_a_lock};
    (void)state;
    struct pair p;
    pair_init(&p);
    for (size_t i = 0; i < ARRAY_LEN(misuses); i++)
        assert_true(aborts(misuses[i], &p));
    pair_fini(&p);
}

static void *
check_foreign(void *arg)
{
    return aborts(check_what_is_free, arg) ? arg : NULL;
}

static void
knows_who_holds_it(void **state)
{
    (void)state;
    struct err err;
    struct pair p;
    pthread_t thread;
    void *aborted = NULL;
    pair_init(&p);
    mutex_lock(&p.low);
    expect_ok(thread_start(&thread, "other", check_foreign, &p, &err), err);
    pthread_join(thread, &aborted);
    assert_non_null(aborted);
    mutex_unlock(&p.low);
    pair_fini(&p);
}

static void
ends_a_wait_at_its_deadline(void **state)
{
    static const int64_t past_deadlines[] = {INT64_MIN, -1, 0, 1};
    (void)state;
    struct mutex m;
    struct cond c;
    mutex_init(&m, LOCK_TEST);
    cond_init(&c);
    mutex_lock(&m);
    for (size_t i = 0; i < ARRAY_LEN(past_deadlines); i++)
        assert_false(cond_wait_until(&c, &m, past_deadlines[i]));
    int64_t deadline = clock_deadline(20 * CLOCK_NS_PER_MS);
    while (cond_wait_until(&c, &m, deadline))
        continue;
    assert_true(clock_mono_ns() >= deadline);
    mutex_check_held(&m);
    mutex_unlock(&m);
    cond_fini(&c);
    mutex_fini(&m);
}

enum { THREADS = 4, ROUNDS = 5000 };

struct turnstile {
    struct mutex lock;
    struct cond changed;
    /* guarded by lock */
    long count;
    int arrived;
    bool open;
};

static void *
pass(void *arg)
{
    struct turnstile *t = arg;
    MUTEX_SCOPE(&t->lock);
    t->arrived++;
    cond_broadcast(&t->changed);
    while (!t->open)
        cond_wait_until(&t->changed, &t->lock, CLOCK_NEVER);
    t->count++;
    return NULL;
}

static void
wakes_all_waiters(void **state)
{
    (void)state;
    struct err err;
    pthread_t threads[THREADS];
    struct turnstile t = {.count = 0};
    mutex_init(&t.lock, LOCK_TEST);
    cond_init(&t.changed);
    for (int i = 0; i < THREADS; i++)
        expect_ok(thread_start(&threads[i], "waiter", pass, &t, &err), err);
    mutex_lock(&t.lock);
    while (t.arrived < THREADS)
        assert_true(
            cond_wait_until(&t.changed, &t.lock, clock_deadline(10 * CLOCK_NS_PER_S)));
    t.open = true;
    cond_broadcast(&t.changed);
    mutex_unlock(&t.lock);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(t.count, THREADS);
    cond_fini(&t.changed);
    mutex_fini(&t.lock);
}

static void *
count_up(void *arg)
{
    struct turnstile *t = arg;
    for (int i = 0; i < ROUNDS; i++) {
        MUTEX_SCOPE(&t->lock);
        t->count++;
    }
    return NULL;
}

static void
excludes(void **state)
{
    (void)state;
    struct err err;
    pthread_t threads[THREADS];
    struct turnstile t = {.count = 0};
    mutex_init(&t.lock, LOCK_TEST);
    for (int i = 0; i < THREADS; i++)
        expect_ok(thread_start(&threads[i], "counter", count_up, &t, &err), err);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(t.count, (long)THREADS * ROUNDS);
    mutex_fini(&t.lock);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nests_by_rank),
        cmocka_unit_test(aborts_on_misuse),
        cmocka_unit_test(knows_who_holds_it),
        cmocka_unit_test(ends_a_wait_at_its_deadline),
        cmocka_unit_test(wakes_all_waiters),
        cmocka_unit_test(excludes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
