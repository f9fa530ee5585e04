/* SPDX-License-Identifier: Apache-2.0 */
/* What a query tells of the expression that it is for, and what follows from it for
 * downsampled blocks.
 *
 * Format: ReadHints of Prometheus prompb/remote.proto. */
#ifndef STORE_QUERY_HINTS_H
#define STORE_QUERY_HINTS_H

#include "common/base/bytes.h"
#include "store/resolution.h"

/* The zero value tells nothing. */
struct store_query_hints {
    int64_t step_ms;   /* between two points of the graph; not positive: unknown */
    int64_t range_ms;  /* "[5m]"; not positive: none */
    struct bytes func; /* "rate", "sum", ...; borrowed; empty: none */
};

/* The coarsest resolution that the expression can use: a fifth of the shorter one of
 * step and range at most, so that a point is made of several samples. Without a range
 * it is never above 5 minutes, because Prometheus does not look back any further. */
enum store_resolution store_query_hints_resolution(const struct store_query_hints *h);

/* What is answered of a window that was downsampled. */
enum store_aggregation {
    STORE_AGGREGATION_AVERAGE, /* sum / count: there is no aggregate of it */
    STORE_AGGREGATION_COUNT,
    STORE_AGGREGATION_SUM,
    STORE_AGGREGATION_MIN,
    STORE_AGGREGATION_MAX,
    STORE_AGGREGATION_COUNTER
};

/* What the function needs; the same as a querier of Thanos asks for. */
enum store_aggregation store_query_hints_aggregation(const struct store_query_hints *h);

#endif
