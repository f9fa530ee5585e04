/* SPDX-License-Identifier: Apache-2.0 */
/* Every sample of every golden chunk; then the chunks are broken in every way. */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/tsdb/chunk_iter.h"
#include "tests/support/chunk_digest.h"
#include "tests/support/golden_chunks.h"
#include "tests/unit/common/tsdb/fixture.h"

static void
check_sample(const struct tsdb_chunk_iter *it, enum tsdb_sample_kind kind,
             const struct json *expected)
{
    const struct json *histogram = json_get(expected, "H");
    assert_int_equal(it->sample.t_ms, golden_i64(expected, "T"));
    assert_int_equal(tsdb_chunk_iter_start_ms(it), golden_i64(expected, "ST"));
    assert_int_equal(kind, json_is_object(histogram) ? TSDB_SAMPLE_HISTOGRAM
                                                     : TSDB_SAMPLE_FLOAT);
    if (kind == TSDB_SAMPLE_HISTOGRAM)
        golden_check_histogram(&it->histogram, histogram);
    else
        assert_int_equal(it->sample.value_bits, golden_bits(json_get(expected, "V")));
}

static void
check_chunk(void *arg, const struct tsdb_chunk *chunk, const struct json *expected)
{
    size_t *counts = arg;
    CLEANUP(room_fini) struct room room;
    const struct json *samples = json_get(expected, "S");
    struct tsdb_chunk_iter it;
    enum tsdb_sample_kind kind;
    struct err err;
    room_init(&room, SIZE_MAX);
    assert_done(tsdb_chunk_iter_init(&it, chunk, &room.arena, &err), &err);
    assert_int_equal(tsdb_chunk_iter_count(&it), json_array_len(samples));
    for (size_t i = 0; i < json_array_len(samples); i++) {
        assert_done(tsdb_chunk_next(&it, &kind, &err), &err);
        check_sample(&it, kind, json_array_at(samples, i));
    }
    for (int i = 0; i < 2; i++) {
        assert_done(tsdb_chunk_next(&it, &kind, &err), &err);
        assert_int_equal(kind, TSDB_SAMPLE_NONE);
    }
    counts[chunk->encoding]++;
}

static void
reads_what_upstream_reads(void **state)
{
    (void)state;
    size_t counts[TSDB_CHUNK_FLOAT_HISTOGRAM_ST + 1] = {0};
    golden_each_sample_chunk(check_chunk, counts);
    for (size_t i = TSDB_CHUNK_XOR; i < ARRAY_LEN(counts); i++)
        assert_true(counts[i] > 10);
}

/* One chunk in so many, and not each bit of a long one: to end in a few seconds. */
enum { BREAK_EACH = 20, LONG_BYTES = 100, TURN_EACH = 61 };

struct broken {
    enum tsdb_chunk_encoding encoding;
    size_t chunks;
    size_t turn_each;
    size_t turned;
    size_t count;
};

/* There is no checksum in here: what counts is that it is read as it is slowly. */
static void
check_broken(void *arg, struct bytes data)
{
    struct broken *broken = arg;
    struct tsdb_chunk chunk = tsdb_chunk_loose(broken->encoding, data);
    if (broken->turned++ % broken->turn_each != 0)
        return;
    chunk_digest_check(&chunk);
    broken->count++;
}

static void
expect_cut(void *arg, struct bytes data)
{
    struct broken *broken = arg;
    struct tsdb_chunk chunk = tsdb_chunk_loose(broken->encoding, data);
    struct chunk_digest digest;
    struct err err;
    assert_failed(chunk_digest_of(&digest, &chunk, false, &err), &err, ERR_CORRUPT);
}

static void
break_chunk(void *arg, const struct tsdb_chunk *chunk, const struct json *expected)
{
    struct broken *broken = arg;
    (void)expected;
    if (chunk->encoding == TSDB_CHUNK_XOR || broken->chunks++ % BREAK_EACH != 0)
        return;
    broken->encoding = chunk->encoding;
    broken->turn_each = chunk->data.len > LONG_BYTES ? TURN_EACH : 1;
    for_each_truncation(chunk->data, expect_cut, broken);
    for_each_bit_flip(chunk->data, check_broken, broken);
}

static void
reads_broken_chunks_as_the_reference_does(void **state)
{
    (void)state;
    struct broken broken = {0};
    golden_each_sample_chunk(break_chunk, &broken);
    assert_true(broken.count > 2000);
}

static void
check_digest(void *arg, const struct tsdb_chunk *chunk, const struct json *expected)
{
    (void)arg, (void)expected;
    if (chunk->encoding != TSDB_CHUNK_XOR)
        chunk_digest_check(chunk);
}

static void
the_reference_reads_golden_chunks(void **state)
{
    (void)state;
    golden_each_sample_chunk(check_digest, NULL);
}

static void
refuses_what_is_no_sequence_of_samples(void **state)
{
    (void)state;
    CLEANUP(room_fini) struct room room;
    static const enum tsdb_chunk_encoding encodings[] = {TSDB_CHUNK_NONE,
                                                         TSDB_CHUNK_AGGR};
    room_init(&room, SIZE_MAX);
    for (size_t i = 0; i < ARRAY_LEN(encodings); i++) {
        struct tsdb_chunk chunk = tsdb_chunk_loose(encodings[i], BYTES("\0\0\0\0"));
        struct tsdb_chunk_iter it;
        struct err err;
        assert_failed(tsdb_chunk_iter_init(&it, &chunk, &room.arena, &err), &err,
                      ERR_UNSUPPORTED);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_upstream_reads),
        cmocka_unit_test(the_reference_reads_golden_chunks),
        cmocka_unit_test(reads_broken_chunks_as_the_reference_does),
        cmocka_unit_test(refuses_what_is_no_sequence_of_samples),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
