/* SPDX-License-Identifier: Apache-2.0 */
/* Chunks of one series, as the streams of blocks yield them, made for tests. */
#ifndef TESTS_UNIT_STORE_SERIES_FIXTURE_H
#define TESTS_UNIT_STORE_SERIES_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "common/base/num.h"
#include "common/codec/varint.h"
#include "common/tsdb/chunk_aggr.h"
#include "store/chunk_writer.h"
#include "store/series_chunks.h"
#include "tests/support/expect.h"

enum { MAX_STREAMS = 3, MAX_CHUNKS = 64, MAX_SAMPLES = 600 };
enum { WINDOW_MS = 300000 };

static const struct store_time_range all_time[] = {{INT64_MIN, INT64_MAX}};
static struct err err;

struct fixture {
    struct budget budget;
    struct arena arena;
    struct store_fetch_source source;
    struct store_block blocks[MAX_STREAMS];
    struct store_stream_context contexts[MAX_STREAMS];
    struct tsdb_timed_chunk chunks[MAX_STREAMS][MAX_CHUNKS];
    struct store_stream_chunks streams[MAX_STREAMS];
    size_t count;
};

static inline void
begin(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    budget_init(&f->budget, "test", SIZE_MAX, NULL);
    arena_init(&f->arena, &f->budget);
}

static inline void
end(struct fixture *f)
{
    arena_fini(&f->arena);
    budget_fini(&f->budget);
}

static inline size_t
pick(size_t n)
{
    return (size_t)rand() % n;
}

/* A further stream, of a block of its own. */
static inline struct store_stream_context *
add_stream(struct fixture *f, int64_t resolution_ms, enum store_aggregation aggregation)
{
    size_t i = f->count++;
    f->blocks[i].meta.resolution_ms = resolution_ms;
    memcpy(f->blocks[i].name.text, "A", 2);
    f->contexts[i] = (struct store_stream_context){.block = &f->blocks[i],
                                                   .source = &f->source,
                                                   .aggregation = aggregation,
                                                   .parts = {all_time, 1}};
    f->streams[i] = (struct store_stream_chunks){.context = &f->contexts[i],
                                                 .chunks = f->chunks[i]};
    return &f->contexts[i];
}

/* To the last stream. */
static inline void
add_chunk(struct fixture *f, const struct tsdb_timed_chunk *chunk)
{
    struct store_stream_chunks *s = &f->streams[f->count - 1];
    assert_true(s->count < MAX_CHUNKS);
    f->chunks[f->count - 1][s->count++] = *chunk;
}

static inline struct store_chunk_list
run(struct fixture *f)
{
    struct store_chunk_list list = {.arena = &f->arena};
    expect_ok(store_series_chunks(f->streams, f->count, &list, &err), err);
    return list;
}

static inline uint64_t
bits_of(double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    return bits;
}

static inline double
value_of(uint64_t bits)
{
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

static inline struct tsdb_timed_chunk
xor_chunk(struct fixture *f, const struct tsdb_sample *samples, size_t count)
{
    CLEANUP(buf_fini) struct buf data = {0};
    struct tsdb_xor_writer w;
    tsdb_xor_writer_init(&w, &data);
    for (size_t i = 0; i < count; i++)
        tsdb_xor_append(&w, samples[i]);
    tsdb_xor_finish(&w);
    struct tsdb_timed_chunk c = {
        .chunk =
            tsdb_chunk_loose(TSDB_CHUNK_XOR, arena_copy(&f->arena, buf_bytes(&data)))};
    c.chunk.crc = tsdb_chunk_crc(&c.chunk);
    if (count > 0) {
        c.mint_ms = samples[0].t_ms;
        c.maxt_ms = samples[count - 1].t_ms;
    }
    return c;
}

static inline void
put_aggregate(struct buf *out, const struct tsdb_chunk *chunk)
{
    varint_put_u64(out, chunk->data.len);
    if (chunk->data.len == 0)
        return;
    buf_put_u8(out, (uint8_t)chunk->encoding);
    buf_put(out, chunk->data);
}

/* In the order of enum tsdb_aggregate. */
static inline struct tsdb_timed_chunk
aggr_chunk(struct fixture *f, const struct tsdb_chunk aggregates[TSDB_AGGREGATES],
           int64_t mint_ms, int64_t maxt_ms)
{
    CLEANUP(buf_fini) struct buf data = {0};
    for (size_t i = 0; i < TSDB_AGGREGATES; i++)
        put_aggregate(&data, &aggregates[i]);
    return (struct tsdb_timed_chunk){
        mint_ms, maxt_ms,
        tsdb_chunk_loose(TSDB_CHUNK_AGGR, arena_copy(&f->arena, buf_bytes(&data)))};
}

/* All floats of a list, which has to be in order; checks the times of its chunks. */
static inline size_t
read_floats(struct fixture *f, const struct store_chunk_list *list,
            struct tsdb_sample *samples)
{
    size_t count = 0;
    for (size_t i = 0; i < list->count; i++) {
        struct tsdb_chunk_iter it;
        enum tsdb_sample_kind kind;
        const struct tsdb_timed_chunk *c = &list->at[i];
        size_t first = count;
        assert_int_equal(c->chunk.crc, tsdb_chunk_crc(&c->chunk));
        expect_ok(tsdb_chunk_iter_init(&it, &c->chunk, &f->arena, &err), err);
        for (;; count++) {
            expect_ok(tsdb_chunk_next(&it, &kind, &err), err);
            if (kind == TSDB_SAMPLE_NONE)
                break;
            assert_int_equal(kind, TSDB_SAMPLE_FLOAT);
            samples[count] = it.sample;
            assert_true(count == 0 || it.sample.t_ms > samples[count - 1].t_ms);
        }
        assert_true(count > first);
        assert_int_equal(c->mint_ms, samples[first].t_ms);
        assert_int_equal(c->maxt_ms, samples[count - 1].t_ms);
    }
    return count;
}

static inline void
check_same(const struct tsdb_sample *a, size_t count, const struct tsdb_sample *b,
           size_t expected)
{
    assert_int_equal(count, expected);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(a[i].t_ms, b[i].t_ms);
        assert_int_equal(a[i].value_bits, b[i].value_bits);
    }
}

/* Histograms of two buckets, each with the number of its sample. */
static inline struct tsdb_histogram
histogram_of(const uint64_t values[2], double number, enum tsdb_counter_reset reset)
{
    static const struct tsdb_span spans[] = {{0, 2}};
    return (struct tsdb_histogram){.is_float = true,
                                   .reset = reset,
                                   .schema = 1,
                                   .zero_threshold_bits = bits_of(0.001),
                                   .count = bits_of(7 * number),
                                   .zero_count = bits_of(number),
                                   .sum_bits = bits_of(3 * number),
                                   .positive = {spans, values, 1, 2}};
}

static inline struct tsdb_timed_chunk
histogram_chunk(struct fixture *f, size_t count, enum tsdb_counter_reset reset)
{
    struct store_chunk_writer w;
    const struct tsdb_timed_chunk *made;
    size_t made_count;
    store_chunk_writer_init(&w, &f->arena);
    for (size_t i = 1; i <= count; i++) {
        double number = (double)i;
        const uint64_t values[] = {bits_of(2 * number), bits_of(4 * number)};
        const struct tsdb_histogram h = histogram_of(values, number, reset);
        expect_ok(store_chunk_writer_histogram(&w, (int64_t)i * 100, &h, &err), err);
    }
    expect_ok(store_chunk_writer_finish(&w, &made, &made_count, &err), err);
    store_chunk_writer_fini(&w);
    assert_int_equal(made_count, 1);
    return made[0];
}

enum { HISTOGRAMS = 5 };

/* As a compactor makes it: no lowest and no highest value. */
static inline struct tsdb_timed_chunk
aggregated_histograms(struct fixture *f)
{
    struct tsdb_sample counts[HISTOGRAMS];
    struct tsdb_chunk aggregates[TSDB_AGGREGATES] = {0};
    for (size_t i = 0; i < HISTOGRAMS; i++)
        counts[i] = (struct tsdb_sample){((int64_t)i + 1) * 100, bits_of(4)};
    counts[3].value_bits = bits_of(0); /* a window that has no average */
    aggregates[TSDB_AGGREGATE_COUNT] = xor_chunk(f, counts, HISTOGRAMS).chunk;
    aggregates[TSDB_AGGREGATE_SUM] =
        histogram_chunk(f, HISTOGRAMS, TSDB_RESET_GAUGE).chunk;
    aggregates[TSDB_AGGREGATE_COUNTER] =
        histogram_chunk(f, HISTOGRAMS, TSDB_RESET_UNKNOWN).chunk;
    return aggr_chunk(f, aggregates, 100, 100 * HISTOGRAMS);
}

#endif
