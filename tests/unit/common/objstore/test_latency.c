/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/objstore/latency.h"

#define MS CLOCK_NS_PER_MS

static void
bounds_every_duration_closely(void **state)
{
    (void)state;
    for (int64_t ns = 65536; ns < INT64_C(1) << 39; ns += ns / 37) {
        struct objstore_latency l = {0};
        objstore_latency_add(&l, ns);
        int64_t bound = objstore_latency_quantile(&l, 0.5);
        assert_true(bound >= ns && bound <= ns + ns / 15);
    }
    static const int64_t odd[] = {INT64_MIN, -1, 0, 1, INT64_MAX};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        struct objstore_latency l = {0};
        objstore_latency_add(&l, odd[i]);
        assert_true(objstore_latency_quantile(&l, 1) > 0);
    }
}

static void
knows_quantiles(void **state)
{
    (void)state;
    struct objstore_latency l = {0};
    for (int64_t i = 1; i <= 1000; i++)
        objstore_latency_add(&l, i * MS);
    assert_in_range(objstore_latency_quantile(&l, 0.5), 500 * MS, 540 * MS);
    assert_in_range(objstore_latency_quantile(&l, 0.9), 900 * MS, 970 * MS);
    assert_in_range(objstore_latency_quantile(&l, 1), 1000 * MS, 1070 * MS);
}

static void
forgets_what_was_long_ago(void **state)
{
    (void)state;
    struct objstore_latency l = {0};
    for (int i = 0; i < 5000; i++)
        objstore_latency_add(&l, 1000 * MS);
    for (int i = 0; i < 3000; i++)
        objstore_latency_add(&l, MS);
    assert_in_range(objstore_latency_quantile(&l, 0.9), MS, 2 * MS);
    assert_true(l.total < 1024);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(bounds_every_duration_closely),
        cmocka_unit_test(knows_quantiles),
        cmocka_unit_test(forgets_what_was_long_ago),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
