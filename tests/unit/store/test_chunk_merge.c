/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "common/tsdb/chunk_xor.h"
#include "store/chunk_merge.h"

enum { MAX_TIME = 4000, ROUNDS = 300 };

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
        struct tsdb_timed_chunk chunks[12];
        static bool wanted[MAX_TIME], got[MAX_TIME];
        memset(wanted, 0, sizeof wanted);
        memset(got, 0, sizeof got);
        size_t count = 1 + pick(ARRAY_LEN(chunks));
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
names_the_encoding_that_it_cannot_merge(void **at)
{
    struct fixture *f = *at;
    struct tsdb_timed_chunk chunks[] = {
        {10, 20, {.encoding = TSDB_CHUNK_HISTOGRAM, .data = BYTES("a")}},
        {15, 25, {.encoding = TSDB_CHUNK_HISTOGRAM, .data = BYTES("b")}},
    };
    const struct tsdb_timed_chunk *out;
    size_t count;
    struct err err;
    assert_false(
        store_chunk_merge(chunks, ARRAY_LEN(chunks), &f->arena, &out, &count, &err));
    assert_int_equal(err.code, ERR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "HISTOGRAM"));
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
        cmocka_unit_test_setup_teardown(names_the_encoding_that_it_cannot_merge, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
