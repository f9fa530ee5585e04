/* SPDX-License-Identifier: Apache-2.0 */
#include "store/query.h"

#include "common/base/num.h"
#include "store/block_headers.h"
#include "store/tail_split.h"

/* The series of one block, or a part of them that keeps its order when the external
 * labels are added. */
struct part {
    const struct store_chosen_block *chosen;
    struct store_refs refs;
    const struct store_selection *selection;
};

struct parts {
    struct part *at;
    size_t count;
    size_t cap;
    uint64_t series;
};

bool
store_query_choose(struct store_block_choice *choice,
                   const struct store_query_options *o, struct arena *arena,
                   struct err *err)
{
    const struct store_block_question question = {
        .range = {o->mint_ms, o->maxt_ms},
        .coarsest = o->labels_only ? STORE_RESOLUTION_RAW
                                   : store_query_hints_resolution(&o->hints)};
    return store_block_choose(choice, &o->blocks->plan, &question, arena, err);
}

/* A selection failed: whether the query goes on without the block. */
static bool
leave_out(struct store_select *s, struct store_fetch_source *source, struct err *err)
{
    const struct store_block *b = s->block;
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

/* Push a part, in parts again where dropping labels breaks its order. */
static bool
push_ordered(struct store_query *q, const struct store_query_options *o,
             struct parts *parts, const struct part *part, struct err *err)
{
    bool is_needed;
    struct store_ref_lists lists = {0};
    if (!store_tail_split_is_needed(part->chosen->block, &q->dropped, &is_needed, err))
        return false;
    if (!is_needed)
        return push_part(q, parts, part, err);
    struct store_stream_context context = {.block = part->chosen->block,
                                           .mint_ms = INT64_MAX,
                                           .maxt_ms = INT64_MIN,
                                           .labels_only = true,
                                           .dropped = &q->dropped,
                                           .source = o->source,
                                           .memo = q->memo,
                                           .limits = o->limits,
                                           .budget = o->budget};
    if (!store_tail_split(&context, part->refs, o->lookahead_bytes, &q->arena, &lists,
                          err))
        return false;
    for (size_t i = 0; i < lists.count; i++) {
        struct part one = {part->chosen, lists.at[i], part->selection};
        if (!push_part(q, parts, &one, err))
            return false;
    }
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
    const struct tsdb_matcher **rest;         /* room for the matchers of one block */
    const struct store_chosen_block **chosen; /* those of the selections */
    size_t prepared; /* of the chosen blocks: their headers have been asked for */
    size_t begun;
    size_t finished;
    uint64_t pending; /* bytes that they fetch */
};

static struct store_select *
turn(const struct selecting *t, size_t at)
{
    return &t->q->selects[at % t->q->select_count];
}

static const struct store_chosen_block **
chosen_at(const struct selecting *t, size_t at)
{
    return &t->chosen[at % t->q->select_count];
}

static bool
take_selection(struct selecting *t, size_t at, struct err *err)
{
    struct store_query *q = t->q;
    struct store_selection *selection = arena_calloc(&q->arena, 1, sizeof *selection);
    if (selection == NULL)
        return arena_ok(&q->arena, err);
    if (!store_select_finish(turn(t, at), &q->arena, selection, err))
        return false;
    for (size_t i = 0; i < selection->parts.count; i++) {
        struct part part = {*chosen_at(t, at), selection->parts.at[i], selection};
        /* Those that have still to be tested are counted when they are. */
        if ((selection->filter_count == 0 &&
             !store_limits_add_series(t->o->limits, part.refs.count, err)) ||
            !push_ordered(q, t->o, t->parts, &part, err))
            return false;
    }
    return true;
}

static bool
finish_oldest(struct selecting *t, struct err *err)
{
    size_t at = t->finished++;
    struct store_select *s = turn(t, at);
    t->pending -= store_select_pending(s);
    if (!take_selection(t, at, err) && !leave_out(s, t->o->source, err))
        return false;
    store_select_fini(s);
    *s = (struct store_select){0};
    return true;
}

/* Have the header of a block; without it, *has tells whether the query goes on. */
static bool
have_header(const struct selecting *t, struct store_block *b, bool *has,
            struct err *err)
{
    struct store_damage *damage = &t->o->source->damage;
    *has = store_block_headers_get(b, t->o->source, err);
    return *has || store_block_headers_leaves_out(b, err) ||
           store_damage_skip(damage, b, err) || store_damage_blame(damage, b, err);
}

static bool
select_in(struct selecting *t, const struct store_chosen_block *chosen, struct err *err)
{
    const struct store_query_options *o = t->o;
    struct store_block *b = chosen->block;
    size_t count;
    bool has;
    if (!store_block_reduce(b, o->matchers, o->matcher_count, t->rest, &count))
        return true;
    if (t->begun - t->finished == t->q->select_count && !finish_oldest(t, err))
        return false;
    if (!have_header(t, b, &has, err))
        return false;
    if (!has)
        return true;
    *chosen_at(t, t->begun) = chosen;
    struct store_select *s = turn(t, t->begun++);
    const struct store_matchers rest = {t->rest, count};
    if (!store_select_begin(s, b, rest, &t->q->dropped, o->source, o->budget, err) &&
        !leave_out(s, o->source, err))
        return false;
    t->pending += store_select_pending(s);
    while (t->pending > o->lookahead_bytes && t->begun - t->finished > 1)
        if (!finish_oldest(t, err))
            return false;
    return true;
}

/* Let headers be built before it is their turn. */
static void
prepare(struct selecting *t, const struct store_block_choice *choice, size_t behind)
{
    const struct store_query_options *o = t->o;
    size_t end = NUM_MIN(choice->count, behind + HEADERS_AHEAD);
    for (; t->prepared < end; t->prepared++) {
        struct store_block *b = choice->at[t->prepared].block;
        size_t unused;
        if (!store_block_headers_has(b) &&
            store_block_reduce(b, o->matchers, o->matcher_count, t->rest, &unused))
            store_block_headers_prepare(b);
    }
}

/* Select in all chosen blocks. Their fetches overlap as far as the look-ahead allows,
 * at least in two blocks. */
static bool
select_all(struct store_query *q, const struct store_query_options *o,
           struct parts *parts, struct err *err)
{
    struct selecting t = {.q = q, .o = o, .parts = parts};
    struct store_block_choice choice;
    if (!store_query_choose(&choice, o, &q->arena, err))
        return false;
    size_t ring = NUM_MIN(choice.count, (size_t)MOST_BETWEEN);
    q->selects = arena_calloc(&q->arena, ring, sizeof *q->selects);
    t.rest = arena_calloc(&q->arena, o->matcher_count, sizeof *t.rest);
    t.chosen = arena_calloc(&q->arena, ring, sizeof *t.chosen);
    if (q->selects == NULL || t.rest == NULL || t.chosen == NULL)
        return arena_ok(&q->arena, err);
    q->select_count = ring;
    for (size_t i = 0; i < choice.count; i++) {
        prepare(&t, &choice, i);
        if (!select_in(&t, &choice.at[i], err))
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
            const struct parts *parts, struct err *err)
{
    const struct part *part = &parts->at[q->stream_count];
    struct store_series_stream *s = &q->streams[q->stream_count++];
    const struct store_chosen_block *chosen = part->chosen;
    struct store_time_range reach = store_chosen_block_reach(
        chosen, (struct store_time_range){o->mint_ms, o->maxt_ms});
    struct store_stream_context context = {
        .block = chosen->block,
        .dropped = &q->dropped,
        .filters = part->selection->filters,
        .filter_count = part->selection->filter_count,
        .mint_ms = reach.mint_ms,
        .maxt_ms = reach.maxt_ms,
        .parts = chosen->parts,
        .aggregation = store_query_hints_aggregation(&o->hints),
        .labels_only = o->labels_only,
        .source = o->source,
        .memo = q->memo,
        .limits = o->limits,
        .budget = o->budget,
    };
    if (!store_replica_labels_split(&q->dropped, chosen->block->meta.external,
                                    &context.external, &context.replica, &q->arena,
                                    err))
        return false;
    return store_series_stream_open(s, &context, part->refs, share(o, parts, part),
                                    &q->arena, err) ||
           end_early(s, err);
}

/* Open all streams and prime them, some behind the one that is opened. */
static bool
start_streams(struct store_query *q, const struct store_query_options *o,
              const struct parts *parts, struct err *err)
{
    q->streams = arena_calloc(&q->arena, parts->count, sizeof *q->streams);
    if (q->streams == NULL)
        return arena_ok(&q->arena, err);
    size_t primed = 0;
    for (size_t i = 0; i < parts->count; i++) {
        if (i - primed == MOST_BETWEEN && !prime(&q->streams[primed++], err))
            return false;
        if (!open_stream(q, o, parts, err))
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
    const struct store_replica_rule rule = {
        .mint_ms = o->mint_ms,
        .maxt_ms = o->maxt_ms,
        .is_counter = store_replica_is_counter(o->hints.func)};
    *q = (struct store_query){.dropped = o->dropped};
    arena_init(&q->arena, o->budget);
    if (o->matcher_count == 0)
        return true;
    q->memo = store_symbol_memo_new(&q->arena);
    if (q->memo == NULL)
        return arena_ok(&q->arena, err);
    return select_all(q, o, &parts, err) && start_streams(q, o, &parts, err) &&
           store_series_merge_init(&q->merge, q->streams, q->stream_count, &rule,
                                   &q->arena, err);
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
