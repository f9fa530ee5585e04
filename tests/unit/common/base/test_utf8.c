/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/utf8.h"
#include "tests/support/guard.h"

static void
measures_the_first_character(void **state)
{
    static const struct {
        struct bytes text;
        size_t len;
    } cases[] = {
        {{NULL, 0}, 0},
        {BYTES("a"), 1},
        {BYTES("\0"), 1},
        {BYTES("\x7f\x80"), 1},
        {BYTES("\xc2\x80"), 2},
        {BYTES("\xdf\xbf"), 2},
        {BYTES("\xe0\xa0\x80"), 3},
        {BYTES("\xed\x9f\xbf"), 3},
        {BYTES("\xee\x80\x80"), 3},
        {BYTES("\xef\xbf\xbf"), 3},
        {BYTES("\xf0\x90\x80\x80"), 4},
        {BYTES("\xf4\x8f\xbf\xbf"), 4},
        {BYTES("\x80"), 0},
        {BYTES("\xbf"), 0},
        {BYTES("\xc0\x80"), 0},
        {BYTES("\xc1\xbf"), 0},
        {BYTES("\xe0\x9f\xbf"), 0},
        {BYTES("\xed\xa0\x80"), 0},
        {BYTES("\xed\xbf\xbf"), 0},
        {BYTES("\xf0\x8f\xbf\xbf"), 0},
        {BYTES("\xf4\x90\x80\x80"), 0},
        {BYTES("\xf5\x80\x80\x80"), 0},
        {BYTES("\xf8\x88\x80\x80\x80"), 0},
        {BYTES("\xff"), 0},
        {BYTES("\xc3"), 0},
        {BYTES("\xc3z"), 0},
        {BYTES("\xe2\x82"), 0},
        {BYTES("\xf0\x9f\x98"), 0},
        {BYTES("\xf0\x9f\x98z"), 0},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(guard_fini) struct guard g = guard_new(cases[i].text);
        assert_int_equal(utf8_len(g.bytes), cases[i].len);
    }
}

static void
judges_whole_texts(void **state)
{
    (void)state;
    assert_true(utf8_is_valid((struct bytes){0}));
    assert_true(utf8_is_valid(BYTES("a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80z")));
    assert_false(utf8_is_valid(BYTES("abc\xff")));
    assert_false(utf8_is_valid(BYTES("abc\xe2\x82")));
}

static void
writes_what_it_can_measure(void **state)
{
    static const uint32_t good[] = {0,      'a',    0x7f,   0x80,    0x7ff,   0x800,
                                    0xd7ff, 0xe000, 0xffff, 0x10000, 0x10ffff};
    static const uint32_t bad[] = {0xd800, 0xdfff, 0x110000, UINT32_MAX};
    uint8_t text[4];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        size_t len = utf8_put(text, good[i]);
        assert_in_range(len, 1, 4);
        assert_int_equal(utf8_len(bytes_of(text, len)), len);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(utf8_put(text, bad[i]), 0);
    assert_int_equal(utf8_put(text, 0x1f600), 4);
    assert_memory_equal(text, "\xf0\x9f\x98\x80", 4);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(measures_the_first_character),
        cmocka_unit_test(judges_whole_texts),
        cmocka_unit_test(writes_what_it_can_measure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
