/* SPDX-License-Identifier: Apache-2.0 */
#include "store/chunk_merge.h"

#include <stdlib.h>

#include "common/base/num.h"
#include "common/tsdb/chunk_xor.h"

/* As many samples as Prometheus puts into a chunk. */
enum { SAMPLES_PER_CHUNK = 120 };

static int
by_time(const void *a, const void *b)
{
    const struct tsdb_timed_chunk *x = a;
    const struct tsdb_timed_chunk *y = b;
    if (x->mint_ms != y->mint_ms)
        return x->mint_ms < y->mint_ms ? -1 : 1;
    if (x->maxt_ms != y->maxt_ms)
        return x->maxt_ms < y->maxt_ms ? -1 : 1;
    if (x->chunk.encoding != y->chunk.encoding)
        return x->chunk.encoding < y->chunk.encoding ? -1 : 1;
    return bytes_cmp(x->chunk.data, y->chunk.data);
}

static bool
is_sequence(const struct tsdb_timed_chunk *chunks, size_t count)
{
    for (size_t i = 1; i < count; i++)
        if (chunks[i].mint_ms <= chunks[i - 1].maxt_ms)
            return false;
    return true;
}

static size_t
drop_identical(struct tsdb_timed_chunk *chunks, size_t count)
{
    size_t kept = 1;
    for (size_t i = 1; i < count; i++)
        if (by_time(&chunks[kept - 1], &chunks[i]) != 0)
            chunks[kept++] = chunks[i];
    return kept;
}

/* One input of a merge: a chunk and its sample that is next. */
struct source {
    struct tsdb_xor_reader reader;
    struct tsdb_sample sample;
    int64_t mint_ms;
    bool end;
};

/* A run of overlapping chunks, by first time; those before first have ended. */
struct run {
    struct source *sources;
    size_t first;
    size_t count;
};

static bool
open_run(const struct tsdb_timed_chunk *chunks, size_t count, struct arena *arena,
         struct run *run, struct err *err)
{
    struct source *sources = arena_calloc(arena, count, sizeof *sources);
    if (sources == NULL)
        return arena_ok(arena, err);
    for (size_t i = 0; i < count; i++) {
        if (chunks[i].chunk.encoding != TSDB_CHUNK_XOR)
            return err_set(
                err, ERR_UNSUPPORTED,
                "chunks of encoding %s overlap others at %lld ms, and merging "
                "that encoding is not supported yet",
                tsdb_chunk_encoding_name(chunks[i].chunk.encoding),
                (long long)chunks[i].mint_ms);
        sources[i].mint_ms = chunks[i].mint_ms;
        if (!tsdb_xor_reader_init(&sources[i].reader, chunks[i].chunk.data, err) ||
            !tsdb_xor_next(&sources[i].reader, &sources[i].sample, &sources[i].end,
                           err))
            return false;
    }
    *run = (struct run){.sources = sources, .count = count};
    return true;
}

/* Sources that may hold the next sample: from run->first until the one that begins
 * behind t_ms. */
static bool
may_hold(const struct run *run, size_t i, int64_t t_ms)
{
    return i < run->count && run->sources[i].mint_ms <= t_ms;
}

/* The earliest sample of all sources, the first source winning ties. */
static bool
next_sample(struct run *run, struct tsdb_sample *sample, bool *end, struct err *err)
{
    while (run->first < run->count && run->sources[run->first].end)
        run->first++;
    *end = run->first == run->count;
    if (*end)
        return true;
    *sample = run->sources[run->first].sample;
    for (size_t i = run->first; may_hold(run, i, sample->t_ms); i++)
        if (!run->sources[i].end && run->sources[i].sample.t_ms < sample->t_ms)
            *sample = run->sources[i].sample;
    for (size_t i = run->first; may_hold(run, i, sample->t_ms); i++) {
        struct source *s = &run->sources[i];
        while (!s->end && s->sample.t_ms <= sample->t_ms)
            if (!tsdb_xor_next(&s->reader, &s->sample, &s->end, err))
                return false;
    }
    return true;
}

/* Write up to SAMPLES_PER_CHUNK samples as a chunk; one of 0 samples is not made. */
static bool
write_chunk(struct run *run, struct arena *arena, struct tsdb_timed_chunk *out,
            bool *made, struct err *err)
{
    CLEANUP(buf_fini) struct buf data;
    struct tsdb_xor_writer writer;
    buf_init(&data, arena->budget);
    tsdb_xor_writer_init(&writer, &data);
    *made = false;
    for (int n = 0; n < SAMPLES_PER_CHUNK; n++) {
        struct tsdb_sample sample;
        bool end;
        if (!next_sample(run, &sample, &end, err))
            return false;
        if (end)
            break;
        tsdb_xor_append(&writer, sample);
        if (n == 0)
            out->mint_ms = sample.t_ms;
        out->maxt_ms = sample.t_ms;
        *made = true;
    }
    tsdb_xor_finish(&writer);
    out->chunk.encoding = TSDB_CHUNK_XOR;
    out->chunk.data = arena_copy(arena, buf_bytes(&data));
    out->chunk.crc = tsdb_chunk_crc(&out->chunk);
    return buf_ok(&data, err) && arena_ok(arena, err);
}

/* Chunks that are being collected. */
struct output {
    struct arena *arena;
    struct tsdb_timed_chunk *at;
    size_t count;
    size_t cap;
};

static bool
append(struct output *out, const struct tsdb_timed_chunk *chunk, struct err *err)
{
    struct tsdb_timed_chunk *at =
        arena_grow(out->arena, out->at, out->count, &out->cap, sizeof *at);
    if (at == NULL)
        return arena_ok(out->arena, err);
    out->at = at;
    out->at[out->count++] = *chunk;
    return true;
}

static bool
merge_run(const struct tsdb_timed_chunk *chunks, size_t count, struct output *out,
          struct err *err)
{
    struct run run = {0};
    if (count == 1)
        return append(out, &chunks[0], err);
    if (!open_run(chunks, count, out->arena, &run, err))
        return false;
    for (;;) {
        struct tsdb_timed_chunk chunk;
        bool made;
        if (!write_chunk(&run, out->arena, &chunk, &made, err))
            return false;
        if (!made)
            return true;
        if (!append(out, &chunk, err))
            return false;
    }
}

/* How many chunks from the first on overlap each other, directly or through others. */
static size_t
run_length(const struct tsdb_timed_chunk *chunks, size_t count)
{
    int64_t end = chunks[0].maxt_ms;
    size_t n = 1;
    for (; n < count && chunks[n].mint_ms <= end; n++)
        end = NUM_MAX(end, chunks[n].maxt_ms);
    return n;
}

bool
store_chunk_merge(struct tsdb_timed_chunk *chunks, size_t count, struct arena *arena,
                  const struct tsdb_timed_chunk **out, size_t *out_count,
                  struct err *err)
{
    *out = chunks;
    *out_count = count;
    if (is_sequence(chunks, count))
        return true;
    qsort(chunks, count, sizeof *chunks, by_time);
    count = *out_count = drop_identical(chunks, count);
    if (is_sequence(chunks, count))
        return true;
    struct output merged = {.arena = arena};
    for (size_t i = 0; i < count;) {
        size_t n = run_length(chunks + i, count - i);
        if (!merge_run(chunks + i, n, &merged, err))
            return false;
        i += n;
    }
    *out = merged.at;
    *out_count = merged.count;
    return true;
}
