/* SPDX-License-Identifier: Apache-2.0 */
#include "store/chunk_window.h"

#include <inttypes.h>

#include "common/base/num.h"

/* A float chunk has at most 2 KiB, one of a downsampled block five times that;
 * histograms may have more, and teach the guess. */
enum { GUESS_RAW = 4096, GUESS_DOWNSAMPLED = 16 * 1024, GUESS_MAX = 1024 * 1024 };

/* The size of a window. */
struct extent {
    size_t series;
    size_t chunks;
    uint64_t bytes;
};

static uint64_t
guess_of(const struct store_stream_context *c)
{
    bool is_raw = c->block->meta.resolution_ms == 0;
    return NUM_MAX(c->chunk_guess, (uint64_t)(is_raw ? GUESS_RAW : GUESS_DOWNSAMPLED));
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

/* What is read of the chunk at ref, when next_ref is wanted behind it. */
static uint64_t
reach(const struct store_stream_context *c, uint64_t ref, uint64_t next_ref)
{
    uint32_t segment = tsdb_chunk_ref_segment(ref);
    bool follows = tsdb_chunk_ref_segment(next_ref) == segment;
    uint64_t offset = tsdb_chunk_ref_offset(ref);
    return store_records_reach(offset, follows ? tsdb_chunk_ref_offset(next_ref) : 0,
                               c->block->segments[segment].size - offset, guess_of(c));
}

/* What is read of the chunks of an entry, when the chunk next_ref is wanted behind. */
static bool
measure_entry(const struct store_stream_context *c, const struct store_entry *e,
              uint64_t next_ref, uint64_t *bytes, struct err *err)
{
    for (size_t k = 0; k < e->chunk_count; k++) {
        uint64_t next = k + 1 < e->chunk_count ? e->chunks[k + 1].ref : next_ref;
        if (!check_ref(c, e->chunks[k].ref, err))
            return false;
        *bytes += reach(c, e->chunks[k].ref, next);
    }
    return true;
}

/* Add entries to the extent until their chunks reach most bytes, at least one. */
static bool
extend(const struct store_stream_context *c, const struct store_entry *entries,
       size_t count, uint64_t most, struct extent *extent, struct err *err)
{
    *extent = (struct extent){0};
    for (size_t i = 0; i < count && (i == 0 || extent->bytes < most); i++) {
        uint64_t next = i + 1 < count ? entries[i + 1].chunks[0].ref : 0;
        if (!measure_entry(c, &entries[i], next, &extent->bytes, err))
            return false;
        extent->chunks += entries[i].chunk_count;
        extent->series++;
    }
    return true;
}

/* The entries that make a window. If the rest would be less than another one, it is
 * shared between both, so that none is of a few series. */
static bool
measure(const struct store_stream_context *c, const struct store_entry *entries,
        size_t count, size_t share_bytes, struct extent *extent, struct err *err)
{
    if (!extend(c, entries, count, 2 * (uint64_t)share_bytes, extent, err))
        return false;
    if (extent->bytes <= share_bytes)
        return true;
    uint64_t most = NUM_MIN(extent->bytes / 2, (uint64_t)share_bytes);
    return extend(c, entries, count, most, extent, err);
}

/* A piece per chunk in the order of the file. Chunks nearly always come so; where they
 * do not, they are found again by their tag. */
static void
place_pieces(struct store_chunk_window *w, const struct store_stream_context *c,
             const struct store_entry *entries, struct store_piece *pieces)
{
    size_t n = 0;
    for (size_t i = 0; i < w->count; i++) {
        const struct store_entry *e = &entries[i];
        for (size_t k = 0; k < e->chunk_count; k++, n++) {
            uint32_t segment = tsdb_chunk_ref_segment(e->chunks[k].ref);
            uint32_t offset = tsdb_chunk_ref_offset(e->chunks[k].ref);
            pieces[n] =
                (struct store_piece){.object = segment,
                                     .offset = offset,
                                     .room = c->block->segments[segment].size - offset,
                                     .tag = (uint32_t)n};
            w->chunks[n] = (struct tsdb_timed_chunk){.mint_ms = e->chunks[k].mint_ms,
                                                     .maxt_ms = e->chunks[k].maxt_ms};
        }
    }
    store_fetch_sort(pieces, n);
    for (size_t i = 0; i < n; i++)
        w->pieces[pieces[i].tag] = &pieces[i];
}

static bool
copy_entries(struct store_chunk_window *w, const struct store_entry *entries,
             size_t count, struct err *err)
{
    w->entries = arena_calloc(&w->arena, count, sizeof *w->entries);
    if (w->entries == NULL)
        return arena_ok(&w->arena, err);
    w->count = count;
    return store_entries_copy_labels(w->entries, entries, count, &w->arena, err);
}

static bool
take_chunk(void *arg, const struct store_piece *piece, struct bytes record)
{
    struct store_chunk_window *w = arg;
    struct err ignored; /* who yields the chunk meets it again */
    return tsdb_chunk_parse(&w->chunks[piece->tag].chunk, record, &ignored);
}

static bool
start_records(struct store_chunk_window *w, struct store_stream_context *c,
              const struct store_entry *entries, size_t count, struct err *err)
{
    struct store_piece *pieces = arena_alloc(&w->arena, count * sizeof *pieces);
    const char **keys =
        arena_calloc(&w->arena, c->block->segment_count, sizeof(const char *));
    w->pieces = arena_alloc(&w->arena, count * sizeof(struct store_piece *));
    w->chunks = arena_alloc(&w->arena, count * sizeof *w->chunks);
    if (pieces == NULL || keys == NULL || w->pieces == NULL || w->chunks == NULL)
        return arena_ok(&w->arena, err);
    for (size_t i = 0; i < c->block->segment_count; i++)
        keys[i] = c->block->segments[i].key;
    place_pieces(w, c, entries, pieces);
    w->records = (struct store_records){.keys = keys,
                                        .pieces = pieces,
                                        .count = count,
                                        .data = STORE_DATA_CHUNKS,
                                        .size = tsdb_chunk_size,
                                        .guess = guess_of(c),
                                        .on_record = take_chunk,
                                        .on_record_arg = w};
    return store_records_start(&w->records, c->source, &w->arena, err);
}

bool
store_chunk_window_start(struct store_chunk_window *w, struct store_stream_context *c,
                         const struct store_entry *entries, size_t count,
                         size_t share_bytes, struct err *err)
{
    struct extent extent = {0};
    *w = (struct store_chunk_window){.started = true};
    arena_init(&w->arena, c->budget);
    if (!measure(c, entries, count, share_bytes, &extent, err))
        return false;
    if (extent.chunks > UINT32_MAX)
        return err_set(err, ERR_BUDGET, "a window of %zu chunks", extent.chunks);
    return copy_entries(w, entries, extent.series, err) &&
           start_records(w, c, entries, extent.chunks, err);
}

bool
store_chunk_window_wait(struct store_chunk_window *w, struct store_stream_context *c,
                        struct err *err)
{
    if (!store_records_wait(&w->records, err))
        return false;
    c->chunk_guess = NUM_MIN(w->records.guess, (uint64_t)GUESS_MAX);
    return true;
}

static bool
parse_chunk(const struct store_chunk_window *w, const struct store_stream_context *c,
            size_t i, struct err *err)
{
    const struct store_piece *piece = w->pieces[i];
    struct tsdb_chunk *chunk = &w->chunks[i].chunk;
    return chunk->encoding != TSDB_CHUNK_NONE ||
           tsdb_chunk_parse(chunk, store_records_get(&w->records, piece), err) ||
           err_wrap(err, "%s: chunk at %" PRIu64, c->block->segments[piece->object].key,
                    piece->offset);
}

bool
store_chunk_window_next(struct store_chunk_window *w, struct store_stream_context *c,
                        struct store_series *series, struct err *err)
{
    const struct store_entry *e = &w->entries[w->next];
    size_t count = 0;
    for (size_t i = 0; i < e->chunk_count; i++) {
        if (parse_chunk(w, c, i, err))
            w->chunks[count++] = w->chunks[i];
        else if (!store_damage_skip(&c->source->damage, c->block, err))
            return false;
    }
    *series = (struct store_series){e->labels, count, w->chunks};
    w->chunks += e->chunk_count;
    w->pieces += e->chunk_count;
    w->next++;
    return true;
}

void
store_chunk_window_fini(struct store_chunk_window *w)
{
    if (!w->started)
        return;
    store_records_fini(&w->records);
    arena_fini(&w->arena);
    *w = (struct store_chunk_window){0};
}
