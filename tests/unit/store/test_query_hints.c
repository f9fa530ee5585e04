/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/query_hints.h"

enum { MINUTE = 60 * 1000, HOUR = 60 * MINUTE };

static void
tells_the_resolution(void **unused)
{
    static const struct {
        int64_t step_ms, range_ms;
        enum store_resolution expected;
    } cases[] = {
        {0, 0, STORE_RESOLUTION_RAW},
        {-1, -1, STORE_RESOLUTION_RAW},
        {INT64_MIN, INT64_MIN, STORE_RESOLUTION_RAW},
        {25 * MINUTE - 1, 0, STORE_RESOLUTION_RAW},
        {25 * MINUTE, 0, STORE_RESOLUTION_5M},
        {100 * HOUR, 0, STORE_RESOLUTION_5M}, /* Prometheus looks back 5 minutes */
        {INT64_MAX, 0, STORE_RESOLUTION_5M},
        {0, 25 * MINUTE, STORE_RESOLUTION_5M},
        {0, 5 * HOUR - 1, STORE_RESOLUTION_5M},
        {0, 5 * HOUR, STORE_RESOLUTION_1H},
        {5 * HOUR, 5 * HOUR, STORE_RESOLUTION_1H},
        {5 * HOUR - 1, 100 * HOUR, STORE_RESOLUTION_5M},
        {100 * HOUR, 5 * HOUR - 1, STORE_RESOLUTION_5M},
        {MINUTE, 100 * HOUR, STORE_RESOLUTION_RAW},
        {100 * HOUR, MINUTE, STORE_RESOLUTION_RAW},
        {INT64_MAX, INT64_MAX, STORE_RESOLUTION_1H},
    };
    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct store_query_hints h = {cases[i].step_ms, cases[i].range_ms, {0}};
        if (store_query_hints_resolution(&h) != cases[i].expected)
            fail_msg("case %zu: %d", i, (int)store_query_hints_resolution(&h));
    }
}

static void
tells_the_aggregation(void **unused)
{
    static const struct {
        const char *func;
        enum store_aggregation expected;
    } cases[] = {
        {"", STORE_AGGREGATION_AVERAGE},
        {"avg", STORE_AGGREGATION_AVERAGE},
        {"avg_over_time", STORE_AGGREGATION_AVERAGE},
        {"sum", STORE_AGGREGATION_AVERAGE},
        {"sum_over_time", STORE_AGGREGATION_SUM},
        {"summary", STORE_AGGREGATION_AVERAGE},
        {"min", STORE_AGGREGATION_MIN},
        {"min_over_time", STORE_AGGREGATION_MIN},
        {"minute", STORE_AGGREGATION_AVERAGE},
        {"max", STORE_AGGREGATION_MAX},
        {"max_over_time", STORE_AGGREGATION_MAX},
        {"count", STORE_AGGREGATION_COUNT},
        {"count_values", STORE_AGGREGATION_COUNT},
        {"counter", STORE_AGGREGATION_AVERAGE},
        {"rate", STORE_AGGREGATION_COUNTER},
        {"irate", STORE_AGGREGATION_COUNTER},
        {"increase", STORE_AGGREGATION_COUNTER},
        {"resets", STORE_AGGREGATION_COUNTER},
        {"xrate", STORE_AGGREGATION_COUNTER},
        {"xincrease", STORE_AGGREGATION_COUNTER},
        {"delta", STORE_AGGREGATION_AVERAGE},
        {"rates", STORE_AGGREGATION_AVERAGE},
        {"last_over_time", STORE_AGGREGATION_AVERAGE},
    };
    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct store_query_hints h = {.func = bytes_of_str(cases[i].func)};
        if (store_query_hints_aggregation(&h) != cases[i].expected)
            fail_msg("%s: %d", cases[i].func, (int)store_query_hints_aggregation(&h));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_the_resolution),
        cmocka_unit_test(tells_the_aggregation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
