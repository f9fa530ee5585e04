/* SPDX-License-Identifier: Apache-2.0 */
#include "common/tsdb/series.h"

#include <inttypes.h>

#include "common/codec/crc32c.h"
#include "common/tsdb/record_priv.h"

/* Fewest bytes of a label pair and of a chunk: one byte for each number. */
enum { MIN_LABEL_SIZE = 2, MIN_CHUNK_SIZE = 3 };

struct range {
    int64_t mint_ms;
    int64_t maxt_ms;
};

bool
tsdb_series_size(struct bytes b, uint64_t *size)
{
    struct cursor c = cursor_of(b);
    uint64_t length = tsdb_record_length(&c);
    if (c.bad)
        return false;
    *size = (b.len - c.rest.len) + length + TSDB_RECORD_CRC_SIZE;
    return true;
}

static bool
take_payload(struct bytes b, struct bytes *payload, struct err *err)
{
    struct cursor c = cursor_of(b);
    struct bytes body = cursor_take(&c, tsdb_record_length(&c));
    uint32_t stored_crc = cursor_be32(&c);
    if (c.bad)
        return err_set(err, ERR_CORRUPT, "series entry cut at %zu bytes", b.len);
    if (crc32c(body) != stored_crc)
        return err_set(err, ERR_CORRUPT, "series entry checksum mismatch");
    *payload = body;
    return true;
}

/* Read a count of things that take at least min_size bytes each. */
static bool
take_count(struct cursor *c, size_t min_size, const char *what, uint64_t *count,
           struct err *err)
{
    *count = varint_u64(c);
    if (!c->bad && *count <= c->rest.len / min_size)
        return true;
    return err_set(err, ERR_CORRUPT, "series entry: %" PRIu64 " %s in %zu bytes",
                   *count, what, c->rest.len);
}

static uint32_t
take_symbol(struct cursor *c)
{
    uint64_t ref = varint_u64(c);
    if (ref > UINT32_MAX)
        c->bad = true;
    return (uint32_t)ref;
}

static bool
parse_labels(struct cursor *c, struct tsdb_series *s, struct arena *arena,
             struct err *err)
{
    uint64_t count;
    if (!take_count(c, MIN_LABEL_SIZE, "labels", &count, err))
        return false;
    struct tsdb_series_label *labels = arena_calloc(arena, count, sizeof *labels);
    if (labels == NULL)
        return arena_ok(arena, err);
    for (size_t i = 0; i < count; i++) {
        labels[i].name = take_symbol(c);
        labels[i].value = take_symbol(c);
    }
    s->labels = labels;
    s->label_count = count;
    return !c->bad ||
           err_set(err, ERR_CORRUPT, "series entry: labels cut or too large");
}

/* Each chunk counts from the one before it. Differences are stored modulo 2^64: old
 * writers have chunks that overlap. */
static struct tsdb_chunk_meta
next_chunk(struct cursor *c, const struct tsdb_chunk_meta *previous)
{
    struct tsdb_chunk_meta chunk;
    uint64_t mint = previous == NULL ? (uint64_t)varint_i64(c)
                                     : (uint64_t)previous->maxt_ms + varint_u64(c);
    chunk.mint_ms = (int64_t)mint;
    chunk.maxt_ms = (int64_t)(mint + varint_u64(c));
    chunk.ref =
        previous == NULL ? varint_u64(c) : previous->ref + (uint64_t)varint_i64(c);
    return chunk;
}

/* Walk over count chunks; put those in range to out unless it is NULL.
 * Returns how many are in range. */
static size_t
walk_chunks(struct cursor *c, uint64_t count, const struct range *range,
            struct tsdb_chunk_meta *out)
{
    size_t kept = 0;
    struct tsdb_chunk_meta chunk;
    for (uint64_t i = 0; i < count && !c->bad; i++) {
        chunk = next_chunk(c, i == 0 ? NULL : &chunk);
        if (c->bad || chunk.maxt_ms < range->mint_ms || chunk.mint_ms > range->maxt_ms)
            continue;
        if (out != NULL)
            out[kept] = chunk;
        kept++;
    }
    return kept;
}

/* Two walks, so that memory is taken for the chunks in range only. */
static bool
parse_chunks(struct cursor *c, const struct range *range, struct tsdb_series *s,
             struct arena *arena, struct err *err)
{
    uint64_t count;
    if (!take_count(c, MIN_CHUNK_SIZE, "chunks", &count, err))
        return false;
    struct cursor first_walk = *c;
    size_t kept = walk_chunks(&first_walk, count, range, NULL);
    if (first_walk.bad)
        return err_set(err, ERR_CORRUPT, "series entry: chunks cut");
    struct tsdb_chunk_meta *chunks = arena_calloc(arena, kept, sizeof *chunks);
    if (chunks == NULL)
        return arena_ok(arena, err);
    s->chunk_count = walk_chunks(c, count, range, chunks);
    s->chunks = chunks;
    return true;
}

bool
tsdb_series_parse(struct tsdb_series *s, struct bytes b, int64_t mint_ms,
                  int64_t maxt_ms, struct arena *arena, struct err *err)
{
    const struct range range = {mint_ms, maxt_ms};
    struct tsdb_series parsed = {0};
    struct bytes payload;
    if (!take_payload(b, &payload, err))
        return false;
    struct cursor c = cursor_of(payload);
    if (!parse_labels(&c, &parsed, arena, err) ||
        !parse_chunks(&c, &range, &parsed, arena, err))
        return false;
    *s = parsed;
    return true;
}
