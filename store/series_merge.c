/* SPDX-License-Identifier: Apache-2.0 */
#include "store/series_merge.h"

#include "store/chunk_merge.h"
#include "store/series_chunks.h"

static struct tsdb_labels
replica_of(const struct store_series_merge *m, size_t stream)
{
    return m->streams[stream].context.replica;
}

/* Equal series come replica by replica, and those in the order of their blocks, so that
 * chunks are in time order. */
static bool
is_before(const void *arg, size_t a, size_t b)
{
    const struct store_series_merge *m = arg;
    int order = tsdb_labels_cmp(m->heads[a].labels, m->heads[b].labels);
    if (order == 0)
        order = tsdb_labels_cmp(replica_of(m, a), replica_of(m, b));
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
                        const struct store_replica_rule *rule, struct arena *arena,
                        struct err *err)
{
    *m = (struct store_series_merge){.streams = streams, .rule = *rule};
    arena_init(&m->arena, arena->budget);
    m->heads = arena_calloc(arena, count, sizeof *m->heads);
    m->heap = (struct heap){.at = arena_calloc(arena, count, sizeof *m->heap.at),
                            .is_before = is_before,
                            .arg = m};
    m->taken = arena_calloc(arena, count, sizeof *m->taken);
    m->replicas = arena_calloc(arena, count, sizeof *m->replicas);
    if (!arena_ok(arena, err))
        return false;
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

/* How many of the taken streams from the first one on are of one replica. */
static size_t
replica_length(const struct store_series_merge *m, size_t first)
{
    size_t n = 1;
    while (first + n < m->taken_count &&
           tsdb_labels_cmp(replica_of(m, m->taken[first]),
                           replica_of(m, m->taken[first + n])) == 0)
        n++;
    return n;
}

/* The chunks of some of the taken streams as one sequence. */
static bool
gather(struct store_series_merge *m, const size_t *streams, size_t stream_count,
       struct store_replica *out, struct err *err)
{
    struct store_chunk_list all = {.arena = &m->arena};
    struct store_stream_chunks *taken =
        arena_calloc(&m->arena, stream_count, sizeof *taken);
    if (taken == NULL)
        return arena_ok(&m->arena, err);
    for (size_t i = 0; i < stream_count; i++)
        taken[i] =
            (struct store_stream_chunks){.context = &m->streams[streams[i]].context,
                                         .chunks = m->heads[streams[i]].chunks,
                                         .count = m->heads[streams[i]].chunk_count};
    return store_series_chunks(taken, stream_count, &all, err) &&
           store_chunk_merge(all.at, all.count, &m->arena, &out->chunks, &out->count,
                             err);
}

/* The chunks of all taken streams, replica by replica, then as one series. */
static bool
merge_taken(struct store_series_merge *m, struct store_replica *out, struct err *err)
{
    size_t count = 0;
    for (size_t i = 0; i < m->taken_count;) {
        size_t n = replica_length(m, i);
        if (!gather(m, m->taken + i, n, &m->replicas[count++], err))
            return false;
        i += n;
    }
    return store_replica_merge(m->replicas, count, &m->rule, &m->arena, out, err);
}

bool
store_series_merge_next(struct store_series_merge *m, struct store_series *series,
                        bool *end, struct err *err)
{
    struct store_replica merged;
    while (m->taken_count > 0)
        if (!advance(m, m->taken[--m->taken_count], err))
            return false;
    arena_reset(&m->arena);
    *end = m->heap.count == 0;
    if (*end)
        return true;
    take_equal(m);
    series->labels = m->heads[m->taken[0]].labels;
    if (!merge_taken(m, &merged, err))
        return store_series_name(series->labels, err);
    series->chunks = merged.chunks;
    series->chunk_count = merged.count;
    return true;
}

void
store_series_merge_fini(struct store_series_merge *m)
{
    arena_fini(&m->arena);
}
