/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/codec/regex.h"
#include "common/tsdb/matcher.h"
#include "tests/unit/common/tsdb/fixture.h"

static struct tsdb_matcher *
matcher(enum tsdb_matcher_type type, struct bytes value)
{
    struct tsdb_matcher *m = NULL;
    struct err err;
    assert_done(tsdb_matcher_new(&m, type, BYTES("job"), value, &err), &err);
    return m;
}

static const struct recognised {
    const char *expression;
    enum tsdb_matcher_shape shape;
    const char *values; /* SHAPE_SET: joined with ","; SHAPE_PREFIX: the prefix */
} recognised[] = {
    {"", TSDB_SHAPE_SET, ""},
    {"()", TSDB_SHAPE_SET, ""},
    {"a", TSDB_SHAPE_SET, "a"},
    {"a|", TSDB_SHAPE_SET, ",a"},
    {"a||a", TSDB_SHAPE_SET, ",a"},
    {"b|a|c|a", TSDB_SHAPE_SET, "a,b,c"},
    {"(a|b)", TSDB_SHAPE_SET, "a,b"},
    {"(?:b|a)", TSDB_SHAPE_SET, "a,b"},
    {"prod-(eu|us)", TSDB_SHAPE_SET, "prod-eu,prod-us"},
    {"(a|b)-(c|d)x|y", TSDB_SHAPE_SET, "a-cx,a-dx,b-cx,b-dx,y"},
    {"a(b|)c", TSDB_SHAPE_SET, "abc,ac"},
    {"a(b|)", TSDB_SHAPE_SET, "a,ab"},
    {"10\\.0\\.0\\.1:9090", TSDB_SHAPE_SET, "10.0.0.1:9090"},
    {"\\(\\)\\[\\]\\{\\}\\^\\$\\*\\+\\?\\|\\\\", TSDB_SHAPE_SET, "()[]{}^$*+?|\\"},
    {"k\xc3\xb6ln|\xe2\x82\xac", TSDB_SHAPE_SET, "k\xc3\xb6ln,\xe2\x82\xac"},
    {".*", TSDB_SHAPE_ALL, ""},
    {"().*", TSDB_SHAPE_ALL, ""},
    {".+", TSDB_SHAPE_NONEMPTY, ""},
    {"prod.*", TSDB_SHAPE_PREFIX, "prod"},
    {"prod\\..+", TSDB_SHAPE_PREFIX, "prod."},
    {"(prod)-.*", TSDB_SHAPE_PREFIX, "prod-"},
};

static const char *const not_recognised[] = {
    "(?i)prod",   "(?i)a|b", "(?i:a)",    "(?s).*", "a*",      "ab?",
    "a+",         "a{2}",    "(a|b)*",    "(a|b)?", "[ab]",    "\\d+",
    "\\w",        "\\bx",    "\\Qa.b\\E", "^a$",    "^a|b$",   "a.b",
    ".",          "..",      ".*?",       ".*a",    ".*a.*",   "a.*b",
    "a.*|b",      "b|a.*",   "(a|b).*",   "a.*.*",  "((a)|b)", "(a.*)",
    "(?P<n>a|b)", "(a|b)+",  "x(a|b){2}", ".+?",    "(.*)",    "\xef\xbf\xbd",
    "\\x41",      "\\pL",    "(?-s)a.*",  ".*|a",   "a|.*",    "(a(b|c))",
};

static const char *const values[] = {
    "",
    "a",
    "b",
    "c",
    "ab",
    "ac",
    "abc",
    "aa",
    "aab",
    "axb",
    "a.b",
    "a-cx",
    "b-dx",
    "y",
    "prod",
    "prod-eu",
    "prod-us",
    "prod-",
    "prod.",
    "prod.x",
    "PROD",
    "prod\n",
    "\n",
    "a\n",
    "a\nb",
    "prodx\ny",
    "x",
    "A",
    "1",
    "12",
    "xaab",
    "^a$",
    "a|b",
    "(a|b)",
    ".*",
    "10.0.0.1:9090",
    "10x0.0.1:9090",
    "()[]{}^$*+?|\\",
    "k\xc3\xb6ln",
    "k\xf6ln",
    "\xff",
    "a\xff",
    "prod\xff",
    "\xe2\x82\xac",
    "\xef\xbf\xbd",
};

static void
knows_the_shape_of_simple_expressions(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(recognised); i++) {
        const struct recognised *r = &recognised[i];
        CLEANUP(tsdb_matcher_free)
        struct tsdb_matcher *m = matcher(TSDB_MATCH_RE, bytes_of_str(r->expression));
        if (tsdb_matcher_shape(m) != r->shape)
            fail_msg("%s has shape %d", r->expression, tsdb_matcher_shape(m));
        if (r->shape == TSDB_SHAPE_PREFIX)
            assert_bytes(tsdb_matcher_prefix(m), bytes_of_str(r->values));
        if (r->shape != TSDB_SHAPE_SET)
            continue;
        CLEANUP(buf_fini) struct buf joined = {0};
        size_t count;
        const struct bytes *set = tsdb_matcher_set(m, &count);
        for (size_t k = 0; k < count; k++) {
            buf_put_str(&joined, k > 0 ? "," : "");
            buf_put(&joined, set[k]);
        }
        assert_string_equal(buf_text(&joined), r->values);
    }
}

static void
leaves_other_expressions_to_the_engine(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(not_recognised); i++) {
        CLEANUP(tsdb_matcher_free)
        struct tsdb_matcher *m =
            matcher(TSDB_MATCH_RE, bytes_of_str(not_recognised[i]));
        if (tsdb_matcher_shape(m) != TSDB_SHAPE_ANY)
            fail_msg("%s has shape %d", not_recognised[i], tsdb_matcher_shape(m));
    }
}

static void
expect_as_engine(const char *expression)
{
    struct err err;
    CLEANUP(regex_free) struct regex *re = NULL;
    assert_done(regex_new(&re, bytes_of_str(expression), &err), &err);
    CLEANUP(tsdb_matcher_free)
    struct tsdb_matcher *m = matcher(TSDB_MATCH_RE, bytes_of_str(expression));
    CLEANUP(tsdb_matcher_free)
    struct tsdb_matcher *not = matcher(TSDB_MATCH_NRE, bytes_of_str(expression));
    assert_int_equal(tsdb_matcher_shape(not ), tsdb_matcher_shape(m));
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        bool expected = regex_matches(re, bytes_of_str(values[i]));
        if (tsdb_matcher_matches(m, bytes_of_str(values[i])) != expected ||
            tsdb_matcher_matches(not, bytes_of_str(values[i])) == expected)
            fail_msg("%s on \"%s\" differs from the engine", expression, values[i]);
    }
}

static void
matches_as_the_engine_does(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(recognised); i++)
        expect_as_engine(recognised[i].expression);
    for (size_t i = 0; i < ARRAY_LEN(not_recognised); i++)
        expect_as_engine(not_recognised[i]);
}

/* Texts of random pieces: every combination that the recogniser takes or gives up. */
static void
random_expressions_match_as_the_engine_does(void **state)
{
    (void)state;
    static const char *const pieces[] = {"a", "b",  "|",  "(", ")", "(?:",  "\\.",
                                         "x", ".*", ".+", "-", "*", "prod", "\\|"};
    uint32_t random = 1;
    for (int round = 0; round < 3000; round++) {
        char expression[64] = "";
        for (int i = 0; i < 6; i++) {
            random = random * 1664525 + 1013904223;
            strcat(expression, pieces[(random >> 16) % ARRAY_LEN(pieces)]);
        }
        struct err err, engine_err;
        struct regex *re = NULL;
        struct tsdb_matcher *m = NULL;
        bool ok = tsdb_matcher_new(&m, TSDB_MATCH_RE, BYTES("job"),
                                   bytes_of_str(expression), &err);
        if (ok != regex_new(&re, bytes_of_str(expression), &engine_err))
            fail_msg("%s: %s", expression, ok ? engine_err.text : err.text);
        regex_free(&re);
        tsdb_matcher_free(&m);
        if (ok)
            expect_as_engine(expression);
    }
}

static void
equality_is_a_set_of_one(void **state)
{
    (void)state;
    CLEANUP(tsdb_matcher_free)
    struct tsdb_matcher *eq = matcher(TSDB_MATCH_EQ, BYTES("a|b"));
    CLEANUP(tsdb_matcher_free)
    struct tsdb_matcher *neq = matcher(TSDB_MATCH_NEQ, BYTES(""));
    size_t count;
    assert_bytes(tsdb_matcher_set(eq, &count)[0], BYTES("a|b"));
    assert_int_equal(count, 1);
    assert_bytes(tsdb_matcher_name(eq), BYTES("job"));
    assert_int_equal(tsdb_matcher_type(neq), TSDB_MATCH_NEQ);
    assert_true(tsdb_matcher_matches(eq, BYTES("a|b")));
    assert_false(tsdb_matcher_matches(eq, BYTES("a")));
    assert_false(tsdb_matcher_is_negative(eq));
    assert_true(tsdb_matcher_is_negative(neq));
    assert_true(tsdb_matcher_matches(neq, BYTES("a")));
    assert_false(tsdb_matcher_matches(neq, BYTES("")));
}

static void
copies_its_arguments(void **state)
{
    (void)state;
    char name[] = "job", value[] = "a|b";
    struct err err;
    CLEANUP(tsdb_matcher_free) struct tsdb_matcher *m = NULL;
    assert_done(tsdb_matcher_new(&m, TSDB_MATCH_RE, bytes_of_str(name),
                                 bytes_of_str(value), &err),
                &err);
    memset(name, 'x', sizeof name - 1);
    memset(value, 'x', sizeof value - 1);
    assert_bytes(tsdb_matcher_name(m), BYTES("job"));
    assert_true(tsdb_matcher_matches(m, BYTES("b")));
}

/* "(x0|x1|...)" count times over. */
static void
put_alternation(struct buf *b, int count)
{
    for (int i = 0; i < count; i++)
        buf_printf(b, "%cx%d", i == 0 ? '(' : '|', i);
    buf_put_str(b, ")");
}

static void
expansion_is_bounded(void **state)
{
    (void)state;
    static const struct {
        int first, second;
        enum tsdb_matcher_shape shape;
    } cases[] = {
        {5000, 0, TSDB_SHAPE_SET}, /* no combination: only listed */
        {16, 16, TSDB_SHAPE_SET},
        {16, 17, TSDB_SHAPE_ANY},
        {300, 300, TSDB_SHAPE_ANY},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(buf_fini) struct buf text = {0};
        put_alternation(&text, cases[i].first);
        if (cases[i].second > 0)
            put_alternation(&text, cases[i].second);
        CLEANUP(tsdb_matcher_free)
        struct tsdb_matcher *m = matcher(TSDB_MATCH_RE, buf_bytes(&text));
        assert_int_equal(tsdb_matcher_shape(m), cases[i].shape);
        assert_true(tsdb_matcher_matches(m, cases[i].second > 0 ? BYTES("x7x11")
                                                                : BYTES("x4711")));
        assert_false(tsdb_matcher_matches(m, BYTES("x7x")));
    }
}

static void
long_words_are_not_multiplied_without_end(void **state)
{
    (void)state;
    CLEANUP(buf_fini) struct buf text = {0};
    for (int i = 0; i < 20000; i++)
        buf_put_u8(&text, 'p');
    put_alternation(&text, 200);
    CLEANUP(tsdb_matcher_free)
    struct tsdb_matcher *m = matcher(TSDB_MATCH_RE, buf_bytes(&text));
    assert_int_equal(tsdb_matcher_shape(m), TSDB_SHAPE_ANY);
}

static void
refuses_broken_matchers(void **state)
{
    (void)state;
    static const struct {
        int type;
        const char *name, *value, *named;
    } cases[] = {
        {TSDB_MATCH_EQ, "", "a", "empty label name"},
        {4, "job", "a", "unknown type 4"},
        {-1, "job", "a", "unknown type -1"},
        {TSDB_MATCH_RE, "job", "(a|b", "label job: regular expression \"(a|b\""},
        {TSDB_MATCH_NRE, "job", "a)", "label job: regular expression \"a)\""},
        {TSDB_MATCH_RE, "job", "*", "\"*\""},
        {TSDB_MATCH_RE, "job", "a\\", "\"a\\\""},
        {TSDB_MATCH_RE, "job", "a|\xff", "label job"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct tsdb_matcher *m = NULL;
        struct err err;
        bool ok = tsdb_matcher_new(&m, (enum tsdb_matcher_type)cases[i].type,
                                   bytes_of_str(cases[i].name),
                                   bytes_of_str(cases[i].value), &err);
        assert_failed(ok, &err, ERR_INVALID);
        assert_null(m);
        if (strstr(err.text, cases[i].named) == NULL)
            fail_msg("\"%s\" does not name %s", err.text, cases[i].named);
    }
}

static void
prints_as_in_a_selector(void **unused)
{
    static const struct {
        enum tsdb_matcher_type type;
        const char *name, *value, *text;
    } cases[] = {
        {TSDB_MATCH_EQ, "job", "a", "job=\"a\""},
        {TSDB_MATCH_NEQ, "job", "", "job!=\"\""},
        {TSDB_MATCH_RE, "a.b", "x|\"y\"", "\"a.b\"=~\"x|\\\"y\\\"\""},
        {TSDB_MATCH_NRE, "job", "\n", "job!~\"\\n\""},
    };
    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(tsdb_matcher_free) struct tsdb_matcher *m = NULL;
        CLEANUP(buf_fini) struct buf text = {0};
        struct err err;
        assert_true(tsdb_matcher_new(&m, cases[i].type, bytes_of_str(cases[i].name),
                                     bytes_of_str(cases[i].value), &err));
        tsdb_matcher_print(m, &text);
        assert_string_equal(buf_text(&text), cases[i].text);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_the_shape_of_simple_expressions),
        cmocka_unit_test(leaves_other_expressions_to_the_engine),
        cmocka_unit_test(matches_as_the_engine_does),
        cmocka_unit_test(random_expressions_match_as_the_engine_does),
        cmocka_unit_test(equality_is_a_set_of_one),
        cmocka_unit_test(copies_its_arguments),
        cmocka_unit_test(expansion_is_bounded),
        cmocka_unit_test(long_words_are_not_multiplied_without_end),
        cmocka_unit_test(refuses_broken_matchers),
        cmocka_unit_test(prints_as_in_a_selector),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
