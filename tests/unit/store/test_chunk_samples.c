/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <time.h>

#include "common/base/compiler.h"
#include "common/tsdb/chunk_histogram_writer.h"
#include "common/wire/histogram.h"
#include "common/wire/remote_read.h"
#include "store/chunk_samples.h"
#include "tests/support/expect.h"
#include "tests/support/golden_chunks.h"
#include "tests/support/guard.h"

#define STALE UINT64_C(0x7ff0000000000002)

struct fixture {
    struct budget budget;
    struct buf data; /* of the chunk */
    struct store_chunk_samples samples;
};

static void
fixture_init(struct fixture *f, size_t limit)
{
    budget_init(&f->budget, "test", limit, NULL);
    buf_init(&f->data, NULL);
    store_chunk_samples_init(&f->samples, &f->budget);
}

static void
fixture_fini(struct fixture *f)
{
    store_chunk_samples_fini(&f->samples);
    buf_fini(&f->data);
    budget_fini(&f->budget);
}

/* Append all portions of a chunk to out. */
static size_t
put_all(struct fixture *f, const struct tsdb_chunk *chunk, int64_t mint_ms,
        int64_t maxt_ms, struct buf *out)
{
    struct store_chunk_samples *s = &f->samples;
    size_t count = 0;
    struct err err;
    expect_ok(store_chunk_samples_open(s, chunk, mint_ms, maxt_ms, &err), err);
    do {
        size_t before = out->len;
        expect_ok(store_chunk_samples_next(s, &err), err);
        store_chunk_samples_put(s, out);
        assert_int_equal(out->len - before, store_chunk_samples_size(s));
        assert_int_equal(s->count == 0, out->len == before);
        count += s->count;
    } while (s->count > 0);
    expect_ok(store_chunk_samples_next(s, &err), err); /* stays at the end */
    assert_int_equal(s->count, 0);
    return count;
}

static const struct tsdb_sample samples[] = {
    {-30000, 0}, {-15000, STALE}, {0, 0x8000000000000000}, {15000, 0}, {30001, 7},
};

enum { COUNT = ARRAY_LEN(samples) };

static struct tsdb_chunk
encode(const struct tsdb_sample *from, size_t count, struct buf *data)
{
    struct tsdb_xor_writer writer;
    tsdb_xor_writer_init(&writer, data);
    for (size_t i = 0; i < count; i++)
        tsdb_xor_append(&writer, from[i]);
    tsdb_xor_finish(&writer);
    return tsdb_chunk_loose(TSDB_CHUNK_XOR, buf_bytes(data));
}

/* Those that a chunk of all of from has in a range. */
static void
expect_floats(const struct tsdb_sample *from, size_t from_count, int64_t mint_ms,
              int64_t maxt_ms, const struct tsdb_sample *expected, size_t count)
{
    CLEANUP(fixture_fini) struct fixture f;
    CLEANUP(buf_fini) struct buf out = {0};
    CLEANUP(buf_fini) struct buf wanted = {0};
    fixture_init(&f, SIZE_MAX);
    const struct tsdb_chunk chunk = encode(from, from_count, &f.data);
    assert_int_equal(put_all(&f, &chunk, mint_ms, maxt_ms, &out), count);
    wire_samples_put(expected, count, &wanted);
    assert_int_equal(out.len, wanted.len);
    if (count > 0)
        assert_memory_equal(out.at, wanted.at, out.len);
}

static void
expect_range(int64_t mint_ms, int64_t maxt_ms, size_t first, size_t count)
{
    expect_floats(samples, COUNT, mint_ms, maxt_ms, samples + first, count);
}

static void
yields_those_in_the_range(void **state)
{
    (void)state;
    expect_range(INT64_MIN, INT64_MAX, 0, COUNT);
    expect_range(-30000, 30001, 0, COUNT);
    expect_range(-29999, 30000, 1, 3);
    expect_range(INT64_MIN, -15000, 0, 2);
    expect_range(15000, INT64_MAX, 3, 2);
    expect_range(0, 0, 2, 1);
    expect_range(1, 14999, 0, 0);
    expect_range(30002, INT64_MAX, 0, 0);
    expect_range(1, 0, 0, 0);
}

/* Blocks may hold anything: the range decides for each sample alone. */
static void
yields_those_in_the_range_out_of_order(void **state)
{
    static const struct tsdb_sample mixed[] = {{9, 1}, {2, 2}, {8, 3}, {1, 4}, {7, 5}};
    static const struct tsdb_sample kept[] = {{2, 2}, {8, 3}, {7, 5}};
    (void)state;
    expect_floats(mixed, ARRAY_LEN(mixed), 2, 8, kept, ARRAY_LEN(kept));
}

/* What else reads chunks agrees, whole and in part. */
static void
check_golden(void *arg, const struct tsdb_chunk *chunk, const struct json *expected)
{
    CLEANUP(fixture_fini) struct fixture f;
    CLEANUP(arena_fini) struct arena arena;
    CLEANUP(buf_fini) struct buf out = {0};
    CLEANUP(buf_fini) struct buf wanted = {0};
    size_t *counts = arg, count = 0;
    enum tsdb_sample_kind kind;
    struct tsdb_chunk_iter it;
    struct err err;
    fixture_init(&f, SIZE_MAX);
    arena_init(&arena, &f.budget);
    int64_t mint_ms = golden_i64(expected, "Min"),
            maxt_ms = golden_i64(expected, "Max");
    if (counts[chunk->encoding]++ % 2 != 0)
        mint_ms += (maxt_ms - mint_ms) / 3, maxt_ms -= (maxt_ms - mint_ms) / 3;
    expect_ok(tsdb_chunk_iter_init(&it, chunk, &arena, &err), err);
    for (;;) {
        expect_ok(tsdb_chunk_next(&it, &kind, &err), err);
        if (kind == TSDB_SAMPLE_NONE)
            break;
        if (it.sample.t_ms < mint_ms || it.sample.t_ms > maxt_ms)
            continue;
        count++;
        if (kind == TSDB_SAMPLE_FLOAT)
            wire_samples_put(&it.sample, 1, &wanted);
        else
            wire_histogram_put(it.sample.t_ms, &it.histogram,
                               wire_histogram_layout_size(&it.histogram), &wanted);
    }
    assert_int_equal(put_all(&f, chunk, mint_ms, maxt_ms, &out), count);
    assert_int_equal(out.len, wanted.len);
    if (count > 0)
        assert_memory_equal(out.at, wanted.at, out.len);
}

static void
yields_samples_of_all_encodings(void **state)
{
    (void)state;
    size_t counts[TSDB_CHUNK_FLOAT_HISTOGRAM_ST + 1] = {0};
    golden_each_sample_chunk(check_golden, counts);
    for (size_t i = TSDB_CHUNK_XOR; i < ARRAY_LEN(counts); i++)
        assert_true(counts[i] > 10);
}

static void
an_empty_chunk_has_none(void **state)
{
    static const struct tsdb_chunk chunks[] = {
        {.encoding = TSDB_CHUNK_XOR, .data = BYTES("\0\0")},
        {.encoding = TSDB_CHUNK_XOR2, .data = BYTES("\0\0\0")},
        {.encoding = TSDB_CHUNK_HISTOGRAM, .data = BYTES("\0\0\0")},
        {.encoding = TSDB_CHUNK_FLOAT_HISTOGRAM, .data = BYTES("\0\0\0")},
    };
    (void)state;
    CLEANUP(fixture_fini) struct fixture f;
    CLEANUP(buf_fini) struct buf out = {0};
    fixture_init(&f, SIZE_MAX);
    for (size_t i = 0; i < ARRAY_LEN(chunks); i++)
        assert_int_equal(put_all(&f, &chunks[i], INT64_MIN, INT64_MAX, &out), 0);
}

/* count histograms like h, whose count is its number. */
static struct tsdb_chunk
encode_histograms(struct tsdb_histogram h, uint64_t count, struct buf *data)
{
    struct tsdb_histogram_writer writer;
    struct budget budget;
    struct arena arena;
    struct err err;
    budget_init(&budget, "encoder", SIZE_MAX, NULL);
    arena_init(&arena, &budget);
    tsdb_histogram_writer_init(&writer, data, &arena, TSDB_RESET_UNKNOWN);
    for (h.count = 0; h.count < count; h.count++)
        expect_ok(tsdb_histogram_append(&writer, (int64_t)h.count, &h, &err), err);
    tsdb_histogram_finish(&writer);
    arena_fini(&arena);
    budget_fini(&budget);
    return tsdb_chunk_loose(tsdb_histogram_writer_encoding(&writer), buf_bytes(data));
}

enum { HISTOGRAMS = 1000, BUCKETS = 4000 };

/* Histograms of many buckets, of which each takes a bit in the chunk. */
static struct tsdb_chunk
encode_wide(struct buf *data)
{
    static const uint64_t counts[BUCKETS];
    static const struct tsdb_span span = {0, BUCKETS};
    const struct tsdb_histogram h = {.is_float = true,
                                     .positive = {&span, counts, 1, BUCKETS}};
    return encode_histograms(h, HISTOGRAMS, data);
}

static void
holds_one_histogram_at_a_time(void **state)
{
    (void)state;
    CLEANUP(fixture_fini) struct fixture f;
    CLEANUP(buf_fini) struct buf out = {0};
    fixture_init(&f, SIZE_MAX);
    const struct tsdb_chunk chunk = encode_wide(&f.data);
    assert_int_equal(put_all(&f, &chunk, 0, HISTOGRAMS, &out), HISTOGRAMS);
    assert_true(out.len > (size_t)HISTOGRAMS * BUCKETS * sizeof(uint64_t));
    assert_true(budget_peak(&f.budget) < 4 * BUCKETS * sizeof(uint64_t));
}

static double
cpu_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* What it takes to tell the size of so many histograms with so many spans. */
static double
measure(uint64_t histograms, uint32_t spans)
{
    CLEANUP(fixture_fini) struct fixture f;
    CLEANUP(arena_fini) struct arena arena;
    struct store_chunk_samples *s = &f.samples;
    uint64_t size = 0;
    struct err err;
    fixture_init(&f, SIZE_MAX);
    arena_init(&arena, &f.budget);
    const struct tsdb_span *empty = arena_calloc(&arena, spans, sizeof *empty);
    const struct tsdb_chunk chunk = encode_histograms(
        (struct tsdb_histogram){.positive = {.spans = empty, .span_count = spans}},
        histograms, &f.data);
    double begin = cpu_s();
    expect_ok(store_chunk_samples_open(s, &chunk, INT64_MIN, INT64_MAX, &err), err);
    do {
        expect_ok(store_chunk_samples_next(s, &err), err);
        size += store_chunk_samples_size(s);
    } while (s->count > 0);
    assert_true(size > histograms * spans);
    return cpu_s() - begin;
}

static void
many_spans_are_counted_once(void **state)
{
    enum { MANY = 30000, SLACK = 20 };
    (void)state;
    double apart = measure(MANY, 1) + measure(1, MANY);
    double together = measure(MANY, MANY);
    if (together > SLACK * apart)
        fail_msg("%.4f s for both, %.4f s for each alone", together, apart);
}

static void
expect_failure(struct fixture *f, const struct tsdb_chunk *chunk, enum err_code code)
{
    struct store_chunk_samples *s = &f->samples;
    struct err err;
    bool ok = store_chunk_samples_open(s, chunk, INT64_MIN, INT64_MAX, &err);
    while (ok && (ok = store_chunk_samples_next(s, &err)))
        assert_true(s->count > 0);
    if (err.code != code)
        fail_msg("%s: %s", err_code_name(err.code), err.text);
}

static void
reports_what_it_cannot_decode(void **state)
{
    static const struct tsdb_chunk aggregates = {.encoding = TSDB_CHUNK_AGGR,
                                                 .data = BYTES("\0\0\0\0\0\0\0\0")};
    (void)state;
    CLEANUP(fixture_fini) struct fixture f;
    fixture_init(&f, SIZE_MAX);
    struct tsdb_chunk chunk = encode(samples, COUNT, &f.data);
    chunk.data.len--;
    expect_failure(&f, &chunk, ERR_CORRUPT);
    expect_failure(&f, &aggregates, ERR_UNSUPPORTED);
    buf_clear(&f.data);
    chunk = encode_wide(&f.data);
    chunk.data.len--;
    expect_failure(&f, &chunk, ERR_CORRUPT);
    assert_int_equal(f.samples.count, 0);
}

/* A chunk of which a bit differs; arg is its encoding. */
static void
expect_no_harm(void *arg, struct bytes data)
{
    const enum tsdb_chunk_encoding *encoding = arg;
    const struct tsdb_chunk chunk = tsdb_chunk_loose(*encoding, data);
    CLEANUP(fixture_fini) struct fixture f;
    CLEANUP(buf_fini) struct buf out = {0};
    struct err err;
    fixture_init(&f, SIZE_MAX);
    bool ok = store_chunk_samples_open(&f.samples, &chunk, INT64_MIN, INT64_MAX, &err);
    while (ok && (ok = store_chunk_samples_next(&f.samples, &err)) &&
           f.samples.count > 0) {
        buf_clear(&out);
        store_chunk_samples_put(&f.samples, &out);
        assert_int_equal(out.len, store_chunk_samples_size(&f.samples));
    }
    if (!ok)
        assert_int_equal(err.code, ERR_CORRUPT);
}

static void
flip_golden(void *arg, const struct tsdb_chunk *chunk, const struct json *expected)
{
    enum { EACH = 2 };
    enum tsdb_chunk_encoding encoding = chunk->encoding;
    size_t *counts = arg;
    (void)expected;
    if (counts[encoding]++ < EACH)
        for_each_bit_flip(chunk->data, expect_no_harm, &encoding);
}

static void
bit_flips_do_no_harm(void **state)
{
    (void)state;
    size_t counts[TSDB_CHUNK_FLOAT_HISTOGRAM_ST + 1] = {0};
    golden_each_sample_chunk(flip_golden, counts);
}

/* No more than the budget is held, of floats and of histograms. */
static void
keeps_to_its_budget(void **state)
{
    (void)state;
    CLEANUP(fixture_fini) struct fixture f;
    fixture_init(&f, 8);
    struct tsdb_chunk chunk = encode(samples, COUNT, &f.data);
    expect_failure(&f, &chunk, ERR_BUDGET);
    buf_clear(&f.data);
    chunk = encode_wide(&f.data);
    expect_failure(&f, &chunk, ERR_BUDGET);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(yields_those_in_the_range),
        cmocka_unit_test(yields_those_in_the_range_out_of_order),
        cmocka_unit_test(yields_samples_of_all_encodings),
        cmocka_unit_test(an_empty_chunk_has_none),
        cmocka_unit_test(holds_one_histogram_at_a_time),
        cmocka_unit_test(many_spans_are_counted_once),
        cmocka_unit_test(reports_what_it_cannot_decode),
        cmocka_unit_test(bit_flips_do_no_harm),
        cmocka_unit_test(keeps_to_its_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
