/* SPDX-License-Identifier: Apache-2.0 */
/* Resolutions of blocks: that of the samples as they were scraped, and the two that a
 * compactor of Thanos makes of them. */
#ifndef STORE_RESOLUTION_H
#define STORE_RESOLUTION_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/compiler.h"

/* X(name, width of a sample's window in ms, the same for people), finest first. */
#define STORE_RESOLUTIONS(X)                 \
    X(STORE_RESOLUTION_RAW, 0, "raw")        \
    X(STORE_RESOLUTION_5M, 300 * 1000, "5m") \
    X(STORE_RESOLUTION_1H, 3600 * 1000, "1h")

enum store_resolution {
#define X(name, ms, text) name,
    STORE_RESOLUTIONS(X)
#undef X
        STORE_RESOLUTION_COUNT
};

/* Its width; 0 of raw ones. */
int64_t store_resolution_ms(enum store_resolution resolution);

/* The resolution of that many ms; false if there is none. */
NODISCARD bool store_resolution_find(int64_t ms, enum store_resolution *resolution);

/* The coarsest that is not above ms; raw for what is not positive. */
enum store_resolution store_resolution_within(int64_t ms);

#endif
