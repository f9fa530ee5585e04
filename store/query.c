/* SPDX-License-Identifier: Apache-2.0 */
#include "store/query.h"

#include "common/base/num.h"

/* The series of one block, or a part of them that keeps its order when the external
 * labels are added. */
struct part {
    const struct store_block *block;
    struct store_refs refs;
};

struct parts {
    struct part *at;
    size_t count;
    size_t cap;
};

static bool
overlaps(const struct store_block *b, const struct store_query_options *o)
{
    return b->meta.mint_ms <= o->maxt_ms && o->mint_ms < b->meta.maxt_ms;
}

/* Test the matchers on external labels; the others go to the postings. An external
 * label hides one of the series, so a matcher on it never looks at series. Returns
 * false when the block has nothing to say. */
static bool
external_labels_match(const struct store_block *b, const struct store_query_options *o,
                      const struct tsdb_matcher **rest, size_t *rest_count)
{
    *rest_count = 0;
    for (size_t i = 0; i < o->matcher_count; i++) {
        struct bytes value =
            tsdb_labels_get(b->meta.external, tsdb_matcher_name(o->matchers[i]));
        if (value.len == 0)
            rest[(*rest_count)++] = o->matchers[i];
        else if (!tsdb_matcher_matches(o->matchers[i], value))
            return false;
    }
    return true;
}

static size_t
count_overlapping(const struct store_query_options *o)
{
    size_t count = 0;
    for (size_t i = 0; i < o->blocks->count; i++)
        count += overlaps(o->blocks->blocks[i], o);
    return count;
}

/* A selection failed: whether the query goes on without the block. */
static bool
leave_out(struct store_select *s, struct store_fetch_source *source, struct err *err)
{
    const struct store_block *b = s->block;
    store_select_fini(s);
    *s = (struct store_select){.block = b, .nothing = true};
    return store_damage_skip(&source->damage, b, err) ||
           store_damage_blame(&source->damage, b, err);
}

/* Begin the selection in all blocks, so that their fetches overlap. */
static bool
begin_selects(struct store_query *q, const struct store_query_options *o,
              struct err *err)
{
    q->selects = arena_calloc(&q->arena, count_overlapping(o), sizeof *q->selects);
    const struct tsdb_matcher **rest =
        arena_calloc(&q->arena, o->matcher_count, sizeof *rest);
    if (q->selects == NULL || rest == NULL)
        return arena_ok(&q->arena, err);
    for (size_t i = 0; i < o->blocks->count; i++) {
        const struct store_block *b = o->blocks->blocks[i];
        size_t count;
        if (!overlaps(b, o) || !external_labels_match(b, o, rest, &count))
            continue;
        struct store_select *s = &q->selects[q->select_count++];
        if (!store_select_begin(s, b, rest, count, o->source, o->budget, err) &&
            !leave_out(s, o->source, err))
            return false;
    }
    q->blocks_queried = q->select_count;
    return true;
}

static bool
push_part(struct store_query *q, struct parts *parts, const struct store_block *block,
          struct store_refs refs, struct err *err)
{
    struct part *at =
        arena_grow(&q->arena, parts->at, parts->count, &parts->cap, sizeof *at);
    if (at == NULL)
        return arena_ok(&q->arena, err);
    parts->at = at;
    parts->at[parts->count++] = (struct part){block, refs};
    return true;
}

/* Add a block's references as parts: one, or several when an external label replaces a
 * label of its series. */
static bool
add_block(struct store_query *q, struct parts *parts, const struct store_block *block,
          struct store_refs refs, struct store_fetch_source *source, struct err *err)
{
    struct store_ref_lists lists = {.at = &refs, .count = refs.count > 0};
    for (size_t i = 0; i < block->meta.external.len && lists.count > 0; i++) {
        bool has;
        struct bytes name = block->meta.external.at[i].name;
        if (!store_index_header_has_name(block->header, name, &has, err))
            return false;
        if (has && !store_select_split(block, name, source, &q->arena, &lists, err))
            return false;
    }
    for (size_t i = 0; i < lists.count; i++)
        if (!push_part(q, parts, block, lists.at[i], err))
            return false;
    return true;
}

static bool
finish_selects(struct store_query *q, const struct store_query_options *o,
               struct parts *parts, struct err *err)
{
    for (size_t i = 0; i < q->select_count; i++) {
        struct store_select *s = &q->selects[i];
        struct store_refs refs;
        if ((!store_select_finish(s, &q->arena, &refs, err) ||
             !store_limits_add_series(o->limits, refs.count, err) ||
             !add_block(q, parts, s->block, refs, o->source, err)) &&
            !leave_out(s, o->source, err))
            return false;
        store_select_fini(s);
    }
    return true;
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
open_streams(struct store_query *q, const struct store_query_options *o,
             const struct parts *parts, struct err *err)
{
    struct store_symbol_memo *memo = store_symbol_memo_new(&q->arena);
    q->streams = arena_calloc(&q->arena, parts->count, sizeof *q->streams);
    if (memo == NULL || q->streams == NULL)
        return arena_ok(&q->arena, err);
    for (size_t i = 0; i < parts->count; i++) {
        const struct part *part = &parts->at[i];
        const struct store_stream_context context = {
            .block = part->block,
            .external = part->block->meta.external,
            .mint_ms = o->mint_ms,
            .maxt_ms = o->maxt_ms,
            .labels_only = o->labels_only,
            .source = o->source,
            .memo = memo,
            .limits = o->limits,
            .budget = o->budget,
        };
        /* Two windows a stream: one is read while another is fetched. */
        size_t share = o->lookahead_bytes / (2 * parts->count);
        q->stream_count++;
        if (!store_series_stream_open(&q->streams[i], &context, part->refs, share,
                                      err) &&
            !end_early(&q->streams[i], err))
            return false;
    }
    return true;
}

static bool
prime_streams(struct store_query *q, struct err *err)
{
    for (size_t i = 0; i < q->stream_count; i++)
        if (!store_series_stream_prime(&q->streams[i], err) &&
            !end_early(&q->streams[i], err))
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
    return begin_selects(q, o, err) && finish_selects(q, o, &parts, err) &&
           open_streams(q, o, &parts, err) && prime_streams(q, err) &&
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
