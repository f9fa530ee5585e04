/* SPDX-License-Identifier: Apache-2.0 */
/* The length of a chunk record stands in the record, not in the index: until it is read
 * only an upper bound is known, the start of the next chunk. Chunks of one series, and
 * of neighbours, lie back to back, so the bound is nearly always exact; a chunk whose
 * neighbour is far away is read with a guess, and once more if that was short. */
#include "store/chunk_window.h"

#include <inttypes.h>
#include <stdlib.h>

#include "common/base/num.h"

/* A float chunk has at most about 1 KiB; histograms have more, and teach the guess. */
enum { GUESS_MIN = 2048, GUESS_MAX = 1024 * 1024 };

static uint64_t
piece_len(const struct store_stream_context *c, uint64_t ref, const uint64_t *next_ref)
{
    uint64_t guess = NUM_MAX(c->chunk_guess, (uint64_t)GUESS_MIN);
    const struct store_segment *segment =
        &c->block->segments[tsdb_chunk_ref_segment(ref)];
    uint64_t room = segment->size - tsdb_chunk_ref_offset(ref);
    bool follows = next_ref != NULL && *next_ref > ref &&
                   tsdb_chunk_ref_segment(*next_ref) == tsdb_chunk_ref_segment(ref);
    if (follows && *next_ref - ref <= NUM_MAX(guess, (uint64_t)GUESS_MAX))
        return NUM_MIN(room, *next_ref - ref);
    return NUM_MIN(room, guess);
}

static bool
check_ref(const struct store_stream_context *c, uint64_t ref, struct err *err)
{
    uint32_t segment = tsdb_chunk_ref_segment(ref);
    if (segment >= c->block->segment_count)
        return err_set(err, ERR_CORRUPT,
                       "%s: a series refers to segment %" PRIu32 ", the block has %zu",
                       c->block->index_key, segment, c->block->segment_count);
    if (tsdb_chunk_ref_offset(ref) < TSDB_SEGMENT_HEADER_SIZE ||
        tsdb_chunk_ref_offset(ref) >= c->block->segments[segment].size)
        return err_set(err, ERR_CORRUPT,
                       "%s: a series refers to offset %" PRIu32 " of %" PRIu64 " bytes",
                       c->block->segments[segment].key, tsdb_chunk_ref_offset(ref),
                       c->block->segments[segment].size);
    return true;
}

/* How many entries make a window, from the bounds of their chunks; and how many chunks
 * these have. */
static bool
measure(struct store_stream_context *c, const struct store_entry *entries, size_t count,
        size_t share_bytes, size_t *taken, size_t *chunks, struct err *err)
{
    uint64_t bytes = 0;
    *taken = *chunks = 0;
    for (size_t i = 0; i < count && (i == 0 || bytes < share_bytes); i++) {
        const struct store_entry *e = &entries[i];
        for (size_t k = 0; k < e->chunk_count; k++) {
            const uint64_t *next =
                k + 1 < e->chunk_count ? &e->chunks[k + 1].ref : NULL;
            if (!check_ref(c, e->chunks[k].ref, err))
                return false;
            bytes += piece_len(c, e->chunks[k].ref, next);
        }
        if (i > 0 && bytes > share_bytes)
            break;
        *chunks += e->chunk_count;
        (*taken)++;
    }
    return true;
}

static int
by_place(const void *a, const void *b)
{
    const struct store_piece *x = a;
    const struct store_piece *y = b;
    if (x->object != y->object)
        return x->object < y->object ? -1 : 1;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

/* A piece per chunk in the order of the file. Chunks nearly always come so; where they
 * do not, they are sorted and found again by their tag. */
static bool
place_pieces(struct store_chunk_window *w, struct store_stream_context *c,
             struct store_piece *pieces, struct store_piece **by_tag, struct err *err)
{
    size_t n = 0;
    bool sorted = true;
    for (size_t i = 0; i < w->count; i++) {
        const struct store_entry *e = &w->entries[i];
        for (size_t k = 0; k < e->chunk_count; k++, n++) {
            uint64_t ref = e->chunks[k].ref;
            pieces[n] = (struct store_piece){.object = tsdb_chunk_ref_segment(ref),
                                             .offset = tsdb_chunk_ref_offset(ref),
                                             .tag = (uint32_t)n};
            sorted = sorted && (n == 0 || by_place(&pieces[n - 1], &pieces[n]) <= 0);
        }
    }
    if (n > UINT32_MAX)
        return err_set(err, ERR_BUDGET, "a window of %zu chunks", n);
    if (!sorted)
        qsort(pieces, n, sizeof *pieces, by_place);
    for (size_t i = 0; i < n; i++) {
        uint64_t ref = (uint64_t)pieces[i].object << 32 | pieces[i].offset;
        uint64_t next =
            i + 1 < n ? (uint64_t)pieces[i + 1].object << 32 | pieces[i + 1].offset : 0;
        pieces[i].len = piece_len(c, ref, i + 1 < n ? &next : NULL);
        by_tag[pieces[i].tag] = &pieces[i];
    }
    return true;
}

static bool
copy_entries(struct store_chunk_window *w, const struct store_entry *entries,
             size_t count, struct err *err)
{
    w->entries = arena_calloc(&w->arena, count, sizeof *w->entries);
    if (w->entries == NULL)
        return arena_ok(&w->arena, err);
    for (size_t i = 0; i < count; i++)
        if (!store_entry_copy(&w->entries[i], &entries[i], &w->arena, err))
            return false;
    w->count = count;
    return true;
}

bool
store_chunk_window_start(struct store_chunk_window *w, struct store_stream_context *c,
                         const struct store_entry *entries, size_t count,
                         size_t share_bytes, size_t *taken, struct err *err)
{
    size_t chunks;
    *w = (struct store_chunk_window){.started = true};
    arena_init(&w->arena, c->budget);
    if (!measure(c, entries, count, share_bytes, taken, &chunks, err) ||
        !copy_entries(w, entries, *taken, err))
        return false;
    struct store_piece *pieces = arena_calloc(&w->arena, chunks, sizeof *pieces);
    w->pieces = arena_calloc(&w->arena, chunks, sizeof(struct store_piece *));
    w->keys = arena_calloc(&w->arena, c->block->segment_count, sizeof *w->keys);
    if (pieces == NULL || w->pieces == NULL || w->keys == NULL)
        return arena_ok(&w->arena, err);
    for (size_t i = 0; i < c->block->segment_count; i++)
        w->keys[i] = c->block->segments[i].key;
    return place_pieces(w, c, pieces, w->pieces, err) &&
           store_fetch_start(&w->fetch, c->source, w->keys, pieces, chunks, &w->arena,
                             err);
}

bool
store_chunk_window_wait(struct store_chunk_window *w, struct err *err)
{
    return store_fetch_wait(&w->fetch, err);
}

/* The record of a piece; read again with its true length when the guess was short. */
static bool
chunk_bytes(struct store_chunk_window *w, struct store_stream_context *c,
            const struct store_piece *piece, struct bytes *out, struct err *err)
{
    uint64_t size;
    struct bytes got = store_fetch_piece(&w->fetch, piece);
    *out = got;
    if (!tsdb_chunk_size(got, &size) || size <= got.len)
        return true;
    const struct store_segment *segment = &c->block->segments[piece->object];
    if (size > segment->size - piece->offset)
        return true; /* the parser says what is wrong */
    uint8_t *whole = arena_alloc(&w->arena, size);
    if (whole == NULL)
        return arena_ok(&w->arena, err);
    const struct objstore_call call = {c->source->deadline_ns, &c->source->cancel};
    out->at = whole;
    c->chunk_guess = NUM_MIN(NUM_MAX(c->chunk_guess, size), (uint64_t)GUESS_MAX);
    c->source->reads++;
    c->source->bytes += size;
    return objstore_read_range(c->source->bucket, &call, bytes_of_str(segment->key),
                               (struct objstore_range){piece->offset, size}, whole,
                               &out->len, err);
}

bool
store_chunk_window_next(struct store_chunk_window *w, struct store_stream_context *c,
                        struct store_series *series, struct err *err)
{
    const struct store_entry *e = &w->entries[w->next];
    struct tsdb_timed_chunk *chunks =
        arena_calloc(&w->arena, e->chunk_count, sizeof *chunks);
    if (chunks == NULL)
        return arena_ok(&w->arena, err);
    for (size_t k = 0; k < e->chunk_count; k++) {
        struct bytes raw;
        chunks[k].mint_ms = e->chunks[k].mint_ms;
        chunks[k].maxt_ms = e->chunks[k].maxt_ms;
        if (!chunk_bytes(w, c, w->pieces[k], &raw, err) ||
            !tsdb_chunk_parse(&chunks[k].chunk, raw, err))
            return err_wrap(err, "%s: chunk at %" PRIu64,
                            c->block->segments[w->pieces[k]->object].key,
                            w->pieces[k]->offset);
    }
    w->pieces += e->chunk_count;
    w->next++;
    *series = (struct store_series){e->labels, e->chunk_count, chunks};
    return true;
}

void
store_chunk_window_fini(struct store_chunk_window *w)
{
    if (!w->started)
        return;
    store_fetch_fini(&w->fetch);
    arena_fini(&w->arena);
    *w = (struct store_chunk_window){0};
}
