/* SPDX-License-Identifier: Apache-2.0 */
#include "store/query_hints.h"

#include "common/base/num.h"

enum { SAMPLES_PER_POINT = 5, LOOKBACK_MS = 5 * 60 * 1000 };

enum store_resolution
store_query_hints_resolution(const struct store_query_hints *h)
{
    int64_t shorter_ms = h->step_ms;
    if (h->range_ms > 0 && (shorter_ms <= 0 || h->range_ms < shorter_ms))
        shorter_ms = h->range_ms;
    int64_t most_ms = shorter_ms / SAMPLES_PER_POINT;
    if (h->range_ms <= 0)
        most_ms = NUM_MIN(most_ms, (int64_t)LOOKBACK_MS);
    return store_resolution_within(most_ms);
}

static bool
is_one_of(struct bytes func, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (bytes_eq(func, bytes_of_str(names[i])))
            return true;
    return false;
}

enum store_aggregation
store_query_hints_aggregation(const struct store_query_hints *h)
{
    static const char *const counters[] = {"rate",   "irate", "increase",
                                           "resets", "xrate", "xincrease"};
    struct bytes f = h->func;
    if (is_one_of(f, counters, ARRAY_LEN(counters)))
        return STORE_AGGREGATION_COUNTER;
    if (bytes_eq(f, BYTES("min")) || bytes_starts_with(f, BYTES("min_")))
        return STORE_AGGREGATION_MIN;
    if (bytes_eq(f, BYTES("max")) || bytes_starts_with(f, BYTES("max_")))
        return STORE_AGGREGATION_MAX;
    if (bytes_eq(f, BYTES("count")) || bytes_starts_with(f, BYTES("count_")))
        return STORE_AGGREGATION_COUNT;
    /* Plain sum adds values of several series, not those of a window. */
    if (bytes_starts_with(f, BYTES("sum_")))
        return STORE_AGGREGATION_SUM;
    return STORE_AGGREGATION_AVERAGE;
}
