/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/budget.h"
#include "store/chunk_writer.h"
#include "tests/support/any_samples.h"
#include "tests/support/expect.h"

struct fixture {
    struct budget budget;
    struct arena arena;
    struct store_chunk_writer writer;
    const struct tsdb_timed_chunk *chunks;
    size_t count;
    uint64_t random;
};

static void
begin(struct fixture *f, size_t limit)
{
    *f = (struct fixture){.random = 1181783497276652981u};
    budget_init(&f->budget, "test", limit, NULL);
    arena_init(&f->arena, &f->budget);
    store_chunk_writer_init(&f->writer, &f->arena);
}

static void
end(struct fixture *f)
{
    store_chunk_writer_fini(&f->writer);
    arena_fini(&f->arena);
    budget_fini(&f->budget); /* checks that all was returned */
}

static bool
write_sample(struct fixture *f, const struct any_sample *s, struct err *err)
{
    struct tsdb_histogram h = any_histogram(s);
    if (s->is_histogram)
        return store_chunk_writer_histogram(&f->writer, s->t_ms, &h, err);
    return store_chunk_writer_float(&f->writer, (struct tsdb_sample){s->t_ms, s->bits},
                                    err);
}

static void
write_all(struct fixture *f, const struct any_sample *samples, size_t count)
{
    struct err err;
    for (size_t i = 0; i < count; i++)
        expect_ok(write_sample(f, &samples[i], &err), err);
}

static void
finish(struct fixture *f)
{
    struct err err;
    expect_ok(store_chunk_writer_finish(&f->writer, &f->chunks, &f->count, &err), err);
}

static void
expect_samples(const struct fixture *f, const struct any_sample *samples, size_t count)
{
    static struct any_sample got[10000];
    assert_int_equal(any_read(f->chunks, f->count, got, ARRAY_LEN(got)), count);
    for (size_t i = 0; i < count; i++)
        assert_true(any_sample_eq(&got[i], &samples[i]));
}

/* Runs of all kinds behind each other, with their chunks passed through now and then.
 * any_read checks the hints and the times. */
static void
any_sequence_is_read_as_written(void **state)
{
    (void)state;
    static struct any_sample samples[10000];
    for (uint64_t round = 1; round <= 300; round++) {
        struct fixture f;
        size_t count = 0;
        int64_t t_ms = 1000;
        begin(&f, SIZE_MAX);
        f.random += round;
        for (uint64_t runs = any_below(&f.random, 40); runs > 0; runs--) {
            size_t n = 1 + any_below(&f.random, ANY_CHUNK_MAX);
            enum tsdb_chunk_encoding encoding = any_encoding(&f.random);
            struct err err;
            any_run(&f.random, encoding, t_ms, 20, samples + count, n);
            t_ms = samples[count + n - 1].t_ms + 1;
            if (any_below(&f.random, 3) == 0) {
                struct tsdb_timed_chunk c =
                    any_chunk(&f.arena, encoding, samples + count, n);
                expect_ok(store_chunk_writer_chunk(&f.writer, &c, &err), err);
            } else {
                write_all(&f, samples + count, n);
            }
            count += n;
        }
        finish(&f);
        expect_samples(&f, samples, count);
        end(&f);
    }
}

static void
floats_are_cut_at_120_samples(void **state)
{
    (void)state;
    struct fixture f;
    struct any_sample samples[241];
    begin(&f, SIZE_MAX);
    for (size_t i = 0; i < ARRAY_LEN(samples); i++)
        samples[i] = (struct any_sample){.t_ms = (int64_t)i};
    write_all(&f, samples, ARRAY_LEN(samples));
    finish(&f);
    assert_int_equal(f.count, 3);
    assert_int_equal(f.chunks[1].mint_ms, 120);
    assert_int_equal(f.chunks[2].mint_ms, 240);
    expect_samples(&f, samples, ARRAY_LEN(samples));
    end(&f);
}

/* A histogram of one bucket whose counts say how far it has counted. */
static struct any_sample
counted(int64_t t_ms, uint64_t count)
{
    return (struct any_sample){.t_ms = t_ms,
                               .is_histogram = true,
                               .layout = 1,
                               .count = count,
                               .values = {count}};
}

static struct any_sample
gauged(int64_t t_ms, uint64_t count)
{
    struct any_sample s = counted(t_ms, count);
    s.is_gauge = true;
    return s;
}

static struct any_sample
with_layout(int64_t t_ms, unsigned layout)
{
    struct any_sample s = counted(t_ms, 9);
    s.layout = layout;
    return s;
}

static const struct any_sample stale = {
    .t_ms = 2, .is_histogram = true, .bits = TSDB_STALE_BITS};
static const struct any_sample number = {.t_ms = 2};

/* The first two samples, and the hint in the header of the chunk that a third one
 * begins; none if all are in one chunk. */
static void
headers_tell_of_resets(void **state)
{
    (void)state;
    enum { NONE = 0xff, UNKNOWN = 0, NO = 0x40, YES = 0x80, GAUGE = 0xc0 };
    const struct {
        struct any_sample before;
        struct any_sample then;
        unsigned header;
    } cases[] = {
        {counted(2, 5), counted(3, 5), NONE},
        {counted(2, 5), counted(3, 4), YES},
        {counted(2, 5), with_layout(3, 4), UNKNOWN},
        {counted(2, 5), gauged(3, 9), GAUGE},
        {stale, counted(3, 9), UNKNOWN},
        {number, counted(3, 9), UNKNOWN},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fixture f;
        struct any_sample samples[] = {counted(1, 1), cases[i].before, cases[i].then};
        begin(&f, SIZE_MAX);
        write_all(&f, samples, ARRAY_LEN(samples));
        finish(&f);
        expect_samples(&f, samples, ARRAY_LEN(samples));
        assert_int_equal(f.chunks[0].chunk.data.at[2], UNKNOWN);
        assert_int_equal(f.count > 1, cases[i].header != NONE);
        if (f.count > 1)
            assert_int_equal(f.chunks[f.count - 1].chunk.data.at[2], cases[i].header);
        end(&f);
    }
}

/* Buckets that take 72 bits each whatever comes before. */
static struct tsdb_histogram
wide_histogram(uint64_t *values, struct tsdb_span *span, uint32_t buckets)
{
    *span = (struct tsdb_span){0, buckets};
    for (uint32_t i = 0; i < buckets; i++)
        values[i] = values[i] * 3 + (UINT64_C(1) << 57) + i;
    return (struct tsdb_histogram){.reset = TSDB_RESET_GAUGE,
                                   .positive = {span, values, 1, buckets}};
}

static void
histograms_are_cut_by_size(void **state)
{
    (void)state;
    static const struct {
        uint32_t buckets;
        size_t samples;
        size_t per_chunk;
    } cases[] = {{1, 250, 120}, {8, 40, 16}, {50, 40, 10}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fixture f;
        uint64_t values[64] = {0};
        struct tsdb_span span;
        begin(&f, SIZE_MAX);
        for (size_t n = 0; n < cases[i].samples; n++) {
            struct tsdb_histogram h = wide_histogram(values, &span, cases[i].buckets);
            struct err err;
            if (cases[i].buckets == 1)
                h.positive.count = span.length = 0;
            expect_ok(
                store_chunk_writer_histogram(&f.writer, (int64_t)n * 10, &h, &err),
                err);
        }
        finish(&f);
        assert_true(f.count > 1);
        assert_int_equal(f.chunks[0].maxt_ms, ((int64_t)cases[i].per_chunk - 1) * 10);
        assert_int_equal(f.chunks[1].mint_ms, (int64_t)cases[i].per_chunk * 10);
        end(&f);
    }
}

/* What describes the buckets, here spans of no length, does not count. */
static void
histograms_are_not_cut_for_their_layout(void **state)
{
    (void)state;
    static struct tsdb_span spans[10000];
    const struct tsdb_histogram h = {.reset = TSDB_RESET_GAUGE,
                                     .positive = {spans, NULL, ARRAY_LEN(spans), 0}};
    struct fixture f;
    begin(&f, SIZE_MAX);
    for (int64_t n = 0; n < 240; n++) {
        struct err err;
        expect_ok(store_chunk_writer_histogram(&f.writer, n, &h, &err), err);
    }
    finish(&f);
    assert_int_equal(f.count, 2);
    end(&f);
}

static void
chunks_pass_through_and_nothing_makes_none(void **state)
{
    (void)state;
    struct fixture f;
    struct err err;
    struct tsdb_timed_chunk opaque = {
        5, 7, tsdb_chunk_loose(TSDB_CHUNK_AGGR, BYTES("opaque"))};
    const struct any_sample before = {.t_ms = 1}, after = {.t_ms = 9};
    begin(&f, SIZE_MAX);
    finish(&f);
    assert_int_equal(f.count, 0);
    write_all(&f, &before, 1);
    expect_ok(store_chunk_writer_chunk(&f.writer, &opaque, &err), err);
    write_all(&f, &after, 1);
    finish(&f);
    assert_int_equal(f.count, 3);
    assert_memory_equal(&f.chunks[1], &opaque, sizeof opaque);
    assert_int_equal(f.chunks[0].maxt_ms, 1);
    assert_int_equal(f.chunks[2].mint_ms, 9);
    end(&f);
}

static void
memory_is_charged(void **state)
{
    (void)state;
    struct any_sample samples[3000];
    uint64_t random = 5;
    for (size_t at = 0; at < ARRAY_LEN(samples); at += 100)
        any_run(&random, at % 200 == 0 ? TSDB_CHUNK_XOR : TSDB_CHUNK_HISTOGRAM,
                (int64_t)at * 100, 20, samples + at, 100);
    for (size_t limit = 100; limit < 40000; limit += 1000) {
        struct fixture f;
        struct err err = {0};
        bool ok = true;
        begin(&f, limit);
        for (size_t i = 0; ok && i < ARRAY_LEN(samples); i++)
            ok = write_sample(&f, &samples[i], &err);
        ok = ok && store_chunk_writer_finish(&f.writer, &f.chunks, &f.count, &err);
        if (limit < 20000)
            assert_false(ok);
        if (!ok)
            assert_int_equal(err.code, ERR_BUDGET);
        end(&f);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_sequence_is_read_as_written),
        cmocka_unit_test(floats_are_cut_at_120_samples),
        cmocka_unit_test(headers_tell_of_resets),
        cmocka_unit_test(histograms_are_cut_by_size),
        cmocka_unit_test(histograms_are_not_cut_for_their_layout),
        cmocka_unit_test(chunks_pass_through_and_nothing_makes_none),
        cmocka_unit_test(memory_is_charged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
