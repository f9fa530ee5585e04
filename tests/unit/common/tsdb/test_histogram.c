/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/tsdb/histogram.h"

static const struct tsdb_span spans[] = {{-1, 2}, {3, 1}}, other_spans[] = {{-1, 3}};
static const uint64_t bounds[] = {1, 2}, other_bounds[] = {1, 3};

static struct tsdb_histogram
sample(void)
{
    static const uint64_t positive[] = {5, (uint64_t)-2, 4}, negative[] = {1};
    return (struct tsdb_histogram){
        .count = 20,
        .zero_count = 4,
        .zero_threshold_bits = 7,
        .positive = {spans, positive, 2, 3},
        .negative = {&spans[1], negative, 1, 1},
        .custom_bits = bounds,
        .custom_count = 2,
    };
}

static void
layouts_differ_by_what_they_consist_of(void **state)
{
    (void)state;
    struct tsdb_histogram a = sample(), empty = {0};
    assert_true(tsdb_histogram_same_layout(&a, &a));
    assert_true(tsdb_histogram_same_layout(&empty, &empty));
    assert_false(tsdb_histogram_same_layout(&a, &empty));
    struct tsdb_histogram others[] = {sample(), sample(), sample(), sample(),
                                      sample(), sample(), sample()};
    others[0].schema = 1;
    others[1].zero_threshold_bits = 8;
    others[2].positive.spans = other_spans;
    others[2].positive.span_count = 1;
    others[3].negative.span_count = 0;
    others[4].custom_count = 1;
    others[5].custom_bits = other_bounds;
    others[6].negative.spans = other_spans;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        assert_false(tsdb_histogram_same_layout(&a, &others[i]));
        assert_false(tsdb_histogram_same_layout(&others[i], &a));
    }
}

static void
what_is_no_part_of_a_layout_may_differ(void **state)
{
    (void)state;
    struct tsdb_histogram a = sample(), b = sample();
    static const uint64_t values[] = {9, 9, 9};
    b.positive.values = values;
    b.count = b.zero_count = b.sum_bits = 99;
    b.reset = TSDB_RESET_GAUGE;
    assert_true(tsdb_histogram_same_layout(&a, &b));
}

static void
any_count_that_falls_is_a_reset(void **state)
{
    (void)state;
    /* Counts of the buckets: 5, 3, 7; each case lowers one of them. */
    static const uint64_t first[] = {4, (uint64_t)-1, 4},
                          second[] = {5, (uint64_t)-3, 5},
                          third[] = {5, (uint64_t)-2, 3}, grown[] = {6, 0, 2},
                          none[] = {0};
    struct tsdb_histogram before = sample(), same = sample();
    assert_false(tsdb_histogram_has_reset(&before, &same));
    struct tsdb_histogram fallen[] = {sample(), sample(), sample(),
                                      sample(), sample(), sample()};
    fallen[0].count--;
    fallen[1].zero_count--;
    fallen[2].positive.values = first;
    fallen[3].positive.values = second;
    fallen[4].positive.values = third;
    fallen[5].negative.values = none;
    for (size_t i = 0; i < sizeof fallen / sizeof *fallen; i++)
        assert_true(tsdb_histogram_has_reset(&before, &fallen[i]));
    same.positive.values = grown;
    same.count++;
    assert_false(tsdb_histogram_has_reset(&before, &same));
}

static uint64_t
bits_of(double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    return bits;
}

static void
floats_are_compared_as_floats(void **state)
{
    (void)state;
    struct tsdb_histogram before = sample(), now = sample();
    const uint64_t low[] = {bits_of(1), bits_of(0.5), bits_of(-1)},
                   high[] = {bits_of(1), bits_of(0.5), bits_of(2)},
                   one[] = {bits_of(1)};
    before.is_float = now.is_float = true;
    before.count = bits_of(-1);
    now.count = bits_of(2);
    before.zero_count = now.zero_count = bits_of(0.25);
    before.positive.values = low;
    now.positive.values = high;
    before.negative.values = now.negative.values = one;
    assert_false(tsdb_histogram_has_reset(&before, &now));
    assert_true(tsdb_histogram_has_reset(&now, &before));
    before.count = now.count;
    assert_true(tsdb_histogram_has_reset(&now, &before));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layouts_differ_by_what_they_consist_of),
        cmocka_unit_test(what_is_no_part_of_a_layout_may_differ),
        cmocka_unit_test(any_count_that_falls_is_a_reset),
        cmocka_unit_test(floats_are_compared_as_floats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
