/* SPDX-License-Identifier: Apache-2.0 */
#include "store/series_chunks.h"

#include <inttypes.h>

#include "common/base/num.h"
#include "store/chunk_aggregate.h"
#include "store/counter_chain.h"

bool
store_stream_skip_chunk(struct store_stream_context *c,
                        const struct tsdb_timed_chunk *chunk, struct err *err)
{
    struct store_damage *damage = &c->source->damage;
    err_wrap(err, "chunk from %" PRId64 " ms on", chunk->mint_ms);
    return store_damage_skip(damage, c->block, err) ||
           store_damage_blame(damage, c->block, err);
}

/* Make room for count more. */
static bool
reserve(struct store_chunk_list *list, size_t count, struct err *err)
{
    size_t wanted = list->count + count;
    if (wanted <= list->cap)
        return true;
    size_t cap = NUM_MAX(wanted, 2 * list->cap);
    struct tsdb_timed_chunk *at = arena_calloc(list->arena, cap, sizeof *at);
    if (at == NULL)
        return arena_ok(list->arena, err);
    if (list->count > 0)
        memcpy(at, list->at, list->count * sizeof *at);
    list->at = at;
    list->cap = cap;
    return true;
}

bool
store_chunk_list_add(struct store_chunk_list *list,
                     const struct tsdb_timed_chunk *chunks, size_t count,
                     struct err *err)
{
    if (!reserve(list, count, err))
        return false;
    if (count > 0)
        memcpy(list->at + list->count, chunks, count * sizeof *chunks);
    list->count += count;
    return true;
}

static bool
is_all_time(struct store_time_ranges parts)
{
    return parts.at[0].mint_ms == INT64_MIN && parts.at[0].maxt_ms == INT64_MAX;
}

/* Whether the chunks are the series, as they are. */
static bool
is_ready(const struct store_stream_chunks *s)
{
    if (s->context->block->meta.resolution_ms != 0 || !is_all_time(s->context->parts))
        return false;
    for (size_t i = 0; i < s->count; i++)
        if (s->chunks[i].chunk.encoding == TSDB_CHUNK_AGGR)
            return false;
    return true;
}

static bool
write_chunk(const struct store_stream_context *c, const struct tsdb_timed_chunk *chunk,
            struct store_chunk_writer *w, struct arena *scratch, struct err *err)
{
    if (c->block->meta.resolution_ms == 0 && chunk->chunk.encoding != TSDB_CHUNK_AGGR)
        return store_chunk_clip(chunk, c->parts, w, scratch, err);
    return store_chunk_aggregate(chunk, c->aggregation, c->parts, w, scratch, err);
}

static bool
write_chunks(const struct store_stream_chunks *s, struct store_chunk_writer *w,
             struct arena *scratch, struct err *err)
{
    for (size_t i = 0; i < s->count; i++)
        if (!write_chunk(s->context, &s->chunks[i], w, scratch, err) &&
            !store_stream_skip_chunk(s->context, &s->chunks[i], err))
            return false;
    return true;
}

static bool
add_changed(const struct store_stream_chunks *s, struct store_chunk_list *list,
            struct err *err)
{
    struct store_chunk_writer w;
    struct arena scratch;
    const struct tsdb_timed_chunk *made;
    size_t count;
    arena_init(&scratch, list->arena->budget);
    store_chunk_writer_init(&w, list->arena);
    bool ok = write_chunks(s, &w, &scratch, err) &&
              store_chunk_writer_finish(&w, &made, &count, err) &&
              store_chunk_list_add(list, made, count, err);
    store_chunk_writer_fini(&w);
    arena_fini(&scratch);
    return ok;
}

bool
store_series_chunks(const struct store_stream_chunks *streams, size_t count,
                    struct store_chunk_list *list, struct err *err)
{
    size_t total = 0;
    if (store_counter_chain_is_needed(streams, count))
        return store_counter_chain(streams, count, list, err);
    for (size_t i = 0; i < count; i++)
        total += streams[i].count;
    if (!reserve(list, total, err))
        return false;
    for (size_t i = 0; i < count; i++) {
        const struct store_stream_chunks *s = &streams[i];
        if (!(is_ready(s) ? store_chunk_list_add(list, s->chunks, s->count, err)
                          : add_changed(s, list, err)))
            return false;
    }
    return true;
}
