/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <string.h>

#include "common/base/budget_arbiter.h"
#include "common/base/memory.h"
#include "common/base/pool.h"
#include "tests/support/expect.h"

enum { KIB = 1024, MIB = 1024 * KIB };

struct world {
    struct budget root;
    struct budget query;
    struct memory_keep keep;
};

static void
world_init(struct world *w, size_t limit, size_t most)
{
    budget_init(&w->root, "process", limit, NULL);
    memory_keep_init(&w->keep, &w->root, most);
    budget_init(&w->query, "query", SIZE_MAX, &w->root);
}

static void
world_fini(struct world *w)
{
    budget_fini(&w->query);
    memory_keep_fini(&w->keep);
    budget_fini(&w->root);
}

static bool
keeps(const struct world *w)
{
    return w->root.keep != NULL; /* not in sanitizer builds */
}

static void
charges_what_it_gives_and_all_of_it_can_be_used(void **state)
{
    static const size_t sizes[] = {1,        4096,        64 * KIB - 1, 64 * KIB,
                                   65 * KIB, 100 * KIB,   127 * KIB,    128 * KIB + 1,
                                   MIB,      3 * MIB + 7, 20 * MIB};
    struct world w;
    struct err err;
    (void)state;
    world_init(&w, 64 * MIB, 4 * MIB);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        size_t size = sizes[i];
        uint8_t *at = memory_alloc(&w.query, &size, &err);
        assert_non_null(at);
        assert_true(size >= sizes[i] && size - sizes[i] <= sizes[i] / 4 + 1);
        assert_int_equal(budget_used(&w.query), size);
        assert_int_equal((uintptr_t)at % 16, 0);
        memset(at, 0xa5, size);
        memory_free(&w.query, at, size);
        assert_int_equal(budget_used(&w.query), 0);
    }
    memory_free(&w.query, NULL, 0);
    world_fini(&w);
}

static void
keeps_large_pieces_up_to_a_bound_and_gives_them_again(void **state)
{
    struct world w;
    struct err err;
    size_t size = 300 * KIB, other = 900 * KIB;
    (void)state;
    world_init(&w, 64 * MIB, 512 * KIB);
    if (!keeps(&w)) {
        world_fini(&w);
        return;
    }
    void *a = memory_alloc(&w.query, &size, &err);
    void *b = memory_alloc(&w.query, &size, &err);
    void *c = memory_alloc(&w.query, &other, &err);
    memory_free(&w.query, c, other); /* larger than what may be kept */
    memory_free(&w.query, a, size);
    memory_free(&w.query, b, size); /* would be the second */
    assert_int_equal(budget_used(&w.query), 0);
    assert_int_equal(budget_used(&w.root), size);
    assert_ptr_equal(memory_alloc(&w.query, &size, &err), a);
    assert_int_equal(budget_used(&w.root), size);
    memory_free(&w.query, a, size);
    assert_int_equal(memory_keep_reclaim(&w.keep, 1), size);
    assert_int_equal(memory_keep_reclaim(&w.keep, 1), 0);
    assert_int_equal(budget_used(&w.root), 0);
    world_fini(&w);
}

static void
refuses_what_the_budget_refuses(void **state)
{
    struct world w;
    struct err err;
    (void)state;
    world_init(&w, MIB, MIB);
    size_t size = 900 * KIB, more = 500 * KIB, huge = SIZE_MAX;
    void *at = memory_alloc(&w.query, &size, &err);
    assert_non_null(at);
    assert_null(memory_alloc(&w.query, &more, &err));
    assert_int_equal(err.code, ERR_BUDGET);
    assert_null(memory_alloc(&w.query, &huge, &err));
    assert_int_equal(err.code, ERR_BUDGET);
    memory_free(&w.query, at, size);
    /* What is kept does not stand in the way of the next, whatever its size. */
    struct budget_arbiter arbiter;
    budget_arbiter_init(&arbiter, &w.root);
    budget_arbiter_add_cache(&arbiter, memory_keep_reclaim, &w.keep);
    more = 700 * KIB;
    at = memory_alloc(&w.query, &more, &err);
    assert_non_null(at);
    memory_free(&w.query, at, more);
    memory_keep_reclaim(&w.keep, SIZE_MAX);
    budget_arbiter_fini(&arbiter);
    world_fini(&w);
}

enum { THREADS = 4, ROUNDS = 3000, HELD = 8 };

static uint64_t
next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

struct worker {
    struct world *world;
    uint8_t mark;
    pthread_t thread;
};

/* Whoever else writes into a piece of ours is seen. */
static void *
work(void *arg)
{
    struct worker *worker = arg;
    struct budget b;
    uint8_t *at[HELD] = {0};
    size_t sizes[HELD] = {0};
    uint64_t state = 88172645463325252u + worker->mark;
    struct err err;
    budget_init(&b, "query", SIZE_MAX, &worker->world->root);
    for (int i = 0; i < ROUNDS; i++) {
        size_t k = next_random(&state) % HELD;
        if (at[k] != NULL)
            assert_true(at[k][0] == worker->mark &&
                        at[k][sizes[k] - 1] == worker->mark);
        memory_free(&b, at[k], sizes[k]);
        sizes[k] = 1 + next_random(&state) % (300 * KIB);
        at[k] = memory_alloc(&b, &sizes[k], &err);
        if (at[k] == NULL)
            sizes[k] = 0;
        else
            at[k][0] = at[k][sizes[k] - 1] = worker->mark;
    }
    for (size_t k = 0; k < HELD; k++)
        memory_free(&b, at[k], sizes[k]);
    budget_fini(&b);
    return NULL;
}

static void
threads_never_share_a_piece_nor_exceed_the_limit(void **state)
{
    struct world w;
    struct worker workers[THREADS];
    struct err err;
    (void)state;
    world_init(&w, 4 * MIB, 2 * MIB);
    for (size_t i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.world = &w, .mark = (uint8_t)(i + 1)};
        expect_ok(thread_start(&workers[i].thread, "work", work, &workers[i], &err),
                  err);
    }
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(workers[i].thread, NULL);
    assert_true(budget_peak(&w.root) <= 4 * MIB);
    world_fini(&w);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(charges_what_it_gives_and_all_of_it_can_be_used),
        cmocka_unit_test(keeps_large_pieces_up_to_a_bound_and_gives_them_again),
        cmocka_unit_test(refuses_what_the_budget_refuses),
        cmocka_unit_test(threads_never_share_a_piece_nor_exceed_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
