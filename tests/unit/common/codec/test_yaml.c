/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "common/codec/yaml.h"
#include "tests/support/expect.h"
#include "tests/support/guard.h"

enum { LIMIT = 1 << 20 };

static const struct bytes document = BYTES("# comment\n"
                                           "type: S3\n"
                                           "config:\n"
                                           "  bucket: \"b\"\n"
                                           "  insecure: true\n"
                                           "  retries: 20\n"
                                           "  timeout: 1m30s\n"
                                           "  empty:\n"
                                           "  list: [a, {b: 1}, ~]\n"
                                           "  text: |\n"
                                           "    two\n"
                                           "    lines\n"
                                           "prefix: 'null'\n");

static struct yaml *
parse(struct bytes text)
{
    struct err err;
    struct yaml *y = NULL;
    CLEANUP(guard_fini) struct guard g = guard_new(text);
    expect_ok(yaml_parse(g.bytes, LIMIT, &y, &err), err);
    return y;
}

static void
builds_a_tree(void **state)
{
    (void)state;
    CLEANUP(yaml_tree_free) struct yaml *y = parse(document);
    assert_int_equal(y->kind, YAML_MAP);
    assert_int_equal(y->count, 3);
    assert_string_equal(y->keys[1], "config");
    assert_string_equal(yaml_get(y, "type")->text, "S3");
    assert_int_equal(yaml_get(y, "type")->line, 2);
    const struct yaml *config = yaml_get(y, "config");
    assert_int_equal(config->kind, YAML_MAP);
    assert_int_equal(config->line, 3);
    assert_true(yaml_get(config, "bucket")->quoted);
    assert_int_equal(yaml_get(config, "empty")->kind, YAML_NULL);
    assert_string_equal(yaml_get(config, "text")->text, "two\nlines\n");
    const struct yaml *list = yaml_get(config, "list");
    assert_int_equal(list->kind, YAML_LIST);
    assert_int_equal(list->count, 3);
    assert_string_equal(list->children[0].text, "a");
    assert_string_equal(yaml_get(&list->children[1], "b")->text, "1");
    assert_int_equal(list->children[2].kind, YAML_NULL);
    assert_string_equal(yaml_get(y, "prefix")->text, "null");
    assert_null(yaml_get(y, "absent"));
    assert_null(yaml_get(list, "a"));
    assert_null(yaml_get(NULL, "a"));
}

static void
takes_an_empty_document_for_null(void **state)
{
    static const struct bytes cases[] = {BYTES(""), BYTES("# only\n"), BYTES("---\n"),
                                         BYTES("~"), BYTES("null\n...\n")};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(yaml_tree_free) struct yaml *y = parse(cases[i]);
        assert_int_equal(y->kind, YAML_NULL);
    }
}

static void
keeps_many_children(void **state)
{
    (void)state;
    CLEANUP(buf_fini) struct buf text = {0};
    for (int i = 0; i < 1000; i++)
        buf_printf(&text, "k%d: {a: [%d]}\n", i, i);
    CLEANUP(yaml_tree_free) struct yaml *y = parse(buf_bytes(&text));
    assert_int_equal(y->count, 1000);
    for (size_t i = 0; i < y->count; i++) {
        const struct yaml *list = yaml_get(&y->children[i], "a");
        assert_int_equal(atoi(list->children[0].text), i);
        assert_int_equal(y->children[i].line, i + 1);
    }
}

static void
expect_refusal(const char *text, const char *reason)
{
    struct err err;
    struct yaml *y = NULL;
    expect_fails(yaml_parse(bytes_of_str(text), LIMIT, &y, &err), err, ERR_INVALID);
    assert_null(y);
    if (strstr(err.text, reason) == NULL)
        fail_msg("\"%s\" lacks \"%s\"", err.text, reason);
}

static void
refuses_what_is_not_strict(void **state)
{
    static const char *const cases[][2] = {
        {"a: 1\nb: 2\na: 3\n", "line 3: key \"a\""},
        {"a: &x 1\n", "line 1: anchors"},
        {"a: &x [1]\nb: *x\n", "line 1: anchors"},
        {"a: *x\n", "line 1: anchors"},
        {"a: &x {}\n", "line 1: anchors"},
        {"a: !!str 1\n", "line 1: anchors, aliases and tags"},
        {"a: !x [1]\n", "line 1: anchors, aliases and tags"},
        {"a: ! 1\n", "line 1: anchors, aliases and tags"},
        {"a: 1\n---\nb: 2\n", "line 2: a second document"},
        {"a: 1\n...\n---\nb: 2\n", "line 3: a second document"},
        {"? [a]\n: 1\n", "line 1: a key is not a text"},
        {"{a: 1}: 2\n", "line 1: a key is not a text"},
        {"a: [[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]\n", "line 1: nested more than 16"},
        {"a: \"x\\0y\"\n", "line 1: a text holds a NUL"},
        {"a: [1\n", "line 2: "},
        {"a: b: c\n", "line 1: "},
        {"\ta: 1\n", "line 1: "},
        {"a: \"\xff\"\n", "line 1: "},
        {"a: @x\n", "line 1: "},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        expect_refusal(cases[i][0], cases[i][1]);
}

static void
refuses_text_above_the_limit(void **state)
{
    (void)state;
    struct err err;
    struct yaml *y = NULL;
    expect_fails(yaml_parse(BYTES("a: 1"), 3, &y, &err), err, ERR_INVALID);
}

static void
parse_anyway(void *arg, struct bytes bytes)
{
    (void)arg;
    struct err err;
    CLEANUP(yaml_tree_free) struct yaml *y = NULL;
    if (!yaml_parse(bytes, LIMIT, &y, &err))
        assert_null(y);
}

static void
survives_each_truncation_and_bit_flip(void **state)
{
    (void)state;
    for_each_truncation(document, parse_anyway, NULL);
    for_each_bit_flip(document, parse_anyway, NULL);
}

static void
names_unknown_keys(void **state)
{
    static const char *const known[] = {"type", "config", "prefix", NULL};
    static const char *const fewer[] = {"type", "prefix", NULL};
    (void)state;
    struct err err;
    CLEANUP(yaml_tree_free) struct yaml *y = parse(document);
    expect_ok(yaml_check_keys(y, known, "storage", &err), err);
    expect_ok(yaml_check_keys(NULL, known, "storage", &err), err);
    expect_ok(
        yaml_check_keys(yaml_get(yaml_get(y, "config"), "empty"), known, "x", &err),
        err);
    expect_fails(yaml_check_keys(y, fewer, "storage", &err), err, ERR_INVALID);
    assert_string_equal(err.text, "line 3: unknown key \"config\" in storage; known "
                                  "keys are type, prefix");
    expect_fails(yaml_check_keys(yaml_get(y, "type"), fewer, "storage", &err), err,
                 ERR_INVALID);
    assert_string_equal(err.text, "line 2: storage is not a map of keys");
}

static void
reads_typed_values(void **state)
{
    (void)state;
    struct err err;
    CLEANUP(yaml_tree_free) struct yaml *y = parse(document);
    const struct yaml *config = yaml_get(y, "config");
    const char *text = NULL;
    bool flag = false;
    int64_t number = 0, ns = 0;
    expect_ok(yaml_get_text(config, "bucket", &text, &err), err);
    assert_string_equal(text, "b");
    expect_ok(yaml_get_text(config, "retries", &text, &err), err);
    assert_string_equal(text, "20");
    expect_ok(yaml_get_bool(config, "insecure", &flag, &err), err);
    assert_true(flag);
    expect_ok(yaml_get_i64(config, "retries", &number, &err), err);
    assert_int_equal(number, 20);
    expect_ok(yaml_get_duration(config, "timeout", &ns, &err), err);
    assert_int_equal(ns, INT64_C(90000000000));
}

static void
gets_sizes(void **state)
{
    static const char *const sizes[] = {"30", "x", "1mb", "[1MB]", "-1MB"};
    (void)state;
    struct err err;
    uint64_t bytes = 7;
    CLEANUP(yaml_tree_free)
    struct yaml *good = parse(BYTES("a: 250MB\nb: 0\nc:\n"));
    expect_ok(yaml_get_size(good, "c", &bytes, &err), err);
    expect_ok(yaml_get_size(good, "d", &bytes, &err), err);
    assert_int_equal(bytes, 7);
    expect_ok(yaml_get_size(good, "a", &bytes, &err), err);
    assert_int_equal(bytes, 250 << 20);
    expect_ok(yaml_get_size(good, "b", &bytes, &err), err);
    assert_int_equal(bytes, 0);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        CLEANUP(buf_fini) struct buf b = {0};
        buf_printf(&b, "\nv: %s\n", sizes[i]);
        CLEANUP(yaml_tree_free) struct yaml *y = parse(buf_bytes(&b));
        expect_fails(yaml_get_size(y, "v", &bytes, &err), err, ERR_INVALID);
        assert_memory_equal(err.text, "line 2: v", 9);
    }
}

static void
leaves_defaults_of_absent_and_null(void **state)
{
    static const char *const keys[] = {"absent", "empty"};
    (void)state;
    struct err err;
    CLEANUP(yaml_tree_free) struct yaml *y = parse(document);
    const struct yaml *config = yaml_get(y, "config");
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        const char *text = "default";
        bool flag = true;
        int64_t number = 7;
        expect_ok(yaml_get_text(config, keys[i], &text, &err), err);
        expect_ok(yaml_get_bool(config, keys[i], &flag, &err), err);
        expect_ok(yaml_get_i64(config, keys[i], &number, &err), err);
        expect_ok(yaml_get_duration(config, keys[i], &number, &err), err);
        assert_string_equal(text, "default");
        assert_true(flag);
        assert_int_equal(number, 7);
    }
}

static void
refuses_values_of_another_type(void **state)
{
    static const char *const numbers[] = {
        "x",  "1.0", "010", "0x10", "1e3", "\"1\"", "1 2", "--", "9223372036854775808",
        "[1]"};
    static const char *const flags[] = {"1", "TrUe", "\"true\"", "yep", "{}"};
    static const char *const durations[] = {"30", "x", "1h-1m", "[30s]"};
    (void)state;
    struct err err;
    bool flag = true;
    int64_t number = 7;
    const char *text = "kept";
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        CLEANUP(buf_fini) struct buf b = {0};
        buf_printf(&b, "\nv: %s\n", numbers[i]);
        CLEANUP(yaml_tree_free) struct yaml *y = parse(buf_bytes(&b));
        expect_fails(yaml_get_i64(y, "v", &number, &err), err, ERR_INVALID);
        assert_memory_equal(err.text, "line 2: v", 9);
    }
    for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
        CLEANUP(buf_fini) struct buf b = {0};
        buf_printf(&b, "v: %s\n", flags[i]);
        CLEANUP(yaml_tree_free) struct yaml *y = parse(buf_bytes(&b));
        expect_fails(yaml_get_bool(y, "v", &flag, &err), err, ERR_INVALID);
    }
    for (size_t i = 0; i < ARRAY_LEN(durations); i++) {
        CLEANUP(buf_fini) struct buf b = {0};
        buf_printf(&b, "v: %s\n", durations[i]);
        CLEANUP(yaml_tree_free) struct yaml *y = parse(buf_bytes(&b));
        expect_fails(yaml_get_duration(y, "v", &number, &err), err, ERR_INVALID);
    }
    CLEANUP(yaml_tree_free) struct yaml *y = parse(BYTES("v: [a]"));
    expect_fails(yaml_get_text(y, "v", &text, &err), err, ERR_INVALID);
    assert_string_equal(text, "kept");
    assert_int_equal(number, 7);
    assert_true(flag);
}

static void
reads_the_booleans_of_yaml_1_1(void **state)
{
    (void)state;
    struct err err;
    CLEANUP(yaml_tree_free)
    struct yaml *y = parse(BYTES("a: yes\nb: Off\nc: n\nd: TRUE"));
    bool a = false, b = true, c = true, d = false;
    expect_ok(yaml_get_bool(y, "a", &a, &err), err);
    expect_ok(yaml_get_bool(y, "b", &b, &err), err);
    expect_ok(yaml_get_bool(y, "c", &c, &err), err);
    expect_ok(yaml_get_bool(y, "d", &d, &err), err);
    assert_true(a && !b && !c && d);
}

static void
expands_environment_variables(void **state)
{
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {"", ""},
        {"plain $NAME $( ) $(a-b) $(", "plain $NAME $( ) $(a-b) $("},
        {"key: $(TEST_SET)!", "key: value!"},
        {"$(TEST_SET)$(TEST_EMPTY)$(TEST_SET)", "valuevalue"},
        {"$$(TEST_SET)", "$value"},
        {"$()", "$()"},
        {"$(TEST_SET", "$(TEST_SET"},
    };
    (void)state;
    struct err err;
    setenv("TEST_SET", "value", 1);
    setenv("TEST_EMPTY", "", 1);
    unsetenv("TEST_UNSET");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(buf_fini) struct buf out = {0};
        CLEANUP(guard_fini) struct guard g = guard_new(bytes_of_str(cases[i].text));
        expect_ok(yaml_expand_env(g.bytes, &out, &err), err);
        assert_string_equal(buf_text(&out), cases[i].expected);
    }
    CLEANUP(buf_fini) struct buf out = {0};
    expect_fails(yaml_expand_env(BYTES("x $(TEST_UNSET)"), &out, &err), err,
                 ERR_INVALID);
    assert_non_null(strstr(err.text, "TEST_UNSET"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(builds_a_tree),
        cmocka_unit_test(takes_an_empty_document_for_null),
        cmocka_unit_test(keeps_many_children),
        cmocka_unit_test(refuses_what_is_not_strict),
        cmocka_unit_test(refuses_text_above_the_limit),
        cmocka_unit_test(survives_each_truncation_and_bit_flip),
        cmocka_unit_test(names_unknown_keys),
        cmocka_unit_test(reads_typed_values),
        cmocka_unit_test(gets_sizes),
        cmocka_unit_test(leaves_defaults_of_absent_and_null),
        cmocka_unit_test(refuses_values_of_another_type),
        cmocka_unit_test(reads_the_booleans_of_yaml_1_1),
        cmocka_unit_test(expands_environment_variables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
