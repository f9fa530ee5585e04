/* SPDX-License-Identifier: Apache-2.0 */
#include "store/estimate.h"

#include "common/base/num.h"

/* A chunk has 120 samples: at a scrape interval of 15 s half an hour. */
enum { CHUNK_MS = 30 * 60 * 1000 };

static uint64_t
series_of(struct store_posting_range range)
{
    return store_posting_refs(range.len, 1);
}

/* Chunks of one series of a block that lie in the range. */
static uint64_t
chunks_each(const struct store_block *b, int64_t mint_ms, int64_t maxt_ms)
{
    uint64_t from = (uint64_t)NUM_MAX(mint_ms, b->meta.mint_ms);
    uint64_t to = (uint64_t)NUM_MIN(maxt_ms, b->meta.maxt_ms);
    return (to - from) / CHUNK_MS + 1;
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
count_series(struct store_estimate *e, const struct store_block *b,
             struct tsdb_labels demanded, uint64_t *series)
{
    *series = series_of(store_index_header_all(b->header));
    for (size_t i = 0; i<demanded.len && * series> 0; i++) {
        struct store_posting_range range;
        struct err ignored;
        bool is_external, found;
        if (!allows(b, demanded.at[i], &is_external)) {
            *series = 0;
            return true;
        }
        if (is_external)
            continue;
        e->lookups++;
        if (!store_index_header_find(b->header, demanded.at[i].name,
                                     demanded.at[i].value, &found, &range, &ignored))
            return false;
        *series = found ? NUM_MIN(*series, series_of(range)) : 0;
    }
    return true;
}

void
store_estimate_add(struct store_estimate *e, const struct store_block_set *blocks,
                   struct tsdb_labels demanded, int64_t mint_ms, int64_t maxt_ms)
{
    for (size_t i = 0; i < blocks->count; i++) {
        const struct store_block *b = blocks->blocks[i];
        uint64_t series = 1;
        if (!store_block_overlaps(b, mint_ms, maxt_ms))
            continue;
        if (store_estimate_is_small(e))
            e->is_unknown = !count_series(e, b, demanded, &series);
        e->blocks += series > 0;
        e->chunks += series * chunks_each(b, mint_ms, maxt_ms);
    }
}

bool
store_estimate_is_small(const struct store_estimate *e)
{
    return !e->is_unknown && e->chunks <= STORE_ESTIMATE_SMALL_CHUNKS &&
           e->blocks <= STORE_ESTIMATE_SMALL_BLOCKS &&
           e->lookups <= STORE_ESTIMATE_SMALL_LOOKUPS;
}
