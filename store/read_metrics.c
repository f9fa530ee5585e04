/* SPDX-License-Identifier: Apache-2.0 */
#include "store/read_metrics.h"

#include <string.h>

#include "common/base/clock.h"
#include "store/gate.h"

#define TENANT "default-tenant"

static const double gate_bounds[] = {.01, .1, .3, .6, 1,   3,   6,   9,
                                     20,  30, 60, 90, 120, 240, 360, 720};
static const double second_bounds[] = {.001, .01, .1, .3, .6, 1,  3,
                                       6,    9,   20, 30, 60, 120};
static const double count_bounds[] = {1,   2,    5,     10,     50,      100,
                                      500, 1000, 10000, 100000, 1000000, 10000000};
static const double size_bounds[] = {1 << 10, 1 << 12, 1 << 14, 1 << 16,
                                     1 << 18, 1 << 20, 1 << 22, 1 << 24,
                                     1 << 26, 1 << 28, 1 << 30};

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

static struct metrics_value *
tenant_counter(struct metrics_registry *r, const char *name, const char *help)
{
    return metrics_child(
        metrics_family_new(r, METRICS_COUNTER, name, help, tenant_label),
        (const char *const[]){TENANT});
}

static struct metrics_histogram *
seconds_histogram(struct metrics_registry *r, const char *name, const char *help)
{
    return tenant_histogram(r, name, help, second_bounds, ARRAY_LEN(second_bounds));
}

static struct metrics_histogram *
count_histogram(struct metrics_registry *r, const char *name, const char *help)
{
    return tenant_histogram(r, name, help, count_bounds, ARRAY_LEN(count_bounds));
}

static void
init_totals(struct store_read_metrics *m, struct metrics_registry *r)
{
    m->duration =
        seconds_histogram(r, "thanos_bucket_store_series_get_all_duration_seconds",
                          "Time from a request to the end of its answer.");
    m->merge = seconds_histogram(r, "thanos_bucket_store_series_merge_duration_seconds",
                                 "Time from the first piece of an answer to its end.");
    m->send = seconds_histogram(r, "blockhouse_store_read_send_duration_seconds",
                                "How long a query waited for its reader.");
    m->work = seconds_histogram(r, "blockhouse_store_read_work_duration_seconds",
                                "How long a query worked, and waited for nothing.");
    m->blocks = count_histogram(r, "thanos_bucket_store_series_blocks_queried",
                                "Blocks that a query looked into.");
    m->series = count_histogram(r, "thanos_bucket_store_series_result_series",
                                "Series in an answer.");
    m->sent_chunks = tenant_histogram(r, "thanos_bucket_store_sent_chunk_size_bytes",
                                      "Bytes of the chunks of a series in a streamed "
                                      "answer.",
                                      size_bounds, ARRAY_LEN(size_bounds));
    m->postings_bytes = tenant_histogram(r, "thanos_bucket_store_postings_size_bytes",
                                         "Bytes of postings that a query needed.",
                                         size_bounds, ARRAY_LEN(size_bounds));
    m->requests = count_histogram(r, "blockhouse_store_read_requests",
                                  "Ranged reads that a query asked of the bucket.");
}

/* One family of amounts, with a child for each kind of data. */
struct amounts {
    const char *name;
    const char *help;
    const double *bounds;
    size_t bound_count;
};

static const struct amounts amounts[STORE_READ_AMOUNTS] = {
    [STORE_READ_TOUCHED] = {"thanos_bucket_store_series_data_touched",
                            "Postings lists, series entries and chunks that a query "
                            "needed.",
                            count_bounds, ARRAY_LEN(count_bounds)},
    [STORE_READ_FETCHED] = {"thanos_bucket_store_series_data_fetched",
                            "Those of them that came from the bucket, not the cache.",
                            count_bounds, ARRAY_LEN(count_bounds)},
    [STORE_READ_TOUCHED_BYTES] = {"thanos_bucket_store_series_data_size_touched_bytes",
                                  "Bytes that a query needed.", size_bounds,
                                  ARRAY_LEN(size_bounds)},
    [STORE_READ_FETCHED_BYTES] = {"thanos_bucket_store_series_data_size_fetched_bytes",
                                  "Bytes that a query asked of the bucket, gaps "
                                  "between what it needed included.",
                                  size_bounds, ARRAY_LEN(size_bounds)},
};

static void
init_amounts(struct store_read_metrics *m, struct metrics_registry *r)
{
    static const char *const labels[] = {"data_type", "tenant", NULL};
    static const char *const types[] = {[STORE_DATA_POSTINGS] = "postings",
                                        [STORE_DATA_SERIES] = "series",
                                        [STORE_DATA_CHUNKS] = "chunks"};
    for (size_t i = 0; i < STORE_READ_AMOUNTS; i++) {
        const struct amounts *a = &amounts[i];
        struct metrics_family *family = metrics_histogram_family_new(
            r, a->name, a->help, labels, a->bounds, a->bound_count);
        for (size_t k = 0; k < STORE_DATA_KINDS; k++)
            m->data[k].amounts[i] = metrics_histogram_child(
                family, (const char *const[]){types[k], TENANT});
    }
}

/* What the index cache of Thanos counts: here one cache has ranges of all kinds. */
static void
init_cache(struct store_read_metrics *m, struct metrics_registry *r)
{
    static const char *const labels[] = {"item_type", "tenant", NULL};
    static const char *const types[] = {[STORE_DATA_POSTINGS] = "Postings",
                                        [STORE_DATA_SERIES] = "Series",
                                        [STORE_DATA_CHUNKS] = "Chunks"};
    struct metrics_family *asked = metrics_family_new(
        r, METRICS_COUNTER, "thanos_store_index_cache_requests_total",
        "Postings lists, series entries and chunks that queries asked of the cache.",
        labels);
    struct metrics_family *had =
        metrics_family_new(r, METRICS_COUNTER, "thanos_store_index_cache_hits_total",
                           "Those of them that the cache had.", labels);
    for (size_t k = 0; k < STORE_DATA_KINDS; k++) {
        const char *const values[] = {types[k], TENANT};
        m->data[k].asked = metrics_child(asked, values);
        m->data[k].had = metrics_child(had, values);
    }
}

static void
init_data(struct store_read_metrics *m, struct metrics_registry *r)
{
    struct store_read_data_metrics *data = m->data;
    init_amounts(m, r);
    init_cache(m, r);
    data[STORE_DATA_POSTINGS].wait =
        seconds_histogram(r, "thanos_bucket_store_postings_fetch_duration_seconds",
                          "How long a query waited for postings.");
    data[STORE_DATA_SERIES].wait =
        seconds_histogram(r, "thanos_bucket_store_series_fetch_duration_seconds",
                          "How long a query waited for series entries.");
    data[STORE_DATA_CHUNKS].wait =
        seconds_histogram(r, "thanos_bucket_store_chunks_fetch_duration_seconds",
                          "How long a query waited for chunks.");
    data[STORE_DATA_SERIES].wait_sum =
        seconds_histogram(r, "thanos_bucket_store_series_fetch_duration_sum_seconds",
                          "The same, as Thanos names the sum over all blocks.");
    data[STORE_DATA_CHUNKS].wait_sum =
        seconds_histogram(r, "thanos_bucket_store_chunks_fetch_duration_sum_seconds",
                          "The same, as Thanos names the sum over all blocks.");
    data[STORE_DATA_SERIES].refetched =
        tenant_counter(r, "thanos_bucket_store_series_refetches_total",
                       "Series entries that were longer than guessed, and read again.");
    data[STORE_DATA_CHUNKS].refetched =
        tenant_counter(r, "thanos_bucket_store_chunk_refetches_total",
                       "Chunks that were longer than guessed, and read again.");
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
    init_totals(m, r);
    init_data(m, r);
    m->fetches = metrics_counter(r, "blockhouse_store_fetches_total",
                                 "Ranged reads that queries asked of the bucket.");
    m->fetched_bytes = metrics_counter(r, "blockhouse_store_fetched_bytes_total",
                                       "Bytes of these reads.");
    m->shared = metrics_counter(r, "blockhouse_store_shared_fetches_total",
                                "Reads that a query did not make, because another one "
                                "was making them.");
    m->superseded =
        metrics_counter(r, "blockhouse_store_queries_superseded_total",
                        "Queries that began again over newer blocks, because one of "
                        "theirs was compacted and deleted.");
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

double
store_read_metrics_dropped_count(struct store_read_metrics *m, const char *reason)
{
    return metrics_get(
        metrics_child(m->dropped, (const char *const[]){reason, TENANT}));
}

double
store_read_metrics_shared_count(struct store_read_metrics *m)
{
    return metrics_get(m->shared);
}

void
store_read_metrics_sent(struct store_read_metrics *m, uint64_t chunk_bytes)
{
    metrics_observe(m->sent_chunks, (double)chunk_bytes);
}

void
store_read_metrics_superseded(struct store_read_metrics *m)
{
    metrics_add(m->superseded, 1);
}

static double
seconds(int64_t ns)
{
    return (double)ns / CLOCK_NS_PER_S;
}

static void
observe_data(const struct store_read_data_metrics *m,
             const struct store_data_totals *totals)
{
    const uint64_t values[STORE_READ_AMOUNTS] = {
        [STORE_READ_TOUCHED] = totals->touched,
        [STORE_READ_FETCHED] = totals->fetched,
        [STORE_READ_TOUCHED_BYTES] = totals->touched_bytes,
        [STORE_READ_FETCHED_BYTES] = totals->fetched_bytes,
    };
    for (size_t i = 0; i < STORE_READ_AMOUNTS; i++)
        metrics_observe(m->amounts[i], (double)values[i]);
    metrics_observe(m->wait, seconds(totals->wait_ns));
    if (m->wait_sum != NULL)
        metrics_observe(m->wait_sum, seconds(totals->wait_ns));
    metrics_add(m->asked, (double)totals->touched);
    if (totals->fetched < totals->touched)
        metrics_add(m->had, (double)(totals->touched - totals->fetched));
    if (m->refetched != NULL)
        metrics_add(m->refetched, (double)totals->refetched);
}

void
store_read_metrics_done(struct store_read_metrics *m,
                        const struct store_read_totals *totals)
{
    const struct store_data_totals sum = store_data_totals_sum(totals->data);
    int64_t merge_ns = totals->first_ns > 0 ? totals->total_ns - totals->first_ns : 0;
    metrics_observe(m->duration, seconds(totals->total_ns));
    metrics_observe(m->merge, seconds(merge_ns));
    metrics_observe(m->send, seconds(totals->send_ns));
    metrics_observe(m->work, seconds(store_read_totals_work_ns(totals)));
    metrics_observe(m->blocks, (double)totals->blocks);
    metrics_observe(m->series, (double)totals->series);
    metrics_observe(m->requests, (double)sum.requests);
    metrics_observe(m->postings_bytes,
                    (double)totals->data[STORE_DATA_POSTINGS].touched_bytes);
    for (size_t i = 0; i < STORE_DATA_KINDS; i++)
        observe_data(&m->data[i], &totals->data[i]);
    metrics_add(m->fetches, (double)sum.requests);
    metrics_add(m->shared, (double)sum.shared_reads);
    metrics_add(m->fetched_bytes, (double)sum.fetched_bytes);
}
