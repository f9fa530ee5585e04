/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "common/tsdb/chunk_xor.h"
#include "store/chunk_merge.h"
#include "tests/support/any_samples.h"
#include "tests/support/expect.h"

enum { MAX_TIME = 4000, ROUNDS = 300 };

/* Chunks of a round; in some there are more than are merged at once. */
enum { FEW = 14, MANY = 120 };

static uint64_t state = 1181783497276652981u;

static size_t
pick(size_t n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % n;
}

struct fixture {
    struct budget budget;
    struct arena arena;
};

static int
set_up(void **at)
{
    struct fixture *f = calloc(1, sizeof *f);
    budget_init(&f->budget, "test", SIZE_MAX, NULL);
    arena_init(&f->arena, &f->budget);
    *at = f;
    return 0;
}

static int
tear_down(void **at)
{
    struct fixture *f = *at;
    arena_fini(&f->arena);
    budget_fini(&f->budget);
    free(f);
    return 0;
}

/* The value of every chunk at a time, so that merged samples can be told right. */
static uint64_t
value_at(int64_t t)
{
    return (uint64_t)t * UINT64_C(0x9e3779b97f4a7c15);
}

static struct tsdb_timed_chunk
xor_chunk(struct fixture *f, int64_t from, int64_t step, int count)
{
    struct buf data;
    struct tsdb_xor_writer w;
    buf_init(&data, NULL);
    tsdb_xor_writer_init(&w, &data);
    for (int i = 0; i < count; i++)
        tsdb_xor_append(
            &w, (struct tsdb_sample){from + i * step, value_at(from + i * step)});
    tsdb_xor_finish(&w);
    struct tsdb_timed_chunk c = {
        .mint_ms = from,
        .maxt_ms = from + (count - 1) * step,
        .chunk = {.encoding = TSDB_CHUNK_XOR,
                  .data = arena_copy(&f->arena, buf_bytes(&data))},
    };
    c.chunk.crc = tsdb_chunk_crc(&c.chunk);
    buf_fini(&data);
    return c;
}

/* Decode a sequence of chunks: which times are there, checking all that readers rely
 * on. */
static size_t
decode(const struct tsdb_timed_chunk *chunks, size_t count, bool *there)
{
    int64_t last = INT64_MIN;
    size_t total = 0;
    for (size_t i = 0; i < count; i++) {
        struct tsdb_xor_reader r;
        struct tsdb_sample s = {0};
        struct err err;
        bool end = false;
        bool first = true;
        assert_int_equal(chunks[i].chunk.crc, tsdb_chunk_crc(&chunks[i].chunk));
        assert_true(tsdb_xor_reader_init(&r, chunks[i].chunk.data, &err));
        assert_true(tsdb_xor_reader_count(&r) > 0);
        for (;;) {
            assert_true(tsdb_xor_next(&r, &s, &end, &err));
            if (end)
                break;
            assert_true(s.t_ms > last);
            assert_true(!first || s.t_ms == chunks[i].mint_ms);
            assert_true(s.value_bits == value_at(s.t_ms));
            last = s.t_ms;
            first = false;
            there[s.t_ms] = true;
            total++;
        }
        assert_int_equal(last, chunks[i].maxt_ms);
    }
    return total;
}

static void
merges_any_overlap_sample_by_sample(void **at)
{
    struct fixture *f = *at;
    for (int round = 0; round < ROUNDS; round++) {
        struct tsdb_timed_chunk chunks[MANY];
        static bool wanted[MAX_TIME], got[MAX_TIME];
        memset(wanted, 0, sizeof wanted);
        memset(got, 0, sizeof got);
        size_t count = 1 + pick(round % 10 == 0 ? MANY : FEW);
        for (size_t i = 0; i < count; i++) {
            int n = 1 + (int)pick(200);
            int64_t step = 1 + (int64_t)pick(7);
            int64_t from = (int64_t)pick(MAX_TIME - 1400);
            chunks[i] = xor_chunk(f, from, step, n);
            for (int k = 0; k < n; k++)
                wanted[from + k * step] = true;
        }
        const struct tsdb_timed_chunk *out;
        size_t out_count;
        struct err err;
        assert_true(
            store_chunk_merge(chunks, count, &f->arena, &out, &out_count, &err));
        decode(out, out_count, got);
        assert_memory_equal(wanted, got, sizeof got);
        arena_reset(&f->arena);
    }
}

static void
passes_chunks_that_overlap_nothing_byte_for_byte(void **at)
{
    struct fixture *f = *at;
    struct tsdb_timed_chunk a = xor_chunk(f, 100, 10, 5);
    struct tsdb_timed_chunk b = xor_chunk(f, 200, 10, 5);
    struct tsdb_timed_chunk histogram = {
        .mint_ms = 10,
        .maxt_ms = 20,
        .chunk = {.encoding = TSDB_CHUNK_HISTOGRAM, .data = BYTES("opaque")}};
    struct tsdb_timed_chunk chunks[] = {b, a, histogram, a, b};
    const struct tsdb_timed_chunk *out;
    size_t count;
    struct err err;
    assert_true(
        store_chunk_merge(chunks, ARRAY_LEN(chunks), &f->arena, &out, &count, &err));
    assert_int_equal(count, 3);
    assert_true(out[0].chunk.data.at == histogram.chunk.data.at);
    assert_true(bytes_eq(out[1].chunk.data, a.chunk.data));
    assert_true(bytes_eq(out[2].chunk.data, b.chunk.data));
}

static void
keeps_chunks_around_an_overlap(void **at)
{
    struct fixture *f = *at;
    struct tsdb_timed_chunk lone = {
        .mint_ms = 1,
        .maxt_ms = 2,
        .chunk = {.encoding = TSDB_CHUNK_XOR2, .data = BYTES("opaque")}};
    struct tsdb_timed_chunk chunks[] = {lone, xor_chunk(f, 100, 10, 5),
                                        xor_chunk(f, 105, 10, 5)};
    const struct tsdb_timed_chunk *out;
    size_t count;
    struct err err;
    static bool got[MAX_TIME];
    assert_true(
        store_chunk_merge(chunks, ARRAY_LEN(chunks), &f->arena, &out, &count, &err));
    assert_int_equal(count, 2);
    assert_int_equal(out[0].chunk.encoding, TSDB_CHUNK_XOR2);
    assert_int_equal(decode(out + 1, 1, got), 10);
}

static void
aggregates_are_not_merged(void **at)
{
    struct fixture *f = *at;
    struct tsdb_timed_chunk chunks[] = {
        {10, 20, {.encoding = TSDB_CHUNK_AGGR, .data = BYTES("a")}},
        {15, 25, {.encoding = TSDB_CHUNK_AGGR, .data = BYTES("b")}},
    };
    const struct tsdb_timed_chunk *out;
    size_t count;
    struct err err;
    expect_fails(
        store_chunk_merge(chunks, ARRAY_LEN(chunks), &f->arena, &out, &count, &err),
        err, ERR_UNSUPPORTED);
}

/* A chunk whose index entry says other times than its data, and one that is cut. */
static void
broken_chunks_are_an_error(void **at)
{
    struct fixture *f = *at;
    for (int i = 0; i < 12; i++) {
        uint64_t random = 7;
        struct any_sample samples[3];
        enum tsdb_chunk_encoding encoding =
            (enum tsdb_chunk_encoding)(TSDB_CHUNK_XOR + i / 2);
        any_run(&random, encoding, 100, 20, samples, ARRAY_LEN(samples));
        struct tsdb_timed_chunk whole = any_chunk(&f->arena, encoding, samples, 3);
        struct tsdb_timed_chunk chunks[] = {whole, whole};
        const struct tsdb_timed_chunk *out;
        size_t count;
        struct err err;
        if (i % 2 == 0)
            chunks[1].mint_ms += 1;
        else
            chunks[1].chunk.data.len -= 1;
        expect_fails(
            store_chunk_merge(chunks, ARRAY_LEN(chunks), &f->arena, &out, &count, &err),
            err, ERR_CORRUPT);
    }
}

static double
number_of(uint64_t bits)
{
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

static double
count_of(const struct any_sample *s)
{
    return s->is_float ? number_of(s->count) : (double)s->count;
}

/* What sample_order.h says, down to where equal samples differ in bits only: 0. */
static int
naive_order(const struct any_sample *a, const struct any_sample *b)
{
    bool stale_a = a->bits == TSDB_STALE_BITS, stale_b = b->bits == TSDB_STALE_BITS;
    double sum_a = number_of(a->bits), sum_b = number_of(b->bits);
    if (stale_a != stale_b)
        return stale_a ? -1 : 1;
    if (a->is_histogram != b->is_histogram)
        return a->is_histogram ? -1 : 1;
    if (a->is_histogram && !stale_a && count_of(a) != count_of(b))
        return count_of(a) < count_of(b) ? -1 : 1;
    if ((sum_a != sum_a) != (sum_b != sum_b))
        return sum_a != sum_a ? -1 : 1;
    if (sum_a < sum_b || sum_a > sum_b)
        return sum_a < sum_b ? -1 : 1;
    if (!a->is_histogram && a->bits != b->bits)
        return a->bits < b->bits ? -1 : 1;
    return 0;
}

enum { MOST_CHUNKS = 60, MOST_SAMPLES = MOST_CHUNKS * ANY_CHUNK_MAX };

/* The samples of several chunks, each with the chunk that it is in. */
struct model {
    struct any_sample samples[MOST_SAMPLES];
    size_t count;
    struct tsdb_timed_chunk chunks[MOST_CHUNKS];
    size_t chunk_count;
};

static void
make_chunk(struct model *m, uint64_t *random, struct arena *arena)
{
    enum tsdb_chunk_encoding encoding =
        any_below(random, 2) == 0 ? TSDB_CHUNK_XOR : any_encoding(random);
    struct any_sample *samples = &m->samples[m->count];
    size_t n = 1 + any_below(random, ANY_CHUNK_MAX);
    any_run(random, encoding, (int64_t)any_below(random, 3000) - 500,
            1 + any_below(random, 12), samples, n);
    m->count += n;
    m->chunks[m->chunk_count++] = any_chunk(arena, encoding, samples, n);
}

/* Every time at which there is a sample is answered once, and by one that no other at
 * that time is above. */
static void
expect_merged(const struct model *m, const struct any_sample *got, size_t count)
{
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        bool is_there = false;
        assert_true(i == 0 || got[i].t_ms > got[i - 1].t_ms);
        for (size_t k = 0; k < m->count; k++) {
            if (m->samples[k].t_ms != got[i].t_ms)
                continue;
            assert_true(naive_order(&m->samples[k], &got[i]) <= 0);
            is_there |= any_sample_eq(&m->samples[k], &got[i]);
            found++;
        }
        assert_true(is_there);
    }
    assert_int_equal(found, m->count);
}

static void
shuffle(struct tsdb_timed_chunk *chunks, size_t count, uint64_t *random)
{
    for (size_t i = count; i > 1; i--) {
        size_t k = any_below(random, i);
        struct tsdb_timed_chunk kept = chunks[k];
        chunks[k] = chunks[i - 1];
        chunks[i - 1] = kept;
    }
}

static void
expect_equal(const struct tsdb_timed_chunk *a, const struct tsdb_timed_chunk *b,
             size_t count)
{
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(a[i].mint_ms, b[i].mint_ms);
        assert_int_equal(a[i].maxt_ms, b[i].maxt_ms);
        assert_int_equal(a[i].chunk.encoding, b[i].chunk.encoding);
        assert_true(bytes_eq(a[i].chunk.data, b[i].chunk.data));
    }
}

static void
merges_all_encodings_as_a_naive_model_does(void **at)
{
    struct fixture *f = *at;
    static struct model m;
    static struct any_sample got[MOST_SAMPLES];
    for (uint64_t round = 1; round <= 500; round++) {
        struct tsdb_timed_chunk shuffled[MOST_CHUNKS];
        const struct tsdb_timed_chunk *out, *again;
        size_t count, again_count;
        struct err err;
        uint64_t random = round * UINT64_C(0x9e3779b97f4a7c15);
        size_t chunks = 1 + any_below(&random, round % 50 == 0 ? MOST_CHUNKS : FEW);
        m.count = m.chunk_count = 0;
        while (m.chunk_count < chunks)
            make_chunk(&m, &random, &f->arena);
        memcpy(shuffled, m.chunks, sizeof shuffled);
        shuffle(shuffled, chunks, &random);
        expect_ok(store_chunk_merge(m.chunks, chunks, &f->arena, &out, &count, &err),
                  err);
        expect_ok(
            store_chunk_merge(shuffled, chunks, &f->arena, &again, &again_count, &err),
            err);
        expect_merged(&m, got, any_read(out, count, got, MOST_SAMPLES));
        assert_int_equal(count, again_count);
        expect_equal(out, again, count);
        arena_reset(&f->arena);
    }
}

/* The same samples cut anew, in the encoding beside the first one, are the same. */
static void
how_samples_are_cut_does_not_matter(void **at)
{
    struct fixture *f = *at;
    for (int i = 0; i < 6; i++) {
        static const enum tsdb_chunk_encoding others[] = {
            TSDB_CHUNK_XOR2, TSDB_CHUNK_HISTOGRAM_ST, TSDB_CHUNK_FLOAT_HISTOGRAM_ST,
            TSDB_CHUNK_XOR,  TSDB_CHUNK_HISTOGRAM,    TSDB_CHUNK_FLOAT_HISTOGRAM};
        enum tsdb_chunk_encoding encoding =
            (enum tsdb_chunk_encoding)(TSDB_CHUNK_XOR + i);
        struct any_sample samples[100], got[100];
        const struct tsdb_timed_chunk *out;
        size_t count;
        struct err err;
        uint64_t random = 11;
        any_run(&random, encoding, 100, 20, samples, 100);
        struct tsdb_timed_chunk chunks[] = {
            any_chunk(&f->arena, others[i], samples, 40),
            any_chunk(&f->arena, encoding, samples, 70),
            any_chunk(&f->arena, encoding, samples + 60, 40)};
        expect_ok(
            store_chunk_merge(chunks, ARRAY_LEN(chunks), &f->arena, &out, &count, &err),
            err);
        assert_int_equal(any_read(out, count, got, 100), 100);
        for (size_t k = 0; k < 100; k++)
            assert_true(any_sample_eq(&got[k], &samples[k]));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(merges_any_overlap_sample_by_sample, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(
            passes_chunks_that_overlap_nothing_byte_for_byte, set_up, tear_down),
        cmocka_unit_test_setup_teardown(keeps_chunks_around_an_overlap, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(aggregates_are_not_merged, set_up, tear_down),
        cmocka_unit_test_setup_teardown(broken_chunks_are_an_error, set_up, tear_down),
        cmocka_unit_test_setup_teardown(merges_all_encodings_as_a_naive_model_does,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(how_samples_are_cut_does_not_matter, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
