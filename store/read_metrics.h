/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics of the read path, under the names that dashboards of Thanos ask for. */
#ifndef STORE_READ_METRICS_H
#define STORE_READ_METRICS_H

#include "common/metrics/registry.h"

struct store_gate;

struct store_read_metrics {
    /* private */
    struct store_gate *gate;
    struct metrics_value *gate_in_flight;
    struct metrics_value *gate_total;
    struct metrics_histogram *gate_wait;
    struct metrics_histogram *gate_wait_mixin; /* the name that the mixin asks for */
    struct metrics_family *dropped;
    struct metrics_histogram *duration;
    struct metrics_histogram *blocks;
    struct metrics_histogram *series;
    struct metrics_value *fetched_bytes;
    struct metrics_value *fetches;
};

/* gate and registry outlive *m; slots is the size of the gate. */
void store_read_metrics_init(struct store_read_metrics *m, struct metrics_registry *r,
                             struct store_gate *gate, unsigned slots);

void store_read_metrics_waited(struct store_read_metrics *m, double seconds);

/* A request was dropped: by a limit, or because no slot of the gate became free. */
void store_read_metrics_dropped(struct store_read_metrics *m, const char *reason);
#define STORE_READ_DROPPED_LIMIT "limit"
#define STORE_READ_DROPPED_GATE "gate"

struct store_read_totals {
    double seconds;
    uint64_t blocks;
    uint64_t series;
    uint64_t fetches;
    uint64_t fetched_bytes;
};

/* A request has ended, well or not. */
void store_read_metrics_done(struct store_read_metrics *m,
                             const struct store_read_totals *totals);

#endif
