/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <pthread.h>
#include <string.h>

#include "common/base/pool.h"
#include "common/metrics/registry.h"
#include "tests/support/aborts.h"
#include "tests/support/expect.h"

static void
expect_text(struct metrics_registry *r, const char *expected)
{
    CLEANUP(buf_fini) struct buf out = {0};
    metrics_print(r, &out);
    assert_string_equal(buf_text(&out), expected);
}

static void
prints_counters_and_gauges_in_order(void **state)
{
    (void)state;
    CLEANUP(metrics_registry_free) struct metrics_registry *r = metrics_registry_new();
    struct metrics_value *c = metrics_counter(r, "c_total", "A counter.");
    struct metrics_value *g = metrics_gauge(r, "a_gauge", "A gauge.");
    metrics_add(c, 1);
    metrics_add(c, 2);
    metrics_set(g, -0.25);
    assert_true(metrics_get(c) == 3.0);
    expect_text(r, "# HELP c_total A counter.\n"
                   "# TYPE c_total counter\n"
                   "c_total 3\n"
                   "# HELP a_gauge A gauge.\n"
                   "# TYPE a_gauge gauge\n"
                   "a_gauge -0.25\n");
}

static void
prints_children_from_zero_and_finds_them_again(void **state)
{
    static const char *const names[] = {"op", "bucket", NULL};
    (void)state;
    CLEANUP(metrics_registry_free) struct metrics_registry *r = metrics_registry_new();
    struct metrics_family *f = metrics_family_new(r, METRICS_COUNTER, "n", "h", names);
    struct metrics_family *none = metrics_family_new(r, METRICS_GAUGE, "z", "h", names);
    struct metrics_value *get = metrics_child(f, (const char *[]){"get", "b"});
    struct metrics_value *put = metrics_child(f, (const char *[]){"put", "b"});
    assert_non_null(none);
    assert_ptr_not_equal(get, put);
    assert_ptr_equal(get, metrics_child(f, (const char *[]){"get", "b"}));
    metrics_add(get, 1);
    expect_text(r, "# HELP n h\n"
                   "# TYPE n counter\n"
                   "n{op=\"get\",bucket=\"b\"} 1\n"
                   "n{op=\"put\",bucket=\"b\"} 0\n");
}

static void
tells_children_apart_whose_values_hold_quotes(void **state)
{
    static const char *const names[] = {"a", "b", NULL};
    (void)state;
    CLEANUP(metrics_registry_free) struct metrics_registry *r = metrics_registry_new();
    struct metrics_family *f = metrics_family_new(r, METRICS_GAUGE, "n", "h", names);
    assert_ptr_not_equal(metrics_child(f, (const char *[]){"x\",b=\"y", "z"}),
                         metrics_child(f, (const char *[]){"x", "y\",b=\"z"}));
}

static void
escapes_help_and_label_values(void **state)
{
    static const char *const names[] = {"path", NULL};
    (void)state;
    CLEANUP(metrics_registry_free) struct metrics_registry *r = metrics_registry_new();
    struct metrics_family *f =
        metrics_family_new(r, METRICS_GAUGE, "n", "a\\b\n\"c\"", names);
    metrics_child(f, (const char *[]){"a\\b\n\"c\""});
    expect_text(r, "# HELP n a\\\\b\\n\"c\"\n"
                   "# TYPE n gauge\n"
                   "n{path=\"a\\\\b\\n\\\"c\\\"\"} 0\n");
}

static void
prints_each_kind_of_number(void **state)
{
    static const struct {
        double value;
        const char *text;
    } cases[] = {
        {0, "0"},
        {1, "1"},
        {30, "30"},
        {0.005, "0.005"},
        {123456789, "123456789"},
        {1e6, "1e+06"},
        {1764000000.125, "1764000000.125"},
        {9007199254740993.0, "9007199254740992"},
        {0.1 + 0.2, "0.30000000000000004"},
        {INFINITY, "+Inf"},
        {-INFINITY, "-Inf"},
        {NAN, "NaN"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(metrics_registry_free)
        struct metrics_registry *r = metrics_registry_new();
        CLEANUP(buf_fini) struct buf expected = {0};
        metrics_set(metrics_gauge(r, "n", "h"), cases[i].value);
        buf_printf(&expected, "# HELP n h\n# TYPE n gauge\nn %s\n", cases[i].text);
        expect_text(r, buf_text(&expected));
    }
}

static void
prints_cumulative_buckets(void **state)
{
    static const double bounds[] = {0.01, 1, 30};
    static const char *const names[] = {"op", NULL};
    static const double values[] = {0.01, 0.5, 1, 31, -1, INFINITY};
    (void)state;
    CLEANUP(metrics_registry_free) struct metrics_registry *r = metrics_registry_new();
    struct metrics_family *f = metrics_histogram_family_new(r, "d_seconds", "h", names,
                                                            bounds, ARRAY_LEN(bounds));
    struct metrics_histogram *h = metrics_histogram_child(f, (const char *[]){"get"});
    for (size_t i = 0; i < ARRAY_LEN(values); i++)
        metrics_observe(h, values[i]);
    expect_text(r, "# HELP d_seconds h\n"
                   "# TYPE d_seconds histogram\n"
                   "d_seconds_bucket{op=\"get\",le=\"0.01\"} 2\n"
                   "d_seconds_bucket{op=\"get\",le=\"1\"} 4\n"
                   "d_seconds_bucket{op=\"get\",le=\"30\"} 4\n"
                   "d_seconds_bucket{op=\"get\",le=\"+Inf\"} 6\n"
                   "d_seconds_sum{op=\"get\"} +Inf\n"
                   "d_seconds_count{op=\"get\"} 6\n");
}

static void
puts_nan_into_the_last_bucket(void **state)
{
    static const double bounds[] = {1};
    (void)state;
    CLEANUP(metrics_registry_free) struct metrics_registry *r = metrics_registry_new();
    struct metrics_family *f =
        metrics_histogram_family_new(r, "d", "h", NULL, bounds, 1);
    metrics_observe(metrics_histogram_child(f, NULL), NAN);
    expect_text(r, "# HELP d h\n"
                   "# TYPE d histogram\n"
                   "d_bucket{le=\"1\"} 0\n"
                   "d_bucket{le=\"+Inf\"} 1\n"
                   "d_sum NaN\n"
                   "d_count 1\n");
}

static void
expect_openmetrics(struct metrics_registry *r, const char *expected)
{
    CLEANUP(buf_fini) struct buf text = {0};
    metrics_print_openmetrics(r, &text);
    assert_string_equal(buf_text(&text), expected);
}

static void
prints_openmetrics(void **state)
{
    static const double bounds[] = {0.005, 30, 1048576};
    (void)state;
    CLEANUP(metrics_registry_free) struct metrics_registry *r = metrics_registry_new();
    metrics_counter(r, "a_total", "says \"a\"");
    metrics_counter(r, "b", "h");
    metrics_counter(r, "_total", "h");
    metrics_counter(r, "c_total_total", "h");
    metrics_set(metrics_gauge(r, "c_total", "h"), 1e6);
    struct metrics_family *f =
        metrics_histogram_family_new(r, "d", "h", NULL, bounds, ARRAY_LEN(bounds));
    metrics_observe(metrics_histogram_child(f, NULL), 30);
    expect_openmetrics(r, "# HELP a says \\\"a\\\"\n# TYPE a counter\na_total 0.0\n"
                          "# HELP b h\n# TYPE b unknown\nb 0.0\n"
                          "# HELP _total h\n# TYPE _total unknown\n_total 0.0\n"
                          "# HELP c_total_total h\n# TYPE c_total_total unknown\n"
                          "c_total_total 0.0\n"
                          "# HELP c_total h\n# TYPE c_total gauge\nc_total 1e+06\n"
                          "# HELP d h\n# TYPE d histogram\n"
                          "d_bucket{le=\"0.005\"} 0\nd_bucket{le=\"30.0\"} 1\n"
                          "d_bucket{le=\"1.048576e+06\"} 1\nd_bucket{le=\"+Inf\"} 1\n"
                          "d_sum 30.0\nd_count 1\n# EOF\n");
}

static void
prints_numbers_as_openmetrics_has_them(void **state)
{
    static const struct {
        double value;
        const char *text;
    } cases[] = {
        {-1, "-1.0"},       {123456, "123456.0"},
        {0.1, "0.1"},       {0.0001, "0.0001"},
        {0.00001, "1e-05"}, {1234567.5, "1.2345675e+06"},
        {12.5, "12.5"},     {0.1 + 0.2, "0.30000000000000004"},
        {INFINITY, "+Inf"}, {NAN, "NaN"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(metrics_registry_free)
        struct metrics_registry *r = metrics_registry_new();
        CLEANUP(buf_fini) struct buf expected = {0};
        metrics_set(metrics_gauge(r, "n", "h"), cases[i].value);
        buf_printf(&expected, "# HELP n h\n# TYPE n gauge\nn %s\n# EOF\n",
                   cases[i].text);
        expect_openmetrics(r, buf_text(&expected));
    }
}

static void
count_call(void *arg)
{
    metrics_add(arg, 1);
}

static void
collects_before_each_exposition(void **state)
{
    (void)state;
    CLEANUP(metrics_registry_free) struct metrics_registry *r = metrics_registry_new();
    struct metrics_value *calls = metrics_counter(r, "calls", "h");
    metrics_on_collect(r, count_call, calls);
    metrics_on_collect(r, count_call, calls);
    expect_text(r, "# HELP calls h\n# TYPE calls counter\ncalls 2\n");
    expect_text(r, "# HELP calls h\n# TYPE calls counter\ncalls 4\n");
}

enum { THREADS = 4, ROUNDS = 20000 };

struct contended {
    struct metrics_registry *registry;
    struct metrics_family *family;
    struct metrics_value *counter;
    struct metrics_histogram *histogram;
};

static void *
update_and_print(void *arg)
{
    struct contended *c = arg;
    CLEANUP(buf_fini) struct buf out = {0};
    for (int i = 0; i < ROUNDS; i++) {
        metrics_add(c->counter, 1);
        metrics_observe(c->histogram, 0.5);
        metrics_add(metrics_child(c->family, (const char *[]){i % 2 ? "a" : "b"}), 1);
        if (i % 1000 == 0) {
            buf_clear(&out);
            metrics_print(c->registry, &out);
        }
    }
    return NULL;
}

static void
loses_no_update_of_many_threads(void **state)
{
    static const double bounds[] = {1};
    static const char *const names[] = {"l", NULL};
    (void)state;
    struct err err;
    pthread_t threads[THREADS];
    CLEANUP(metrics_registry_free) struct metrics_registry *r = metrics_registry_new();
    struct contended c = {
        .registry = r,
        .family = metrics_family_new(r, METRICS_COUNTER, "f", "h", names),
        .counter = metrics_counter(r, "c", "h"),
        .histogram = metrics_histogram_child(
            metrics_histogram_family_new(r, "d", "h", NULL, bounds, 1), NULL),
    };
    for (int i = 0; i < THREADS; i++)
        expect_ok(thread_start(&threads[i], "update", update_and_print, &c, &err), err);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_true(metrics_get(c.counter) == (double)THREADS * ROUNDS);
    double a = metrics_get(metrics_child(c.family, (const char *[]){"a"}));
    double b = metrics_get(metrics_child(c.family, (const char *[]){"b"}));
    assert_true(a == b && a + b == (double)THREADS * ROUNDS);
    CLEANUP(buf_fini) struct buf out = {0};
    metrics_print(r, &out);
    assert_non_null(strstr(buf_text(&out), "d_sum 40000\nd_count 80000\n"));
}

static void
make_two_families_of_a_name(void *registry)
{
    metrics_counter(registry, "n", "h");
    metrics_gauge(registry, "n", "h");
}

static void
aborts_on_a_second_family_of_a_name(void **state)
{
    (void)state;
    CLEANUP(metrics_registry_free) struct metrics_registry *r = metrics_registry_new();
    assert_true(aborts(make_two_families_of_a_name, r));
}

static void
releases_nothing(void **state)
{
    (void)state;
    CLEANUP(metrics_registry_free) struct metrics_registry *r = NULL;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prints_counters_and_gauges_in_order),
        cmocka_unit_test(prints_children_from_zero_and_finds_them_again),
        cmocka_unit_test(tells_children_apart_whose_values_hold_quotes),
        cmocka_unit_test(escapes_help_and_label_values),
        cmocka_unit_test(prints_each_kind_of_number),
        cmocka_unit_test(prints_cumulative_buckets),
        cmocka_unit_test(puts_nan_into_the_last_bucket),
        cmocka_unit_test(prints_openmetrics),
        cmocka_unit_test(prints_numbers_as_openmetrics_has_them),
        cmocka_unit_test(collects_before_each_exposition),
        cmocka_unit_test(loses_no_update_of_many_threads),
        cmocka_unit_test(aborts_on_a_second_family_of_a_name),
        cmocka_unit_test(releases_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
