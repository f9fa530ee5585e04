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
        cmocka_unit_test(stays_below_its_limit_with_many_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
