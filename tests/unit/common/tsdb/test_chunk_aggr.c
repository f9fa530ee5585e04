/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/tsdb/chunk_aggr.h"
#include "common/tsdb/chunk_iter.h"
#include "tests/support/golden_chunks.h"
#include "tests/unit/common/tsdb/fixture.h"

static void
check_aggregate(const struct tsdb_chunk *chunk, const struct json *expected)
{
    struct tsdb_xor_reader reader;
    struct tsdb_sample sample;
    struct err err;
    bool end;
    assert_int_equal(chunk->encoding, TSDB_CHUNK_XOR);
    assert_done(tsdb_xor_reader_init(&reader, chunk->data, &err), &err);
    assert_int_equal(tsdb_xor_reader_count(&reader), json_array_len(expected));
    for (size_t i = 0; i < json_array_len(expected); i++) {
        const struct json *pair = json_array_at(expected, i);
        int64_t t_ms = 0;
        assert_done(tsdb_xor_next(&reader, &sample, &end, &err), &err);
        assert_true(json_i64(json_array_at(pair, 0), &t_ms));
        assert_int_equal(sample.t_ms, t_ms);
        assert_int_equal(sample.value_bits, golden_bits(json_array_at(pair, 1)));
    }
}

static void
check_golden(void *arg, const struct tsdb_chunk *chunk, const struct json *expected)
{
    size_t *count = arg;
    struct tsdb_aggr aggr;
    struct err err;
    assert_int_equal(chunk->encoding, TSDB_CHUNK_AGGR);
    assert_done(tsdb_aggr_parse(&aggr, chunk->data, &err), &err);
    for (int i = 0; i < TSDB_AGGREGATES; i++) {
        const struct json *aggregate =
            json_get(expected, tsdb_aggregate_name((enum tsdb_aggregate)i));
        if (json_array_len(aggregate) > 0)
            check_aggregate(&aggr.chunks[i], aggregate);
        else
            assert_int_equal(aggr.chunks[i].encoding, TSDB_CHUNK_NONE);
    }
    ++*count;
}

static void
reads_what_thanos_reads(void **state)
{
    (void)state;
    size_t count = 0;
    golden_each_chunk("downsampled/3600000", check_golden, &count);
    assert_int_equal(count, 60);
    golden_each_chunk("downsampled/300000", check_golden, &count);
    assert_int_equal(count, 60 + 460);
}

static void
put_aggregate(struct buf *out, uint8_t encoding, struct bytes data)
{
    buf_put_u8(out, (uint8_t)data.len);
    buf_put_u8(out, encoding);
    buf_put(out, data);
}

/* As of native histograms: neither lowest nor highest value. */
static void
aggregates_may_be_absent(void **state)
{
    (void)state;
    static const struct bytes data = BYTES("\2\1aa\1\3b\0\0\3\3ccc");
    CLEANUP(guard_fini) struct guard g = guard_new(data);
    struct tsdb_aggr aggr;
    struct err err;
    assert_done(tsdb_aggr_parse(&aggr, g.bytes, &err), &err);
    assert_int_equal(aggr.chunks[TSDB_AGGREGATE_COUNT].encoding, TSDB_CHUNK_XOR);
    assert_bytes(aggr.chunks[TSDB_AGGREGATE_COUNT].data, BYTES("aa"));
    assert_int_equal(aggr.chunks[TSDB_AGGREGATE_SUM].encoding,
                     TSDB_CHUNK_FLOAT_HISTOGRAM);
    assert_bytes(aggr.chunks[TSDB_AGGREGATE_SUM].data, BYTES("b"));
    assert_int_equal(aggr.chunks[TSDB_AGGREGATE_MIN].encoding, TSDB_CHUNK_NONE);
    assert_int_equal(aggr.chunks[TSDB_AGGREGATE_MAX].encoding, TSDB_CHUNK_NONE);
    assert_bytes(aggr.chunks[TSDB_AGGREGATE_COUNTER].data, BYTES("ccc"));
}

static void
a_last_one_may_be_absent_with_its_length(void **state)
{
    (void)state;
    static const struct bytes forms[] = {BYTES("\1\1a\0\0\0"), BYTES("\1\1a\0\0\0\0")};
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        CLEANUP(guard_fini) struct guard g = guard_new(forms[i]);
        struct tsdb_aggr aggr;
        struct err err;
        assert_done(tsdb_aggr_parse(&aggr, g.bytes, &err), &err);
        assert_bytes(aggr.chunks[TSDB_AGGREGATE_COUNT].data, BYTES("a"));
        assert_int_equal(aggr.chunks[TSDB_AGGREGATE_COUNTER].encoding, TSDB_CHUNK_NONE);
    }
}

static void
expect_corrupt(struct bytes data, const char *what)
{
    CLEANUP(guard_fini) struct guard g = guard_new(data);
    struct tsdb_aggr aggr;
    struct err err;
    assert_failed(tsdb_aggr_parse(&aggr, g.bytes, &err), &err, ERR_CORRUPT);
    assert_non_null(strstr(err.text, what));
}

static void
rejects_what_is_none(void **state)
{
    (void)state;
    expect_corrupt(BYTES(""), "count is cut");
    expect_corrupt(BYTES("\1"), "count is cut");
    expect_corrupt(BYTES("\1\1a\0\0"), "max is cut");
    expect_corrupt(BYTES("\1\1a\0\0\0\x80"), "counter is cut");
    expect_corrupt(BYTES("\1\1a\0\0\0\2\1a"), "counter is cut");
    expect_corrupt(BYTES("\xff\xff\xff\xff\xff\xff\xff\xff\xff\1\1"), "count is cut");
    expect_corrupt(BYTES("\1\1a\0\0\0\0z"), "1 bytes behind");
    expect_corrupt(BYTES("\1\0a\0\0\0\0"), "count of encoding 0");
    expect_corrupt(BYTES("\1\1a\1\7a\0\0\0"), "sum of encoding 7");
    expect_corrupt(BYTES("\1\xff\1\0\0\0\0"), "count of encoding 255");
}

static void
expect_cut(void *arg, struct bytes data)
{
    struct tsdb_aggr aggr;
    struct err err;
    (void)arg;
    assert_failed(tsdb_aggr_parse(&aggr, data, &err), &err, ERR_CORRUPT);
}

static void
rejects_every_truncation(void **state)
{
    (void)state;
    CLEANUP(buf_fini) struct buf data = {0};
    for (int i = 0; i < TSDB_AGGREGATES - 1; i++)
        put_aggregate(&data, TSDB_CHUNK_XOR, BYTES("\0\0"));
    for_each_truncation(buf_bytes(&data), expect_cut, NULL);
}

static uint64_t
bits_of(double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    return bits;
}

struct step {
    int64_t t_ms;
    double value;
    bool belongs;
    double total;
};

/* Two chunks as upstream's code makes them, the first with a reset in its fourth
 * window; raw samples behind them. */
static void
counters_go_on_from_chunk_to_chunk(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {0, 2, true, 2},
        {199999, 8, true, 8},
        {499999, 18, true, 18},
        {1140000, 39, true, 39},
        {1140000, 17, false, 0}, /* the last raw value */
        {1000000, 99, false, 0}, /* late */
        {1140001, __builtin_nan(""), false, 0},
        {1200000, 19, true, 41}, /* two more than 17 */
        {1400000, 24, true, 46},
        {1400000, 4, false, 0},
        {1460000, 3, true, 49}, /* a reset between chunks */
        {1520000, 5, true, 51},
    };
    struct tsdb_aggr_counter counter = {0};
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        const struct step *step = &steps[i];
        struct tsdb_sample sample = {step->t_ms, bits_of(step->value)};
        assert_int_equal(tsdb_aggr_counter_next(&counter, &sample), step->belongs);
        if (step->belongs)
            assert_int_equal(sample.value_bits, bits_of(step->total));
    }
}

static void
counts_nothing_across_a_break(void **state)
{
    static const struct step steps[] = {
        {0, 50, true, 50},
        {10, 60, true, 60},
        {30, 5, true, 60}, /* behind the break */
        {40, 8, true, 63},
    };
    struct tsdb_aggr_counter counter = {0};
    (void)state;
    tsdb_aggr_counter_break(&counter); /* before the first one */
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        struct tsdb_sample sample = {steps[i].t_ms, bits_of(steps[i].value)};
        if (i == 2)
            tsdb_aggr_counter_break(&counter);
        assert_true(tsdb_aggr_counter_next(&counter, &sample));
        assert_int_equal(sample.value_bits, bits_of(steps[i].total));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_thanos_reads),
        cmocka_unit_test(aggregates_may_be_absent),
        cmocka_unit_test(a_last_one_may_be_absent_with_its_length),
        cmocka_unit_test(rejects_what_is_none),
        cmocka_unit_test(rejects_every_truncation),
        cmocka_unit_test(counters_go_on_from_chunk_to_chunk),
        cmocka_unit_test(counts_nothing_across_a_break),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
