/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/tsdb/selector.h"
#include "tests/support/guard.h"

static struct budget budget;

/* Terms as "type name value;" each, or the error. */
static void
describe(struct bytes text, struct buf *out)
{
    static const char *const types[] = {"=", "!=", "=~", "!~"};
    CLEANUP(arena_fini) struct arena arena;
    CLEANUP(guard_fini) struct guard guarded = guard_new(text);
    struct tsdb_selector selector;
    struct err err;
    arena_init(&arena, &budget);
    if (!tsdb_selector_parse(&selector, guarded.bytes, &arena, &err)) {
        assert_int_equal(err.code, ERR_INVALID);
        buf_printf(out, "%s", err.text);
        return;
    }
    for (size_t i = 0; i < selector.count; i++) {
        buf_put(out, selector.at[i].name);
        buf_put_str(out, types[selector.at[i].type]);
        buf_put(out, selector.at[i].value);
        buf_put_str(out, ";");
    }
}

static void
assert_described(struct bytes text, struct bytes expected)
{
    CLEANUP(buf_fini) struct buf out = {0};
    describe(text, &out);
    if (!bytes_eq(buf_bytes(&out), expected))
        fail_msg("%.*s: got \"%s\", wanted \"%.*s\"", BYTES_FMT(text), buf_text(&out),
                 BYTES_FMT(expected));
}

static void
reads_selectors(void **state)
{
    static const struct {
        struct bytes text;
        struct bytes terms;
    } cases[] = {
        {BYTES("up"), BYTES("__name__=up;")},
        {BYTES(" \t\n\rup # a comment"), BYTES("__name__=up;")},
        {BYTES("job:rate5m:sum{}"), BYTES("__name__=job:rate5m:sum;")},
        {BYTES(":"), BYTES("__name__=:;")},
        {BYTES("sum"), BYTES("__name__=sum;")},
        {BYTES("{}"), BYTES("")},
        {BYTES("up {a=\"1\",b!='2', c=~`3`,d!~\"4\" , }"),
         BYTES("__name__=up;a=1;b!=2;c=~3;d!~4;")},
        {BYTES("{a#x\n=#y}\n\"1\"}"), BYTES("a=1;")},
        {BYTES("{\"metric.name\"}"), BYTES("__name__=metric.name;")},
        {BYTES("{\"metric.name\", \"label.x\"=\"y\", z=\"1\"}"),
         BYTES("__name__=metric.name;label.x=y;z=1;")},
        {BYTES("{'a b' =~ \"c\"}"), BYTES("a b=~c;")},
        {BYTES("{a=\"\",by=\"\"}"), BYTES("a=;by=;")},
        {BYTES("{__name__=\"up\",a=\"k\xc3\xb6ln\"}"),
         BYTES("__name__=up;a=k\xc3\xb6ln;")},
        {BYTES("{a=\"\\a\\b\\f\\n\\r\\t\\v\\\\\\\"'\"}"),
         BYTES("a=\a\b\f\n\r\t\v\\\"';")},
        {BYTES("{a='\\'\"'}"), BYTES("a='\";")},
        {BYTES("{a=`\\n\\`}"), BYTES("a=\\n\\;")},
        {BYTES("{a=`x\ny`}"), BYTES("a=x\ny;")},
        {BYTES("{a=\"\\x41\\101\\377\\u00fc\\U0001f600\\x00\"}"),
         BYTES("a=AA\xff\xc3\xbc\xf0\x9f\x98\x80\0;")},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_described(cases[i].text, cases[i].terms);
}

static void
refuses_what_is_no_selector(void **state)
{
    static const struct {
        struct bytes text;
        struct bytes error;
    } cases[] = {
        {BYTES(""), BYTES("1:1: parse error: expected a metric name or \"{\"")},
        {BYTES("1up"), BYTES("1:1: parse error: expected a metric name or \"{\"")},
        {BYTES("\"up\""), BYTES("1:1: parse error: expected a metric name or \"{\"")},
        {BYTES("up\n up"),
         BYTES("2:2: parse error: unexpected text behind the selector")},
        {BYTES("up[5m]"),
         BYTES("1:3: parse error: unexpected text behind the selector")},
        {BYTES("up{"), BYTES("1:4: parse error: expected a label name or \"}\"")},
        {BYTES("{,}"), BYTES("1:2: parse error: expected a label name or \"}\"")},
        {BYTES("{a=\"1\",,}"),
         BYTES("1:8: parse error: expected a label name or \"}\"")},
        {BYTES("{a}"), BYTES("1:3: parse error: expected =, !=, =~ or !~")},
        {BYTES("{a:b=\"1\"}"), BYTES("1:3: parse error: expected =, !=, =~ or !~")},
        {BYTES("{a==\"1\"}"), BYTES("1:4: parse error: expected a string in quotes")},
        {BYTES("{a=1}"), BYTES("1:4: parse error: expected a string in quotes")},
        {BYTES("{a=\"1\" b=\"2\"}"),
         BYTES("1:8: parse error: expected \",\" or \"}\"")},
        {BYTES("{a=\"1}"), BYTES("1:7: parse error: unterminated quoted string")},
        {BYTES("{a=\"x\ny\"}"), BYTES("1:6: parse error: unterminated quoted string")},
        {BYTES("{a=\"\\"), BYTES("1:6: parse error: escape sequence not terminated")},
        {BYTES("{a=\"\\q\"}"), BYTES("1:6: parse error: unknown escape sequence")},
        {BYTES("{a=\"\\'\"}"), BYTES("1:6: parse error: unknown escape sequence")},
        {BYTES("{a=\"\\x4\"}"), BYTES("1:8: parse error: unknown escape sequence")},
        {BYTES("{a=\"\\400\"}"), BYTES("1:9: parse error: octal escape above 255")},
        {BYTES("{a=\"\\ud800\"}"),
         BYTES("1:11: parse error: escape sequence is an invalid Unicode code point")},
        {BYTES("{a=\"\\UFFFFFFFF\"}"),
         BYTES("1:15: parse error: escape sequence is an invalid Unicode code point")},
        {BYTES("{\"\"=\"x\"}"),
         BYTES("1:4: parse error: expected a label name or \"}\"")},
        {BYTES("{a=\"\xff\"}"), BYTES("parse error: the selector is not UTF-8")},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_described(cases[i].text, cases[i].error);
}

static void
parse_quietly(void *arg, struct bytes text)
{
    CLEANUP(buf_fini) struct buf out = {0};
    (void)arg;
    describe(text, &out);
}

static void
survives_cut_and_flipped_input(void **state)
{
    const struct bytes text =
        BYTES("up{a=\"\\x41\\u00fc\",'b'=~`c`,\"m.n\",d!=\"\\\"\"} # c");
    (void)state;
    for_each_truncation(text, parse_quietly, NULL);
    for_each_bit_flip(text, parse_quietly, NULL);
}

/* Each string is charged for its own length, not for all that follows it. */
static void
memory_does_not_grow_with_the_square(void **state)
{
    CLEANUP(buf_fini) struct buf text = {0};
    CLEANUP(arena_fini) struct arena arena;
    struct budget small;
    struct tsdb_selector selector;
    struct err err;
    (void)state;
    buf_put_str(&text, "{");
    for (int i = 0; i < 5000; i++)
        buf_put_str(&text, "a=\"0123456789\",");
    buf_put_str(&text, "}");
    budget_init(&small, "small", 2 << 20, NULL);
    arena_init(&arena, &small);
    assert_true(tsdb_selector_parse(&selector, buf_bytes(&text), &arena, &err));
    assert_int_equal(selector.count, 5000);
    arena_fini(&arena);
    budget_fini(&small);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_selectors),
        cmocka_unit_test(refuses_what_is_no_selector),
        cmocka_unit_test(survives_cut_and_flipped_input),
        cmocka_unit_test(memory_does_not_grow_with_the_square),
    };
    budget_init(&budget, "test", SIZE_MAX, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
