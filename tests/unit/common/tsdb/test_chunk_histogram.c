/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/tsdb/chunk_histogram.h"
#include "tests/unit/common/tsdb/fixture.h"

#define BASE INT64_C(1600000000000)
#define TEN UINT64_C(0x4024000000000000)

enum { LIMIT = 1 << 16 };

/* Made by Prometheus's own encoder: three samples of schema 0 with three buckets. */
static const char upstream[] =
    "000300744a48c5fc0002e90edd00018a8a0120000000000004e37f83a989c7609b1138eb17b100";
static const char upstream_st[] =
    "000382744a48c5fc0002e90edd00018a8a0120000000000004e37"
    "d00ff83a989c7609b1138eb17b13d8300";

static const struct tsdb_span spans[] = {{0, 2}, {1, 1}};

struct expected {
    int64_t t_ms;
    int64_t start_ms;
    enum tsdb_counter_reset reset;
    uint64_t count;
    uint64_t zero_count;
    uint64_t sum_bits;
    uint64_t values[3];
};

static const struct expected samples[] = {
    {BASE, BASE - 1000, TSDB_RESET_UNKNOWN, 10, 1, TEN, {3, 1, UINT64_MAX}},
    {BASE + 15000,
     BASE - 1000,
     TSDB_RESET_NO,
     13,
     2,
     0x4029000000000000,
     {4, 1, UINT64_MAX}},
    {BASE + 30000,
     BASE + 16000,
     TSDB_RESET_NO,
     19,
     4,
     0x4034000000000000,
     {6, 1, UINT64_MAX}},
};

/* Reader and what it needs. */
struct reading {
    struct room room;
    struct tsdb_histogram_reader reader;
};

static bool
reading_init(struct reading *r, enum tsdb_chunk_encoding encoding, struct bytes data,
             struct err *err)
{
    struct tsdb_chunk chunk = tsdb_chunk_loose(encoding, data);
    room_init(&r->room, LIMIT);
    return tsdb_histogram_reader_init(&r->reader, &chunk, &r->room.arena, err);
}

static void
reading_fini(struct reading *r)
{
    room_fini(&r->room);
}

static void
check_example(enum tsdb_chunk_encoding encoding, const char *hex)
{
    CLEANUP(buf_fini) struct buf data = {0};
    CLEANUP(reading_fini) struct reading r;
    struct tsdb_histogram h;
    struct err err;
    int64_t t_ms;
    bool end;
    put_hex(&data, hex);
    CLEANUP(guard_fini) struct guard g = guard_new(buf_bytes(&data));
    assert_done(reading_init(&r, encoding, g.bytes, &err), &err);
    assert_int_equal(tsdb_histogram_reader_count(&r.reader), ARRAY_LEN(samples));
    assert_int_equal(tsdb_histogram_reader_reset(&r.reader), TSDB_RESET_UNKNOWN);
    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        const struct expected *e = &samples[i];
        assert_done(tsdb_histogram_next(&r.reader, &t_ms, &h, &end, &err), &err);
        assert_false(end);
        assert_int_equal(t_ms, e->t_ms);
        assert_int_equal(tsdb_histogram_reader_start_ms(&r.reader),
                         encoding == TSDB_CHUNK_HISTOGRAM ? 0 : e->start_ms);
        assert_false(h.is_float);
        assert_int_equal(h.reset, e->reset);
        assert_int_equal(h.schema, 0);
        assert_int_equal(h.zero_threshold_bits, UINT64_C(0x37f0000000000000));
        assert_int_equal(h.count, e->count);
        assert_int_equal(h.zero_count, e->zero_count);
        assert_int_equal(h.sum_bits, e->sum_bits);
        assert_int_equal(h.positive.span_count, 2);
        assert_memory_equal(h.positive.spans, spans, sizeof spans);
        assert_int_equal(h.positive.count, 3);
        assert_memory_equal(h.positive.values, e->values, sizeof e->values);
        assert_int_equal(h.negative.span_count, 0);
        assert_int_equal(h.negative.count, 0);
        assert_int_equal(h.custom_count, 0);
    }
    assert_done(tsdb_histogram_next(&r.reader, &t_ms, &h, &end, &err), &err);
    assert_true(end);
}

static void
reads_what_upstream_writes(void **state)
{
    (void)state;
    check_example(TSDB_CHUNK_HISTOGRAM, upstream);
    check_example(TSDB_CHUNK_HISTOGRAM_ST, upstream_st);
}

static void
the_header_tells_of_resets(void **state)
{
    (void)state;
    static const struct {
        const char *plain;
        const char *with_start;
        enum tsdb_counter_reset reset;
    } cases[] = {
        {"000000", "000000", TSDB_RESET_UNKNOWN},
        {"000040", "400000", TSDB_RESET_NO},
        {"000080", "800000", TSDB_RESET_YES},
        {"0000c0", "c00000", TSDB_RESET_GAUGE},
        {"00003f", "0000ff", TSDB_RESET_UNKNOWN},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        for (int with_start = 0; with_start < 2; with_start++) {
            CLEANUP(buf_fini) struct buf data = {0};
            CLEANUP(reading_fini) struct reading r;
            struct err err;
            put_hex(&data, with_start ? cases[i].with_start : cases[i].plain);
            assert_done(reading_init(&r,
                                     with_start ? TSDB_CHUNK_HISTOGRAM_ST
                                                : TSDB_CHUNK_HISTOGRAM,
                                     buf_bytes(&data), &err),
                        &err);
            assert_int_equal(tsdb_histogram_reader_reset(&r.reader), cases[i].reset);
            assert_int_equal(tsdb_histogram_reader_count(&r.reader), 0);
        }
}

/* A stale marker leaves the buckets what they were, and has none itself. */
static void
stale_markers_have_only_their_sum(void **state)
{
    (void)state;
    static const enum tsdb_chunk_encoding encodings[] = {TSDB_CHUNK_HISTOGRAM,
                                                         TSDB_CHUNK_FLOAT_HISTOGRAM};
    for (size_t i = 0; i < ARRAY_LEN(encodings); i++) {
        CLEANUP(buf_fini) struct buf data = {0};
        CLEANUP(reading_fini) struct reading r;
        struct bits_writer w = bits_writer_of(&data);
        bool is_float = encodings[i] == TSDB_CHUNK_FLOAT_HISTOGRAM;
        struct tsdb_histogram h;
        struct err err;
        int64_t t_ms;
        bool end;
        bits_write(&w, 2, 16);
        bits_write(&w, 0, 8);
        bits_write(&w, 0, 8 + 1 + 1 + 1); /* an empty layout */
        bits_write(&w, 0, 1);             /* time, count, zero count */
        bits_write(&w, 0, is_float ? 64 : 1);
        bits_write(&w, 0, is_float ? 64 : 1);
        bits_write(&w, TSDB_STALE_BITS, 64);
        bits_write(&w, 0, 4);
        bits_flush(&w);
        assert_done(reading_init(&r, encodings[i], buf_bytes(&data), &err), &err);
        for (int k = 0; k < 2; k++) {
            assert_done(tsdb_histogram_next(&r.reader, &t_ms, &h, &end, &err), &err);
            assert_false(end);
            assert_true(tsdb_histogram_is_stale(&h));
            assert_int_equal(h.reset, TSDB_RESET_UNKNOWN);
            assert_int_equal(h.is_float, is_float);
            assert_int_equal(h.count, 0);
        }
    }
}

/* A chunk of one sample, or so it says, whose layout is the test's. */
static struct bits_writer
begin(struct buf *out, int64_t schema)
{
    struct bits_writer w = bits_writer_of(out);
    bits_write(&w, 1, 16);
    bits_write(&w, 0, 8);
    bits_write(&w, 0, 8);
    varbit_write_i64(&w, schema);
    return w;
}

static void
put_span(struct bits_writer *w, uint64_t length, int64_t offset)
{
    varbit_write_u64(w, length);
    varbit_write_i64(w, offset);
}

static void
expect_failure(enum tsdb_chunk_encoding encoding, struct bits_writer *w,
               enum err_code code, const char *what)
{
    /* So many zeros that the count of samples is believed. */
    for (int i = 0; i < 4; i++)
        bits_write(w, 0, 64);
    bits_flush(w);
    CLEANUP(guard_fini) struct guard g = guard_new(buf_bytes(w->out));
    CLEANUP(reading_fini) struct reading r;
    struct err err;
    assert_failed(reading_init(&r, encoding, g.bytes, &err), &err, code);
    if (strstr(err.text, what) == NULL)
        fail_msg("no \"%s\" in \"%s\"", what, err.text);
    buf_clear(w->out);
}

static void
rejects_schemas_that_are_none(void **state)
{
    (void)state;
    static const int64_t schemas[] = {-10, 53, -52, -54, INT64_C(1) << 32, INT64_MIN};
    CLEANUP(buf_fini) struct buf data = {0};
    for (size_t i = 0; i < ARRAY_LEN(schemas); i++) {
        struct bits_writer w = begin(&data, schemas[i]);
        expect_failure(TSDB_CHUNK_HISTOGRAM, &w, ERR_CORRUPT, "histogram schema");
    }
}

static void
rejects_counts_that_cannot_be(void **state)
{
    (void)state;
    static const uint64_t counts[] = {200, UINT32_MAX, UINT64_C(1) << 32, UINT64_MAX};
    CLEANUP(buf_fini) struct buf data = {0};
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        struct bits_writer w = begin(&data, 0);
        varbit_write_u64(&w, counts[i]);
        expect_failure(TSDB_CHUNK_HISTOGRAM, &w, ERR_CORRUPT, "spans");
        w = begin(&data, TSDB_HISTOGRAM_CUSTOM_SCHEMA);
        bits_write(&w, 0, 2);
        varbit_write_u64(&w, counts[i]);
        expect_failure(TSDB_CHUNK_HISTOGRAM, &w, ERR_CORRUPT, "custom bounds");
    }
}

static void
rejects_spans_that_overflow(void **state)
{
    (void)state;
    CLEANUP(buf_fini) struct buf data = {0};
    static const struct {
        uint64_t length;
        int64_t offset;
        const char *what;
    } cases[] = {
        {UINT64_C(1) << 32, 0, "span of 4294967296 buckets"},
        {UINT64_MAX, 0, "span of 18446744073709551615"},
        {0, INT64_C(1) << 31, "at 2147483648"},
        {0, -(INT64_C(1) << 31) - 1, "at -2147483649"},
        {1, INT32_MAX, "histogram bucket 2147483648"},
        {UINT32_MAX, 0, "histogram bucket 4294967295"},
        {1000, 0, "no room for 1000 buckets"},
        {UINT32_MAX, INT32_MIN, "no room for 4294967295 buckets"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct bits_writer w = begin(&data, 0);
        varbit_write_u64(&w, 1);
        put_span(&w, cases[i].length, cases[i].offset);
        expect_failure(TSDB_CHUNK_HISTOGRAM, &w, ERR_CORRUPT, cases[i].what);
    }
}

static void
rejects_spans_that_overlap_or_do_not_end(void **state)
{
    (void)state;
    CLEANUP(buf_fini) struct buf data = {0};
    struct bits_writer w = begin(&data, 0);
    varbit_write_u64(&w, 2);
    put_span(&w, 2, -7);
    put_span(&w, 2, -1);
    expect_failure(TSDB_CHUNK_HISTOGRAM, &w, ERR_CORRUPT, "overlap by 1");

    w = begin(&data, 0);
    varbit_write_u64(&w, 2);
    put_span(&w, 1, INT32_MAX - 1);
    put_span(&w, 1, INT32_MAX);
    expect_failure(TSDB_CHUNK_HISTOGRAM, &w, ERR_CORRUPT, "histogram bucket");

    /* Each side has room for itself, but not both. */
    w = begin(&data, 0);
    varbit_write_u64(&w, 1);
    put_span(&w, 150, 0);
    varbit_write_u64(&w, 1);
    put_span(&w, 150, 0);
    expect_failure(TSDB_CHUNK_HISTOGRAM, &w, ERR_CORRUPT, "no room for 300 buckets");

    /* Floats take 64 bits each. */
    w = begin(&data, 0);
    varbit_write_u64(&w, 1);
    put_span(&w, 5, 0);
    expect_failure(TSDB_CHUNK_FLOAT_HISTOGRAM, &w, ERR_CORRUPT,
                   "no room for 5 buckets");
}

static void
memory_is_that_of_the_budget(void **state)
{
    (void)state;
    CLEANUP(buf_fini) struct buf data = {0};
    struct bits_writer w = begin(&data, 0);
    varbit_write_u64(&w, 1);
    put_span(&w, LIMIT, 0);
    for (int i = 0; i < LIMIT / 64; i++)
        bits_write(&w, 0, 64);
    expect_failure(TSDB_CHUNK_HISTOGRAM, &w, ERR_BUDGET, "test");
}

static void
expect_corrupt(void *arg, struct bytes data)
{
    const enum tsdb_chunk_encoding *encoding = arg;
    CLEANUP(reading_fini) struct reading r;
    struct tsdb_histogram h;
    struct err err;
    int64_t t_ms;
    bool end = false;
    bool ok = reading_init(&r, *encoding, data, &err);
    while (ok && !end)
        ok = tsdb_histogram_next(&r.reader, &t_ms, &h, &end, &err);
    assert_failed(ok, &err, ERR_CORRUPT);
}

static void
rejects_every_truncation(void **state)
{
    (void)state;
    const struct {
        enum tsdb_chunk_encoding encoding;
        const char *hex;
    } cases[] = {{TSDB_CHUNK_HISTOGRAM, upstream},
                 {TSDB_CHUNK_HISTOGRAM_ST, upstream_st}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(buf_fini) struct buf data = {0};
        enum tsdb_chunk_encoding encoding = cases[i].encoding;
        put_hex(&data, cases[i].hex);
        for_each_truncation(buf_bytes(&data), expect_corrupt, &encoding);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_upstream_writes),
        cmocka_unit_test(the_header_tells_of_resets),
        cmocka_unit_test(stale_markers_have_only_their_sum),
        cmocka_unit_test(rejects_schemas_that_are_none),
        cmocka_unit_test(rejects_counts_that_cannot_be),
        cmocka_unit_test(rejects_spans_that_overflow),
        cmocka_unit_test(rejects_spans_that_overlap_or_do_not_end),
        cmocka_unit_test(memory_is_that_of_the_budget),
        cmocka_unit_test(rejects_every_truncation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
