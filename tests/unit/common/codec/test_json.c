/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <string.h>

#include "common/base/pool.h"
#include "common/codec/json.h"
#include "tests/support/expect.h"
#include "tests/support/guard.h"

enum { LIMIT = 1 << 20 };

static const struct bytes document = BYTES("{\n"
                                           "\t\"ulid\": \"01J\",\n"
                                           "\t\"minTime\": -5,\n"
                                           "\t\"ok\": true,\n"
                                           "\t\"unknown\": {\n"
                                           "\t\t\"x\": [\n"
                                           "\t\t\t1,\n"
                                           "\t\t\t\"  two \\\" \\n \\u0001\"\n"
                                           "\t\t],\n"
                                           "\t\t\"empty\": {},\n"
                                           "\t\t\"none\": null\n"
                                           "\t}\n"
                                           "}");

static struct json *
parse(struct bytes text)
{
    struct err err;
    struct json *j = NULL;
    CLEANUP(guard_fini) struct guard g = guard_new(text);
    expect_ok(json_parse(g.bytes, LIMIT, &j, &err), err);
    return j;
}

static void
expect_print(const struct json *j, int indent, const char *expected)
{
    CLEANUP(buf_fini) struct buf out = {0};
    json_print(j, indent, &out);
    assert_string_equal(buf_text(&out), expected);
}

static void
reads_values_by_type(void **state)
{
    (void)state;
    CLEANUP(json_free) struct json *j = parse(document);
    const char *text = NULL;
    int64_t number = 0;
    bool flag = false;
    assert_true(json_is_object(j));
    assert_false(json_is_array(j));
    assert_true(json_text(json_get(j, "ulid"), &text));
    assert_string_equal(text, "01J");
    assert_true(json_i64(json_get(j, "minTime"), &number));
    assert_int_equal(number, -5);
    assert_true(json_bool(json_get(j, "ok"), &flag));
    assert_true(flag);
    const struct json *x = json_get(json_get(j, "unknown"), "x");
    assert_true(json_is_array(x));
    assert_int_equal(json_array_len(x), 2);
    assert_true(json_i64(json_array_at(x, 0), &number));
    assert_int_equal(number, 1);
}

static void
misses_quietly(void **state)
{
    (void)state;
    CLEANUP(json_free)
    struct json *j = parse(BYTES("{\"n\":null,\"a\":[1],\"r\":1.5}"));
    const char *text = "kept";
    int64_t number = 77;
    bool flag = true;
    assert_null(json_get(j, "absent"));
    assert_null(json_get(j, "n"));
    assert_null(json_get(NULL, "n"));
    assert_null(json_get(json_get(j, "a"), "n"));
    assert_null(json_array_at(json_get(j, "a"), 1));
    assert_null(json_array_at(NULL, 0));
    assert_int_equal(json_array_len(NULL), 0);
    assert_false(json_is_object(NULL));
    assert_false(json_is_array(NULL));
    assert_false(json_text(json_get(j, "a"), &text));
    assert_false(json_text(NULL, &text));
    assert_false(json_i64(json_get(j, "r"), &number));
    assert_false(json_bool(json_get(j, "r"), &flag));
    assert_string_equal(text, "kept");
    assert_int_equal(number, 77);
}

static void
prints_what_it_read(void **state)
{
    (void)state;
    CLEANUP(json_free) struct json *j = parse(document);
    expect_print(j, -1, (const char *)document.at);
    expect_print(json_get(json_get(j, "unknown"), "x"), 0,
                 "[1,\"  two \\\" \\n \\u0001\"]");
    expect_print(json_get(j, "ok"), 0, "true");
    CLEANUP(json_free) struct json *small = parse(BYTES("{\"a\":{\"b\":1}}"));
    expect_print(small, 2, "{\n  \"a\": {\n    \"b\": 1\n  }\n}");
}

static void
changes_what_it_read(void **state)
{
    (void)state;
    CLEANUP(json_free)
    struct json *j = parse(BYTES("{\"keep\":1e3,\"b\":2,\"gone\":3}"));
    struct json *list = json_new_array();
    struct json *inner = json_new_object();
    json_append_text(list, "one");
    json_append(list, &inner);
    assert_null(inner);
    json_set_i64(j, "b", INT64_MIN);
    json_set_text(j, "t", "\xc3\xa4");
    json_set_bool(j, "f", false);
    json_set(j, "l", &list);
    assert_null(list);
    json_remove(j, "gone");
    json_remove(j, "absent");
    expect_print(j, 0,
                 "{\"keep\":1000.0,\"b\":-9223372036854775808,\"t\":\"\xc3\xa4\","
                 "\"f\":false,\"l\":[\"one\",{}]}");
}

static void
repairs_text_that_is_not_utf8(void **state)
{
    (void)state;
    CLEANUP(json_free) struct json *j = json_new_object();
    json_set_text(j, "t", "a\xff z");
    expect_print(j, 0, "{\"t\":\"a? z\"}");
}

static bool
append_key(void *arg, const char *key, const struct json *value, struct err *err)
{
    int64_t number = 0;
    if (!json_i64(value, &number))
        return err_set(err, ERR_INVALID, "%s is no number", key);
    buf_printf(arg, "%s=%d ", key, (int)number);
    return true;
}

static void
visits_members_in_order_until_told_to_stop(void **state)
{
    (void)state;
    struct err err;
    CLEANUP(buf_fini) struct buf out = {0};
    CLEANUP(json_free) struct json *good = parse(BYTES("{\"z\":1,\"a\":2,\"m\":3}"));
    CLEANUP(json_free) struct json *bad = parse(BYTES("{\"z\":1,\"a\":[],\"m\":3}"));
    expect_ok(json_each(good, append_key, &out, &err), err);
    expect_fails(json_each(bad, append_key, &out, &err), err, ERR_INVALID);
    assert_string_equal(buf_text(&out), "z=1 a=2 m=3 z=1 ");
}

static void
refuses(void *arg, struct bytes bytes)
{
    (void)arg;
    struct err err;
    struct json *j = NULL;
    expect_fails(json_parse(bytes, LIMIT, &j, &err), err, ERR_INVALID);
    assert_null(j);
}

static void
refuses_what_is_not_strict(void **state)
{
    static const struct bytes cases[] = {
        BYTES(""),
        BYTES("1"),
        BYTES("\"text\""),
        BYTES("null"),
        BYTES("{} {}"),
        BYTES("{\"a\":1,\"a\":2}"),
        BYTES("[01]"),
        BYTES("[1e400]"),
        BYTES("[9223372036854775808]"),
        BYTES("[NaN]"),
        BYTES("[\"\xff\"]"),
        BYTES("[\"\\u0000\"]"),
        BYTES("[\"\\ud800\"]"),
        BYTES("{'a':1}"),
        BYTES("[1,]"),
        BYTES("// x\n[]"),
        BYTES("[\"\n\"]"),
        BYTES("[]\0"),
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        refuses(NULL, cases[i]);
}

static void
refuses_each_truncation(void **state)
{
    (void)state;
    for_each_truncation(document, refuses, NULL);
}

static void
parse_and_print(void *arg, struct bytes bytes)
{
    (void)arg;
    struct err err;
    CLEANUP(json_free) struct json *j = NULL;
    CLEANUP(buf_fini) struct buf out = {0};
    if (json_parse(bytes, LIMIT, &j, &err))
        json_print(j, -1, &out);
}

static void
survives_each_bit_flip(void **state)
{
    (void)state;
    for_each_bit_flip(document, parse_and_print, NULL);
}

static void
names_line_and_limit(void **state)
{
    (void)state;
    struct err err;
    struct json *j = NULL;
    expect_fails(json_parse(BYTES("{\n\"a\": x}"), LIMIT, &j, &err), err, ERR_INVALID);
    assert_non_null(strstr(err.text, "line 2"));
    expect_fails(json_parse(BYTES("[1]"), 2, &j, &err), err, ERR_INVALID);
    assert_non_null(strstr(err.text, "limit 2"));
}

static void
put_nested(struct buf *text, size_t depth)
{
    for (size_t i = 0; i < depth; i++)
        buf_put_str(text, i % 2 ? "{\"[{\\\"[\":" : "[");
    buf_put_str(text, depth % 2 ? "" : "1");
    while (depth-- > 0)
        buf_put_str(text, depth % 2 ? "}" : "]");
}

static void *
parse_nested(void *arg)
{
    (void)arg;
    struct err err;
    CLEANUP(json_free) struct json *j = NULL;
    CLEANUP(buf_fini) struct buf deep = {0};
    CLEANUP(buf_fini) struct buf too_deep = {0};
    put_nested(&deep, 64);
    put_nested(&too_deep, 65);
    expect_ok(json_parse(buf_bytes(&deep), LIMIT, &j, &err), err);
    refuses(NULL, buf_bytes(&too_deep));
    return NULL;
}

static void
bounds_depth_on_the_stack_of_a_worker(void **state)
{
    (void)state;
    struct err err;
    pthread_t thread;
    expect_ok(thread_start(&thread, "nested", parse_nested, NULL, &err), err);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_values_by_type),
        cmocka_unit_test(misses_quietly),
        cmocka_unit_test(prints_what_it_read),
        cmocka_unit_test(changes_what_it_read),
        cmocka_unit_test(repairs_text_that_is_not_utf8),
        cmocka_unit_test(visits_members_in_order_until_told_to_stop),
        cmocka_unit_test(refuses_what_is_not_strict),
        cmocka_unit_test(refuses_each_truncation),
        cmocka_unit_test(survives_each_bit_flip),
        cmocka_unit_test(names_line_and_limit),
        cmocka_unit_test(bounds_depth_on_the_stack_of_a_worker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
