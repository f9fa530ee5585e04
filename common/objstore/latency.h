/* SPDX-License-Identifier: Apache-2.0 */
/* How long reads of about the same size took lately: a histogram that halves what it
 * knows when it is full, so that the last few hundred reads count. */
#ifndef COMMON_OBJSTORE_LATENCY_H
#define COMMON_OBJSTORE_LATENCY_H

#include <stdint.h>

/* Bounds grow by a sixteenth of a power of two: a quantile is at most 7 % too long. */
enum { OBJSTORE_LATENCY_PARTS = 16, OBJSTORE_LATENCY_POWERS = 24 };

/* The zero value knows nothing. */
struct objstore_latency {
    uint32_t total;
    uint32_t counts[OBJSTORE_LATENCY_PARTS * OBJSTORE_LATENCY_POWERS];
};

void objstore_latency_add(struct objstore_latency *l, int64_t spent_ns);

/* A duration that the part quantile (0 to 1) of the reads did not exceed. At least one
 * is known. */
int64_t objstore_latency_quantile(const struct objstore_latency *l, double quantile);

#endif
