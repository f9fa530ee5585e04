/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/compiler.h"
#include "store/plain_chunks.h"
#include "tests/support/chunk_digest.h"
#include "tests/support/expect.h"
#include "tests/support/golden_chunks.h"

/* The first chunks of each encoding, and what is around them. */
enum { EACH = 3, ENCODINGS = TSDB_CHUNK_FLOAT_HISTOGRAM_ST, COUNT = EACH * ENCODINGS };

/* Of a query that has all the time. */
static const struct store_fetch_source no_source = {.deadline_ns = CLOCK_NEVER};

struct stored {
    struct tsdb_timed_chunk chunks[COUNT]; /* encodings take turns */
    size_t counts[ENCODINGS];
    struct budget budget;
    struct arena arena;
};

static void
keep(void *arg, const struct tsdb_chunk *chunk, const struct json *expected)
{
    struct stored *s = arg;
    size_t encoding = (size_t)chunk->encoding - 1;
    size_t n = s->counts[encoding]++;
    if (n >= EACH)
        return;
    struct tsdb_timed_chunk *to = &s->chunks[n * ENCODINGS + encoding];
    *to = (struct tsdb_timed_chunk){
        golden_i64(expected, "Min"), golden_i64(expected, "Max"),
        tsdb_chunk_loose(chunk->encoding, arena_copy(&s->arena, chunk->data))};
    to->chunk.crc = tsdb_chunk_crc(&to->chunk);
}

static void
stored_init(struct stored *s)
{
    *s = (struct stored){0};
    budget_init(&s->budget, "stored", SIZE_MAX, NULL);
    arena_init(&s->arena, &s->budget);
    golden_each_sample_chunk(keep, s);
}

static void
stored_fini(struct stored *s)
{
    arena_fini(&s->arena);
    budget_fini(&s->budget);
}

/* The same chunk, or the same samples without start timestamps. */
static void
expect_chunk(const struct tsdb_timed_chunk *got, const struct tsdb_timed_chunk *stored,
             bool is_known)
{
    struct chunk_digest before, after;
    struct err err;
    assert_int_equal(got->mint_ms, stored->mint_ms);
    assert_int_equal(got->maxt_ms, stored->maxt_ms);
    assert_int_equal(got->chunk.crc, tsdb_chunk_crc(&got->chunk));
    if (is_known) {
        assert_int_equal(got->chunk.encoding, stored->chunk.encoding);
        assert_ptr_equal(got->chunk.data.at, stored->chunk.data.at);
        assert_int_equal(got->chunk.data.len, stored->chunk.data.len);
        return;
    }
    assert_int_equal(got->chunk.encoding, stored->chunk.encoding - 3);
    expect_ok(chunk_digest_of(&before, &stored->chunk, true, &err), err);
    expect_ok(chunk_digest_of(&after, &got->chunk, false, &err), err);
    assert_int_equal(before.sum, after.sum);
    assert_int_equal(before.samples, after.samples);
}

static void
what_is_not_known_is_encoded_anew(void **state)
{
    static const enum tsdb_chunk_encoding newest[] = {
        TSDB_CHUNK_FLOAT_HISTOGRAM, TSDB_CHUNK_XOR2, TSDB_CHUNK_FLOAT_HISTOGRAM_ST};
    (void)state;
    CLEANUP(stored_fini) struct stored stored;
    stored_init(&stored);
    for (size_t n = 0; n < ARRAY_LEN(newest); n++) {
        CLEANUP(budget_fini) struct budget budget;
        CLEANUP(store_plain_chunks_fini) struct store_plain_chunks plain;
        struct store_series series = {.chunk_count = COUNT, .chunks = stored.chunks};
        struct err err;
        budget_init(&budget, "test", SIZE_MAX, NULL);
        store_plain_chunks_init(&plain, &budget);
        expect_ok(store_plain_chunks_make(&plain, newest[n], &series, &no_source, &err),
                  err);
        assert_int_equal(series.chunk_count, COUNT);
        for (size_t i = 0; i < COUNT; i++)
            expect_chunk(&series.chunks[i], &stored.chunks[i],
                         stored.chunks[i].chunk.encoding <= newest[n]);
        /* Nothing is taken where nothing was made. */
        bool is_all = newest[n] == TSDB_CHUNK_FLOAT_HISTOGRAM_ST;
        assert_int_equal(budget_used(&budget) == 0, is_all);
        assert_int_equal(series.chunks == stored.chunks, is_all);
    }
}

static void
aggregates_are_left_alone(void **state)
{
    (void)state;
    CLEANUP(budget_fini) struct budget budget;
    CLEANUP(store_plain_chunks_fini) struct store_plain_chunks plain;
    struct tsdb_timed_chunk chunk = {
        1, 2, {.encoding = TSDB_CHUNK_AGGR, .data = BYTES("")}};
    struct store_series series = {.chunk_count = 1, .chunks = &chunk};
    struct err err;
    budget_init(&budget, "test", SIZE_MAX, NULL);
    store_plain_chunks_init(&plain, &budget);
    expect_ok(store_plain_chunks_make(&plain, TSDB_CHUNK_FLOAT_HISTOGRAM, &series,
                                      &no_source, &err),
              err);
    assert_ptr_equal(series.chunks, &chunk);
}

static void
what_cannot_be_read_is_an_error(void **state)
{
    (void)state;
    CLEANUP(stored_fini) struct stored stored;
    stored_init(&stored);
    for (size_t i = 0; i < COUNT; i++) {
        if (stored.chunks[i].chunk.encoding < TSDB_CHUNK_XOR2)
            continue;
        CLEANUP(budget_fini) struct budget budget;
        CLEANUP(store_plain_chunks_fini) struct store_plain_chunks plain;
        struct tsdb_timed_chunk cut = stored.chunks[i];
        struct store_series series = {.chunk_count = 1, .chunks = &cut};
        struct err err;
        budget_init(&budget, "test", SIZE_MAX, NULL);
        store_plain_chunks_init(&plain, &budget);
        cut.chunk.data.len -= 2;
        expect_fails(store_plain_chunks_make(&plain, TSDB_CHUNK_FLOAT_HISTOGRAM,
                                             &series, &no_source, &err),
                     err, ERR_CORRUPT);
    }
}

static void
what_is_made_is_charged(void **state)
{
    enum { MOST = 1 << 20, STEP = 1 << 10 };
    bool ok = false;
    size_t limit = 0;
    (void)state;
    CLEANUP(stored_fini) struct stored stored;
    stored_init(&stored);
    while (!ok && limit < MOST) {
        CLEANUP(budget_fini) struct budget budget;
        CLEANUP(store_plain_chunks_fini) struct store_plain_chunks plain;
        struct store_series series = {.chunk_count = COUNT, .chunks = stored.chunks};
        struct err err = {0};
        budget_init(&budget, "test", limit += STEP, NULL);
        store_plain_chunks_init(&plain, &budget);
        ok = store_plain_chunks_make(&plain, TSDB_CHUNK_FLOAT_HISTOGRAM, &series,
                                     &no_source, &err);
        assert_true(ok || err.code == ERR_BUDGET);
        assert_true(budget_peak(&budget) <= limit);
    }
    assert_true(ok && limit > STEP);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_known_is_encoded_anew),
        cmocka_unit_test(aggregates_are_left_alone),
        cmocka_unit_test(what_cannot_be_read_is_an_error),
        cmocka_unit_test(what_is_made_is_charged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
