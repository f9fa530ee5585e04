/* SPDX-License-Identifier: Apache-2.0 */
#include "store/chunk_samples.h"

#include "common/wire/histogram.h"
#include "common/wire/remote_read.h"

void
store_chunk_samples_init(struct store_chunk_samples *s, struct budget *budget)
{
    memset(s, 0, sizeof *s);
    buf_init(&s->floats, budget);
    arena_init(&s->arena, budget);
}

void
store_chunk_samples_fini(struct store_chunk_samples *s)
{
    buf_fini(&s->floats);
    arena_fini(&s->arena);
}

bool
store_chunk_samples_open(struct store_chunk_samples *s, const struct tsdb_chunk *chunk,
                         int64_t mint_ms, int64_t maxt_ms, struct err *err)
{
    buf_clear(&s->floats);
    arena_reset(&s->arena);
    s->count = 0;
    s->chunk = *chunk;
    s->mint_ms = mint_ms;
    s->maxt_ms = maxt_ms;
    s->has_ended = s->has_layout = false;
    return chunk->encoding == TSDB_CHUNK_XOR ||
           tsdb_chunk_iter_init(&s->it, chunk, &s->arena, err);
}

static bool
is_inside(const struct store_chunk_samples *s, int64_t t_ms)
{
    return t_ms >= s->mint_ms && t_ms <= s->maxt_ms;
}

static struct tsdb_sample *
floats_of(const struct store_chunk_samples *s)
{
    return (struct tsdb_sample *)(void *)s->floats.at;
}

/* Decode all of them: how many there are is in the chunk's head. */
static bool
read_xor(struct store_chunk_samples *s, struct err *err)
{
    struct tsdb_xor_reader reader;
    if (!tsdb_xor_reader_init(&reader, s->chunk.data, err))
        return false;
    size_t count = tsdb_xor_reader_count(&reader);
    uint8_t *to = buf_reserve(&s->floats, count * sizeof(struct tsdb_sample));
    if (to == NULL)
        return buf_ok(&s->floats, err);
    s->count = count;
    return tsdb_xor_read_all(&reader, (struct tsdb_sample *)(void *)to, err);
}

static bool
read_xor2(struct store_chunk_samples *s, struct err *err)
{
    size_t count = tsdb_chunk_iter_count(&s->it);
    if (buf_reserve(&s->floats, count * sizeof(struct tsdb_sample)) == NULL)
        return buf_ok(&s->floats, err);
    for (size_t i = 0; i < count; i++) {
        enum tsdb_sample_kind kind;
        if (!tsdb_chunk_next(&s->it, &kind, err))
            return false;
        floats_of(s)[i] = s->it.sample;
    }
    s->count = count;
    return true;
}

/* Keep the floats in the range, in place. Most chunks lie in it as a whole. */
static void
cut(struct store_chunk_samples *s)
{
    struct tsdb_sample *at = floats_of(s);
    size_t kept = 0;
    while (kept < s->count && is_inside(s, at[kept].t_ms))
        kept++;
    for (size_t i = kept; i < s->count; i++)
        if (is_inside(s, at[i].t_ms))
            at[kept++] = at[i];
    s->count = kept;
}

static bool
next_floats(struct store_chunk_samples *s, struct err *err)
{
    bool is_xor = s->chunk.encoding == TSDB_CHUNK_XOR;
    s->has_ended = true;
    if (!(is_xor ? read_xor(s, err) : read_xor2(s, err)))
        return false;
    cut(s);
    return true;
}

static bool
next_histogram(struct store_chunk_samples *s, struct err *err)
{
    enum tsdb_sample_kind kind;
    do {
        if (!tsdb_chunk_next(&s->it, &kind, err))
            return false;
        s->has_ended = kind == TSDB_SAMPLE_NONE;
    } while (!s->has_ended && !is_inside(s, s->it.sample.t_ms));
    s->count = s->has_ended ? 0 : 1;
    return true;
}

static bool
has_floats(const struct store_chunk_samples *s)
{
    return s->chunk.encoding == TSDB_CHUNK_XOR || s->chunk.encoding == TSDB_CHUNK_XOR2;
}

bool
store_chunk_samples_next(struct store_chunk_samples *s, struct err *err)
{
    s->count = 0;
    if (s->has_ended)
        return true;
    return has_floats(s) ? next_floats(s, err) : next_histogram(s, err);
}

/* Computed once for a chunk: it may hold as many spans as samples. */
static uint64_t
layout_size(struct store_chunk_samples *s)
{
    const struct tsdb_histogram *h = &s->it.histogram;
    if (tsdb_histogram_is_stale(h))
        return wire_histogram_layout_size(h);
    if (!s->has_layout)
        s->layout_size = wire_histogram_layout_size(h);
    s->has_layout = true;
    return s->layout_size;
}

uint64_t
store_chunk_samples_size(struct store_chunk_samples *s)
{
    if (s->count == 0)
        return 0;
    if (has_floats(s))
        return wire_samples_size(floats_of(s), s->count);
    return wire_histogram_size(s->it.sample.t_ms, &s->it.histogram, layout_size(s));
}

void
store_chunk_samples_put(struct store_chunk_samples *s, struct buf *out)
{
    if (s->count == 0)
        return;
    if (has_floats(s))
        wire_samples_put(floats_of(s), s->count, out);
    else
        wire_histogram_put(s->it.sample.t_ms, &s->it.histogram, layout_size(s), out);
}
