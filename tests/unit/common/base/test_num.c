/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/num.h"

static void
yields_results_that_fit(void **state)
{
    (void)state;
    uint64_t u = 0;
    int64_t i = 0;
    assert_true(num_add(UINT64_MAX - 1, UINT64_C(1), &u) && u == UINT64_MAX);
    assert_true(num_sub(INT64_MIN + 1, INT64_C(1), &i) && i == INT64_MIN);
    assert_true(num_mul(UINT32_C(65536), UINT32_C(65536), &u) && u == UINT64_C(1)
                                                                          << 32);
}

static void
leaves_the_output_of_results_that_do_not(void **state)
{
    (void)state;
    uint64_t u = 7;
    uint8_t small = 7;
    int64_t i = 7;
    assert_false(num_add(UINT64_MAX, UINT64_C(1), &u));
    assert_false(num_sub(UINT64_C(0), UINT64_C(1), &u));
    assert_false(num_mul(UINT64_MAX, UINT64_C(2), &u));
    assert_false(num_add(250, 6, &small));
    assert_false(num_sub(0, 1, &small));
    assert_false(num_add(INT64_MAX, INT64_C(1), &i));
    assert_false(num_mul(INT64_MIN, INT64_C(-1), &i));
    assert_int_equal(u, 7);
    assert_int_equal(small, 7);
    assert_int_equal(i, 7);
}

static void
picks_the_smaller_and_the_larger(void **state)
{
    (void)state;
    assert_int_equal(NUM_MIN(1, 2), 1);
    assert_int_equal(NUM_MIN(2, 1), 1);
    assert_int_equal(NUM_MAX(1, 2), 2);
    assert_int_equal(NUM_MAX(2, 1), 2);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(yields_results_that_fit),
        cmocka_unit_test(leaves_the_output_of_results_that_do_not),
        cmocka_unit_test(picks_the_smaller_and_the_larger),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
