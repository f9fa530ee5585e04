/* SPDX-License-Identifier: Apache-2.0 */
#include "store/series_merge.h"

#include "store/chunk_merge.h"
#include "store/series_chunks.h"

/* Equal series come in the order of their blocks, so that chunks are in time order. */
static bool
is_before(const void *arg, size_t a, size_t b)
{
    const struct store_series *heads = arg;
    int order = tsdb_labels_cmp(heads[a].labels, heads[b].labels);
    return order != 0 ? order < 0 : a < b;
}

static bool
advance(struct store_series_merge *m, size_t stream, struct err *err)
{
    bool end;
    if (!store_series_stream_next(&m->streams[stream], &m->heads[stream], &end, err)) {
        const struct store_stream_context *c = &m->streams[stream].context;
        if (!store_damage_skip(&c->source->damage, c->block, err))
            return store_damage_blame(&c->source->damage, c->block, err);
        store_series_stream_end(&m->streams[stream]);
        end = true;
    }
    if (!end)
        heap_push(&m->heap, stream);
    return true;
}

bool
store_series_merge_init(struct store_series_merge *m,
                        struct store_series_stream *streams, size_t count,
                        struct arena *arena, struct budget *budget, struct err *err)
{
    *m = (struct store_series_merge){.streams = streams};
    arena_init(&m->arena, budget);
    m->heads = arena_calloc(arena, count, sizeof *m->heads);
    m->heap = (struct heap){.at = arena_calloc(arena, count, sizeof *m->heap.at),
                            .is_before = is_before,
                            .arg = m->heads};
    m->taken = arena_calloc(arena, count, sizeof *m->taken);
    if (m->heads == NULL || m->heap.at == NULL || m->taken == NULL)
        return arena_ok(arena, err);
    for (size_t i = 0; i < count; i++)
        if (!advance(m, i, err))
            return false;
    return true;
}

/* Take the streams that have the smallest series. */
static void
take_equal(struct store_series_merge *m)
{
    struct tsdb_labels labels = m->heads[m->heap.at[0]].labels;
    while (m->heap.count > 0 &&
           tsdb_labels_cmp(m->heads[m->heap.at[0]].labels, labels) == 0)
        m->taken[m->taken_count++] = heap_pop(&m->heap);
}

/* The chunks of all taken streams in one array. */
static bool
gather(struct store_series_merge *m, struct store_chunk_list *all, struct err *err)
{
    struct store_stream_chunks *taken =
        arena_calloc(&m->arena, m->taken_count, sizeof *taken);
    if (taken == NULL)
        return arena_ok(&m->arena, err);
    for (size_t i = 0; i < m->taken_count; i++)
        taken[i] =
            (struct store_stream_chunks){.context = &m->streams[m->taken[i]].context,
                                         .chunks = m->heads[m->taken[i]].chunks,
                                         .count = m->heads[m->taken[i]].chunk_count};
    return store_series_chunks(taken, m->taken_count, all, err);
}

static bool
name_series(struct tsdb_labels labels, struct err *err)
{
    struct buf text;
    buf_init(&text, NULL);
    tsdb_labels_print(labels, &text);
    err_wrap(err, "series %s", buf_text(&text));
    buf_fini(&text);
    return false;
}

bool
store_series_merge_next(struct store_series_merge *m, struct store_series *series,
                        bool *end, struct err *err)
{
    struct store_chunk_list all = {.arena = &m->arena};
    while (m->taken_count > 0)
        if (!advance(m, m->taken[--m->taken_count], err))
            return false;
    arena_reset(&m->arena);
    *end = m->heap.count == 0;
    if (*end)
        return true;
    take_equal(m);
    series->labels = m->heads[m->taken[0]].labels;
    return (gather(m, &all, err) &&
            store_chunk_merge(all.at, all.count, &m->arena, &series->chunks,
                              &series->chunk_count, err)) ||
           name_series(series->labels, err);
}

void
store_series_merge_fini(struct store_series_merge *m)
{
    arena_fini(&m->arena);
}
