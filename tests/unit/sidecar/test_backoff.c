/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "sidecar/backoff.h"

static const struct tsdb_ulid first = {{1}};
static const struct tsdb_ulid second = {{2}};

static void
doubles_up_to_five_minutes(void **state)
{
    (void)state;
    CLEANUP(sidecar_backoff_fini) struct sidecar_backoff b = {0};
    int64_t now_ns = 1000, want_s = 5;
    for (unsigned i = 0; i < 1000; i++) {
        assert_true(sidecar_backoff_is_due(&b, &first, now_ns));
        assert_int_equal(sidecar_backoff_failed(&b, &first, now_ns),
                         want_s * CLOCK_NS_PER_S);
        assert_false(sidecar_backoff_is_due(&b, &first, now_ns));
        now_ns = sidecar_backoff_next_ns(&b, now_ns);
        want_s = want_s * 2 < 300 ? want_s * 2 : 300;
    }
}

static void
keeps_a_clock_for_each_block(void **state)
{
    (void)state;
    CLEANUP(sidecar_backoff_fini) struct sidecar_backoff b = {0};
    assert_int_equal(sidecar_backoff_next_ns(&b, 0), CLOCK_NEVER);
    sidecar_backoff_failed(&b, &first, 0);
    assert_true(sidecar_backoff_is_due(&b, &second, 0));
    sidecar_backoff_failed(&b, &second, 7);
    sidecar_backoff_forget(&b, &first);
    assert_true(sidecar_backoff_is_due(&b, &first, 0));
    assert_false(sidecar_backoff_is_due(&b, &second, 7));
    assert_int_equal(sidecar_backoff_next_ns(&b, 7), 7 + 5 * CLOCK_NS_PER_S);
}

static void
does_not_hurry_for_what_nobody_tried(void **state)
{
    (void)state;
    CLEANUP(sidecar_backoff_fini) struct sidecar_backoff b = {0};
    sidecar_backoff_failed(&b, &first, 0);
    assert_int_equal(sidecar_backoff_next_ns(&b, 5 * CLOCK_NS_PER_S), CLOCK_NEVER);
}

static void
spreads_blocks(void **state)
{
    (void)state;
    CLEANUP(sidecar_backoff_fini) struct sidecar_backoff b = {0};
    struct tsdb_ulid late = first;
    late.raw[TSDB_ULID_SIZE - 1] = 0xff;
    assert_int_equal(sidecar_backoff_failed(&b, &late, 0),
                     5 * CLOCK_NS_PER_S - 5 * CLOCK_NS_PER_S / 4);
}

static void
forgets_blocks_that_nobody_tries(void **state)
{
    (void)state;
    CLEANUP(sidecar_backoff_fini) struct sidecar_backoff b = {0};
    sidecar_backoff_failed(&b, &first, 0);
    sidecar_backoff_prune(&b, 60 * CLOCK_NS_PER_S);
    assert_int_equal(b.count, 1);
    sidecar_backoff_prune(&b, 306 * CLOCK_NS_PER_S);
    assert_int_equal(b.count, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(doubles_up_to_five_minutes),
        cmocka_unit_test(keeps_a_clock_for_each_block),
        cmocka_unit_test(does_not_hurry_for_what_nobody_tried),
        cmocka_unit_test(spreads_blocks),
        cmocka_unit_test(forgets_blocks_that_nobody_tries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
