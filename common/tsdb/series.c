/* SPDX-License-Identifier: Apache-2.0 */
#include "common/tsdb/series.h"

#include "common/base/cursor.h"
#include "common/codec/crc32c.h"
#include "common/codec/varint.h"

enum { CRC_SIZE = 4, MAX_LENGTH_BYTES = 5, MIN_LABEL_BYTES = 2, MIN_CHUNK_BYTES = 3 };

/* Read the length field; false when it is cut or too long. */
static bool
read_length(struct bytes b, uint64_t *payload_len, size_t *field_len)
{
    struct cursor c = cursor_of(b);
    if (c.rest.len > MAX_LENGTH_BYTES)
        c.rest.len = MAX_LENGTH_BYTES;
    size_t before = c.rest.len;
    *payload_len = varint_u64(&c);
    *field_len = before - c.rest.len;
    return !c.bad;
}

bool
tsdb_series_size(struct bytes b, uint64_t *size)
{
    uint64_t payload_len;
    size_t field_len;
    if (!read_length(b, &payload_len, &field_len))
        return false;
    *size = field_len + payload_len + CRC_SIZE;
    return true;
}

static bool
parse_labels(struct tsdb_series *s, struct cursor *c, struct arena *arena,
             struct err *err)
{
    uint64_t count = varint_u64(c);
    if (c->bad || count > c->rest.len / MIN_LABEL_BYTES)
        return err_set(err, ERR_CORRUPT, "series entry: labels do not fit its length");
    struct tsdb_series_label *at = arena_calloc(arena, count, sizeof *at);
    if (at == NULL)
        return arena_ok(arena, err);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t name = varint_u64(c);
        uint64_t value = varint_u64(c);
        if (name > UINT32_MAX || value > UINT32_MAX)
            return err_set(err, ERR_CORRUPT, "series entry: symbol out of range");
        at[i] = (struct tsdb_series_label){(uint32_t)name, (uint32_t)value};
    }
    s->labels = at;
    s->label_count = count;
    return true;
}

/* Chunk i from the deltas to chunk i - 1 in *m. Arithmetic wraps as upstream's does:
 * old writers put chunks out of order. */
static void
next_chunk(struct cursor *c, bool first, struct tsdb_chunk_meta *m)
{
    uint64_t mint = first ? (uint64_t)varint_i64(c) : (uint64_t)m->maxt_ms + varint_u64(c);
    uint64_t maxt = mint + varint_u64(c);
    uint64_t ref = first ? varint_u64(c) : m->ref + (uint64_t)varint_i64(c);
    *m = (struct tsdb_chunk_meta){(int64_t)mint, (int64_t)maxt, ref};
}

static bool
parse_chunks(struct tsdb_series *s, struct cursor *c, int64_t mint_ms, int64_t maxt_ms,
             struct arena *arena, struct err *err)
{
    uint64_t count = varint_u64(c);
    if (c->bad || count > c->rest.len / MIN_CHUNK_BYTES)
        return err_set(err, ERR_CORRUPT, "series entry: chunks do not fit its length");
    struct tsdb_chunk_meta *at = arena_calloc(arena, count, sizeof *at);
    if (at == NULL)
        return arena_ok(arena, err);
    struct tsdb_chunk_meta m = {0};
    size_t kept = 0;
    for (uint64_t i = 0; i < count; i++) {
        next_chunk(c, i == 0, &m);
        if (m.maxt_ms >= mint_ms && m.mint_ms <= maxt_ms)
            at[kept++] = m;
    }
    s->chunks = at;
    s->chunk_count = kept;
    return true;
}

bool
tsdb_series_parse(struct tsdb_series *out, struct bytes b, int64_t mint_ms,
                  int64_t maxt_ms, struct arena *arena, struct err *err)
{
    struct tsdb_series s = {0};
    uint64_t payload_len;
    size_t field_len;
    if (!read_length(b, &payload_len, &field_len))
        return err_set(err, ERR_CORRUPT, "series entry: bad length field");
    bytes_skip(&b, field_len);
    struct cursor outer = cursor_of(b);
    struct bytes payload = cursor_take(&outer, payload_len);
    uint32_t stored_crc = cursor_be32(&outer);
    if (outer.bad)
        return err_set(err, ERR_CORRUPT, "series entry is cut at %zu bytes", b.len);
    if (crc32c(payload) != stored_crc)
        return err_set(err, ERR_CORRUPT, "series entry: checksum differs");
    struct cursor c = cursor_of(payload);
    if (!parse_labels(&s, &c, arena, err) ||
        !parse_chunks(&s, &c, mint_ms, maxt_ms, arena, err))
        return false;
    if (c.bad)
        return err_set(err, ERR_CORRUPT, "series entry ends before its last chunk");
    *out = s;
    return true;
}
