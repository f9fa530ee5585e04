/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/compiler.h"
#include "common/wire/histogram.h"
#include "remote_read.pb-c.h"

#define STALE UINT64_C(0x7ff0000000000002)
#define NEGATIVE_ZERO UINT64_C(0x8000000000000000)
#define ONE UINT64_C(0x3ff0000000000000)

static void
put(int64_t t_ms, const struct tsdb_histogram *h, struct buf *out)
{
    size_t begin = out->len;
    uint64_t layout_size = wire_histogram_layout_size(h);
    wire_histogram_put(t_ms, h, layout_size, out);
    assert_int_equal(out->len - begin, wire_histogram_size(t_ms, h, layout_size));
}

static void
expect_bytes(int64_t t_ms, const struct tsdb_histogram *h, struct bytes expected)
{
    CLEANUP(buf_fini) struct buf out = {0};
    put(t_ms, h, &out);
    assert_int_equal(out.len, expected.len);
    assert_memory_equal(out.at, expected.at, expected.len);
}

static const struct tsdb_span spans[] = {{-2, 1}, {3, 2}, {0, 0}};
static const uint64_t deltas[] = {1, (uint64_t)-2, 300};
static const uint64_t counts[] = {ONE, 0, NEGATIVE_ZERO};

/* As Prometheus's own encoder writes them, but for the sum that is a negative zero,
 * which it takes for zero and leaves out. */

static void
integers_have_these_bytes(void **state)
{
    const struct tsdb_histogram h = {
        .reset = TSDB_RESET_GAUGE,
        .schema = -1,
        .zero_threshold_bits = ONE,
        .count = 300,
        .zero_count = 0,
        .sum_bits = ONE,
        .positive = {spans, deltas, 2, 3},
        .negative = {spans, deltas, 1, 1},
    };
    (void)state;
    expect_bytes(5, &h,
                 BYTES("\x22\x38\x08\xac\x02"
                       "\x19\x00\x00\x00\x00\x00\x00\xf0\x3f"
                       "\x20\x01\x29\x00\x00\x00\x00\x00\x00\xf0\x3f\x30\x00"
                       "\x42\x04\x08\x03\x10\x01\x4a\x01\x02"
                       "\x5a\x04\x08\x03\x10\x01\x5a\x04\x08\x06\x10\x02"
                       "\x62\x04\x02\x03\xd8\x04"
                       "\x70\x03\x78\x05"));
}

static void
floats_have_these_bytes(void **state)
{
    static const uint64_t bounds[] = {ONE, STALE};
    const struct tsdb_histogram h = {
        .is_float = true,
        .reset = TSDB_RESET_NO,
        .schema = TSDB_HISTOGRAM_CUSTOM_SCHEMA,
        .count = ONE,
        .zero_count = 0,
        .sum_bits = NEGATIVE_ZERO,
        .positive = {spans + 2, counts, 1, 2},
        .custom_bits = bounds,
        .custom_count = 2,
    };
    (void)state;
    expect_bytes(-1, &h,
                 BYTES("\x22\x51\x11\x00\x00\x00\x00\x00\x00\xf0\x3f"
                       "\x19\x00\x00\x00\x00\x00\x00\x00\x80\x20\x69"
                       "\x39\x00\x00\x00\x00\x00\x00\x00\x00"
                       "\x5a\x00\x6a\x10\x00\x00\x00\x00\x00\x00\xf0\x3f"
                       "\x00\x00\x00\x00\x00\x00\x00\x00\x70\x02"
                       "\x78\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
                       "\x82\x01\x10\x00\x00\x00\x00\x00\x00\xf0\x3f"
                       "\x02\x00\x00\x00\x00\x00\xf0\x7f"));
}

static void
stale_ones_say_of_what_kind_they_are(void **state)
{
    struct tsdb_histogram h = {.sum_bits = STALE};
    (void)state;
    assert_int_equal(wire_histogram_layout_size(&h), 0);
    expect_bytes(0, &h,
                 BYTES("\x22\x0d\x08\x00\x19\x02\x00\x00\x00\x00\x00\xf0\x7f\x30\x00"));
    h.is_float = true;
    expect_bytes(0, &h,
                 BYTES("\x22\x1b\x11\x00\x00\x00\x00\x00\x00\x00\x00"
                       "\x19\x02\x00\x00\x00\x00\x00\xf0\x7f"
                       "\x39\x00\x00\x00\x00\x00\x00\x00\x00"));
}

static uint64_t
next_random(uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return *x;
}

enum { MOST = 40 };

struct sample {
    int64_t t_ms;
    struct tsdb_histogram h;
    struct tsdb_span spans[2][MOST];
    uint64_t values[2][MOST];
    uint64_t bounds[MOST];
};

/* Of any length, 0 among them. */
static uint64_t
any(uint64_t *random)
{
    uint64_t v = next_random(random);
    return v % 4 == 0 ? 0 : v >> (v >> 8) % 64;
}

static void
fill_side(struct sample *s, int side, struct tsdb_buckets *b, uint64_t *random)
{
    *b = (struct tsdb_buckets){s->spans[side], s->values[side],
                               (uint32_t)(next_random(random) % MOST),
                               (uint32_t)(next_random(random) % MOST)};
    for (size_t i = 0; i < MOST; i++) {
        s->spans[side][i] =
            (struct tsdb_span){(int32_t)any(random), (uint32_t)any(random)};
        s->values[side][i] = any(random) ^ (0 - (next_random(random) & 1));
        s->bounds[i] = any(random);
    }
}

static void
fill(struct sample *s, uint64_t *random)
{
    s->t_ms = (int64_t)any(random);
    s->h = (struct tsdb_histogram){
        .is_float = next_random(random) % 2 == 0,
        .reset = (enum tsdb_counter_reset)(next_random(random) % 4),
        .schema = (int32_t)any(random),
        .zero_threshold_bits = any(random),
        .count = any(random),
        .zero_count = any(random),
        .sum_bits = any(random),
        .custom_bits = s->bounds,
        .custom_count = (uint32_t)(next_random(random) % MOST),
    };
    fill_side(s, 0, &s->h.positive, random);
    fill_side(s, 1, &s->h.negative, random);
}

static void
check_doubles(const double *got, size_t count, const uint64_t *bits, uint32_t expected)
{
    assert_int_equal(count, expected);
    if (count > 0)
        assert_memory_equal(got, bits, count * sizeof *bits);
}

static void
check_spans(Wirepb__BucketSpan *const *got, size_t count, const struct tsdb_buckets *b)
{
    assert_int_equal(count, b->span_count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(got[i]->offset, b->spans[i].offset);
        assert_int_equal(got[i]->length, b->spans[i].length);
    }
}

static void
check_deltas(const int64_t *got, size_t count, const struct tsdb_buckets *b)
{
    assert_int_equal(count, b->count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(got[i], (int64_t)b->values[i]);
}

static void
check_floats(const Wirepb__Histogram *got, const struct tsdb_histogram *h)
{
    assert_int_equal(got->count_case, WIREPB__HISTOGRAM__COUNT_COUNT_FLOAT);
    assert_int_equal(got->zero_count_case,
                     WIREPB__HISTOGRAM__ZERO_COUNT_ZERO_COUNT_FLOAT);
    check_doubles(&got->count_float, 1, &h->count, 1);
    check_doubles(&got->zero_count_float, 1, &h->zero_count, 1);
    check_doubles(got->negative_counts, got->n_negative_counts, h->negative.values,
                  h->negative.count);
    check_doubles(got->positive_counts, got->n_positive_counts, h->positive.values,
                  h->positive.count);
    assert_int_equal(got->n_negative_deltas + got->n_positive_deltas, 0);
}

static void
check_integers(const Wirepb__Histogram *got, const struct tsdb_histogram *h)
{
    assert_int_equal(got->count_case, WIREPB__HISTOGRAM__COUNT_COUNT_INT);
    assert_int_equal(got->zero_count_case,
                     WIREPB__HISTOGRAM__ZERO_COUNT_ZERO_COUNT_INT);
    assert_int_equal(got->count_int, h->count);
    assert_int_equal(got->zero_count_int, h->zero_count);
    check_deltas(got->negative_deltas, got->n_negative_deltas, &h->negative);
    check_deltas(got->positive_deltas, got->n_positive_deltas, &h->positive);
    assert_int_equal(got->n_negative_counts + got->n_positive_counts, 0);
}

static void
check(const Wirepb__Histogram *got, const struct sample *s)
{
    const struct tsdb_histogram *h = &s->h;
    assert_int_equal(got->t_ms, s->t_ms);
    assert_int_equal(got->schema, h->schema);
    assert_int_equal(got->reset_hint, h->reset);
    check_doubles(&got->sum, 1, &h->sum_bits, 1);
    check_doubles(&got->zero_threshold, 1, &h->zero_threshold_bits, 1);
    check_doubles(got->custom_values, got->n_custom_values, h->custom_bits,
                  h->custom_count);
    check_spans(got->negative_spans, got->n_negative_spans, &h->negative);
    check_spans(got->positive_spans, got->n_positive_spans, &h->positive);
    if (h->is_float)
        check_floats(got, h);
    else
        check_integers(got, h);
}

static void
random_ones_are_read_back(void **state)
{
    uint64_t random = 1;
    (void)state;
    for (int round = 0; round < 300; round++) {
        struct sample s;
        CLEANUP(buf_fini) struct buf out = {0};
        fill(&s, &random);
        put(s.t_ms, &s.h, &out);
        Wirepb__TimeSeries *series = wirepb__time_series__unpack(NULL, out.len, out.at);
        assert_non_null(series);
        assert_int_equal(series->n_histograms, 1);
        check(series->histograms[0], &s);
        /* Nothing is there that need not be. */
        assert_int_equal(wirepb__time_series__get_packed_size(series), out.len);
        wirepb__time_series__free_unpacked(series, NULL);
    }
}

static void
one_that_does_not_fit_latches(void **state)
{
    const struct tsdb_histogram h = {.positive = {spans, deltas, 2, 3}};
    (void)state;
    CLEANUP(budget_fini) struct budget budget;
    CLEANUP(buf_fini) struct buf out;
    struct err err;
    budget_init(&budget, "test", 10, NULL);
    buf_init(&out, &budget);
    wire_histogram_put(1, &h, wire_histogram_layout_size(&h), &out);
    assert_false(buf_ok(&out, &err));
    assert_int_equal(err.code, ERR_BUDGET);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_have_these_bytes),
        cmocka_unit_test(floats_have_these_bytes),
        cmocka_unit_test(stale_ones_say_of_what_kind_they_are),
        cmocka_unit_test(random_ones_are_read_back),
        cmocka_unit_test(one_that_does_not_fit_latches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
