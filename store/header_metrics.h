/* SPDX-License-Identifier: Apache-2.0 */
/* What is counted of index headers, where Thanos has a name for it under that. */
#ifndef STORE_HEADER_METRICS_H
#define STORE_HEADER_METRICS_H

#include "common/metrics/registry.h"

struct store_header_metrics {
    struct metrics_value *loads;
    struct metrics_value *load_failures;
    struct metrics_histogram *load_seconds;
    struct metrics_histogram *download_seconds; /* the same */
    struct metrics_value *last_loaded;          /* seconds since the epoch */
    struct metrics_value *unseen;
    struct metrics_value *evictions;
};

void store_header_metrics_init(struct store_header_metrics *m,
                               struct metrics_registry *r);

#endif
