/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>
#include <time.h>

#include "common/codec/varbit.h"
#include "common/tsdb/chunk_reencode.h"
#include "tests/support/chunk_digest.h"
#include "tests/support/golden_chunks.h"
#include "tests/unit/common/tsdb/fixture.h"

/* The samples are the same, but for their start timestamps; known encodings are left
 * alone. */
static void
check_golden(void *arg, const struct tsdb_chunk *chunk, const struct json *expected)
{
    size_t *counts = arg;
    CLEANUP(room_fini) struct room room;
    CLEANUP(buf_fini) struct buf out = {0};
    struct chunk_digest before, after;
    struct err err;
    (void)expected;
    room_init(&room, SIZE_MAX);
    buf_put_str(&out, "head");
    assert_done(tsdb_chunk_reencode(chunk, &out, &room.arena, &err), &err);
    assert_memory_equal(out.at, "head", 4);
    CLEANUP(guard_fini) struct guard g = guard_new(bytes_of(out.at + 4, out.len - 4));
    struct tsdb_chunk plain =
        tsdb_chunk_loose(tsdb_chunk_plain_encoding(chunk->encoding), g.bytes);
    assert_in_range(plain.encoding, TSDB_CHUNK_XOR, TSDB_CHUNK_FLOAT_HISTOGRAM);
    assert_done(chunk_digest_of(&before, chunk, true, &err), &err);
    assert_done(chunk_digest_of(&after, &plain, false, &err), &err);
    assert_int_equal(before.sum, after.sum);
    assert_int_equal(before.samples, after.samples);
    if (plain.encoding == chunk->encoding)
        assert_bytes(plain.data, chunk->data);
    counts[chunk->encoding]++;
}

static void
samples_stay_what_they_are(void **state)
{
    (void)state;
    size_t counts[TSDB_CHUNK_FLOAT_HISTOGRAM_ST + 1] = {0};
    golden_each_sample_chunk(check_golden, counts);
    for (size_t i = TSDB_CHUNK_XOR; i < ARRAY_LEN(counts); i++)
        assert_true(counts[i] > 10);
}

struct example {
    enum tsdb_chunk_encoding encoding;
    const char *hex;
    const char *plain;
};

/* Both sides made by Prometheus's own encoders. */
static const struct example examples[] = {
    {TSDB_CHUNK_XOR2,
     "0005828080f4f6905d3ff0000000000000904e9875"
     "6000e097fffefb1e37fff341fc1d4cffe0ea60",
     "00058080f4f6905d3ff00000000000009875"
     "4000e12fffdfffed06c5effe80000000000040"},
    {TSDB_CHUNK_HISTOGRAM_ST,
     "000382744a48c5fc0002e90edd00018a8a0120000000000004e37"
     "d00ff83a989c7609b1138eb17b13d8300",
     "000300744a48c5fc0002e90edd00018a8a0120000000000004e3"
     "7f83a989c7609b1138eb17b100"},
    {TSDB_CHUNK_HISTOGRAM_ST, "c00000", "0000c0"},
    {TSDB_CHUNK_XOR2, "000000", "0000"},
    {TSDB_CHUNK_AGGR, "0000000000", "0000000000"},
};

static void
the_bytes_are_those_of_upstream(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(examples); i++) {
        CLEANUP(room_fini) struct room room;
        CLEANUP(buf_fini) struct buf data = {0};
        CLEANUP(buf_fini) struct buf plain = {0};
        CLEANUP(buf_fini) struct buf out = {0};
        struct err err;
        room_init(&room, SIZE_MAX);
        put_hex(&data, examples[i].hex);
        put_hex(&plain, examples[i].plain);
        struct tsdb_chunk chunk =
            tsdb_chunk_loose(examples[i].encoding, buf_bytes(&data));
        assert_done(tsdb_chunk_reencode(&chunk, &out, &room.arena, &err), &err);
        assert_bytes(buf_bytes(&out), buf_bytes(&plain));
    }
}

static void
broken_chunks_are_an_error(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        CLEANUP(room_fini) struct room room;
        CLEANUP(buf_fini) struct buf data = {0};
        CLEANUP(buf_fini) struct buf out = {0};
        struct err err;
        room_init(&room, SIZE_MAX);
        put_hex(&data, examples[i].hex);
        struct tsdb_chunk chunk =
            tsdb_chunk_loose(examples[i].encoding, bytes_of(data.at, data.len - 3));
        assert_failed(tsdb_chunk_reencode(&chunk, &out, &room.arena, &err), &err,
                      ERR_CORRUPT);
    }
}

/* No encoder gives a first stale marker a layout; a decoder can read it. */
static void
buckets_behind_a_first_stale_marker_are_an_error(void **state)
{
    (void)state;
    CLEANUP(room_fini) struct room room;
    CLEANUP(buf_fini) struct buf data = {0};
    CLEANUP(buf_fini) struct buf out = {0};
    struct bits_writer w = bits_writer_of(&data);
    struct err err;
    room_init(&room, SIZE_MAX);
    bits_write(&w, 2, 16);
    bits_write(&w, 0, 8 + 8); /* no start timestamps; threshold 0 */
    bits_write(&w, 1, 1);     /* schema 1: "10" and three bits */
    bits_write(&w, 1, 4);
    bits_write(&w, 0, 2 + 3); /* no spans; time, counts */
    bits_write(&w, TSDB_STALE_BITS, 64);
    bits_write(&w, 0, 3);
    bits_write(&w, 0x2, 2); /* the sum changes, in a window of 64 bits */
    bits_write(&w, 1, 64);
    bits_flush(&w);
    struct tsdb_chunk chunk =
        tsdb_chunk_loose(TSDB_CHUNK_HISTOGRAM_ST, buf_bytes(&data));
    assert_failed(tsdb_chunk_reencode(&chunk, &out, &room.arena, &err), &err,
                  ERR_CORRUPT);
    assert_non_null(strstr(err.text, "behind a stale marker"));
}

/* A chunk of so many histograms of 0, and spans of no bucket. */
static void
put_many(struct buf *data, uint64_t samples, uint64_t spans)
{
    struct bits_writer w = bits_writer_of(data);
    bits_write(&w, samples, 16);
    bits_write(&w, 0, 8 + 8); /* no start timestamps; threshold 0 */
    varbit_write_i64(&w, 0);
    varbit_write_u64(&w, spans);
    for (uint64_t i = 0; i < spans; i++)
        bits_write(&w, 0, 2);
    varbit_write_u64(&w, 0);
    bits_write(&w, 0, 3);  /* time, counts */
    bits_write(&w, 0, 64); /* sum */
    for (uint64_t i = 1; i < samples; i++)
        bits_write(&w, 0, 4);
    bits_flush(&w);
}

static double
cpu_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double
reencode_many(uint64_t samples, uint64_t spans)
{
    CLEANUP(room_fini) struct room room;
    CLEANUP(buf_fini) struct buf data = {0};
    CLEANUP(buf_fini) struct buf out = {0};
    struct err err;
    room_init(&room, SIZE_MAX);
    put_many(&data, samples, spans);
    struct tsdb_chunk chunk =
        tsdb_chunk_loose(TSDB_CHUNK_HISTOGRAM_ST, buf_bytes(&data));
    double begin = cpu_s();
    assert_done(tsdb_chunk_reencode(&chunk, &out, &room.arena, &err), &err);
    assert_int_equal(be16_load(out.at), samples);
    return cpu_s() - begin;
}

static void
many_spans_cost_as_much_for_many_samples(void **state)
{
    enum { SAMPLES = 16383, SPANS = 200000, SLACK = 20 };
    (void)state;
    double apart = reencode_many(SAMPLES, 0) + reencode_many(1, SPANS);
    double together = reencode_many(SAMPLES, SPANS);
    if (together > SLACK * apart)
        fail_msg("%.4f s for both, %.4f s for each alone", together, apart);
}

static void
the_budget_of_the_answer_is_kept(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(examples); i++) {
        CLEANUP(room_fini) struct room room;
        CLEANUP(buf_fini) struct buf data = {0};
        struct budget budget;
        struct buf out;
        struct err err;
        room_init(&room, SIZE_MAX);
        budget_init(&budget, "answer", 1, NULL);
        buf_init(&out, &budget);
        put_hex(&data, examples[i].hex);
        struct tsdb_chunk chunk =
            tsdb_chunk_loose(examples[i].encoding, buf_bytes(&data));
        assert_failed(tsdb_chunk_reencode(&chunk, &out, &room.arena, &err), &err,
                      ERR_BUDGET);
        buf_fini(&out);
        budget_fini(&budget);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples_stay_what_they_are),
        cmocka_unit_test(the_bytes_are_those_of_upstream),
        cmocka_unit_test(broken_chunks_are_an_error),
        cmocka_unit_test(buckets_behind_a_first_stale_marker_are_an_error),
        cmocka_unit_test(many_spans_cost_as_much_for_many_samples),
        cmocka_unit_test(the_budget_of_the_answer_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
