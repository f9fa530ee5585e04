/* SPDX-License-Identifier: Apache-2.0 */
#include "store/resolution.h"

static const int64_t widths_ms[STORE_RESOLUTION_COUNT] = {
#define X(name, ms, text) ms,
    STORE_RESOLUTIONS(X)
#undef X
};

int64_t
store_resolution_ms(enum store_resolution resolution)
{
    return widths_ms[resolution];
}

bool
store_resolution_find(int64_t ms, enum store_resolution *resolution)
{
    *resolution = store_resolution_within(ms);
    return widths_ms[*resolution] == ms;
}

enum store_resolution
store_resolution_within(int64_t ms)
{
    unsigned r = STORE_RESOLUTION_COUNT - 1;
    while (r > STORE_RESOLUTION_RAW && widths_ms[r] > ms)
        r--;
    return (enum store_resolution)r;
}
