/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/codec/html.h"
#include "tests/support/guard.h"

static void
makes_texts_harmless(void **state)
{
    static const struct {
        struct bytes text;
        const char *wanted;
    } cases[] = {
        {BYTES(""), ""},
        {BYTES("up"), "up"},
        {BYTES("<script>alert(\"1\" & '2')</script>"),
         "&lt;script&gt;alert(&quot;1&quot; &amp; &#39;2&#39;)&lt;/script&gt;"},
        {BYTES("k\xc3\xb6ln"), "k\xc3\xb6ln"},
        {BYTES("a\xff\xc3"), "a\xef\xbf\xbd\xef\xbf\xbd"},
        {BYTES("a\nb\x01\0"), "a b\xef\xbf\xbd\xef\xbf\xbd"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(buf_fini) struct buf out = {0};
        CLEANUP(guard_fini) struct guard g = guard_new(cases[i].text);
        html_put_text(&out, g.bytes);
        assert_string_equal(buf_text(&out), cases[i].wanted);
    }
}

static void
encodes_values_of_queries(void **state)
{
    CLEANUP(buf_fini) struct buf out = {0};
    (void)state;
    html_put_query_value(&out, BYTES("a=\"b c\"&d<\xc3\xb6~-_."));
    assert_string_equal(buf_text(&out), "a%3D%22b%20c%22%26d%3C%C3%B6~-_.");
}

static void
prints_quantities(void **state)
{
    CLEANUP(buf_fini) struct buf out = {0};
    (void)state;
    html_put_size(&out, 0);
    html_put_size(&out, 1023);
    html_put_size(&out, 1024);
    html_put_size(&out, 3 << 20);
    html_put_size(&out, UINT64_MAX);
    assert_string_equal(buf_text(&out), "0 B1023 B1.0 KiB3.0 MiB16777216.0 TiB");
    buf_clear(&out);
    html_put_duration(&out, 59999);
    html_put_duration(&out, 60000);
    html_put_duration(&out, 3 * 3600000 + 5 * 60000);
    html_put_duration(&out, 49 * 3600000);
    assert_string_equal(buf_text(&out), "59 s1 min3 h 5 min2 d");
    buf_clear(&out);
    html_put_time(&out, 1500);
    html_put_time(&out, INT64_MIN);
    html_put_time(&out, INT64_MAX);
    assert_string_equal(buf_text(&out), "1970-01-01T00:00:01Zunknownunknown");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(makes_texts_harmless),
        cmocka_unit_test(encodes_values_of_queries),
        cmocka_unit_test(prints_quantities),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
