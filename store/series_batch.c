/* SPDX-License-Identifier: Apache-2.0 */
#include "store/series_batch.h"

#include <inttypes.h>

#include "common/base/num.h"

/* What is read at first of an entry whose length is not known: labels, and a chunk of
 * about 8 bytes for each quarter of an hour of the block. At most what keeps a sparse
 * selection cheap. */
enum { LABELS_GUESS = 1024, CHUNK_GUESS = 8, CHUNK_MS = 15 * 60 * 1000 };
enum { GUESS_MAX = 64 * 1024 };

/* What an entry and its labels take when decoded, roughly; bounds of a batch. */
enum { ENTRY_BYTES = 1024, BATCH_MIN = 4, BATCH_MAX = 4096 };

static uint64_t
offset_of(const struct store_stream_context *c, tsdb_ref ref)
{
    return (uint64_t)ref * store_index_header_series_unit(c->block->header);
}

static uint64_t
guess_of(const struct store_stream_context *c)
{
    const struct store_block_meta *m = &c->block->meta;
    uint64_t span_ms = (uint64_t)m->maxt_ms - (uint64_t)m->mint_ms;
    uint64_t guess = LABELS_GUESS + span_ms / CHUNK_MS * CHUNK_GUESS;
    return NUM_MAX(c->series_guess, NUM_MIN(guess, (uint64_t)GUESS_MAX));
}

/* How many entries make a batch, from the bounds of what is read of them. */
static size_t
measure(const struct store_stream_context *c, struct store_refs refs,
        size_t share_bytes)
{
    size_t most = NUM_MIN(refs.count, (size_t)BATCH_MAX), n = 0;
    uint64_t bytes = 0;
    for (; n < most && (n < BATCH_MIN || bytes < share_bytes); n++) {
        uint64_t next = n + 1 < refs.count ? offset_of(c, refs.at[n + 1]) : 0;
        bytes += ENTRY_BYTES + store_records_reach(offset_of(c, refs.at[n]), next,
                                                   UINT64_MAX, guess_of(c));
    }
    return n;
}

static bool
place_pieces(struct store_series_batch *b, const struct store_stream_context *c,
             const tsdb_ref *refs, struct err *err)
{
    const struct tsdb_index_toc *toc = store_index_header_toc(c->block->header);
    uint64_t end = tsdb_index_series_end(toc);
    uint64_t least = toc->series;
    for (size_t i = 0; i < b->count; i++) {
        uint64_t offset = offset_of(c, refs[i]);
        if (offset < least || offset >= end)
            return err_set(err, ERR_CORRUPT,
                           "%s: series at %" PRIu64 " is outside the series section or "
                           "not in order",
                           c->block->index_key, offset);
        least = offset + 1;
        b->pieces[i] = (struct store_piece){.offset = offset, .room = end - offset};
    }
    return true;
}

bool
store_series_batch_start(struct store_series_batch *b, struct store_stream_context *c,
                         struct store_refs refs, size_t share_bytes, struct err *err)
{
    *b = (struct store_series_batch){.count = measure(c, refs, share_bytes),
                                     .started = true};
    arena_init(&b->arena, c->budget);
    b->pieces = arena_calloc(&b->arena, b->count, sizeof *b->pieces);
    if (b->pieces == NULL)
        return arena_ok(&b->arena, err);
    b->records = (struct store_records){
        .keys = (const char *const *)&c->block->index_key,
        .pieces = b->pieces,
        .count = b->count,
        .data = STORE_DATA_SERIES,
        .size = tsdb_series_size,
        .guess = guess_of(c),
    };
    return place_pieces(b, c, refs.at, err) &&
           store_records_start(&b->records, c->source, &b->arena, err);
}

static bool
is_sorted(const struct tsdb_label *at, size_t len)
{
    for (size_t i = 1; i < len; i++)
        if (bytes_cmp(at[i - 1].name, at[i].name) >= 0)
            return false;
    return true;
}

/* Resolve a symbol, unless it is the one that is known. */
static bool
resolve(struct store_series_batch *b, const struct store_stream_context *c,
        uint32_t ref, const uint32_t *known_ref, struct bytes known, struct bytes *text,
        struct err *err)
{
    if (known_ref == NULL || *known_ref != ref)
        return store_symbol_memo_get(c->memo, c->block, ref, &b->arena, text, err);
    *text = known;
    return true;
}

static bool
resolve_labels(struct store_series_batch *b, struct store_stream_context *c,
               const struct tsdb_series *s, struct tsdb_labels *own, struct err *err)
{
    struct tsdb_label *at = arena_alloc(&b->arena, s->label_count * sizeof *at);
    bool has_new_name = false;
    if (at == NULL)
        return arena_ok(&b->arena, err);
    for (size_t i = 0; i < s->label_count; i++) {
        bool has = i < b->last.len;
        const struct tsdb_series_label *known = has ? &b->last_refs[i] : NULL;
        const struct tsdb_label *text = has ? &b->last.at[i] : &(struct tsdb_label){0};
        has_new_name |= !has || known->name != s->labels[i].name;
        if (!resolve(b, c, s->labels[i].name, has ? &known->name : NULL, text->name,
                     &at[i].name, err) ||
            !resolve(b, c, s->labels[i].value, has ? &known->value : NULL, text->value,
                     &at[i].value, err))
            return false;
    }
    *own = (struct tsdb_labels){at, s->label_count};
    if (!has_new_name || is_sorted(at, s->label_count)) {
        b->last_refs = s->labels;
        b->last = *own;
        return true;
    }
    b->last = (struct tsdb_labels){0};
    return tsdb_labels_sort(at, s->label_count) ||
           err_set(err, ERR_CORRUPT, "a label name is empty or there twice");
}

static bool
passes(const struct store_stream_context *c, struct tsdb_labels own)
{
    for (size_t i = 0; i < c->filter_count; i++)
        if (!tsdb_matcher_matches(
                c->filters[i], tsdb_labels_get(own, tsdb_matcher_name(c->filters[i]))))
            return false;
    return true;
}

static bool
is_in_parts(const struct tsdb_chunk_meta *chunk, struct store_time_ranges parts)
{
    size_t i = store_time_ranges_find(parts, chunk->mint_ms);
    return i < parts.count && parts.at[i].mint_ms <= chunk->maxt_ms;
}

/* Leave chunks out that lie between the parts of time that the block answers. */
static bool
leave_parts(const struct store_stream_context *c, struct tsdb_series *s,
            struct arena *arena, struct err *err)
{
    if (c->parts.count <= 1) /* the range says it all */
        return true;
    struct tsdb_chunk_meta *kept = arena_alloc(arena, s->chunk_count * sizeof *kept);
    size_t count = 0;
    if (kept == NULL)
        return arena_ok(arena, err);
    for (size_t i = 0; i < s->chunk_count; i++)
        if (is_in_parts(&s->chunks[i], c->parts))
            kept[count++] = s->chunks[i];
    s->chunks = kept;
    s->chunk_count = count;
    return true;
}

bool
store_series_batch_each(struct store_series_batch *b, struct store_stream_context *c,
                        store_raw_series_fn *fn, void *arg, struct err *err)
{
    if (!store_records_wait(&b->records, err))
        return false;
    c->series_guess = NUM_MIN(b->records.guess, (uint64_t)GUESS_MAX);
    for (size_t i = 0; i < b->count; i++) {
        struct tsdb_series s;
        b->turn = i;
        struct arena_mark mark = arena_mark(&b->arena);
        struct bytes raw = store_records_get(&b->records, &b->pieces[i]);
        if (tsdb_series_parse(&s, raw, c->mint_ms, c->maxt_ms, &b->arena, err) &&
            leave_parts(c, &s, &b->arena, err) && fn(arg, &s, err)) {
            if (s.chunk_count == 0)
                arena_rewind(&b->arena, mark);
            continue;
        }
        err_wrap(err, "%s: series at %" PRIu64, c->block->index_key,
                 b->pieces[i].offset);
        if (!store_damage_skip(&c->source->damage, c->block, err))
            return false;
    }
    return true;
}

/* What the series of the stream have of the labels that are dropped. */
static bool
learn_replica(struct store_stream_context *c, struct tsdb_labels own, struct err *err)
{
    struct tsdb_labels copy;
    if (!store_labels_copy(&copy, own, c->arena, err))
        return false;
    c->replica = tsdb_labels_with_external(copy, c->replica, c->arena);
    c->knows_replica = true;
    return arena_ok(c->arena, err);
}

/* The labels of an answer, from those of the series. */
static bool
finish_labels(struct store_series_batch *b, struct store_stream_context *c,
              struct tsdb_labels own, struct tsdb_labels *labels, struct err *err)
{
    struct tsdb_labels dropped;
    if (store_replica_labels_in(c->dropped, own)) {
        if (!store_replica_labels_split(c->dropped, own, &own, &dropped, &b->arena,
                                        err))
            return false;
        if (!c->knows_replica && !learn_replica(c, dropped, err))
            return false;
    }
    *labels = tsdb_labels_with_external(own, c->external, &b->arena);
    return arena_ok(&b->arena, err);
}

struct decoding {
    struct store_series_batch *batch;
    struct store_stream_context *context;
    struct store_label_order *order;
};

static bool
decode_entry(void *arg, const struct tsdb_series *s, struct err *err)
{
    const struct decoding *d = arg;
    struct store_series_batch *b = d->batch;
    struct store_stream_context *c = d->context;
    struct store_entry entry = {.chunks = s->chunks, .chunk_count = s->chunk_count};
    struct arena_mark mark = arena_mark(&b->arena);
    struct tsdb_labels own;
    if (s->chunk_count == 0)
        return true;
    if (!resolve_labels(b, c, s, &own, err))
        return false;
    if (!passes(c, own)) {
        arena_rewind(&b->arena, mark);
        b->last = (struct tsdb_labels){0};
        return true;
    }
    return finish_labels(b, c, own, &entry.labels, err) &&
           (c->filter_count == 0 || store_limits_add_series(c->limits, 1, err)) &&
           (c->labels_only ||
            store_limits_add_chunks(c->limits, s->chunk_count, err)) &&
           store_label_order_push(d->order, &entry, &b->arena, &b->entries, err);
}

bool
store_series_batch_decode(struct store_series_batch *b, struct store_stream_context *c,
                          struct store_label_order *order, bool is_last,
                          struct err *err)
{
    struct decoding d = {b, c, order};
    b->entries.at =
        arena_calloc(&b->arena, b->count + order->depth, sizeof *b->entries.at);
    if (b->entries.at == NULL)
        return arena_ok(&b->arena, err);
    return store_label_order_move(order, &b->arena, err) &&
           store_series_batch_each(b, c, decode_entry, &d, err) &&
           (!is_last || store_label_order_flush(order, &b->entries, err));
}

void
store_series_batch_fini(struct store_series_batch *b)
{
    if (!b->started)
        return;
    store_records_fini(&b->records);
    arena_fini(&b->arena);
    *b = (struct store_series_batch){0};
}
