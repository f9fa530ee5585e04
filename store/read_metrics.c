/* SPDX-License-Identifier: Apache-2.0 */
#include "store/read_metrics.h"

#include "store/gate.h"

#define TENANT "default-tenant"

static const double gate_bounds[] = {.01, .1, .3, .6, 1,   3,   6,   9,
                                     20,  30, 60, 90, 120, 240, 360, 720};
static const double second_bounds[] = {.001, .01, .1, .3, .6, 1,  3,
                                       6,    9,   20, 30, 60, 120};
static const double count_bounds[] = {1, 2, 5, 10, 50, 100, 500, 1000, 10000, 100000};

static const char *const tenant_label[] = {"tenant", NULL};

static struct metrics_histogram *
plain_histogram(struct metrics_registry *r, const char *name, const char *help)
{
    return metrics_histogram_child(metrics_histogram_family_new(r, name, help, NULL,
                                                                gate_bounds,
                                                                ARRAY_LEN(gate_bounds)),
                                   NULL);
}

static struct metrics_histogram *
tenant_histogram(struct metrics_registry *r, const char *name, const char *help,
                 const double *bounds, size_t count)
{
    return metrics_histogram_child(
        metrics_histogram_family_new(r, name, help, tenant_label, bounds, count),
        (const char *const[]){TENANT});
}

static void
collect(void *arg)
{
    struct store_read_metrics *m = arg;
    metrics_set(m->gate_in_flight, store_gate_running(m->gate));
}

static void
init_gate(struct store_read_metrics *m, struct metrics_registry *r, unsigned slots)
{
    metrics_set(metrics_gauge(r, "thanos_bucket_store_series_gate_queries_max",
                              "Queries that may run at once."),
                slots);
    m->gate_in_flight =
        metrics_gauge(r, "thanos_bucket_store_series_gate_queries_in_flight",
                      "Queries that run now.");
    m->gate_total = metrics_counter(r, "thanos_bucket_store_series_gate_queries_total",
                                    "Queries that were admitted.");
    m->gate_wait =
        plain_histogram(r, "thanos_bucket_store_series_gate_queries_duration_seconds",
                        "How long queries waited for their slot.");
    m->gate_wait_mixin =
        plain_histogram(r, "thanos_bucket_store_series_gate_duration_seconds",
                        "The same under the name that alerts of Thanos ask for.");
}

void
store_read_metrics_init(struct store_read_metrics *m, struct metrics_registry *r,
                        struct store_gate *gate, unsigned slots)
{
    static const char *const dropped_labels[] = {"reason", "tenant", NULL};
    m->gate = gate;
    init_gate(m, r, slots);
    m->dropped = metrics_family_new(r, METRICS_COUNTER,
                                    "thanos_bucket_store_queries_dropped_total",
                                    "Queries that a limit refused.", dropped_labels);
    metrics_child(m->dropped, (const char *const[]){STORE_READ_DROPPED_LIMIT, TENANT});
    metrics_child(m->dropped, (const char *const[]){STORE_READ_DROPPED_GATE, TENANT});
    metrics_child(m->dropped, (const char *const[]){"series", TENANT});
    metrics_child(m->dropped, (const char *const[]){"chunks", TENANT});
    metrics_child(m->dropped, (const char *const[]){"bytes", TENANT});
    m->duration =
        tenant_histogram(r, "thanos_bucket_store_series_get_all_duration_seconds",
                         "Time from a request to the end of its answer.", second_bounds,
                         ARRAY_LEN(second_bounds));
    m->blocks = tenant_histogram(r, "thanos_bucket_store_series_blocks_queried",
                                 "Blocks that a query looked into.", count_bounds,
                                 ARRAY_LEN(count_bounds));
    m->series =
        tenant_histogram(r, "thanos_bucket_store_series_result_series",
                         "Series in an answer.", count_bounds, ARRAY_LEN(count_bounds));
    m->fetches = metrics_counter(r, "blockhouse_store_fetches_total",
                                 "Ranged reads that queries asked of the bucket.");
    m->fetched_bytes = metrics_counter(r, "blockhouse_store_fetched_bytes_total",
                                       "Bytes of these reads.");
    metrics_on_collect(r, collect, m);
}

void
store_read_metrics_waited(struct store_read_metrics *m, double seconds)
{
    metrics_add(m->gate_total, 1);
    metrics_observe(m->gate_wait, seconds);
    metrics_observe(m->gate_wait_mixin, seconds);
}

void
store_read_metrics_dropped(struct store_read_metrics *m, const char *reason)
{
    metrics_add(metrics_child(m->dropped, (const char *const[]){reason, TENANT}), 1);
}

void
store_read_metrics_done(struct store_read_metrics *m,
                        const struct store_read_totals *totals)
{
    metrics_observe(m->duration, totals->seconds);
    metrics_observe(m->blocks, (double)totals->blocks);
    metrics_observe(m->series, (double)totals->series);
    metrics_add(m->fetches, (double)totals->fetches);
    metrics_add(m->fetched_bytes, (double)totals->fetched_bytes);
}
