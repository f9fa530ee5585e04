/* SPDX-License-Identifier: Apache-2.0 */
#include "store/float_samples.h"

#include "common/base/num.h"
#include "common/tsdb/chunk_xor2.h"
#include "store/chunk_reader.h"

/* As many as most chunks have at most. */
enum { FIRST_CAP = 120 };

bool
store_float_samples_has(enum tsdb_chunk_encoding encoding)
{
    return encoding == TSDB_CHUNK_XOR || encoding == TSDB_CHUNK_XOR2;
}

static bool
make_room(struct store_float_samples *s, size_t count, struct arena *arena,
          struct err *err)
{
    s->count = 0;
    if (s->cap >= count && s->cap > 0)
        return true;
    size_t cap = NUM_MAX(NUM_MAX(count, 2 * s->cap), (size_t)FIRST_CAP);
    s->cap = 0;
    s->at = arena_calloc(arena, cap, sizeof *s->at);
    if (s->at == NULL)
        return arena_ok(arena, err);
    s->cap = cap;
    return true;
}

static bool
read_xor(struct store_float_samples *s, struct bytes data, struct arena *arena,
         struct err *err)
{
    struct tsdb_xor_reader r;
    if (!tsdb_xor_reader_init(&r, data, err) ||
        !make_room(s, tsdb_xor_reader_count(&r), arena, err) ||
        !tsdb_xor_read_all(&r, s->at, err))
        return false;
    s->count = tsdb_xor_reader_count(&r);
    return true;
}

static bool
read_xor2(struct store_float_samples *s, struct bytes data, struct arena *arena,
          struct err *err)
{
    struct tsdb_xor2_reader r;
    if (!tsdb_xor2_reader_init(&r, data, err) ||
        !make_room(s, tsdb_xor2_reader_count(&r), arena, err))
        return false;
    for (;;) {
        struct tsdb_sample sample;
        bool end;
        if (!tsdb_xor2_next(&r, &sample, &end, err))
            return false;
        if (end)
            return true;
        s->at[s->count++] = sample;
    }
}

/* Data with a right CRC may still break what merges rely on. */
static bool
check_times(const struct store_float_samples *s, const struct tsdb_timed_chunk *chunk,
            struct err *err)
{
    bool is_bad = s->count > 0 && (s->at[0].t_ms < chunk->mint_ms ||
                                   s->at[s->count - 1].t_ms > chunk->maxt_ms);
    for (size_t i = 1; i < s->count; i++)
        is_bad |= s->at[i].t_ms <= s->at[i - 1].t_ms;
    return !is_bad || err_set(err, ERR_CORRUPT,
                              "times of samples do not ascend from %lld to %lld ms",
                              (long long)chunk->mint_ms, (long long)chunk->maxt_ms);
}

bool
store_float_samples_read(struct store_float_samples *s,
                         const struct tsdb_timed_chunk *chunk, struct arena *arena,
                         struct err *err)
{
    bool ok = chunk->chunk.encoding == TSDB_CHUNK_XOR2
                  ? read_xor2(s, chunk->chunk.data, arena, err)
                  : read_xor(s, chunk->chunk.data, arena, err);
    return ok && check_times(s, chunk, err);
}

static bool
read_times(struct store_float_samples *s, struct store_chunk_reader *r,
           const struct tsdb_timed_chunk *chunk, struct arena *arena, struct err *err)
{
    if (!store_chunk_reader_open(r, chunk, arena->budget, err) ||
        !make_room(s, tsdb_chunk_iter_count(&r->it), arena, err))
        return false;
    while (r->kind != TSDB_SAMPLE_NONE) {
        s->at[s->count++] = (struct tsdb_sample){.t_ms = r->it.sample.t_ms};
        if (!store_chunk_reader_next(r, err))
            return false;
    }
    return true;
}

bool
store_float_samples_read_times(struct store_float_samples *s,
                               const struct tsdb_timed_chunk *chunk,
                               struct arena *arena, struct err *err)
{
    struct store_chunk_reader r;
    bool ok = read_times(s, &r, chunk, arena, err);
    store_chunk_reader_close(&r);
    return ok;
}
