/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/objstore/measured.h"
#include "tests/support/faulty_bucket.h"
#include "tests/unit/common/objstore/fixture.h"

struct measured {
    struct fixture f;
    struct objstore_bucket *faulty;
    struct metrics_registry *registry;
};

static void
measured_init(struct measured *m)
{
    fixture_init(&m->f);
    m->registry = metrics_registry_new();
    m->f.bucket = m->faulty = faulty_bucket_new(m->f.bucket);
    objstore_measured_wrap(&m->f.bucket, m->registry, NULL);
    assert_null(objstore_measured_requests(m->f.bucket));
}

static void
measured_fini(struct measured *m)
{
    fixture_fini(&m->f);
    metrics_registry_free(&m->registry);
}

/* Expect the line: name (behind thanos_objstore_bucket_), operation, value. */
static void
expect_metric(struct measured *m, const char *name, const char *operation, int value)
{
    struct buf page = {0}, line = {0};
    metrics_print(m->registry, &page);
    buf_printf(&line,
               "\nthanos_objstore_bucket_%s{bucket=\"fs: %s\",operation=\"%s\"} %d\n",
               name, m->f.root, operation, value);
    if (strstr(buf_text(&page), buf_text(&line)) == NULL)
        fail_msg("no%sin\n%s", buf_text(&line), buf_text(&page));
    buf_fini(&page);
    buf_fini(&line);
}

static void
shows_every_combination_from_the_start(void **state)
{
    (void)state;
    struct measured m;
    measured_init(&m);
    static const char *const operations[] = {"iter",   "get",    "get_range", "exists",
                                             "upload", "delete", "attributes"};
    for (size_t i = 0; i < ARRAY_LEN(operations); i++) {
        expect_metric(&m, "operations_total", operations[i], 0);
        expect_metric(&m, "operation_failures_total", operations[i], 0);
        expect_metric(&m, "operation_duration_seconds_count", operations[i], 0);
        expect_metric(&m, "operation_fetched_bytes_total", operations[i], 0);
    }
    static const char *const with_bytes[] = {"get", "get_range", "upload"};
    for (size_t i = 0; i < ARRAY_LEN(with_bytes); i++)
        expect_metric(&m, "operation_transferred_bytes_count", with_bytes[i], 0);
    measured_fini(&m);
}

static void
counts_operations_and_bytes(void **state)
{
    (void)state;
    struct measured m;
    measured_init(&m);
    struct objstore_attrs attrs;
    assert_true(put(&m.f, "k", "0123456789"));
    FILE *file = tmpfile();
    assert_true(put_file(&m.f, &CALL, text("f"), fileno(file), 0));
    fclose(file);
    expect_object(&m.f, "k", "0123456789");
    expect_list(&m.f, "", "f k ");
    assert_true(objstore_head(m.f.bucket, &CALL, text("k"), &attrs, &m.f.err));
    assert_true(objstore_remove(m.f.bucket, &CALL, text("k"), &m.f.err));
    expect_metric(&m, "operations_total", "upload", 2);
    expect_metric(&m, "operations_total", "get_range", 1);
    expect_metric(&m, "operations_total", "iter", 1);
    expect_metric(&m, "operations_total", "attributes", 1);
    expect_metric(&m, "operations_total", "delete", 1);
    expect_metric(&m, "operation_duration_seconds_count", "delete", 1);
    expect_metric(&m, "operation_fetched_bytes_total", "get_range", 10);
    expect_metric(&m, "operation_transferred_bytes_sum", "get_range", 10);
    expect_metric(&m, "operation_transferred_bytes_sum", "upload", 10);
    expect_metric(&m, "operation_failures_total", "upload", 0);
    measured_fini(&m);
}

static void
counts_failures_that_nobody_expects(void **state)
{
    (void)state;
    static const struct {
        enum err_code code;
        int head;
        int get;
    } cases[] = {{ERR_UNAVAILABLE, 1, 1},
                 {ERR_DENIED, 1, 1},
                 {ERR_NOT_FOUND, 0, 1},
                 {ERR_CANCELLED, 0, 0}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct measured m;
        measured_init(&m);
        struct objstore_attrs attrs;
        faulty_bucket_add(
            m.faulty, (struct faulty_rule){.ops = FAULTY_ANY, .code = cases[i].code});
        assert_false(objstore_head(m.f.bucket, &CALL, text("k"), &attrs, &m.f.err));
        free(get(&m.f, "k"));
        expect_metric(&m, "operation_failures_total", "attributes", cases[i].head);
        expect_metric(&m, "operation_failures_total", "get_range", cases[i].get);
        expect_metric(&m, "operations_total", "attributes", 1);
        measured_fini(&m);
    }
}

static void
expects_answers_that_are_no_failures(void **state)
{
    (void)state;
    struct measured m;
    measured_init(&m);
    struct objstore_bucket *b = m.f.bucket;
    struct buf into = {0};
    size_t got;
    assert_true(put(&m.f, "k", "0123456789"));
    assert_true(put(&m.f, "empty", ""));
    assert_true(objstore_get(b, &CALL, text("empty"), 10, &into, &m.f.err));
    assert_false(objstore_get(b, &CALL, text("k"), 9, &into, &m.f.err));
    expect_metric(&m, "operations_total", "get_range", 2);
    expect_metric(&m, "operation_failures_total", "get_range", 0);
    expect_metric(&m, "operation_transferred_bytes_count", "get_range", 0);
    assert_false(objstore_create(b, &CALL, text("k"), text("x"), &m.f.err));
    assert_int_equal(m.f.err.code, ERR_CONFLICT);
    expect_metric(&m, "operations_total", "upload", 3);
    expect_metric(&m, "operation_failures_total", "upload", 0);
    expect_metric(&m, "operation_transferred_bytes_count", "upload", 2);
    expect_metric(&m, "operation_transferred_bytes_sum", "upload", 10);

    assert_false(objstore_read_range(b, &CALL, text("k"),
                                     (struct objstore_range){10, 1}, (uint8_t[1]){0},
                                     &got, &m.f.err));
    expect_metric(&m, "operation_failures_total", "get_range", 1);
    faulty_bucket_add(m.faulty, (struct faulty_rule){.ops = FAULTY_ANY});
    assert_false(put(&m.f, "k", "x"));
    assert_false(objstore_remove(b, &CALL, text("k"), &m.f.err));
    expect_list(&m.f, "", "<unavailable>");
    expect_metric(&m, "operation_failures_total", "upload", 1);
    expect_metric(&m, "operation_failures_total", "delete", 1);
    expect_metric(&m, "operation_failures_total", "iter", 1);
    buf_fini(&into);
    measured_fini(&m);
}

static double
last_upload(struct measured *m)
{
    struct buf page = {0};
    metrics_print(m->registry, &page);
    const char *line =
        strstr(buf_text(&page),
               "\nthanos_objstore_bucket_last_successful_upload_time{bucket=");
    assert_non_null(line);
    double value = strtod(strstr(line, "} ") + 2, NULL);
    buf_fini(&page);
    return value;
}

static void
remembers_the_last_successful_upload(void **state)
{
    (void)state;
    struct measured m;
    measured_init(&m);
    assert_true(last_upload(&m) == 0);
    faulty_bucket_add(m.faulty, (struct faulty_rule){.ops = FAULTY_PUT, .times = 1});
    assert_false(put(&m.f, "k", "x"));
    assert_true(last_upload(&m) == 0);
    assert_true(put(&m.f, "k", "x"));
    double age = (double)clock_wall_ns() / (double)CLOCK_NS_PER_S - last_upload(&m);
    assert_true(age >= 0 && age < 60);
    measured_fini(&m);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(shows_every_combination_from_the_start),
        cmocka_unit_test(counts_operations_and_bytes),
        cmocka_unit_test(counts_failures_that_nobody_expects),
        cmocka_unit_test(expects_answers_that_are_no_failures),
        cmocka_unit_test(remembers_the_last_successful_upload),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
