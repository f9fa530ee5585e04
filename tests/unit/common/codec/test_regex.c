/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "common/codec/regex.h"
#include "tests/support/expect.h"
#include "tests/support/guard.h"

static bool
matches(struct bytes expression, struct bytes text)
{
    struct err err;
    CLEANUP(regex_free) struct regex *re = NULL;
    expect_ok(regex_new(&re, expression, &err), err);
    CLEANUP(guard_fini) struct guard g = guard_new(text);
    return regex_matches(re, g.bytes);
}

static void
matches_the_whole_text_as_go_does(void **state)
{
    static const struct {
        struct bytes expression, text;
        bool expected;
    } cases[] = {
        {BYTES(""), BYTES(""), true},
        {BYTES(""), BYTES("a"), false},
        {BYTES("a"), BYTES("a"), true},
        {BYTES("a"), BYTES("ab"), false},
        {BYTES("b"), BYTES("ab"), false},
        {BYTES("a|ab"), BYTES("ab"), true},
        {BYTES("a|b"), BYTES("ac"), false},
        {BYTES(".*"), BYTES("a\nb"), true},
        {BYTES("a$"), BYTES("a\n"), false},
        {BYTES("(?i)ABC"), BYTES("aBc"), true},
        {BYTES("(?-s:.)"), BYTES("\n"), false},
        {BYTES("prod-(eu|us)-west-[12]\\.svc-.*"), BYTES("prod-eu-west-2.svc-x"), true},
        {BYTES("\\d+"), BYTES("\xd9\xa3"), false}, /* ASCII digits only */
        {BYTES("[[:alpha:]]+"), BYTES("xyz"), true},
        {BYTES("\\pL"), BYTES("\xc3\xa4"), true},
        {BYTES("a\\Q\\C.*\\Ez"), BYTES("a\\C.*z"), true},
        {BYTES("\\\\C"), BYTES("\\C"), true},
        {BYTES("\\Qa.\\C"), BYTES("a.\\C"), true},
        {BYTES("x{2,3}"), BYTES("xxxx"), false},
        {BYTES("a.b"), BYTES("a\0b"), true},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(matches(cases[i].expression, cases[i].text),
                         cases[i].expected);
}

static void
takes_broken_bytes_for_the_replacement_character(void **state)
{
    static const struct {
        struct bytes expression, text;
        bool expected;
    } cases[] = {
        {BYTES("."), BYTES("\xff"), true},
        {BYTES(".."), BYTES("\xe2\x82"), true},
        {BYTES("a.b"),
         BYTES("a\xc0"
               "b"),
         true},
        {BYTES("\\x{fffd}"), BYTES("\x80"), true},
        {BYTES("[^a]"), BYTES("\xfe"), true},
        {BYTES("..."), BYTES("\xed\xa0\x80"), true},      /* a surrogate: three bytes */
        {BYTES("...."), BYTES("\xf4\x90\x80\x80"), true}, /* above U+10FFFF */
        {BYTES(".."), BYTES("\xc0\x80"), true},           /* overlong */
        {BYTES("."), BYTES("\xf4\x8f\xbf\xbf"), true},
        {BYTES("\\x{ff}"), BYTES("\xff"), false},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(matches(cases[i].expression, cases[i].text),
                         cases[i].expected);
}

static void
refuses_what_go_refuses(void **state)
{
    static const struct bytes cases[] = {
        BYTES("("),          BYTES("a)|(b"), BYTES("\\C"),        BYTES("a\\C"),
        BYTES("\\Qa\\E\\C"), BYTES("(?=a)"), BYTES("(a)\\1"),     BYTES("a{1001}"),
        BYTES("[b-a]"),      BYTES("\xff"),  BYTES("a**"),        BYTES("\\"),
        BYTES("(?<=a)b"),    BYTES("a++"),   BYTES("[[:nope:]]"), BYTES("\\8"),
    };
    (void)state;
    struct err err;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct regex *re = NULL;
        expect_fails(regex_new(&re, cases[i], &err), err, ERR_INVALID);
        assert_null(re);
    }
    assert_non_null(strstr(err.text, "regular expression \"\\8\": "));
}

static void
refuses_a_program_that_is_too_large(void **state)
{
    (void)state;
    struct err err;
    struct regex *re = NULL;
    expect_fails(regex_new(&re, BYTES("((((a{100}){100}){100}){100})"), &err), err,
                 ERR_INVALID);
    expect_fails(regex_new(&re, BYTES("(\\pL{500}|\\pN{500}|\\pP{900}){1,1}"), &err),
                 err, ERR_INVALID);
}

static void
takes_linear_time(void **state)
{
    (void)state;
    static uint8_t text[1 << 16];
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '!';
    assert_false(matches(BYTES("(a+)+"), bytes_of(text, sizeof text)));
    assert_false(matches(BYTES("(a|aa)+"), bytes_of(text, sizeof text)));
}

static void
releases_nothing(void **state)
{
    (void)state;
    CLEANUP(regex_free) struct regex *re = NULL;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches_the_whole_text_as_go_does),
        cmocka_unit_test(takes_broken_bytes_for_the_replacement_character),
        cmocka_unit_test(refuses_what_go_refuses),
        cmocka_unit_test(refuses_a_program_that_is_too_large),
        cmocka_unit_test(takes_linear_time),
        cmocka_unit_test(releases_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
