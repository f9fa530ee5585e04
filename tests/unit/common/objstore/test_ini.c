/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/objstore/ini.h"
#include "tests/support/expect.h"
#include "tests/support/guard.h"

static void
finds_values(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *value; /* of k in the section s */
    } cases[] = {
        {"[s]\nk=v", "v"},
        {"[ s ]\r\n  K  =  v w \r\n", "v w"},
        {"\xef\xbb\xbf[s]\nk = v\n", "v"},
        {"k = no\n[s]\n", ""},
        {"[t]\nk = no\n[s]\n[u]\nk = no\n", ""},
        {"[s]\nk = 1\n[t]\n[s]\nk = 2\n", "2"},
        {"[s]\nk = a=b\n", "a=b"},
        {"[s] # c\n# c\n; c\nk = v ; c\n", "v"},
        {"[s]\nk = v#w;x\n", "v#w;x"},
        {"[s]\nk = \"v w\"\n", "v w"},
        {"[s]\nk = 'v'\n", "v"},
        {"[s]\nk = \"v'\n", "\"v'"},
        {"[s]\nk = \"\n", "\""},
        {"[s]\nkk = no\n", ""},
        {"[s]\nk =\n", ""},
        {"[s]\nx =\n  k = no\n\n  whatever\nk = v\n", "v"},
        {"[s]\nx = 1\n  k = v\n", "v"},
        {"[s]\nx =\n[s]\n k = v\n", "v"},
        {"", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct bytes value;
        struct err err;
        struct bytes text = bytes_of_str(cases[i].text);
        expect_ok(objstore_ini_get(text, "s", "k", &value, &err), err);
        if (!bytes_eq(value, bytes_of_str(cases[i].value)))
            fail_msg("\"%s\": \"%.*s\"", cases[i].text, BYTES_FMT(value));
        assert_true(objstore_ini_has(text, "s") == (*cases[i].text != 0));
        assert_false(objstore_ini_has(text, "S"));
    }
}

static void
refuses_lines_that_are_nothing(void **state)
{
    (void)state;
    static const struct {
        struct bytes text;
        const char *line;
    } cases[] = {
        {{(const uint8_t *)"[s]\nhidden\n", 11}, "line 2"},
        {{(const uint8_t *)"[s\n", 3}, "line 1"},
        {{(const uint8_t *)"\n\n= hidden\n", 11}, "line 3"},
        {{(const uint8_t *)"[s]\nk = hid\0den\n", 16}, "line 2"},
        {{(const uint8_t *)"[s]\nk = hid\x1b[den\n", 16}, "line 2"},
        {{(const uint8_t *)"[s]\rk = hidden\n", 15}, "line 1"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct bytes value;
        struct err err;
        expect_fails(objstore_ini_get(cases[i].text, "s", "k", &value, &err), err,
                     ERR_INVALID);
        assert_non_null(strstr(err.text, cases[i].line));
        assert_null(strstr(err.text, "hid"));
    }
}

static const char TEXT[] = "\xef\xbb\xbf# c\n[s]\nx =\n  y = 1\nk = \"v\" ; c\r\n[t]\n";

/* Whatever is found lies inside of the text. */
static void
look(void *arg, struct bytes text)
{
    (void)arg;
    struct bytes value = {0};
    struct err err = {0};
    if (!objstore_ini_get(text, "s", "k", &value, &err))
        assert_int_equal(err.code, ERR_INVALID);
    else if (value.len > 0)
        assert_true(value.at > text.at && value.at + value.len <= text.at + text.len);
}

static void
survives_every_truncation_and_flipped_bit(void **state)
{
    (void)state;
    for_each_truncation(bytes_of_str(TEXT), look, NULL);
    for_each_bit_flip(bytes_of_str(TEXT), look, NULL);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_values),
        cmocka_unit_test(refuses_lines_that_are_nothing),
        cmocka_unit_test(survives_every_truncation_and_flipped_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
