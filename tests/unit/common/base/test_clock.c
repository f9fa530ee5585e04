/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/compiler.h"

static int
unfreeze(void **state)
{
    (void)state;
    clock_unfreeze();
    return 0;
}

static void
runs_forward(void **state)
{
    (void)state;
    int64_t before = clock_mono_ns();
    assert_true(clock_mono_ns() >= before);
    assert_true(clock_wall_ns() > INT64_C(1577836800) * CLOCK_NS_PER_S);
}

static void
freezes(void **state)
{
    (void)state;
    clock_freeze(100, 200);
    assert_int_equal(clock_mono_ns(), 100);
    assert_int_equal(clock_wall_ns(), 200);
    clock_unfreeze();
    assert_int_not_equal(clock_wall_ns(), 200);
}

static void
bounds_deadlines(void **state)
{
    (void)state;
    clock_freeze(1000, 0);
    assert_int_equal(clock_deadline(0), 1000);
    assert_int_equal(clock_deadline(50), 1050);
    assert_true(clock_deadline(INT64_MAX) == CLOCK_NEVER);
    assert_int_equal(clock_left_ns(1050), 50);
    assert_int_equal(clock_left_ns(1000), 0);
    assert_int_equal(clock_left_ns(-5), 0);
    assert_true(clock_left_ns(CLOCK_NEVER) == INT64_MAX);
}

static void
writes_rfc3339(void **state)
{
    static const struct {
        int64_t ns;
        const char *text;
    } cases[] = {
        {0, "1970-01-01T00:00:00.000000000Z"},
        {-1, "1969-12-31T23:59:59.999999999Z"},
        {INT64_C(1763893230123456789), "2025-11-23T10:20:30.123456789Z"},
        {INT64_MAX, "2262-04-11T23:47:16.854775807Z"},
        {INT64_MIN, "1677-09-21T00:12:43.145224192Z"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[CLOCK_RFC3339_SIZE];
        clock_rfc3339(cases[i].ns, text);
        assert_string_equal(text, cases[i].text);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_forward),
        cmocka_unit_test_teardown(freezes, unfreeze),
        cmocka_unit_test_teardown(bounds_deadlines, unfreeze),
        cmocka_unit_test(writes_rfc3339),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
