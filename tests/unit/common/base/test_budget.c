/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <string.h>

#include "common/base/budget.h"
#include "common/base/pool.h"
#include "tests/support/expect.h"

static void
takes_up_to_its_limit(void **state)
{
    (void)state;
    struct err err;
    struct budget b;
    budget_init(&b, "query", 100, NULL);
    expect_ok(budget_take(&b, 60, &err), err);
    expect_ok(budget_take(&b, 40, &err), err);
    expect_ok(budget_take(&b, 0, &err), err);
    expect_fails(budget_take(&b, 1, &err), err, ERR_BUDGET);
    assert_int_equal(budget_used(&b), 100);
    assert_int_equal(budget_limit(&b), 100);
    budget_give(&b, 100);
    assert_int_equal(budget_used(&b), 0);
    assert_int_equal(budget_peak(&b), 100);
    budget_fini(&b);
}

static void
refuses_amounts_that_wrap(void **state)
{
    (void)state;
    struct err err;
    struct budget b;
    budget_init(&b, "query", SIZE_MAX, NULL);
    expect_ok(budget_take(&b, 10, &err), err);
    expect_fails(budget_take(&b, SIZE_MAX, &err), err, ERR_BUDGET);
    expect_fails(budget_take(&b, SIZE_MAX - 9, &err), err, ERR_BUDGET);
    expect_ok(budget_take(&b, SIZE_MAX - 10, &err), err);
    budget_give(&b, SIZE_MAX);
    budget_fini(&b);
}

static void
takes_from_all_ancestors_or_none(void **state)
{
    (void)state;
    struct err err;
    struct budget process, tenant, other, query;
    budget_init(&process, "process", 100, NULL);
    budget_init(&tenant, "tenant", 80, &process);
    budget_init(&other, "query", SIZE_MAX, &tenant);
    budget_init(&query, "query", SIZE_MAX, &tenant);
    expect_ok(budget_take(&other, 50, &err), err);
    expect_ok(budget_take(&query, 20, &err), err);
    assert_int_equal(budget_used(&process), 70);
    expect_fails(budget_take(&query, 20, &err), err, ERR_UNAVAILABLE);
    assert_non_null(strstr(err.text, "tenant"));
    assert_non_null(strstr(err.text, "limit 80 "));
    assert_non_null(strstr(err.text, "used 70"));
    assert_non_null(strstr(err.text, "asked 20"));
    assert_int_equal(budget_used(&process), 70);
    assert_int_equal(budget_used(&tenant), 70);
    assert_int_equal(budget_used(&query), 20);
    assert_false(budget_try(&query, 20));
    assert_int_equal(budget_used(&tenant), 70);
    expect_ok(budget_take(&process, 30, &err), err);
    expect_fails(budget_take(&query, 1, &err), err, ERR_UNAVAILABLE);
    assert_non_null(strstr(err.text, "process"));
    expect_fails(budget_take(&query, 61, &err), err, ERR_BUDGET);
    assert_non_null(strstr(err.text, "limit 80 "));
    assert_non_null(strstr(err.text, "used 20"));
    assert_int_equal(budget_used(&tenant), 70);
    budget_give(&process, 30);
    budget_give(&query, 20);
    budget_give(&other, 50);
    budget_fini(&query);
    budget_fini(&other);
    budget_fini(&tenant);
    budget_fini(&process);
}

static void
a_reserve_is_lent_first(void **state)
{
    (void)state;
    struct err err;
    struct budget process, other, query;
    budget_init(&process, "process", 100, NULL);
    budget_init(&other, "query", SIZE_MAX, &process);
    budget_init(&query, "query", 70, &process);
    expect_ok(budget_take(&query, 10, &err), err);
    expect_ok(budget_reserve(&query, 40, &err), err);
    assert_int_equal(budget_used(&query), 10);
    assert_int_equal(budget_used(&process), 40);
    expect_ok(budget_take(&other, 50, &err), err);
    expect_ok(budget_take(&query, 30, &err), err);
    assert_int_equal(budget_used(&process), 90);
    expect_ok(budget_take(&query, 10, &err), err);
    assert_true(budget_try(&query, 0));
    expect_fails(budget_take(&query, 1, &err), err, ERR_UNAVAILABLE);
    assert_false(budget_try(&query, 1));
    assert_int_equal(budget_used(&query), 50);
    assert_int_equal(budget_used(&process), 100);
    budget_give(&query, 50);
    assert_int_equal(budget_used(&process), 90);
    expect_fails(budget_reserve(&query, 60, &err), err, ERR_UNAVAILABLE);
    expect_ok(budget_reserve(&query, 20, &err), err);
    assert_int_equal(budget_used(&process), 70);
    budget_give(&other, 50);
    expect_ok(budget_reserve(&query, SIZE_MAX, &err), err);
    assert_int_equal(budget_used(&process), 70);
    budget_fini(&query);
    assert_int_equal(budget_used(&process), 0);
    budget_fini(&other);
    budget_fini(&process);
}

static void
a_reserve_is_lent_to_what_is_below_as_well(void **state)
{
    (void)state;
    struct err err;
    struct budget process, query, part;
    budget_init(&process, "process", 100, NULL);
    budget_init(&query, "query", SIZE_MAX, &process);
    budget_init(&part, "part", SIZE_MAX, &query);
    expect_ok(budget_reserve(&query, 30, &err), err);
    expect_ok(budget_take(&query, 20, &err), err);
    expect_ok(budget_take(&part, 20, &err), err);
    assert_int_equal(budget_used(&query), 40);
    assert_int_equal(budget_used(&process), 40);
    expect_fails(budget_take(&part, 61, &err), err, ERR_UNAVAILABLE);
    assert_false(budget_try(&part, 61));
    assert_int_equal(budget_used(&process), 40);
    budget_give(&query, 20);
    assert_int_equal(budget_used(&process), 30);
    expect_fails(budget_take(&part, 81, &err), err, ERR_BUDGET);
    assert_int_equal(budget_used(&part), 20);
    assert_int_equal(budget_used(&query), 20);
    assert_int_equal(budget_used(&process), 30);
    budget_give(&part, 20);
    budget_fini(&part);
    budget_fini(&query);
    assert_int_equal(budget_used(&process), 0);
    budget_fini(&process);
}

static void
headroom_is_left_to_others(void **state)
{
    (void)state;
    struct err err;
    struct budget process, small, big;
    budget_init(&process, "process", 100, NULL);
    budget_init(&small, "query", SIZE_MAX, &process);
    budget_init(&big, "query", SIZE_MAX, &process);
    budget_set_headroom(&big, 20);
    expect_fails(budget_take(&big, 81, &err), err, ERR_BUDGET);
    expect_ok(budget_take(&big, 80, &err), err);
    expect_ok(budget_take(&small, 20, &err), err);
    budget_give(&big, 80);
    budget_give(&small, 20);
    budget_fini(&big);
    budget_fini(&small);
    budget_fini(&process);
}

/* A part of a query with a limit of its own, as the series that it keeps. */
static void
what_is_below_a_reserve_is_lent_from_it(void **state)
{
    (void)state;
    struct err err;
    struct budget process, query, part;
    budget_init(&process, "process", 200, NULL);
    budget_init(&query, "query", SIZE_MAX, &process);
    expect_ok(budget_reserve(&query, 100, &err), err);
    budget_init(&part, "part", SIZE_MAX, &query);
    expect_ok(budget_take(&query, 60, &err), err);
    expect_ok(budget_take(&part, 30, &err), err);
    assert_int_equal(budget_used(&process), 100);
    expect_ok(budget_take(&part, 20, &err), err);
    assert_int_equal(budget_used(&process), 110);
    expect_fails(budget_take(&part, 91, &err), err, ERR_UNAVAILABLE);
    assert_false(budget_try(&part, 91));
    assert_int_equal(budget_used(&process), 110);
    assert_int_equal(budget_used(&query), 110);
    budget_give(&query, 60);
    assert_int_equal(budget_used(&process), 100);
    budget_give(&part, 50);
    budget_fini(&part);
    assert_int_equal(budget_used(&process), 100);
    budget_fini(&query);
    budget_fini(&process);
}

static void
headroom_holds_below_too(void **state)
{
    (void)state;
    struct err err;
    struct budget process, query, part;
    budget_init(&process, "process", 100, NULL);
    budget_init(&query, "query", SIZE_MAX, &process);
    budget_set_headroom(&query, 30);
    budget_init(&part, "part", SIZE_MAX, &query);
    expect_fails(budget_take(&part, 71, &err), err, ERR_BUDGET);
    expect_ok(budget_take(&part, 70, &err), err);
    budget_give(&part, 70);
    budget_fini(&part);
    budget_fini(&query);
    budget_fini(&process);
}

enum { THREADS = 4, ROUNDS = 20000, LIMIT = 50 };

static void *
take_and_give(void *arg)
{
    struct err err;
    struct budget query;
    budget_init(&query, "query", SIZE_MAX, arg);
    for (int i = 0; i < ROUNDS; i++)
        if (budget_take(&query, 20, &err))
            budget_give(&query, 20);
    budget_fini(&query);
    return NULL;
}

static void
stays_below_its_limit_with_many_threads(void **state)
{
    (void)state;
    struct err err;
    struct budget process;
    pthread_t threads[THREADS];
    budget_init(&process, "process", LIMIT, NULL);
    for (int i = 0; i < THREADS; i++)
        expect_ok(thread_start(&threads[i], "take", take_and_give, &process, &err),
                  err);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_true(budget_peak(&process) <= LIMIT);
    budget_fini(&process);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_up_to_its_limit),
        cmocka_unit_test(refuses_amounts_that_wrap),
        cmocka_unit_test(takes_from_all_ancestors_or_none),
        cmocka_unit_test(a_reserve_is_lent_first),
        cmocka_unit_test(a_reserve_is_lent_to_what_is_below_as_well),
        cmocka_unit_test(headroom_is_left_to_others),
        cmocka_unit_test(what_is_below_a_reserve_is_lent_from_it),
        cmocka_unit_test(headroom_holds_below_too),
        cmocka_unit_test(stays_below_its_limit_with_many_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
