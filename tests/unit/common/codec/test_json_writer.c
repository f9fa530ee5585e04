/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/codec/json.h"
#include "common/codec/json_writer.h"
#include "tests/support/guard.h"

static void
assert_written(struct bytes text, const char *wanted)
{
    CLEANUP(buf_fini) struct buf out = {0};
    CLEANUP(guard_fini) struct guard g = guard_new(text);
    json_writer_text(&out, g.bytes);
    assert_string_equal(buf_text(&out), wanted);
}

static void
escapes_what_must_be_escaped(void **state)
{
    (void)state;
    assert_written(BYTES(""), "\"\"");
    assert_written(BYTES("up"), "\"up\"");
    assert_written(BYTES("a\"b\\c/"), "\"a\\\"b\\\\c/\"");
    assert_written(BYTES("\n\t\0\x1f\x7f"), "\"\\n\\u0009\\u0000\\u001f\x7f\"");
    assert_written(BYTES("k\xc3\xb6ln \xf0\x9f\x98\x80"),
                   "\"k\xc3\xb6ln \xf0\x9f\x98\x80\"");
    assert_written(BYTES("a\xff\xc3"), "\"a\xef\xbf\xbd\xef\xbf\xbd\"");
}

static void
what_is_written_can_be_read(void **state)
{
    (void)state;
    for (unsigned c = 1; c < 0x80; c++) {
        CLEANUP(buf_fini) struct buf out = {0};
        CLEANUP(json_free) struct json *j = NULL;
        const uint8_t byte = (uint8_t)c;
        const char *text;
        struct err err;
        buf_put_str(&out, "[");
        json_writer_text(&out, bytes_of(&byte, 1));
        buf_put_str(&out, "]");
        assert_true(json_parse(buf_bytes(&out), 100, &j, &err));
        assert_true(json_text(json_array_at(j, 0), &text));
        assert_int_equal(text[0], c);
    }
}

static void
writes_documents(void **state)
{
    CLEANUP(buf_fini) struct buf out = {0};
    struct json_writer w = {.out = &out};
    (void)state;
    json_writer_open(&w, NULL, '{');
    json_writer_put_str(&w, "text", "a\"b");
    json_writer_open(&w, "list", '[');
    json_writer_put_i64(&w, NULL, INT64_MIN);
    json_writer_put_u64(&w, NULL, UINT64_MAX);
    json_writer_open(&w, NULL, '{');
    json_writer_close(&w, '{');
    json_writer_put_null(&w, NULL);
    json_writer_close(&w, '[');
    json_writer_put_bool(&w, "yes", true);
    json_writer_put_bool(&w, "no", false);
    json_writer_put_time(&w, "known", -1);
    json_writer_put_time(&w, "unknown", INT64_MIN);
    json_writer_put_double(&w, "half", 0.5, 2);
    json_writer_put_double(&w, "none", 0.0 / 0.0, 2);
    json_writer_close(&w, '{');
    assert_string_equal(buf_text(&out),
                        "{\"text\":\"a\\\"b\",\"list\":[-9223372036854775808,"
                        "18446744073709551615,{},null],\"yes\":true,\"no\":false,"
                        "\"known\":-1,\"half\":0.50,\"none\":null}");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(escapes_what_must_be_escaped),
        cmocka_unit_test(what_is_written_can_be_read),
        cmocka_unit_test(writes_documents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
