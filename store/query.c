/* SPDX-License-Identifier: Apache-2.0 */
#include "store/query.h"

#include "common/base/num.h"
#include "store/block_headers.h"

/* The series of one block, or a part of them that keeps its order when the external
 * labels are added. */
struct part {
    const struct store_block *block;
    struct store_refs refs;
    const struct store_selection *selection;
};

struct parts {
    struct part *at;
    size_t count;
    size_t cap;
    uint64_t series;
};

static size_t
count_overlapping(const struct store_query_options *o)
{
    size_t count = 0;
    for (size_t i = 0; i < o->blocks->count; i++)
        count += store_block_overlaps(o->blocks->blocks[i], o->mint_ms, o->maxt_ms);
    return count;
}

/* A selection failed: whether the query goes on without the block. */
static bool
leave_out(struct store_select *s, const struct store_block *b,
          struct store_fetch_source *source, struct err *err)
{
    store_select_end(s);
    return store_damage_skip(&source->damage, b, err) ||
           store_damage_blame(&source->damage, b, err);
}

static bool
push_part(struct store_query *q, struct parts *parts, const struct part *part,
          struct err *err)
{
    struct part *at =
        arena_grow(&q->arena, parts->at, parts->count, &parts->cap, sizeof *at);
    if (at == NULL)
        return arena_ok(&q->arena, err);
    parts->at = at;
    parts->at[parts->count++] = *part;
    parts->series += part->refs.count;
    return true;
}

static bool
take_selection(struct store_query *q, const struct store_query_options *o,
               struct store_select *s, struct parts *parts, struct err *err)
{
    struct store_selection *selection = arena_calloc(&q->arena, 1, sizeof *selection);
    if (selection == NULL)
        return arena_ok(&q->arena, err);
    if (!store_select_finish(s, &q->arena, selection, err))
        return false;
    for (size_t i = 0; i < selection->parts.count; i++) {
        struct part part = {s->block, selection->parts.at[i], selection};
        /* Those that have still to be tested are counted when they are. */
        if ((selection->filter_count == 0 &&
             !store_limits_add_series(o->limits, part.refs.count, err)) ||
            !push_part(q, parts, &part, err))
            return false;
    }
    return true;
}

static bool
finish_select(struct store_query *q, const struct store_query_options *o,
              struct store_select *s, struct parts *parts, struct err *err)
{
    if (!take_selection(q, o, s, parts, err) && !leave_out(s, s->block, o->source, err))
        return false;
    store_select_fini(s);
    *s = (struct store_select){0};
    return true;
}

/* Blocks that are between two stages of a query at a time: with fewer the reads that
 * run would become fewer, more of them only take memory. */
enum { MOST_BETWEEN = 4 * STORE_FETCH_IN_FLIGHT };

/* Blocks whose headers are opened, or built if they have to be, ahead of their turn. */
enum { HEADERS_AHEAD = 64 };

/* Selections take turns in a ring: those from finished on have begun. */
struct selecting {
    struct store_query *q;
    const struct store_query_options *o;
    struct parts *parts;
    const struct tsdb_matcher **rest; /* room for the matchers of one block */
    size_t prepared; /* blocks of the set whose headers have been asked for */
    size_t begun;
    size_t finished;
    uint64_t pending; /* bytes that they fetch */
};

static struct store_select *
turn(const struct selecting *t, size_t at)
{
    return &t->q->selects[at % t->q->select_count];
}

static bool
finish_oldest(struct selecting *t, struct err *err)
{
    struct store_select *s = turn(t, t->finished++);
    t->pending -= store_select_pending(s);
    return finish_select(t->q, t->o, s, t->parts, err);
}

static bool
select_in(struct selecting *t, struct store_block *b, struct err *err)
{
    const struct store_query_options *o = t->o;
    size_t count;
    if (!store_block_overlaps(b, o->mint_ms, o->maxt_ms) ||
        !store_block_reduce(b, o->matchers, o->matcher_count, t->rest, &count))
        return true;
    if (t->begun - t->finished == t->q->select_count && !finish_oldest(t, err))
        return false;
    struct store_select *s = turn(t, t->begun++);
    if ((!store_block_headers_get(b, o->source, err) ||
         !store_select_begin(s, b, t->rest, count, o->source, o->budget, err)) &&
        !leave_out(s, b, o->source, err))
        return false;
    t->pending += store_select_pending(s);
    while (t->pending > o->lookahead_bytes && t->begun - t->finished > 1)
        if (!finish_oldest(t, err))
            return false;
    return true;
}

/* Let headers be built before it is their turn. */
static void
prepare(struct selecting *t, size_t behind)
{
    const struct store_query_options *o = t->o;
    size_t end = NUM_MIN(o->blocks->count, behind + HEADERS_AHEAD);
    for (; t->prepared < end; t->prepared++) {
        struct store_block *b = o->blocks->blocks[t->prepared];
        size_t unused;
        if (b->header == NULL && store_block_overlaps(b, o->mint_ms, o->maxt_ms) &&
            store_block_reduce(b, o->matchers, o->matcher_count, t->rest, &unused))
            store_block_headers_prepare(b);
    }
}

/* Select in all blocks. Their fetches overlap as far as the look-ahead allows, at least
 * in two blocks. */
static bool
select_all(struct store_query *q, const struct store_query_options *o,
           struct parts *parts, struct err *err)
{
    struct selecting t = {.q = q, .o = o, .parts = parts};
    size_t ring = NUM_MIN(count_overlapping(o), (size_t)MOST_BETWEEN);
    q->selects = arena_calloc(&q->arena, ring, sizeof *q->selects);
    t.rest = arena_calloc(&q->arena, o->matcher_count, sizeof *t.rest);
    if (q->selects == NULL || t.rest == NULL)
        return arena_ok(&q->arena, err);
    q->select_count = ring;
    for (size_t i = 0; i < o->blocks->count; i++) {
        prepare(&t, i);
        if (!select_in(&t, o->blocks->blocks[i], err))
            return false;
    }
    q->blocks_queried = t.begun;
    while (t.finished < t.begun)
        if (!finish_oldest(&t, err))
            return false;
    return true;
}

/* Streams of few blocks read ahead in many portions, to fill the time that a bucket
 * needs to answer; many do so by being many. */
enum { DEPTH = 4, DEPTH_OF_MANY = 2, MANY_STREAMS = 64 };

/* Half of the look-ahead is shared evenly, half by what there is to be read. */
static struct store_lookahead
share(const struct store_query_options *o, const struct parts *parts,
      const struct part *part)
{
    uint64_t half = o->lookahead_bytes / 2;
    double weight = (double)part->refs.count / (double)parts->series;
    return (struct store_lookahead){
        .bytes = (size_t)(half / parts->count) + (size_t)((double)half * weight),
        .depth = parts->count > MANY_STREAMS ? DEPTH_OF_MANY : DEPTH,
    };
}

/* A stream failed: whether the query goes on without the rest of the block. */
static bool
end_early(struct store_series_stream *s, struct err *err)
{
    const struct store_block *b = s->context.block;
    struct store_damage *damage = &s->context.source->damage;
    if (!store_damage_skip(damage, b, err))
        return store_damage_blame(damage, b, err);
    store_series_stream_end(s);
    return true;
}

static bool
prime(struct store_series_stream *s, struct err *err)
{
    return store_series_stream_prime(s, err) || end_early(s, err);
}

static bool
open_stream(struct store_query *q, const struct store_query_options *o,
            const struct parts *parts, struct store_symbol_memo *memo, struct err *err)
{
    const struct part *part = &parts->at[q->stream_count];
    struct store_series_stream *s = &q->streams[q->stream_count++];
    const struct store_stream_context context = {
        .block = part->block,
        .external = part->block->meta.external,
        .filters = part->selection->filters,
        .filter_count = part->selection->filter_count,
        .mint_ms = o->mint_ms,
        .maxt_ms = o->maxt_ms,
        .labels_only = o->labels_only,
        .source = o->source,
        .memo = memo,
        .limits = o->limits,
        .budget = o->budget,
    };
    return store_series_stream_open(s, &context, part->refs, share(o, parts, part),
                                    &q->arena, err) ||
           end_early(s, err);
}

/* Open all streams and prime them, some behind the one that is opened. */
static bool
start_streams(struct store_query *q, const struct store_query_options *o,
              const struct parts *parts, struct err *err)
{
    struct store_symbol_memo *memo = store_symbol_memo_new(&q->arena);
    q->streams = arena_calloc(&q->arena, parts->count, sizeof *q->streams);
    if (memo == NULL || q->streams == NULL)
        return arena_ok(&q->arena, err);
    size_t primed = 0;
    for (size_t i = 0; i < parts->count; i++) {
        if (i - primed == MOST_BETWEEN && !prime(&q->streams[primed++], err))
            return false;
        if (!open_stream(q, o, parts, memo, err))
            return false;
    }
    while (primed < parts->count)
        if (!prime(&q->streams[primed++], err))
            return false;
    return true;
}

bool
store_query_open(struct store_query *q, const struct store_query_options *o,
                 struct err *err)
{
    struct parts parts = {0};
    *q = (struct store_query){0};
    arena_init(&q->arena, o->budget);
    if (o->matcher_count == 0)
        return true;
    return select_all(q, o, &parts, err) && start_streams(q, o, &parts, err) &&
           store_series_merge_init(&q->merge, q->streams, q->stream_count, &q->arena,
                                   o->budget, err);
}

bool
store_query_next(struct store_query *q, struct store_series *series, bool *end,
                 struct err *err)
{
    return store_series_merge_next(&q->merge, series, end, err);
}

void
store_query_fini(struct store_query *q)
{
    store_series_merge_fini(&q->merge);
    for (size_t i = 0; i < q->stream_count; i++)
        store_series_stream_fini(&q->streams[i]);
    for (size_t i = 0; i < q->select_count; i++)
        store_select_fini(&q->selects[i]);
    arena_fini(&q->arena);
}
