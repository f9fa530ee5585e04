/* SPDX-License-Identifier: Apache-2.0 */
#include "store/label_query.h"

#include "common/base/num.h"
#include "store/block_headers.h"

struct store_label_block {
    const struct store_block *block;
    struct bytes external_value; /* of the label that is asked for; empty: none */
    bool all;                    /* some set of matchers holds for all its series */
    /* Sets whose matchers on external labels hold, without these matchers. */
    struct store_matchers *sets;
    size_t set_count;
    struct store_select *selects; /* one for each set, unless all */
    size_t select_count;
    struct store_refs refs;
    struct store_stream_context context;
    struct store_label_part part;
};

/* Whether the index header alone tells which values fulfil a set. */
static bool
is_of_label(const struct tsdb_matcher *const *at, size_t count, struct bytes name)
{
    for (size_t i = 0; i < count; i++)
        if (!bytes_eq(tsdb_matcher_name(at[i]), name))
            return false;
    return true;
}

static bool
reduce_sets(struct store_label_query *q, struct store_label_block *b, struct err *err)
{
    const struct store_label_query_options *o = &q->options;
    b->sets = arena_calloc(&q->arena, o->set_count, sizeof *b->sets);
    if (b->sets == NULL)
        return arena_ok(&q->arena, err);
    bool tells = true; /* the header, for each of the sets */
    for (size_t i = 0; i < o->set_count; i++) {
        const struct tsdb_matcher **rest =
            arena_calloc(&q->arena, o->sets[i].count, sizeof *rest);
        size_t count;
        if (rest == NULL)
            return arena_ok(&q->arena, err);
        if (!store_block_reduce(b->block, o->sets[i].at, o->sets[i].count, rest,
                                &count))
            continue;
        b->sets[b->set_count++] = (struct store_matchers){rest, count};
        b->all |= count == 0;
        tells &= b->external_value.len == 0 && is_of_label(rest, count, o->name);
    }
    b->all |= o->set_count == 0 || (b->set_count > 0 && tells);
    return true;
}

static bool
begin_selects(struct store_label_query *q, struct store_label_block *b, struct err *err)
{
    const struct store_label_query_options *o = &q->options;
    b->selects = arena_calloc(&q->arena, b->set_count, sizeof *b->selects);
    if (b->selects == NULL)
        return arena_ok(&q->arena, err);
    while (b->select_count < b->set_count) {
        const struct store_matchers *set = &b->sets[b->select_count];
        if (!store_select_begin_exact(&b->selects[b->select_count++], b->block, *set,
                                      o->source, o->budget, err))
            return false;
    }
    return true;
}

/* Whether a block can have anything to say at all. */
static bool
has_label(const struct store_label_query *q, const struct store_label_block *b,
          bool *has, struct err *err)
{
    *has = q->options.name.len == 0 || b->external_value.len > 0;
    return *has ||
           store_index_header_has_name(b->block->header, q->options.name, has, err);
}

static void
drop_block(struct store_label_block *b)
{
    store_label_part_fini(&b->part);
    memset(&b->part, 0, sizeof b->part);
    for (size_t i = 0; i < b->select_count; i++)
        store_select_fini(&b->selects[i]);
    b->select_count = 0;
    b->refs = (struct store_refs){0};
    b->all = false;
}

/* A block failed: whether the query goes on without what it would still say. */
static bool
leave_out(struct store_label_query *q, struct store_label_block *b, struct err *err)
{
    struct store_damage *damage = &q->options.source->damage;
    for (size_t i = 0; i < b->select_count; i++)
        store_select_end(&b->selects[i]);
    drop_block(b);
    return store_damage_skip(damage, b->block, err) ||
           store_damage_blame(damage, b->block, err);
}

static bool
begin_block(struct store_label_query *q, struct store_block *block, struct err *err)
{
    struct store_label_block *b = &q->blocks[q->blocks_queried];
    bool has;
    memset(b, 0, sizeof *b); /* larger than a frame may be */
    b->block = block;
    if (q->options.name.len > 0)
        b->external_value = tsdb_labels_get(block->meta.external, q->options.name);
    if (!store_fetch_check(q->options.source, err))
        return false;
    if (!store_block_headers_get(block, q->options.source, err))
        return store_block_headers_leaves_out(block, err) || leave_out(q, b, err);
    if (!has_label(q, b, &has, err) || (has && !reduce_sets(q, b, err)))
        return leave_out(q, b, err);
    if (!has || (!b->all && b->set_count == 0))
        return true;
    q->blocks_queried++;
    return b->all || begin_selects(q, b, err) || leave_out(q, b, err);
}

static bool
begin_blocks(struct store_label_query *q, struct err *err)
{
    const struct store_label_query_options *o = &q->options;
    const struct store_block_question question = {{o->mint_ms, o->maxt_ms},
                                                  STORE_RESOLUTION_RAW};
    struct store_block_choice choice;
    if (!store_block_choose(&choice, &o->blocks->plan, &question, &q->arena, err))
        return false;
    q->blocks = arena_calloc(&q->arena, choice.count, sizeof *q->blocks);
    if (q->blocks == NULL)
        return arena_ok(&q->arena, err);
    for (size_t i = 0; i < choice.count; i++)
        if (!begin_block(q, choice.at[i].block, err))
            return false;
    return true;
}

/* The union of two ascending lists. */
static bool
unite(struct store_refs *a, struct store_refs b, struct arena *arena, struct err *err)
{
    if (a->count == 0 || b.count == 0) {
        *a = a->count == 0 ? b : *a;
        return true;
    }
    tsdb_ref *at = arena_calloc(arena, a->count + b.count, sizeof *at);
    if (at == NULL)
        return arena_ok(arena, err);
    size_t n = 0, i = 0, k = 0;
    while (i < a->count || k < b.count) {
        bool take_a = k == b.count || (i < a->count && a->at[i] <= b.at[k]);
        bool take_b = i == a->count || (k < b.count && b.at[k] <= a->at[i]);
        at[n++] = take_a ? a->at[i] : b.at[k];
        i += take_a;
        k += take_b;
    }
    *a = (struct store_refs){at, n};
    return true;
}

static bool
finish_selects(struct store_label_query *q, struct store_label_block *b,
               struct err *err)
{
    for (size_t i = 0; i < b->select_count; i++) {
        struct store_selection selection;
        if (!store_select_finish(&b->selects[i], &q->arena, &selection, err))
            return false;
        if (selection.parts.count > 0 &&
            !unite(&b->refs, selection.parts.at[0], &q->arena, err))
            return false;
        store_select_fini(&b->selects[i]);
        b->selects[i] = (struct store_select){0};
    }
    return store_limits_add_series(q->options.limits, b->refs.count, err);
}

/* Insert a text into the external ones, unless it is there. */
static bool
add_external(struct store_label_query *q, struct bytes text, struct err *err)
{
    size_t at = 0, end = q->external_count;
    while (at < end) {
        size_t middle = at + (end - at) / 2;
        if (bytes_cmp(q->external[middle], text) < 0)
            at = middle + 1;
        else
            end = middle;
    }
    if (at < q->external_count && bytes_eq(q->external[at], text))
        return true;
    struct bytes *grown = arena_grow(&q->arena, q->external, q->external_count,
                                     &q->external_cap, sizeof *grown);
    if (grown == NULL)
        return arena_ok(&q->arena, err);
    q->external = grown;
    memmove(grown + at + 1, grown + at, (q->external_count - at) * sizeof *grown);
    grown[at] = text;
    q->external_count++;
    return true;
}

static bool
add_external_labels(struct store_label_query *q, const struct store_label_block *b,
                    struct err *err)
{
    struct tsdb_labels external = b->block->meta.external;
    if (q->options.name.len > 0)
        return b->external_value.len == 0 || add_external(q, b->external_value, err);
    for (size_t i = 0; i < external.len; i++)
        if (external.at[i].value.len > 0 && !add_external(q, external.at[i].name, err))
            return false;
    return true;
}

static bool
open_part(struct store_label_query *q, struct store_label_block *b, struct err *err)
{
    const struct store_label_query_options *o = &q->options;
    b->context = (struct store_stream_context){
        .block = b->block,
        .mint_ms = INT64_MAX,
        .maxt_ms = INT64_MIN,
        .labels_only = true,
        .source = o->source,
        .memo = q->memo,
        .limits = o->limits,
        .budget = o->budget,
    };
    const struct store_label_part_options options = {
        .name = o->name,
        .all = b->all,
        .refs = b->refs,
        .sets = b->sets,
        .set_count = b->set_count,
        .share_bytes = o->lookahead_bytes / q->blocks_queried,
    };
    return store_label_part_open(&b->part, &b->context, &options, err);
}

/* What a block with selected series says: by its external labels at once, by the others
 * later. */
static bool
open_block(struct store_label_query *q, struct store_label_block *b, struct err *err)
{
    if (!finish_selects(q, b, err))
        return false;
    if (!b->all && b->refs.count == 0)
        return true;
    return add_external_labels(q, b, err) &&
           (b->external_value.len > 0 || open_part(q, b, err));
}

static bool
is_before(const void *arg, size_t a, size_t b)
{
    const struct bytes *heads = arg;
    return bytes_cmp(heads[a], heads[b]) < 0;
}

/* The next text of a source; the last one is that of the external texts. */
static bool
next_of_source(struct store_label_query *q, size_t source, struct bytes *text,
               bool *end, struct err *err)
{
    struct store_label_block *b = &q->blocks[source];
    *end = source == q->blocks_queried ? q->external_at == q->external_count
                                       : b->part.context == NULL;
    if (*end)
        return true;
    if (source == q->blocks_queried) {
        *text = q->external[q->external_at++];
        return true;
    }
    if (store_label_part_next(&b->part, text, end, err))
        return true;
    *end = true;
    return leave_out(q, b, err);
}

static bool
advance(struct store_label_query *q, size_t source, struct err *err)
{
    struct bytes text;
    bool end;
    if (!next_of_source(q, source, &text, &end, err))
        return false;
    if (end)
        return true;
    q->heads[source] = text;
    heap_push(&q->heap, source);
    return true;
}

static bool
begin_merge(struct store_label_query *q, struct err *err)
{
    size_t sources = q->blocks_queried + 1;
    q->heads = arena_calloc(&q->arena, sources, sizeof *q->heads);
    q->taken = arena_calloc(&q->arena, sources, sizeof *q->taken);
    q->heap = (struct heap){.at = arena_calloc(&q->arena, sources, sizeof *q->heap.at),
                            .is_before = is_before,
                            .arg = q->heads};
    if (q->heads == NULL || q->taken == NULL || q->heap.at == NULL)
        return arena_ok(&q->arena, err);
    for (size_t i = 0; i < sources; i++)
        if (!advance(q, i, err))
            return false;
    return true;
}

bool
store_label_query_open(struct store_label_query *q,
                       const struct store_label_query_options *options, struct err *err)
{
    *q = (struct store_label_query){.options = *options};
    arena_init(&q->arena, options->budget);
    q->memo = store_symbol_memo_new(&q->arena);
    if (q->memo == NULL)
        return arena_ok(&q->arena, err);
    if (!store_replica_labels_has(&options->dropped, options->name) &&
        !begin_blocks(q, err))
        return false;
    for (size_t i = 0; i < q->blocks_queried; i++)
        if (!open_block(q, &q->blocks[i], err) && !leave_out(q, &q->blocks[i], err))
            return false;
    return begin_merge(q, err);
}

/* The next text of all sources. */
static bool
next_text(struct store_label_query *q, struct bytes *text, bool *end, struct err *err)
{
    while (q->taken_count > 0)
        if (!advance(q, q->taken[--q->taken_count], err))
            return false;
    *end = q->heap.count == 0;
    if (*end)
        return true;
    *text = q->heads[q->heap.at[0]];
    while (q->heap.count > 0 && bytes_eq(q->heads[q->heap.at[0]], *text))
        q->taken[q->taken_count++] = heap_pop(&q->heap);
    return true;
}

bool
store_label_query_next(struct store_label_query *q, struct bytes *text, bool *end,
                       struct err *err)
{
    bool asks_names = q->options.name.len == 0;
    do {
        if (!next_text(q, text, end, err))
            return false;
    } while (!*end && asks_names &&
             store_replica_labels_has(&q->options.dropped, *text));
    return true;
}

void
store_label_query_fini(struct store_label_query *q)
{
    for (size_t i = 0; i < q->blocks_queried; i++)
        drop_block(&q->blocks[i]);
    arena_fini(&q->arena);
}
