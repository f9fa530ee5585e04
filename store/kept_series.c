/* SPDX-License-Identifier: Apache-2.0 */
#include "store/kept_series.h"

void
store_kept_series_init(struct store_kept_series *k, size_t most, struct budget *parent)
{
    *k = (struct store_kept_series){.keeps = true};
    budget_init(&k->budget, "series kept of an answer", most, parent);
    arena_init(&k->arena, &k->budget);
}

static bool
copy_chunks(struct store_series *to, const struct store_series *from,
            struct arena *arena, struct err *err)
{
    struct tsdb_timed_chunk *chunks =
        arena_calloc(arena, from->chunk_count, sizeof *chunks);
    for (size_t i = 0; chunks != NULL && i < from->chunk_count; i++) {
        chunks[i] = from->chunks[i];
        chunks[i].chunk.data = arena_copy(arena, from->chunks[i].chunk.data);
    }
    to->chunks = chunks;
    to->chunk_count = from->chunk_count;
    return arena_ok(arena, err);
}

static bool
copy(struct store_kept_series *k, const struct store_series *series, struct err *err)
{
    struct store_series *at =
        arena_grow(&k->arena, k->at, k->count, &k->cap, sizeof *at);
    if (at == NULL)
        return arena_ok(&k->arena, err);
    k->at = at;
    return store_labels_copy(&at[k->count].labels, series->labels, &k->arena, err) &&
           copy_chunks(&at[k->count], series, &k->arena, err);
}

void
store_kept_series_add(struct store_kept_series *k, const struct store_series *series)
{
    struct err no_room;
    if (!k->keeps)
        return;
    if (copy(k, series, &no_room))
        k->count++;
    else
        store_kept_series_fini(k);
}

void
store_kept_series_fini(struct store_kept_series *k)
{
    arena_fini(&k->arena);
    budget_fini(&k->budget);
    *k = (struct store_kept_series){0};
}
