/* SPDX-License-Identifier: Apache-2.0 */
/* How much memory is charged, and who waits for it, as metrics. */
#ifndef STORE_MEMORY_METRICS_H
#define STORE_MEMORY_METRICS_H

#include "common/base/budget_arbiter.h"
#include "common/metrics/registry.h"

struct store_memory_metrics {
    /* private */
    struct budget *budget;
    struct budget_arbiter *arbiter;
    struct metrics_value *used;
    struct metrics_value *peak;
    struct metrics_value *waiting;
};

/* budget, arbiter and registry outlive *m, and *m the last exposition. */
void store_memory_metrics_init(struct store_memory_metrics *m, struct budget *budget,
                               struct budget_arbiter *arbiter,
                               struct metrics_registry *registry);

#endif
