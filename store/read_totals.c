/* SPDX-License-Identifier: Apache-2.0 */
#include "store/read_totals.h"

#include <inttypes.h>

#include "common/base/clock.h"
#include "common/base/num.h"

static void
add(struct store_data_totals *to, const struct store_data_totals *from)
{
    to->touched += from->touched;
    to->touched_bytes += from->touched_bytes;
    to->fetched += from->fetched;
    to->fetched_bytes += from->fetched_bytes;
    to->requests += from->requests;
    to->cached_reads += from->cached_reads;
    to->cached_bytes += from->cached_bytes;
    to->shared_reads += from->shared_reads;
    to->shared_bytes += from->shared_bytes;
    to->refetched += from->refetched;
    to->wait_ns += from->wait_ns;
}

struct store_data_totals
store_data_totals_sum(const struct store_data_totals data[STORE_DATA_KINDS])
{
    struct store_data_totals sum = {0};
    for (size_t i = 0; i < STORE_DATA_KINDS; i++)
        add(&sum, &data[i]);
    return sum;
}

int64_t
store_read_totals_work_ns(const struct store_read_totals *totals)
{
    int64_t waited = totals->gate_ns + totals->send_ns;
    for (size_t i = 0; i < STORE_DATA_KINDS; i++)
        waited += totals->data[i].wait_ns;
    return NUM_MAX(totals->total_ns - waited, INT64_C(0));
}

static int64_t
us(int64_t ns)
{
    const int64_t ns_per_us = 1000;
    return ns / ns_per_us;
}

void
store_read_totals_figures(const struct store_read_totals *t,
                          struct store_figure figures[STORE_FIGURE_COUNT])
{
    const struct store_data_totals *data = t->data;
    struct store_data_totals sum = store_data_totals_sum(data);
    const struct store_figure all[STORE_FIGURE_COUNT] = {
        {"blocks", (int64_t)t->blocks},
        {"series", (int64_t)t->series},
        {"chunks", (int64_t)t->chunks},
        {"chunk_bytes", (int64_t)t->chunk_bytes},
        {"requests", (int64_t)sum.requests},
        {"fetched_bytes", (int64_t)sum.fetched_bytes},
        {"postings_bytes", (int64_t)data[STORE_DATA_POSTINGS].fetched_bytes},
        {"series_bytes", (int64_t)data[STORE_DATA_SERIES].fetched_bytes},
        {"chunks_bytes", (int64_t)data[STORE_DATA_CHUNKS].fetched_bytes},
        {"cache_hits", (int64_t)sum.cached_reads},
        {"cached_bytes", (int64_t)sum.cached_bytes},
        {"shared_reads", (int64_t)sum.shared_reads},
        {"shared_bytes", (int64_t)sum.shared_bytes},
        {"refetched", (int64_t)sum.refetched},
        {"gate_us", us(t->gate_ns)},
        {"postings_us", us(data[STORE_DATA_POSTINGS].wait_ns)},
        {"series_us", us(data[STORE_DATA_SERIES].wait_ns)},
        {"chunks_us", us(data[STORE_DATA_CHUNKS].wait_ns)},
        {"send_us", us(t->send_ns)},
        {"work_us", us(store_read_totals_work_ns(t))},
        {"first_us", us(t->first_ns)},
        {"total_us", us(t->total_ns)},
    };
    for (size_t i = 0; i < STORE_FIGURE_COUNT; i++)
        figures[i] = all[i];
}

void
store_read_totals_print(const struct store_read_totals *totals, struct buf *out)
{
    struct store_figure figures[STORE_FIGURE_COUNT];
    store_read_totals_figures(totals, figures);
    for (size_t i = 0; i < STORE_FIGURE_COUNT; i++)
        buf_printf(out, "%s%s=%" PRId64, i > 0 ? ", " : "", figures[i].name,
                   figures[i].value);
}
