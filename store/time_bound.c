/* SPDX-License-Identifier: Apache-2.0 */
#include "store/time_bound.h"

#include "common/base/clock.h"
#include "common/codec/quantity.h"

/* 0000-01-01T00:00:00Z and 9999-12-31T23:59:59Z. */
static const int64_t FIRST_MS = INT64_C(-62167219200000);
static const int64_t LAST_MS = INT64_C(253402300799000);

static int64_t
without_ends(int64_t ms)
{
    if (ms <= FIRST_MS)
        return INT64_MIN;
    return ms >= LAST_MS ? INT64_MAX : ms;
}

bool
store_time_bound_parse(const char *text, struct store_time_bound *bound,
                       struct err *err)
{
    struct err not_a_time;
    int64_t ms, ns;
    if (quantity_rfc3339(text, &ms, &not_a_time)) {
        *bound = (struct store_time_bound){.ms = without_ends(ms)};
        return true;
    }
    if (quantity_duration(text, &ns, &not_a_time)) {
        *bound =
            (struct store_time_bound){.is_relative = true, .ms = ns / CLOCK_NS_PER_MS};
        return true;
    }
    return err_set(err, ERR_INVALID,
                   "\"%s\" is neither a time such as 2025-12-31T00:00:00Z nor a "
                   "duration such as -2w",
                   text);
}

int64_t
store_time_bound_at(struct store_time_bound bound, int64_t now_ms)
{
    return bound.is_relative ? now_ms + bound.ms : bound.ms;
}
