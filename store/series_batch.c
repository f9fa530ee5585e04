/* SPDX-License-Identifier: Apache-2.0 */
#include "store/series_batch.h"

#include <inttypes.h>

#include "common/base/num.h"

/* Bounds of what is read for an entry whose length is not known: the smallest that a
 * block of two hours needs, and one that keeps a sparse selection cheap. */
enum { GUESS_MIN = 512, GUESS_MAX = 64 * 1024 };

static bool
place_pieces(struct store_series_batch *b, const struct store_stream_context *c,
             struct err *err)
{
    const struct tsdb_index_toc *toc = store_index_header_toc(c->block->header);
    uint64_t unit = store_index_header_series_unit(c->block->header);
    uint64_t end = tsdb_index_series_end(toc);
    uint64_t guess = NUM_MAX(c->series_guess, (uint64_t)GUESS_MIN);
    for (size_t i = 0; i < b->count; i++) {
        uint64_t offset = b->refs[i] * unit;
        uint64_t next = i + 1 < b->count ? b->refs[i + 1] * unit : end;
        if (offset < toc->series || offset >= end || next <= offset)
            return err_set(err, ERR_CORRUPT,
                           "%s: series at %" PRIu64 " is outside the series section or "
                           "not in order",
                           c->block->index_key, offset);
        b->pieces[i] = (struct store_piece){.offset = offset,
                                            .len = NUM_MIN(next - offset, guess)};
    }
    return true;
}

bool
store_series_batch_start(struct store_series_batch *b, struct store_stream_context *c,
                         const tsdb_ref *refs, size_t count, struct err *err)
{
    *b = (struct store_series_batch){.refs = refs, .count = count, .started = true};
    arena_init(&b->arena, c->budget);
    b->pieces = arena_calloc(&b->arena, count, sizeof *b->pieces);
    if (b->pieces == NULL)
        return arena_ok(&b->arena, err);
    const char *const *keys = (const char *const *)&c->block->index_key;
    return place_pieces(b, c, err) &&
           store_fetch_start(&b->fetch, c->source, keys, b->pieces, count, &b->arena,
                             err);
}

/* The bytes of entry i; read again with its true length when the guess was short. */
static bool
entry_bytes(struct store_series_batch *b, struct store_stream_context *c, size_t i,
            struct bytes *out, struct err *err)
{
    uint64_t size;
    struct bytes got = store_fetch_piece(&b->fetch, &b->pieces[i]);
    *out = got;
    if (!tsdb_series_size(got, &size) || size <= got.len)
        return true;
    uint64_t end = tsdb_index_series_end(store_index_header_toc(c->block->header));
    if (size > end - b->pieces[i].offset)
        return true; /* the parser says what is wrong */
    uint8_t *whole = arena_alloc(&b->arena, size);
    if (whole == NULL)
        return arena_ok(&b->arena, err);
    const struct objstore_call call = {c->source->deadline_ns, &c->source->cancel};
    out->at = whole;
    c->series_guess = NUM_MIN(NUM_MAX(c->series_guess, size), (uint64_t)GUESS_MAX);
    c->source->reads++;
    c->source->bytes += size;
    return objstore_read_range(
        c->source->bucket, &call, bytes_of_str(c->block->index_key),
        (struct objstore_range){b->pieces[i].offset, size}, whole, &out->len, err);
}

static bool
is_sorted(const struct tsdb_label *at, size_t len)
{
    for (size_t i = 1; i < len; i++)
        if (bytes_cmp(at[i - 1].name, at[i].name) >= 0)
            return false;
    return true;
}

static bool
resolve_labels(struct store_series_batch *b, struct store_stream_context *c,
               const struct tsdb_series *s, struct tsdb_labels *out, struct err *err)
{
    struct tsdb_label *at = arena_calloc(&b->arena, s->label_count, sizeof *at);
    if (at == NULL)
        return arena_ok(&b->arena, err);
    for (size_t i = 0; i < s->label_count; i++)
        if (!store_symbol_memo_get(c->memo, c->block, s->labels[i].name, &b->arena,
                                   &at[i].name, err) ||
            !store_symbol_memo_get(c->memo, c->block, s->labels[i].value, &b->arena,
                                   &at[i].value, err))
            return false;
    if (!is_sorted(at, s->label_count) && !tsdb_labels_sort(at, s->label_count))
        return err_set(err, ERR_CORRUPT, "a label name is empty or there twice");
    *out = tsdb_labels_with_external((struct tsdb_labels){at, s->label_count},
                                     c->external, &b->arena);
    return arena_ok(&b->arena, err);
}

static bool
decode_entry(struct store_series_batch *b, struct store_stream_context *c, size_t i,
             struct store_label_order *order, struct err *err)
{
    struct tsdb_series s;
    struct bytes raw;
    struct store_entry entry;
    struct arena_mark mark = arena_mark(&b->arena);
    if (!entry_bytes(b, c, i, &raw, err) ||
        !tsdb_series_parse(&s, raw, c->mint_ms, c->maxt_ms, &b->arena, err))
        return false;
    if (s.chunk_count == 0) {
        arena_rewind(&b->arena, mark);
        return true;
    }
    entry.chunks = s.chunks;
    entry.chunk_count = s.chunk_count;
    return store_limits_add_chunks(c->limits, s.chunk_count, err) &&
           resolve_labels(b, c, &s, &entry.labels, err) &&
           store_label_order_push(order, &entry, &b->arena, &b->entries, err);
}

bool
store_series_batch_decode(struct store_series_batch *b, struct store_stream_context *c,
                          struct store_label_order *order, bool is_last,
                          struct err *err)
{
    if (!store_fetch_wait(&b->fetch, err))
        return false;
    b->entries.at =
        arena_calloc(&b->arena, b->count + order->depth, sizeof *b->entries.at);
    if (b->entries.at == NULL)
        return arena_ok(&b->arena, err);
    if (!store_label_order_move(order, &b->arena, err))
        return false;
    for (size_t i = 0; i < b->count; i++)
        if (!decode_entry(b, c, i, order, err))
            return err_wrap(err, "%s: series at %" PRIu64, c->block->index_key,
                            b->pieces[i].offset);
    if (is_last)
        store_label_order_flush(order, &b->entries);
    return true;
}

void
store_series_batch_fini(struct store_series_batch *b)
{
    if (!b->started)
        return;
    store_fetch_fini(&b->fetch);
    arena_fini(&b->arena);
    *b = (struct store_series_batch){0};
}
