/* SPDX-License-Identifier: Apache-2.0 */
#include "store/memory_metrics.h"

static void
collect(void *arg)
{
    struct store_memory_metrics *m = arg;
    metrics_set(m->used, (double)budget_used(m->budget));
    metrics_set(m->peak, (double)budget_peak(m->budget));
    metrics_set(m->waiting, (double)budget_arbiter_waiting(m->arbiter));
}

void
store_memory_metrics_init(struct store_memory_metrics *m, struct budget *budget,
                          struct budget_arbiter *arbiter, struct metrics_registry *r)
{
    m->budget = budget;
    m->arbiter = arbiter;
    metrics_set(metrics_gauge(r, "blockhouse_store_memory_limit_bytes",
                              "Memory for queries, caches and index headers."),
                (double)budget_limit(budget));
    m->used = metrics_gauge(r, "blockhouse_store_memory_used_bytes",
                            "Of these, what is taken now; caches give way.");
    m->peak = metrics_gauge(r, "blockhouse_store_memory_peak_bytes",
                            "Of these, the most that was ever taken.");
    m->waiting = metrics_gauge(r, "blockhouse_store_memory_waiting_queries",
                               "Queries that wait until others give memory back.");
    metrics_on_collect(r, collect, m);
}
