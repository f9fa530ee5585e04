/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "common/base/budget_arbiter.h"
#include "common/base/clock.h"
#include "common/base/pool.h"
#include "tests/support/expect.h"

enum { LIMIT = 100 };

/* A cache that holds bytes of the root. */
struct cache {
    struct budget *root;
    size_t held;
    size_t piece; /* what one call gives back at most */
};

static size_t
reclaim(void *arg, size_t want)
{
    struct cache *c = arg;
    size_t given = want < c->piece ? want : c->piece;
    given = given < c->held ? given : c->held;
    c->held -= given;
    budget_give(c->root, given);
    return given;
}

struct world {
    struct budget root;
    struct budget_arbiter arbiter;
};

static void
world_init(struct world *w)
{
    budget_init(&w->root, "process", LIMIT, NULL);
    budget_arbiter_init(&w->arbiter, &w->root);
}

static void
world_fini(struct world *w)
{
    budget_arbiter_fini(&w->arbiter);
    budget_fini(&w->root);
}

static bool
always(void *arg, struct err *err)
{
    (void)arg;
    (void)err;
    return true;
}

/* A query on a thread of its own: it holds some bytes and asks for more. */
struct query {
    struct world *world;
    struct budget budget;
    struct budget_member member;
    size_t holds;
    size_t asks;
    atomic_bool is_unwanted;
    atomic_uint looks; /* how often it was asked whether it goes on */
    bool ok;
    struct err err;
    pthread_t thread;
};

static bool
is_wanted(void *arg, struct err *err)
{
    struct query *q = arg;
    atomic_fetch_add(&q->looks, 1);
    return !atomic_load(&q->is_unwanted) || err_set(err, ERR_CANCELLED, "unwanted");
}

static void
query_init(struct query *q, struct world *w, size_t holds, size_t asks)
{
    struct err err;
    memset(q, 0, sizeof *q);
    q->world = w;
    q->holds = holds;
    q->asks = asks;
    budget_init(&q->budget, "query", SIZE_MAX, &w->root);
    q->member =
        (struct budget_member){.budget = &q->budget, .go_on = is_wanted, .arg = q};
    budget_arbiter_join(&w->arbiter, &q->member);
    expect_ok(budget_take(&q->budget, holds, &err), err);
}

static void
query_fini(struct query *q)
{
    budget_fini(&q->budget);
    budget_arbiter_part(&q->member);
}

static void *
ask(void *arg)
{
    struct query *q = arg;
    q->ok = budget_take(&q->budget, q->asks, &q->err);
    budget_give(&q->budget, q->holds + (q->ok ? q->asks : 0));
    return NULL;
}

static void
query_start(struct query *q)
{
    struct err err;
    expect_ok(thread_start(&q->thread, "query", ask, q, &err), err);
}

static void
until_waiting(struct world *w, size_t count)
{
    int64_t deadline = clock_deadline(10 * CLOCK_NS_PER_S);
    while (budget_arbiter_waiting(&w->arbiter) != count) {
        assert_true(clock_left_ns(deadline) > 0);
        sched_yield();
    }
}

static void
caches_give_way_first_and_in_order(void **state)
{
    (void)state;
    struct err err;
    struct world w;
    struct budget query;
    world_init(&w);
    budget_init(&query, "query", SIZE_MAX, &w.root);
    struct cache first = {&w.root, 40, 7}, second = {&w.root, 50, 50};
    budget_arbiter_add_cache(&w.arbiter, reclaim, &first);
    budget_arbiter_add_cache(&w.arbiter, reclaim, &second);
    expect_ok(budget_take(&w.root, 90, &err), err);
    expect_ok(budget_take(&query, 30, &err), err);
    assert_true(first.held <= 20);
    assert_int_equal(second.held, 50);
    assert_false(budget_try(&query, 40));
    expect_ok(budget_take(&query, 65, &err), err);
    expect_fails(budget_take(&w.root, 6, &err), err, ERR_UNAVAILABLE);
    assert_int_equal(first.held + second.held, 0);
    budget_give(&query, 95);
    budget_fini(&query);
    world_fini(&w);
}

static void
a_member_waits_until_another_gives_back(void **state)
{
    (void)state;
    struct world w;
    struct query holder, waiter;
    world_init(&w);
    query_init(&holder, &w, 80, 0);
    query_init(&waiter, &w, 10, 40);
    query_start(&waiter);
    until_waiting(&w, 1);
    assert_int_equal(budget_used(&w.root), 90);
    budget_give(&holder.budget, 80);
    pthread_join(waiter.thread, NULL);
    expect_ok(waiter.ok, waiter.err);
    assert_int_equal(waiter.err.code, ERR_NONE);
    query_fini(&waiter);
    query_fini(&holder);
    world_fini(&w);
}

static void
the_largest_is_refused_when_all_would_wait(void **state)
{
    (void)state;
    struct world w;
    struct query queries[3];
    const size_t holds[] = {20, 45, 30};
    world_init(&w);
    for (size_t i = 0; i < 3; i++)
        query_init(&queries[i], &w, holds[i], 20);
    for (size_t i = 0; i < 3; i++)
        query_start(&queries[i]);
    for (size_t i = 0; i < 3; i++)
        pthread_join(queries[i].thread, NULL);
    expect_ok(queries[0].ok, queries[0].err);
    expect_ok(queries[2].ok, queries[2].err);
    assert_false(queries[1].ok);
    assert_int_equal(queries[1].err.code, ERR_UNAVAILABLE);
    assert_non_null(strstr(queries[1].err.text, "process"));
    assert_non_null(strstr(queries[1].err.text, "limit 100 "));
    assert_non_null(strstr(queries[1].err.text, "hold 65"));
    for (size_t i = 0; i < 3; i++)
        query_fini(&queries[i]);
    world_fini(&w);
}

/* A reader who takes nothing keeps its query from waiting, and from giving back. */
static void
the_largest_of_those_who_wait_for_long_is_refused(void **state)
{
    (void)state;
    struct world w;
    struct query slow, large, fresh;
    world_init(&w);
    query_init(&slow, &w, 50, 0);
    query_init(&large, &w, 45, 10);
    query_init(&fresh, &w, 1, 40);
    query_start(&large);
    query_start(&fresh);
    pthread_join(large.thread, NULL);
    assert_false(large.ok);
    assert_int_equal(large.err.code, ERR_UNAVAILABLE);
    pthread_join(fresh.thread, NULL);
    expect_ok(fresh.ok, fresh.err);
    budget_give(&slow.budget, 50);
    query_fini(&slow);
    query_fini(&large);
    query_fini(&fresh);
    world_fini(&w);
}

/* Gives back slowly what it was refused more of: the other looks twice in between. */
static void *
ask_and_leave_slowly(void *arg)
{
    struct query *const *pair = arg, *large = pair[0], *other = pair[1];
    int64_t deadline = clock_deadline(10 * CLOCK_NS_PER_S);
    large->ok = budget_take(&large->budget, large->asks, &large->err);
    unsigned looks = atomic_load(&other->looks);
    while (atomic_load(&other->looks) < looks + 2 &&
           budget_arbiter_waiting(&large->world->arbiter) > 0 &&
           clock_left_ns(deadline) > 0)
        sched_yield();
    budget_give(&large->budget, large->holds + (large->ok ? large->asks : 0));
    return NULL;
}

static void
no_other_is_refused_while_one_leaves(void **state)
{
    (void)state;
    struct err err;
    struct world w;
    struct query slow, large, other;
    struct query *pair[] = {&large, &other};
    world_init(&w);
    query_init(&slow, &w, 30, 0);
    query_init(&large, &w, 36, 10);
    query_init(&other, &w, 34, 10);
    query_start(&other);
    until_waiting(&w, 1);
    expect_ok(thread_start(&large.thread, "query", ask_and_leave_slowly, pair, &err),
              err);
    pthread_join(large.thread, NULL);
    pthread_join(other.thread, NULL);
    assert_false(large.ok);
    expect_ok(other.ok, other.err);
    budget_give(&slow.budget, 30);
    query_fini(&slow);
    query_fini(&large);
    query_fini(&other);
    world_fini(&w);
}

/* A query may spend the limit of its own part; caches are of no use then. */
static void
caches_keep_what_they_have_when_a_query_is_spent(void **state)
{
    (void)state;
    struct err err;
    struct world w;
    struct budget query, part;
    world_init(&w);
    struct cache cache = {&w.root, 40, 40};
    budget_arbiter_add_cache(&w.arbiter, reclaim, &cache);
    expect_ok(budget_take(&w.root, 40, &err), err);
    budget_init(&query, "query", 20, &w.root);
    budget_init(&part, "part", SIZE_MAX, &query);
    expect_ok(budget_take(&query, 15, &err), err);
    expect_fails(budget_take(&part, 10, &err), err, ERR_UNAVAILABLE);
    assert_int_equal(cache.held, 40);
    budget_give(&query, 15);
    budget_fini(&part);
    budget_fini(&query);
    budget_give(&w.root, 40);
    world_fini(&w);
}

static void
one_alone_does_not_wait_for_itself(void **state)
{
    (void)state;
    struct err err;
    struct world w;
    struct query q;
    world_init(&w);
    expect_ok(budget_take(&w.root, 50, &err), err);
    query_init(&q, &w, 30, 0);
    expect_fails(budget_take(&q.budget, 40, &err), err, ERR_UNAVAILABLE);
    budget_give(&q.budget, 30);
    query_fini(&q);
    budget_give(&w.root, 50);
    world_fini(&w);
}

static void
what_can_never_fit_is_told_at_once(void **state)
{
    (void)state;
    struct err err;
    struct world w;
    struct query other, q;
    world_init(&w);
    query_init(&other, &w, 10, 0);
    query_init(&q, &w, 40, 0);
    expect_fails(budget_take(&q.budget, 61, &err), err, ERR_BUDGET);
    budget_give(&q.budget, 40);
    budget_give(&other.budget, 10);
    query_fini(&q);
    query_fini(&other);
    world_fini(&w);
}

static void
a_waiter_who_is_not_wanted_any_more_stops(void **state)
{
    (void)state;
    struct world w;
    struct query holder, waiter;
    world_init(&w);
    query_init(&holder, &w, 80, 0);
    query_init(&waiter, &w, 0, 40);
    query_start(&waiter);
    until_waiting(&w, 1);
    atomic_store(&waiter.is_unwanted, true);
    pthread_join(waiter.thread, NULL);
    assert_false(waiter.ok);
    assert_int_equal(waiter.err.code, ERR_CANCELLED);
    assert_int_equal(budget_arbiter_waiting(&w.arbiter), 0);
    budget_give(&holder.budget, 80);
    query_fini(&waiter);
    query_fini(&holder);
    world_fini(&w);
}

static void
the_last_who_parts_lets_the_others_see_that_all_wait(void **state)
{
    (void)state;
    struct world w;
    struct query idle, waiter;
    struct err err;
    world_init(&w);
    expect_ok(budget_take(&w.root, 90, &err), err);
    query_init(&idle, &w, 0, 0);
    query_init(&waiter, &w, 0, 40);
    query_start(&waiter);
    until_waiting(&w, 1);
    query_fini(&idle);
    pthread_join(waiter.thread, NULL);
    assert_false(waiter.ok);
    assert_int_equal(waiter.err.code, ERR_UNAVAILABLE);
    budget_give(&w.root, 90);
    query_fini(&waiter);
    world_fini(&w);
}

enum { THREADS = 6, ROUNDS = 2000 };

struct worker {
    struct world *world;
    pthread_t thread;
    size_t taken;
    struct err err;
    bool ok;
};

/* Takes in steps that together need more than there is for all. */
static void *
work(void *arg)
{
    struct worker *worker = arg;
    worker->ok = true;
    for (int i = 0; i < ROUNDS && worker->ok; i++) {
        struct budget b;
        size_t held = 0;
        budget_init(&b, "query", SIZE_MAX, &worker->world->root);
        struct budget_member m = {.budget = &b, .go_on = always};
        budget_arbiter_join(&worker->world->arbiter, &m);
        while (held < 40 && budget_take(&b, 10, &worker->err))
            held += 10;
        worker->ok = held == 40 || worker->err.code == ERR_UNAVAILABLE;
        worker->taken += held == 40;
        budget_give(&b, held);
        budget_fini(&b);
        budget_arbiter_part(&m);
    }
    return NULL;
}

static void
many_that_need_too_much_together_neither_hang_nor_exceed(void **state)
{
    (void)state;
    struct err err;
    struct world w;
    struct worker workers[THREADS] = {0};
    size_t taken = 0;
    world_init(&w);
    for (size_t i = 0; i < THREADS; i++) {
        workers[i].world = &w;
        expect_ok(thread_start(&workers[i].thread, "work", work, &workers[i], &err),
                  err);
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        expect_ok(workers[i].ok, workers[i].err);
        taken += workers[i].taken;
    }
    assert_true(taken >= THREADS * ROUNDS / 4);
    assert_true(budget_peak(&w.root) <= LIMIT);
    world_fini(&w);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(caches_give_way_first_and_in_order),
        cmocka_unit_test(a_member_waits_until_another_gives_back),
        cmocka_unit_test(the_largest_is_refused_when_all_would_wait),
        cmocka_unit_test(the_largest_of_those_who_wait_for_long_is_refused),
        cmocka_unit_test(no_other_is_refused_while_one_leaves),
        cmocka_unit_test(caches_keep_what_they_have_when_a_query_is_spent),
        cmocka_unit_test(one_alone_does_not_wait_for_itself),
        cmocka_unit_test(what_can_never_fit_is_told_at_once),
        cmocka_unit_test(a_waiter_who_is_not_wanted_any_more_stops),
        cmocka_unit_test(the_last_who_parts_lets_the_others_see_that_all_wait),
        cmocka_unit_test(many_that_need_too_much_together_neither_hang_nor_exceed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
