/* SPDX-License-Identifier: Apache-2.0 */
#include "store/block_groups.h"

#include <stdlib.h>

#include "common/base/xmalloc.h"

int
store_block_by_time(const void *a, const void *b)
{
    const struct store_block *const *x = a, *const *y = b;
    int64_t m = (*x)->meta.mint_ms, n = (*y)->meta.mint_ms;
    int order = (m > n) - (m < n);
    return order != 0 ? order : tsdb_ulid_cmp(&(*x)->id, &(*y)->id);
}

static int
by_group(const void *a, const void *b)
{
    const struct store_block *const *x = a, *const *y = b;
    int64_t m = (*x)->meta.resolution_ms, n = (*y)->meta.resolution_ms;
    int order = tsdb_labels_cmp((*x)->meta.external, (*y)->meta.external);
    if (order == 0)
        order = (m > n) - (m < n);
    return order != 0 ? order : store_block_by_time(a, b);
}

static bool
has_downsampled(struct store_block *const *blocks, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (blocks[i]->meta.resolution_ms != 0)
            return true;
    return false;
}

/* How many blocks from the first on have its external labels. */
static size_t
run_length(struct store_block *const *blocks, size_t count)
{
    size_t n = 1;
    while (n < count &&
           tsdb_labels_cmp(blocks[0]->meta.external, blocks[n]->meta.external) == 0)
        n++;
    return n;
}

static void
add_group(struct store_block_groups *g, struct store_block *const *blocks, size_t count)
{
    struct store_block_group *group = &g->at[g->count++];
    for (size_t i = 0; i < count; i++) {
        enum store_resolution r =
            store_resolution_within(blocks[i]->meta.resolution_ms);
        if (group->counts[r]++ == 0)
            group->blocks[r] = &blocks[i];
    }
}

void
store_block_groups_init(struct store_block_groups *g, struct store_block **blocks,
                        size_t count)
{
    *g = (struct store_block_groups){.plain = blocks, .plain_count = count};
    if (!has_downsampled(blocks, count))
        return;
    g->sorted = xcalloc(count, sizeof(struct store_block *));
    g->others = xcalloc(count, sizeof(struct store_block *));
    g->at = xcalloc(count, sizeof *g->at);
    memcpy(g->sorted, blocks, count * sizeof *blocks);
    qsort(g->sorted, count, sizeof *blocks, by_group);
    size_t others = 0;
    for (size_t i = 0, n; i < count; i += n) {
        struct store_block *const *run = &g->sorted[i];
        n = run_length(run, count - i);
        if (run[0]->meta.resolution_ms != run[n - 1]->meta.resolution_ms) {
            add_group(g, run, n);
            continue;
        }
        memcpy(g->others + others, run, n * sizeof *blocks);
        others += n;
    }
    qsort(g->others, others, sizeof *blocks, store_block_by_time);
    g->plain = g->others;
    g->plain_count = others;
}

void
store_block_groups_fini(struct store_block_groups *g)
{
    free(g->sorted);
    free(g->others);
    free(g->at);
}
