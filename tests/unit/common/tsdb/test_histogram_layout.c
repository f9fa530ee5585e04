/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/tsdb/histogram_layout.h"
#include "tests/unit/common/tsdb/fixture.h"

static uint64_t
bits_of(double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    return bits;
}

/* Bits that a layout takes; it is read again and must be the same. */
static size_t
expect_same(const struct tsdb_histogram *h)
{
    CLEANUP(room_fini) struct room room;
    CLEANUP(buf_fini) struct buf out = {0};
    struct bits_writer w = bits_writer_of(&out);
    struct tsdb_histogram got = {0};
    struct err err;
    tsdb_histogram_layout_write(h, &w);
    size_t bits = out.len * 8 + w.used;
    bits_write(&w, 0, 64); /* buckets */
    bits_flush(&w);
    CLEANUP(guard_fini) struct guard g = guard_new(buf_bytes(&out));
    struct bits_reader r = bits_reader_of(g.bytes);
    room_init(&room, SIZE_MAX);
    assert_done(tsdb_histogram_layout_read(&got, &r, 1, &room.arena, &err), &err);
    assert_int_equal(out.len * 8 - bits_left(&r), bits);
    assert_true(tsdb_histogram_same_layout(&got, h));
    assert_int_equal(got.positive.count, h->positive.count);
    assert_int_equal(got.negative.count, h->negative.count);
    return bits;
}

enum { EMPTY = 1 + 1 + 1 }; /* schema 0, no spans */

static void
powers_of_two_are_one_byte_of_threshold(void **state)
{
    (void)state;
    static const struct {
        double threshold;
        size_t bits;
    } cases[] = {
        {0, 8},          {0x1p-128, 8}, {0x1p-243, 8},   {0x1p10, 8},
        {0x1p-244, 72},  {0x1p11, 72},  {-0x1p-128, 72}, {0x1.8p-128, 72},
        {0x1p-1074, 72}, {1.0 / 3, 72}, {-0.0, 72},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct tsdb_histogram h = {.zero_threshold_bits = bits_of(cases[i].threshold)};
        assert_int_equal(expect_same(&h), cases[i].bits + EMPTY);
    }
}

static void
thousandths_are_short_bounds(void **state)
{
    (void)state;
    static const struct {
        double bound;
        size_t bits;
    } cases[] = {
        {0, 5},
        {0.001, 5},
        {0.006, 5},
        {0.007, 9},
        {1, 17},
        {0.1, 13},
        {33554.429, 32},
        {33554.43, 32},
        {33554.431, 65},
        {-0.001, 65},
        {0.0005, 65},
        {1.0 / 3, 65},
        {-0.0, 65},
        {1e300, 65},
        {__builtin_inf(), 65},
        {-__builtin_inf(), 65},
        {__builtin_nan(""), 65},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t bound = bits_of(cases[i].bound);
        struct tsdb_histogram h = {.schema = TSDB_HISTOGRAM_CUSTOM_SCHEMA,
                                   .custom_bits = &bound,
                                   .custom_count = 1};
        enum { SCHEMA = 13, SPANS = 1 + 1, COUNT = 5 };
        assert_int_equal(expect_same(&h), 8 + SCHEMA + SPANS + COUNT + cases[i].bits);
    }
}

static void
every_schema_survives(void **state)
{
    (void)state;
    for (int32_t schema = -9; schema <= 52; schema++) {
        struct tsdb_histogram h = {.schema = schema};
        expect_same(&h);
    }
}

static void
spans_at_both_ends_of_an_index_survive(void **state)
{
    (void)state;
    static const struct tsdb_span lowest[] = {{INT32_MIN, 3}, {0, 0}, {INT32_MAX, 2}},
                                  highest[] = {{INT32_MAX - 2, 2}};
    struct tsdb_histogram h = {.positive = {lowest, NULL, ARRAY_LEN(lowest), 5},
                               .negative = {highest, NULL, ARRAY_LEN(highest), 2}};
    expect_same(&h);
}

static void
rejects_every_truncation(void **state)
{
    (void)state;
    static const struct tsdb_span spans[] = {{-3, 2}, {4, 1}};
    static const uint64_t bounds[] = {1, 2};
    const struct tsdb_histogram h = {.schema = TSDB_HISTOGRAM_CUSTOM_SCHEMA,
                                     .positive = {spans, NULL, 2, 3},
                                     .custom_bits = bounds,
                                     .custom_count = 2};
    CLEANUP(buf_fini) struct buf out = {0};
    struct bits_writer w = bits_writer_of(&out);
    tsdb_histogram_layout_write(&h, &w);
    bits_flush(&w);
    for (size_t len = 0; len < out.len; len++) {
        CLEANUP(room_fini) struct room room;
        CLEANUP(guard_fini) struct guard g = guard_new(bytes_of(out.at, len));
        struct bits_reader r = bits_reader_of(g.bytes);
        struct tsdb_histogram got = {0};
        struct err err;
        room_init(&room, SIZE_MAX);
        assert_failed(tsdb_histogram_layout_read(&got, &r, 1, &room.arena, &err), &err,
                      ERR_CORRUPT);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(powers_of_two_are_one_byte_of_threshold),
        cmocka_unit_test(thousandths_are_short_bounds),
        cmocka_unit_test(every_schema_survives),
        cmocka_unit_test(spans_at_both_ends_of_an_index_survive),
        cmocka_unit_test(rejects_every_truncation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
