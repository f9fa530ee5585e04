/* SPDX-License-Identifier: Apache-2.0 */
#include "store/counter_chain.h"

#include <stdlib.h>

#include "common/base/num.h"
#include "store/chunk_aggregate.h"
#include "store/chunk_merge.h"

bool
store_counter_chain_is_needed(const struct store_stream_chunks *streams, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct store_stream_chunks *s = &streams[i];
        if (s->context->aggregation != STORE_AGGREGATION_COUNTER)
            return false;
        for (size_t k = 0; k < s->count; k++)
            if (s->chunks[k].chunk.encoding == TSDB_CHUNK_AGGR)
                return true;
    }
    return false;
}

/* A link of the chain: a chunk of samples, or an aggregated one in one part of time. A
 * chunk that is cut into several parts may have other links between them. */
struct link {
    int64_t from_ms;
    struct tsdb_timed_chunk chunk;
    struct store_stream_context *context; /* NULL: samples, already clipped */
    struct store_time_range part;
};

struct chain {
    struct link *links;
    size_t count;
    size_t cap;
    struct tsdb_aggr_counter counter;
    struct store_chunk_list *list;
    struct store_chunk_writer writer;
    struct arena scratch;
};

static int
by_time(const void *a, const void *b)
{
    const struct link *x = a, *y = b;
    if (x->from_ms != y->from_ms)
        return x->from_ms < y->from_ms ? -1 : 1;
    if ((x->context == NULL) != (y->context == NULL))
        return x->context == NULL ? 1 : -1;
    if (x->chunk.maxt_ms != y->chunk.maxt_ms)
        return x->chunk.maxt_ms < y->chunk.maxt_ms ? -1 : 1;
    return bytes_cmp(x->chunk.chunk.data, y->chunk.chunk.data);
}

/* The samples of raw chunks, clipped. */
static bool
clip_raw(struct chain *c, const struct store_stream_chunks *s,
         struct store_chunk_writer *w, struct err *err)
{
    for (size_t i = 0; i < s->count; i++) {
        const struct tsdb_timed_chunk *chunk = &s->chunks[i];
        if (chunk->chunk.encoding != TSDB_CHUNK_AGGR &&
            !store_chunk_clip(chunk, s->context->parts, w, &c->scratch, err) &&
            !store_stream_skip_chunk(s->context, chunk, err))
            return false;
    }
    return true;
}

static bool
collect_raw(struct chain *c, const struct store_stream_chunks *s,
            struct store_chunk_list *raw, struct err *err)
{
    struct store_chunk_writer w;
    const struct tsdb_timed_chunk *clipped;
    size_t count;
    store_chunk_writer_init(&w, raw->arena);
    bool ok = clip_raw(c, s, &w, err) &&
              store_chunk_writer_finish(&w, &clipped, &count, err) &&
              store_chunk_list_add(raw, clipped, count, err);
    store_chunk_writer_fini(&w);
    return ok;
}

/* Raw chunks are made a sequence first: where they overlap, each may have samples that
 * the others have not. */
static bool
merge_raw(struct chain *c, const struct store_stream_chunks *streams, size_t count,
          const struct tsdb_timed_chunk **merged, size_t *merged_count, struct err *err)
{
    struct store_chunk_list raw = {.arena = c->list->arena};
    for (size_t i = 0; i < count; i++)
        if (!collect_raw(c, &streams[i], &raw, err))
            return false;
    *merged_count = 0;
    return raw.count == 0 ||
           store_chunk_merge(raw.at, raw.count, raw.arena, merged, merged_count, err);
}

static bool
push(struct chain *c, const struct link *link, struct err *err)
{
    struct link *at =
        arena_grow(c->list->arena, c->links, c->count, &c->cap, sizeof *at);
    if (at == NULL)
        return arena_ok(c->list->arena, err);
    c->links = at;
    c->links[c->count++] = *link;
    return true;
}

static bool
is_histogram(const struct tsdb_chunk *chunk)
{
    return chunk->encoding != TSDB_CHUNK_XOR && chunk->encoding != TSDB_CHUNK_XOR2;
}

/* A chunk of samples may begin before aggregated ones and end behind them, where these
 * fill a hole: it is cut where they begin. *next is the first of these sorted links
 * that may begin inside the chunk. */
static bool
push_raw(struct chain *c, const struct tsdb_timed_chunk *chunk, size_t *next,
         size_t aggregated, struct err *err)
{
    struct link link = {.from_ms = chunk->mint_ms, .chunk = *chunk};
    while (*next < aggregated && c->links[*next].from_ms <= chunk->mint_ms)
        ++*next;
    for (; *next < aggregated && c->links[*next].from_ms <= chunk->maxt_ms &&
           !is_histogram(&chunk->chunk);
         ++*next) {
        int64_t cut_ms = c->links[*next].from_ms;
        if (cut_ms == link.from_ms)
            continue;
        link.part = (struct store_time_range){link.from_ms, cut_ms - 1};
        if (!push(c, &link, err))
            return false;
        link.from_ms = cut_ms;
    }
    link.part = (struct store_time_range){link.from_ms, chunk->maxt_ms};
    return push(c, &link, err);
}

static bool
push_aggregate(struct chain *c, struct store_stream_context *context,
               const struct tsdb_timed_chunk *chunk, struct err *err)
{
    struct store_time_ranges parts = context->parts;
    for (size_t i = store_time_ranges_find(parts, chunk->mint_ms);
         i < parts.count && parts.at[i].mint_ms <= chunk->maxt_ms; i++) {
        const struct link link = {.from_ms =
                                      NUM_MAX(chunk->mint_ms, parts.at[i].mint_ms),
                                  .chunk = *chunk,
                                  .context = context,
                                  .part = parts.at[i]};
        if (!push(c, &link, err))
            return false;
    }
    return true;
}

static bool
push_aggregates(struct chain *c, const struct store_stream_chunks *s, struct err *err)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->chunks[i].chunk.encoding == TSDB_CHUNK_AGGR &&
            !push_aggregate(c, s->context, &s->chunks[i], err))
            return false;
    return true;
}

static void
sort(struct chain *c)
{
    if (c->count > 0)
        qsort(c->links, c->count, sizeof *c->links, by_time);
}

/* All links, in time order. */
static bool
sort_links(struct chain *c, const struct store_stream_chunks *streams, size_t count,
           struct err *err)
{
    const struct tsdb_timed_chunk *raw = NULL;
    size_t raw_count, next = 0;
    for (size_t i = 0; i < count; i++)
        if (!push_aggregates(c, &streams[i], err))
            return false;
    sort(c);
    size_t aggregated = c->count;
    if (!merge_raw(c, streams, count, &raw, &raw_count, err))
        return false;
    for (size_t i = 0; i < raw_count; i++)
        if (!push_raw(c, &raw[i], &next, aggregated, err))
            return false;
    sort(c);
    return true;
}

/* End the chunk of floats that is being written. */
static bool
flush(struct chain *c, struct err *err)
{
    const struct tsdb_timed_chunk *made;
    size_t count;
    bool ok = store_chunk_writer_finish(&c->writer, &made, &count, err) &&
              store_chunk_list_add(c->list, made, count, err);
    store_chunk_writer_fini(&c->writer);
    store_chunk_writer_init(&c->writer, c->list->arena);
    return ok;
}

/* Histograms of an aggregate. The writer takes chunks from one block in time order, and
 * these may overlap others. */
static bool
add_histograms(struct chain *c, struct tsdb_chunk chunk, struct store_time_range part,
               struct err *err)
{
    struct tsdb_timed_chunk timed = {.chunk = chunk};
    bool any;
    if (!store_chunk_find_times(&timed, &any, &c->scratch, err))
        return false;
    timed.chunk.crc = tsdb_chunk_crc(&timed.chunk);
    return !any || (flush(c, err) &&
                    store_chunk_clip(&timed, (struct store_time_ranges){&part, 1},
                                     &c->writer, &c->scratch, err) &&
                    flush(c, err));
}

static bool
read_floats(const struct tsdb_chunk *chunk, struct arena *scratch,
            struct tsdb_sample **samples, size_t *count, struct err *err)
{
    struct tsdb_chunk_iter it;
    enum tsdb_sample_kind kind;
    if (!tsdb_chunk_iter_init(&it, chunk, scratch, err))
        return false;
    size_t most = tsdb_chunk_iter_count(&it);
    struct tsdb_sample *at = arena_alloc(scratch, most * sizeof *at);
    if (at == NULL)
        return arena_ok(scratch, err);
    for (size_t i = 0; i < most; i++) {
        if (!tsdb_chunk_next(&it, &kind, err))
            return false;
        at[i] = it.sample;
    }
    *samples = at;
    *count = most;
    return true;
}

/* Whether the last total, and so all others, is the value that was scraped: then the
 * sample behind it, which has that value, is the same. */
static bool
has_resets(const struct tsdb_sample *samples, size_t count)
{
    return count < 2 || samples[count - 1].t_ms != samples[count - 2].t_ms ||
           samples[count - 1].value_bits != samples[count - 2].value_bits;
}

/* Count through the samples of a chunk that are in the part of the link. */
static bool
count_floats(struct chain *c, const struct tsdb_sample *samples, size_t count,
             const struct link *link, struct err *err)
{
    struct store_time_range part = link->part;
    bool is_cut = false, any = false;
    bool breaks = link->context != NULL && has_resets(samples, count);
    for (size_t i = 0; i < count; i++) {
        struct tsdb_sample sample = samples[i];
        if (sample.t_ms < part.mint_ms || sample.t_ms > part.maxt_ms) {
            is_cut = true;
            continue;
        }
        if (is_cut && breaks)
            tsdb_aggr_counter_break(&c->counter);
        is_cut = false;
        any = true;
        if (tsdb_aggr_counter_next(&c->counter, &sample) &&
            !store_chunk_writer_float(&c->writer, sample, err))
            return false;
    }
    if (is_cut && any && breaks)
        tsdb_aggr_counter_break(&c->counter);
    return true;
}

static bool
count_chunk(struct chain *c, const struct tsdb_chunk *chunk, const struct link *link,
            struct err *err)
{
    struct tsdb_sample *samples;
    size_t count;
    bool ok = read_floats(chunk, &c->scratch, &samples, &count, err) &&
              count_floats(c, samples, count, link, err);
    arena_reset(&c->scratch);
    return ok;
}

static bool
add_aggregate(struct chain *c, const struct link *link, struct err *err)
{
    struct tsdb_aggr aggr;
    if (!tsdb_aggr_parse(&aggr, link->chunk.chunk.data, err))
        return false;
    const struct tsdb_chunk *counter = &aggr.chunks[TSDB_AGGREGATE_COUNTER];
    if (counter->encoding == TSDB_CHUNK_NONE)
        return true;
    return is_histogram(counter) ? add_histograms(c, *counter, link->part, err)
                                 : count_chunk(c, counter, link, err);
}

static bool
add_link(struct chain *c, const struct link *link, struct err *err)
{
    if (link->context != NULL)
        return add_aggregate(c, link, err) ||
               store_stream_skip_chunk(link->context, &link->chunk, err);
    if (is_histogram(&link->chunk.chunk))
        return flush(c, err) && store_chunk_list_add(c->list, &link->chunk, 1, err);
    return count_chunk(c, &link->chunk.chunk, link, err);
}

static bool
run(struct chain *c, const struct store_stream_chunks *streams, size_t count,
    struct err *err)
{
    if (!sort_links(c, streams, count, err))
        return false;
    for (size_t i = 0; i < c->count; i++)
        if (!add_link(c, &c->links[i], err))
            return false;
    return flush(c, err);
}

bool
store_counter_chain(const struct store_stream_chunks *streams, size_t count,
                    struct store_chunk_list *list, struct err *err)
{
    struct chain c;
    memset(&c, 0, sizeof c); /* as large as its writer */
    c.list = list;
    arena_init(&c.scratch, list->arena->budget);
    store_chunk_writer_init(&c.writer, list->arena);
    bool ok = run(&c, streams, count, err);
    store_chunk_writer_fini(&c.writer);
    arena_fini(&c.scratch);
    return ok;
}
