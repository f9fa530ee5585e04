/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "sidecar/bandwidth.h"

enum { RATE = 1000 };

#define NOW_NS (100 * CLOCK_NS_PER_S)
#define SAVED_NS (CLOCK_NS_PER_S / 10)

static void
books_one_behind_the_other(void **state)
{
    (void)state;
    CLEANUP(sidecar_bandwidth_fini) struct sidecar_bandwidth b;
    sidecar_bandwidth_init(&b, RATE);
    int64_t first_ns = sidecar_bandwidth_book(&b, RATE, NOW_NS);
    int64_t second_ns = sidecar_bandwidth_book(&b, 2 * RATE, NOW_NS);
    int64_t third_ns = sidecar_bandwidth_book(&b, 1, NOW_NS);
    assert_true(first_ns <= NOW_NS);
    assert_int_equal(second_ns - first_ns, CLOCK_NS_PER_S);
    assert_int_equal(third_ns - second_ns, 2 * CLOCK_NS_PER_S);
}

static void
saves_up_a_tenth_of_a_second_only(void **state)
{
    (void)state;
    CLEANUP(sidecar_bandwidth_fini) struct sidecar_bandwidth b;
    sidecar_bandwidth_init(&b, RATE);
    (void)sidecar_bandwidth_book(&b, 1, NOW_NS);
    int64_t later_ns = NOW_NS + 3600 * CLOCK_NS_PER_S;
    assert_int_equal(sidecar_bandwidth_book(&b, RATE, later_ns), later_ns - SAVED_NS);
    assert_int_equal(sidecar_bandwidth_book(&b, 1, later_ns),
                     later_ns - SAVED_NS + CLOCK_NS_PER_S);
}

static void
survives_extremes(void **state)
{
    (void)state;
    CLEANUP(sidecar_bandwidth_fini) struct sidecar_bandwidth b;
    sidecar_bandwidth_init(&b, 1);
    int64_t last_ns = 0;
    (void)sidecar_bandwidth_book(&b, SIZE_MAX, NOW_NS);
    last_ns = sidecar_bandwidth_book(&b, 1, NOW_NS);
    assert_true(last_ns > NOW_NS);
}

static void
lets_all_through_without_a_limit(void **state)
{
    (void)state;
    CLEANUP(sidecar_bandwidth_fini) struct sidecar_bandwidth b;
    sidecar_bandwidth_init(&b, 0);
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(sidecar_bandwidth_book(&b, SIZE_MAX, NOW_NS), NOW_NS);
}

static void
waits_for_real(void **state)
{
    (void)state;
    struct err err;
    CLEANUP(sidecar_bandwidth_fini) struct sidecar_bandwidth b;
    sidecar_bandwidth_init(&b, 1000000);
    int64_t begin_ns = clock_mono_ns();
    for (unsigned i = 0; i < 5; i++)
        assert_true(sidecar_bandwidth_wait(&b, 50000, NULL, &err));
    /* The last of 5 pieces of 50 ms begins after four of them, less what was saved. */
    assert_true(clock_mono_ns() - begin_ns >= 4 * CLOCK_NS_PER_S / 20 - SAVED_NS);
}

static void
gives_up_when_cancelled(void **state)
{
    (void)state;
    struct err err;
    CLEANUP(cancel_fini) struct cancel cancel = {0};
    CLEANUP(sidecar_bandwidth_fini) struct sidecar_bandwidth b;
    sidecar_bandwidth_init(&b, 1);
    assert_true(sidecar_bandwidth_wait(&b, 3600, &cancel, &err));
    cancel_raise(&cancel);
    assert_false(sidecar_bandwidth_wait(&b, 1, &cancel, &err));
    assert_int_equal(err.code, ERR_CANCELLED);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(books_one_behind_the_other),
        cmocka_unit_test(saves_up_a_tenth_of_a_second_only),
        cmocka_unit_test(survives_extremes),
        cmocka_unit_test(lets_all_through_without_a_limit),
        cmocka_unit_test(waits_for_real),
        cmocka_unit_test(gives_up_when_cancelled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
