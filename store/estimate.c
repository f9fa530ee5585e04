/* SPDX-License-Identifier: Apache-2.0 */
#include "store/estimate.h"

#include "common/base/num.h"
#include "store/block_headers.h"

/* A chunk has 120 samples: at a scrape interval of 15 s half an hour. An aggregated one
 * has 140 windows, and with five aggregates it is as much to read as five others. */
enum { CHUNK_MS = 30 * 60 * 1000, WINDOWS_PER_COST = 140 / 5 };

/* What a series costs beside its chunks, in chunks: its entry is decoded, its labels
 * are compared and sent. */
enum { SERIES_COST = 4 };

static uint64_t
series_of(struct store_posting_range range)
{
    return store_posting_refs(range.len, 1);
}

/* What one series of a block costs in the range, in chunks; more than a small request
 * may is as good as that. */
static uint64_t
cost_each(const struct store_chosen_block *chosen, const struct store_estimate_query *q)
{
    const struct store_block_meta *m = &chosen->block->meta;
    struct store_time_range reach = store_chosen_block_reach(chosen, q->range);
    uint64_t from = (uint64_t)NUM_MAX(reach.mint_ms, m->mint_ms);
    uint64_t to = (uint64_t)NUM_MIN(reach.maxt_ms, m->maxt_ms);
    uint64_t each_ms = m->resolution_ms == 0
                           ? CHUNK_MS
                           : (uint64_t)m->resolution_ms * WINDOWS_PER_COST;
    return NUM_MIN((to - from) / each_ms + 1 + SERIES_COST,
                   (uint64_t)STORE_ESTIMATE_SMALL_CHUNKS);
}

/* Whether the block's external labels allow the label; it is theirs when they have it.
 */
static bool
allows(const struct store_block *b, struct tsdb_label label, bool *is_external)
{
    struct bytes value = tsdb_labels_get(b->meta.external, label.name);
    *is_external = value.len > 0;
    return !*is_external || bytes_eq(value, label.value);
}

static bool
allows_all(const struct store_block *b, struct tsdb_labels demanded)
{
    bool unused;
    for (size_t i = 0; i < demanded.len; i++)
        if (!allows(b, demanded.at[i], &unused))
            return false;
    return true;
}

/* Yields how many series of the block, whose external labels allow what is demanded,
 * have it, at most. */
static bool
count_series(struct store_estimate *e, const struct store_block *b,
             struct tsdb_labels demanded, uint64_t *series)
{
    *series = series_of(store_index_header_all(b->header));
    for (size_t i = 0; i<demanded.len && * series> 0; i++) {
        struct store_posting_range range;
        struct err ignored;
        bool is_external, found;
        if (allows(b, demanded.at[i], &is_external) && is_external)
            continue;
        e->lookups++;
        if (!store_index_header_find(b->header, demanded.at[i].name,
                                     demanded.at[i].value, &found, &range, &ignored))
            return false;
        *series = found ? NUM_MIN(*series, series_of(range)) : 0;
    }
    return true;
}

static bool
count_values(struct store_estimate *e, const struct store_block *b,
             const struct store_estimate_query *q)
{
    for (size_t i = 0; i < q->scanned_count; i++) {
        struct store_value_rows rows;
        struct err ignored;
        if (!store_index_header_rows(b->header, q->scanned[i], (struct bytes){0}, &rows,
                                     &ignored))
            return false;
        e->lookups += rows.end - rows.begin;
    }
    return true;
}

/* Add what the query reads of one block. */
static bool
look_at(struct store_estimate *e, const struct store_chosen_block *chosen,
        const struct store_estimate_query *q)
{
    struct store_block *b = chosen->block;
    uint64_t series;
    if (!allows_all(b, q->demanded))
        return true;
    if (!store_block_headers_prepare(b) || !count_series(e, b, q->demanded, &series))
        return false;
    if (series == 0)
        return true;
    e->blocks++;
    e->chunks += NUM_MIN(series, (uint64_t)STORE_ESTIMATE_SMALL_CHUNKS + 1) *
                 cost_each(chosen, q);
    e->lookups += q->alternatives;
    return count_values(e, b, q);
}

void
store_estimate_add(struct store_estimate *e, const struct store_block_choice *blocks,
                   const struct store_estimate_query *q)
{
    for (size_t i = 0; i < blocks->count; i++) {
        if (store_estimate_is_small(e))
            e->is_unknown = !look_at(e, &blocks->at[i], q);
        else
            e->blocks++;
    }
}

bool
store_estimate_is_small(const struct store_estimate *e)
{
    return !e->is_unknown && e->chunks <= STORE_ESTIMATE_SMALL_CHUNKS &&
           e->blocks <= STORE_ESTIMATE_SMALL_BLOCKS &&
           e->lookups <= STORE_ESTIMATE_SMALL_LOOKUPS;
}

uint64_t
store_estimate_alternatives(struct bytes regex)
{
    uint64_t count = 1;
    for (size_t i = 0; i < regex.len; i++)
        count += regex.at[i] == '|';
    return count;
}
