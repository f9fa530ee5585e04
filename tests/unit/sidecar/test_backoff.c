/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "sidecar/backoff.h"

static const struct tsdb_ulid prompt = {{1}};
static const struct tsdb_ulid patient = {{[TSDB_ULID_SIZE - 1] = 0xff}};

static void
is_due_until_it_fails(void **state)
{
    (void)state;
    struct sidecar_backoff b = {0};
    assert_true(sidecar_backoff_is_due(&b, INT64_MIN));
    int64_t pause_ns = sidecar_backoff_failed(&b, &prompt, 0);
    assert_false(sidecar_backoff_is_due(&b, pause_ns - 1));
    assert_true(sidecar_backoff_is_due(&b, pause_ns));
}

static void
doubles_up_to_a_limit(void **state)
{
    (void)state;
    struct sidecar_backoff b = {0};
    int64_t last_ns = 0;
    assert_int_equal(sidecar_backoff_failed(&b, &prompt, 0), 5 * CLOCK_NS_PER_S);
    assert_int_equal(sidecar_backoff_failed(&b, &prompt, 0), 10 * CLOCK_NS_PER_S);
    for (unsigned i = 0; i < 1000; i++)
        last_ns = sidecar_backoff_failed(&b, &prompt, 0);
    assert_int_equal(last_ns, 300 * CLOCK_NS_PER_S);
}

static void
spreads_blocks_over_a_quarter(void **state)
{
    (void)state;
    struct sidecar_backoff b = {0};
    int64_t pause_ns = sidecar_backoff_failed(&b, &patient, 0);
    assert_int_equal(pause_ns, 5 * CLOCK_NS_PER_S * 3 / 4);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_due_until_it_fails),
        cmocka_unit_test(doubles_up_to_a_limit),
        cmocka_unit_test(spreads_blocks_over_a_quarter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
