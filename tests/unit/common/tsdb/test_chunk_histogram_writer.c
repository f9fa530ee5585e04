/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/tsdb/chunk_histogram_writer.h"
#include "tests/support/golden_chunks.h"
#include "tests/unit/common/tsdb/fixture.h"

/* Write what is read out of a chunk into another one. */
static void
copy_chunk(const struct tsdb_chunk *chunk, struct buf *out)
{
    CLEANUP(room_fini) struct room room;
    struct tsdb_histogram_reader reader;
    struct tsdb_histogram_writer writer;
    struct tsdb_histogram h;
    struct err err;
    int64_t t_ms;
    bool end;
    room_init(&room, SIZE_MAX);
    assert_done(tsdb_histogram_reader_init(&reader, chunk, &room.arena, &err), &err);
    tsdb_histogram_writer_init(&writer, out, &room.arena,
                               tsdb_histogram_reader_reset(&reader));
    for (;;) {
        assert_done(tsdb_histogram_next(&reader, &t_ms, &h, &end, &err), &err);
        if (end)
            break;
        assert_true(tsdb_histogram_writer_takes(&writer, &h));
        assert_done(tsdb_histogram_append(&writer, t_ms, &h, &err), &err);
    }
    assert_int_equal(tsdb_histogram_writer_encoding(&writer), chunk->encoding);
    tsdb_histogram_finish(&writer);
}

static void
check_golden(void *arg, const struct tsdb_chunk *chunk, const struct json *expected)
{
    size_t *count = arg;
    CLEANUP(buf_fini) struct buf out = {0};
    (void)expected;
    if (chunk->encoding != TSDB_CHUNK_HISTOGRAM &&
        chunk->encoding != TSDB_CHUNK_FLOAT_HISTOGRAM)
        return;
    copy_chunk(chunk, &out);
    assert_bytes(buf_bytes(&out), chunk->data);
    ++*count;
}

static void
writes_what_upstream_writes(void **state)
{
    (void)state;
    size_t count = 0;
    golden_each_sample_chunk(check_golden, &count);
    assert_true(count > 100);
}

enum { MAX_SPANS = 4, MAX_BUCKETS = 24, MAX_BOUNDS = 8 };

/* A histogram with room for what it points to. */
struct made {
    int64_t t_ms;
    struct tsdb_histogram h;
    struct tsdb_span spans[2][MAX_SPANS];
    uint64_t values[2][MAX_BUCKETS];
    uint64_t bounds[MAX_BOUNDS];
};

static uint64_t random_state = 1;

static uint64_t
below(uint64_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % n;
}

/* Any bits, often few of them. */
static uint64_t
any_bits(void)
{
    return below(UINT64_MAX) >> below(64) << below(20);
}

static void
make_side(struct tsdb_buckets *b, struct tsdb_span *spans)
{
    b->spans = spans;
    b->count = 0;
    b->span_count = (uint32_t)below(MAX_SPANS + 1);
    for (uint32_t i = 0; i < b->span_count; i++) {
        int32_t gap = (int32_t)below(i == 0 || below(8) > 0 ? 10 : 1 << 20);
        spans[i].offset = i == 0 ? gap - 5 : gap;
        spans[i].length = (uint32_t)below(MAX_BUCKETS / MAX_SPANS + 1);
        b->count += spans[i].length;
    }
}

static void
make_layout(struct made *m, bool is_float)
{
    static const uint64_t thresholds[] = {
        0,
        UINT64_C(0x37f0000000000000), /* 2^-128 */
        UINT64_C(0x0010000000000000),
        UINT64_C(0x30c0000000000000), /* 2^-243, the lowest in one byte */
        UINT64_C(0x30b0000000000000),
        UINT64_C(0x4090000000000000), /* 2^10, the highest */
        UINT64_C(0x40a0000000000000),
        UINT64_C(0x3fd5555555555555),
        UINT64_C(0x8000000000000000),
        UINT64_C(0xc000000000000000),
    };
    static const double bounds[] = {0,         0.001, 0.25, 1,    33554.43,
                                    33554.431, 1e300, -1,   -0.0, 1.0 / 3};
    m->h = (struct tsdb_histogram){.is_float = is_float,
                                   .schema = (int32_t)below(62) - 9,
                                   .zero_threshold_bits =
                                       thresholds[below(ARRAY_LEN(thresholds))]};
    make_side(&m->h.positive, m->spans[0]);
    make_side(&m->h.negative, m->spans[1]);
    if (below(3) == 0) {
        m->h.schema = TSDB_HISTOGRAM_CUSTOM_SCHEMA;
        m->h.custom_count = (uint32_t)below(MAX_BOUNDS + 1);
        m->h.custom_bits = m->bounds;
        for (uint32_t i = 0; i < m->h.custom_count; i++) {
            double bound = bounds[below(ARRAY_LEN(bounds))];
            memcpy(&m->bounds[i], &bound, sizeof bound);
        }
    }
}

static void
make_values(struct made *m)
{
    struct tsdb_buckets *sides[] = {&m->h.positive, &m->h.negative};
    m->t_ms += below(10) == 0 ? (int64_t)any_bits() >> 2 : 15000;
    m->h.count = any_bits();
    m->h.zero_count = below(2) == 0 ? m->h.zero_count : any_bits();
    m->h.sum_bits = below(3) == 0 ? m->h.sum_bits : any_bits();
    m->h.reset = below(4) == 0 ? TSDB_RESET_GAUGE : TSDB_RESET_UNKNOWN;
    for (int s = 0; s < 2; s++) {
        for (uint32_t i = 0; i < sides[s]->count; i++)
            m->values[s][i] = below(3) == 0 ? m->values[s][i] : any_bits();
        sides[s]->values = m->values[s];
    }
}

/* One histogram after the other: m is the one before, and becomes the next. */
static void
make_next(struct made *m, bool is_first, bool is_float)
{
    if (is_first || below(12) == 0)
        make_layout(m, is_float);
    make_values(m);
    if (below(12) == 0)
        m->h.sum_bits = TSDB_STALE_BITS;
    else if (tsdb_histogram_is_stale(&m->h))
        m->h.sum_bits = 0;
}

static void
expect_same_side(const struct tsdb_buckets *got, const struct tsdb_buckets *expected)
{
    assert_int_equal(got->count, expected->count);
    if (got->count > 0)
        assert_memory_equal(got->values, expected->values,
                            got->count * sizeof *got->values);
}

static void
expect_same(const struct tsdb_histogram *got, const struct tsdb_histogram *expected)
{
    assert_int_equal(got->is_float, expected->is_float);
    assert_int_equal(got->sum_bits, expected->sum_bits);
    if (tsdb_histogram_is_stale(expected)) {
        assert_int_equal(got->positive.count + got->negative.count, 0);
        return;
    }
    assert_true(tsdb_histogram_same_layout(got, expected));
    assert_int_equal(got->count, expected->count);
    assert_int_equal(got->zero_count, expected->zero_count);
    assert_int_equal(got->reset == TSDB_RESET_GAUGE,
                     expected->reset == TSDB_RESET_GAUGE);
    expect_same_side(&got->positive, &expected->positive);
    expect_same_side(&got->negative, &expected->negative);
}

/* Chunks written behind each other in one buffer. */
struct written {
    struct buf out;
    size_t begins[512];
    size_t count;
    bool is_float;
};

/* Write samples as they were made with this random state, chunk by chunk. */
static void
write_samples(struct written *w, size_t samples, struct arena *arena)
{
    struct made made = {0};
    struct tsdb_histogram_writer writer = {0};
    struct err err;
    for (size_t i = 0; i < samples; i++) {
        make_next(&made, i == 0, w->is_float);
        if (i == 0 || !tsdb_histogram_writer_takes(&writer, &made.h)) {
            if (i > 0)
                tsdb_histogram_finish(&writer);
            w->begins[w->count++] = w->out.len;
            tsdb_histogram_writer_init(&writer, &w->out, arena, made.h.reset);
        }
        assert_done(tsdb_histogram_append(&writer, made.t_ms, &made.h, &err), &err);
    }
    tsdb_histogram_finish(&writer);
    w->begins[w->count] = w->out.len;
}

/* Read them again; the samples are made a second time. */
static void
expect_samples(const struct written *w, size_t samples, struct arena *arena)
{
    struct made made = {0};
    size_t i = 0;
    for (size_t c = 0; c < w->count; c++) {
        CLEANUP(guard_fini)
        struct guard g = guard_new(
            bytes_of(w->out.at + w->begins[c], w->begins[c + 1] - w->begins[c]));
        struct tsdb_chunk chunk = tsdb_chunk_loose(
            w->is_float ? TSDB_CHUNK_FLOAT_HISTOGRAM : TSDB_CHUNK_HISTOGRAM, g.bytes);
        struct tsdb_histogram_reader reader;
        struct tsdb_histogram h;
        struct err err;
        int64_t t_ms;
        bool end;
        assert_done(tsdb_histogram_reader_init(&reader, &chunk, arena, &err), &err);
        for (;; i++) {
            assert_done(tsdb_histogram_next(&reader, &t_ms, &h, &end, &err), &err);
            if (end)
                break;
            make_next(&made, i == 0, w->is_float);
            assert_int_equal(t_ms, made.t_ms);
            expect_same(&h, &made.h);
        }
    }
    assert_int_equal(i, samples);
}

static void
random_histograms_survive(void **state)
{
    (void)state;
    enum { SAMPLES = 200 };
    for (uint64_t round = 1; round <= 300; round++) {
        CLEANUP(room_fini) struct room room;
        struct written w = {.is_float = round % 2 == 0};
        room_init(&room, SIZE_MAX);
        random_state = round;
        write_samples(&w, SAMPLES, &room.arena);
        random_state = round;
        expect_samples(&w, SAMPLES, &room.arena);
        assert_true(w.count > 1);
        buf_fini(&w.out);
    }
}

static const struct tsdb_span spans[] = {{0, 2}};
static const uint64_t low[] = {5, 1}, high[] = {6, 0};

static struct tsdb_histogram
sample(void)
{
    return (struct tsdb_histogram){.count = 11, .positive = {spans, low, 1, 2}};
}

static const struct tsdb_histogram stale = {.sum_bits = TSDB_STALE_BITS};

static void
takes_what_may_follow(void **state)
{
    (void)state;
    CLEANUP(room_fini) struct room room;
    CLEANUP(buf_fini) struct buf out = {0};
    struct tsdb_histogram_writer w;
    struct err err;
    struct tsdb_histogram same = sample(), more = sample(), less = sample(),
                          gauge = sample(), reset = sample(), wider = sample(),
                          floats = sample();
    more.positive.values = high;
    less.count--;
    gauge.reset = TSDB_RESET_GAUGE;
    reset.reset = TSDB_RESET_YES;
    wider.zero_threshold_bits = 1;
    floats.is_float = true;
    room_init(&room, SIZE_MAX);
    tsdb_histogram_writer_init(&w, &out, &room.arena, TSDB_RESET_YES);
    assert_true(tsdb_histogram_writer_takes(&w, &reset));
    assert_true(tsdb_histogram_writer_takes(&w, &floats));
    assert_false(tsdb_histogram_writer_takes(&w, &gauge));
    assert_done(tsdb_histogram_append(&w, 1, &reset, &err), &err);
    const struct {
        const struct tsdb_histogram *h;
        bool fits;
        bool takes;
    } cases[] = {
        {&same, true, true},     {&more, true, true},   {&less, true, false},
        {&gauge, true, false},   {&reset, true, false}, {&wider, false, false},
        {&floats, false, false}, {&stale, true, true},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(tsdb_histogram_writer_fits(&w, cases[i].h), cases[i].fits);
        assert_int_equal(tsdb_histogram_writer_takes(&w, cases[i].h), cases[i].takes);
    }
    assert_done(tsdb_histogram_append(&w, 2, &stale, &err), &err);
    assert_false(tsdb_histogram_writer_takes(&w, &same));
    assert_true(tsdb_histogram_writer_takes(&w, &stale));
}

static void
gauges_may_fall(void **state)
{
    (void)state;
    CLEANUP(room_fini) struct room room;
    CLEANUP(buf_fini) struct buf out = {0};
    struct tsdb_histogram_writer w;
    struct err err;
    struct tsdb_histogram gauge = sample(), counter = sample();
    gauge.reset = TSDB_RESET_GAUGE;
    room_init(&room, SIZE_MAX);
    tsdb_histogram_writer_init(&w, &out, &room.arena, TSDB_RESET_GAUGE);
    assert_done(tsdb_histogram_append(&w, 1, &gauge, &err), &err);
    gauge.count = 0;
    assert_true(tsdb_histogram_writer_takes(&w, &gauge));
    assert_false(tsdb_histogram_writer_takes(&w, &counter));
    tsdb_histogram_finish(&w);
    assert_int_equal(out.at[2], 0xc0);
}

static void
holds_65535_samples(void **state)
{
    (void)state;
    CLEANUP(room_fini) struct room room;
    CLEANUP(buf_fini) struct buf out = {0};
    struct tsdb_histogram_writer w;
    struct err err;
    const struct tsdb_histogram h = sample();
    room_init(&room, SIZE_MAX);
    tsdb_histogram_writer_init(&w, &out, &room.arena, TSDB_RESET_UNKNOWN);
    for (int64_t i = 0; i < UINT16_MAX; i++)
        assert_done(tsdb_histogram_append(&w, i, &h, &err), &err);
    assert_false(tsdb_histogram_writer_takes(&w, &h));
    assert_false(tsdb_histogram_writer_takes(&w, &stale));
    tsdb_histogram_finish(&w);
    struct tsdb_chunk chunk = tsdb_chunk_loose(TSDB_CHUNK_HISTOGRAM, buf_bytes(&out));
    CLEANUP(buf_fini) struct buf again = {0};
    copy_chunk(&chunk, &again);
    assert_bytes(buf_bytes(&again), buf_bytes(&out));
}

static void
failures_of_arena_and_buffer_are_told(void **state)
{
    (void)state;
    CLEANUP(room_fini) struct room room;
    struct budget budget;
    struct buf out;
    struct tsdb_histogram_writer w;
    struct err err;
    const struct tsdb_histogram h = sample();
    room_init(&room, 16);
    budget_init(&budget, "test", 16, NULL);
    buf_init(&out, &budget);
    tsdb_histogram_writer_init(&w, &out, &room.arena, TSDB_RESET_UNKNOWN);
    assert_failed(tsdb_histogram_append(&w, 1, &h, &err), &err, ERR_BUDGET);
    arena_reset(&room.arena);
    room_fini(&room);
    room_init(&room, SIZE_MAX);
    tsdb_histogram_writer_init(&w, &out, &room.arena, TSDB_RESET_UNKNOWN);
    assert_done(tsdb_histogram_append(&w, 1, &h, &err), &err);
    tsdb_histogram_finish(&w);
    assert_failed(buf_ok(&out, &err), &err, ERR_BUDGET);
    buf_fini(&out);
    budget_fini(&budget);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_what_upstream_writes),
        cmocka_unit_test(random_histograms_survive),
        cmocka_unit_test(takes_what_may_follow),
        cmocka_unit_test(gauges_may_fall),
        cmocka_unit_test(holds_65535_samples),
        cmocka_unit_test(failures_of_arena_and_buffer_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
