/* SPDX-License-Identifier: Apache-2.0 */
#include "common/objstore/latency.h"

#include <stddef.h>

#include "common/base/compiler.h"
#include "common/base/num.h"

enum { FULL = 1024 };

/* The first bucket ends at 2^16 ns, 65 us; the last begins 2^24 times later, after 18
 * minutes. */
enum { FIRST_POWER = 16, LAST = OBJSTORE_LATENCY_PARTS * OBJSTORE_LATENCY_POWERS - 1 };

static size_t
bucket_of(uint64_t ns)
{
    if (ns < UINT64_C(1) << FIRST_POWER)
        return 0;
    unsigned power = 63u - (unsigned)__builtin_clzll(ns);
    size_t part = (ns >> (power - 4)) % OBJSTORE_LATENCY_PARTS;
    size_t bucket = (power - FIRST_POWER) * (size_t)OBJSTORE_LATENCY_PARTS + part;
    return NUM_MIN(bucket, (size_t)LAST);
}

static int64_t
end_of(size_t bucket)
{
    size_t next = bucket + 1;
    uint64_t power = UINT64_C(1) << (FIRST_POWER + next / OBJSTORE_LATENCY_PARTS);
    return (int64_t)(power +
                     power / OBJSTORE_LATENCY_PARTS * (next % OBJSTORE_LATENCY_PARTS));
}

void
objstore_latency_add(struct objstore_latency *l, int64_t spent_ns)
{
    l->counts[bucket_of((uint64_t)NUM_MAX(spent_ns, INT64_C(0)))]++;
    if (++l->total < FULL)
        return;
    l->total = 0;
    for (size_t i = 0; i <= LAST; i++)
        l->total += l->counts[i] /= 2;
}

int64_t
objstore_latency_quantile(const struct objstore_latency *l, double quantile)
{
    double above = (1 - quantile) * (double)l->total;
    double seen = 0;
    size_t bucket = LAST;
    while (bucket > 0 && seen + l->counts[bucket] <= above)
        seen += l->counts[bucket--];
    return end_of(bucket);
}
