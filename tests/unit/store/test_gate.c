/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/pool.h"
#include "store/gate.h"

static void
refuses_what_neither_runs_nor_waits(void **unused)
{
    struct store_gate g;
    struct err err;
    (void)unused;
    store_gate_init(&g, 1, 0);
    assert_true(store_gate_enter(&g, STORE_LANE_BIG, CLOCK_NEVER, NULL, NULL, &err));
    assert_false(store_gate_enter(&g, STORE_LANE_BIG, CLOCK_NEVER, NULL, NULL, &err));
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    store_gate_leave(&g, STORE_LANE_BIG);
    assert_true(store_gate_enter(&g, STORE_LANE_BIG, CLOCK_NEVER, NULL, NULL, &err));
    store_gate_leave(&g, STORE_LANE_BIG);
    store_gate_fini(&g);
}

static void
gives_up_at_the_deadline(void **unused)
{
    struct store_gate g;
    struct err err;
    (void)unused;
    store_gate_init(&g, 1, 5);
    assert_true(store_gate_enter(&g, STORE_LANE_BIG, CLOCK_NEVER, NULL, NULL, &err));
    int64_t deadline = clock_deadline(20 * CLOCK_NS_PER_MS);
    assert_false(store_gate_enter(&g, STORE_LANE_BIG, deadline, NULL, NULL, &err));
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    assert_int_equal(store_gate_running(&g), 1);
    store_gate_leave(&g, STORE_LANE_BIG);
    store_gate_fini(&g);
}

static bool
always(void *unused)
{
    (void)unused;
    return true;
}

static void
notices_a_reader_who_left(void **unused)
{
    struct store_gate g;
    struct err err;
    (void)unused;
    store_gate_init(&g, 1, 5);
    assert_true(store_gate_enter(&g, STORE_LANE_BIG, CLOCK_NEVER, NULL, NULL, &err));
    assert_false(store_gate_enter(&g, STORE_LANE_BIG, CLOCK_NEVER, always, NULL, &err));
    assert_int_equal(err.code, ERR_CANCELLED);
    store_gate_leave(&g, STORE_LANE_BIG);
    store_gate_fini(&g);
}

static void
keeps_slots_and_a_queue_for_small_queries(void **unused)
{
    struct store_gate g;
    struct err err;
    (void)unused;
    store_gate_init(&g, 8, 0);
    assert_int_equal(store_gate_slots(&g), 10);
    for (int i = 0; i < 8; i++)
        assert_true(
            store_gate_enter(&g, STORE_LANE_BIG, CLOCK_NEVER, NULL, NULL, &err));
    assert_false(store_gate_enter(&g, STORE_LANE_BIG, CLOCK_NEVER, NULL, NULL, &err));
    for (int i = 0; i < 2; i++)
        assert_true(
            store_gate_enter(&g, STORE_LANE_SMALL, CLOCK_NEVER, NULL, NULL, &err));
    assert_false(store_gate_enter(&g, STORE_LANE_SMALL, CLOCK_NEVER, NULL, NULL, &err));
    store_gate_leave(&g, STORE_LANE_BIG);
    assert_true(store_gate_enter(&g, STORE_LANE_SMALL, CLOCK_NEVER, NULL, NULL, &err));
    assert_false(store_gate_enter(&g, STORE_LANE_BIG, CLOCK_NEVER, NULL, NULL, &err));
    assert_int_equal(store_gate_running(&g), 10);
    assert_int_equal(store_gate_waiting(&g), 0);
    for (int i = 0; i < 7; i++)
        store_gate_leave(&g, STORE_LANE_BIG);
    for (int i = 0; i < 3; i++)
        store_gate_leave(&g, STORE_LANE_SMALL);
    store_gate_fini(&g);
}

struct worker {
    struct pool_job job;
    struct store_gate *gate;
    atomic_uint *passed;
    enum store_lane lane;
};

static void
pass(struct pool_job *job)
{
    struct worker *w = (struct worker *)job;
    struct err err;
    for (int i = 0; i < 200; i++) {
        assert_true(store_gate_enter(w->gate, w->lane, CLOCK_NEVER, NULL, NULL, &err));
        assert_true(store_gate_running(w->gate) <= 5);
        atomic_fetch_add(w->passed, 1);
        store_gate_leave(w->gate, w->lane);
    }
}

static void
admits_no_more_than_its_slots(void **unused)
{
    struct store_gate g;
    struct pool *pool;
    struct err err;
    struct worker workers[8];
    atomic_uint passed = 0;
    (void)unused;
    store_gate_init(&g, 3, 8);
    assert_true(pool_new(&pool, "test", 8, &err));
    for (size_t i = 0; i < ARRAY_LEN(workers); i++) {
        workers[i] = (struct worker){{.run = pass}, &g, &passed, i % STORE_LANES};
        pool_submit(pool, &workers[i].job);
    }
    pool_free(&pool);
    assert_int_equal(passed, 1600);
    assert_int_equal(store_gate_running(&g), 0);
    store_gate_fini(&g);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_what_neither_runs_nor_waits),
        cmocka_unit_test(gives_up_at_the_deadline),
        cmocka_unit_test(notices_a_reader_who_left),
        cmocka_unit_test(keeps_slots_and_a_queue_for_small_queries),
        cmocka_unit_test(admits_no_more_than_its_slots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
