/* SPDX-License-Identifier: Apache-2.0 */
#include "store/query_union.h"

static bool
is_before(const void *arg, size_t a, size_t b)
{
    const struct tsdb_labels *heads = arg;
    return tsdb_labels_cmp(heads[a], heads[b]) < 0;
}

static bool
advance(struct store_query_union *u, size_t query, struct err *err)
{
    struct store_series series;
    bool end;
    if (!store_query_next(&u->queries[query], &series, &end, err))
        return false;
    if (end)
        return true;
    u->heads[query] = series.labels;
    heap_push(&u->heap, query);
    return true;
}

bool
store_query_union_open(struct store_query_union *u,
                       const struct store_query_options *options,
                       const struct store_matcher_set *sets, size_t set_count,
                       struct err *err)
{
    struct store_query_options one = *options;
    *u = (struct store_query_union){0};
    arena_init(&u->arena, options->budget);
    u->queries = arena_calloc(&u->arena, set_count, sizeof *u->queries);
    u->heads = arena_calloc(&u->arena, set_count, sizeof *u->heads);
    u->taken = arena_calloc(&u->arena, set_count, sizeof *u->taken);
    u->heap = (struct heap){.at = arena_calloc(&u->arena, set_count, sizeof *u->taken),
                            .is_before = is_before,
                            .arg = u->heads};
    if (!arena_ok(&u->arena, err))
        return false;
    one.labels_only = true;
    one.lookahead_bytes = options->lookahead_bytes / set_count;
    while (u->count < set_count) {
        const struct store_matcher_set *set = &sets[u->count];
        one.matchers = (const struct tsdb_matcher *const *)set->at;
        one.matcher_count = set->count;
        if (!store_query_open(&u->queries[u->count++], &one, err))
            return false;
    }
    for (size_t i = 0; i < set_count; i++)
        if (!advance(u, i, err))
            return false;
    return true;
}

bool
store_query_union_next(struct store_query_union *u, struct tsdb_labels *labels,
                       bool *end, struct err *err)
{
    while (u->taken_count > 0)
        if (!advance(u, u->taken[--u->taken_count], err))
            return false;
    *end = u->heap.count == 0;
    if (*end)
        return true;
    *labels = u->heads[u->heap.at[0]];
    while (u->heap.count > 0 && tsdb_labels_cmp(u->heads[u->heap.at[0]], *labels) == 0)
        u->taken[u->taken_count++] = heap_pop(&u->heap);
    return true;
}

void
store_query_union_fini(struct store_query_union *u)
{
    for (size_t i = 0; i < u->count; i++)
        store_query_fini(&u->queries[i]);
    arena_fini(&u->arena);
}
