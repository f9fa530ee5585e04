/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/faulty_bucket.h"
#include "tests/unit/common/objstore/fixture.h"

static void
judges_keys(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        bool valid;
    } cases[] = {
        {"a", true},
        {"01J/chunks/000001", true},
        {"debug/metas/01J.json", true},
        {"...", true},
        {".hidden", true},
        {"a b+c&d=e", true},
        {"\xc3\xbc/\xe2\x82\xac", true},
        {"", false},
        {"/", false},
        {"/a", false},
        {"a/", false},
        {"a//b", false},
        {".", false},
        {"..", false},
        {"../a", false},
        {"a/..", false},
        {"a/./b", false},
        {"a/../b", false},
        {"a\nb", false},
        {"a\x7f", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (objstore_key_is_valid(text(cases[i].key)) != cases[i].valid)
            fail_msg("key \"%s\"", cases[i].key);
    assert_false(objstore_key_is_valid(BYTES("a\0b")));
}

static void
bounds_the_length_of_keys(void **state)
{
    (void)state;
    uint8_t key[OBJSTORE_KEY_MAX + 1];
    memset(key, 'k', sizeof key);
    assert_true(objstore_key_is_valid(bytes_of(key, OBJSTORE_KEY_MAX)));
    assert_false(objstore_key_is_valid(bytes_of(key, OBJSTORE_KEY_MAX + 1)));
}

static bool
no_sink(void *arg, struct bytes piece, struct err *err)
{
    (void)arg;
    (void)piece;
    (void)err;
    fail();
    return false;
}

static void
refuses_bad_arguments_before_the_driver(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.bucket = faulty_bucket_new(f.bucket);
    struct objstore_attrs attrs;
    struct bytes bad = text("a/../../etc/passwd");
    assert_false(objstore_head(f.bucket, &CALL, bad, &attrs, &f.err));
    assert_int_equal(f.err.code, ERR_INVALID);
    assert_false(objstore_put(f.bucket, &CALL, bad, text("x"), &f.err));
    assert_false(put_file(&f, &CALL, bad, 0, 1));
    assert_false(objstore_remove(f.bucket, &CALL, bad, &f.err));
    assert_false(objstore_get_range(f.bucket, &CALL, bad, 0, 1, no_sink, NULL, &f.err));
    assert_false(
        objstore_get_range(f.bucket, &CALL, text("a"), 0, 0, no_sink, NULL, &f.err));
    assert_int_equal(f.err.code, ERR_INVALID);
    assert_false(objstore_get_range(f.bucket, &CALL, text("a"), UINT64_MAX, 2, no_sink,
                                    NULL, &f.err));
    assert_int_equal(f.err.code, ERR_INVALID);
    expect_list(&f, "a", "<invalid>");
    expect_list(&f, "../", "<invalid>");
    expect_list(&f, "/", "<invalid>");
    assert_int_equal(faulty_bucket_calls(f.bucket, FAULTY_ANY), 0);
    fixture_fini(&f);
}

static void
names_operation_key_and_bucket_in_errors(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct objstore_attrs attrs;
    assert_false(objstore_head(f.bucket, &CALL, text("x/meta.json"), &attrs, &f.err));
    char expected[200];
    snprintf(expected, sizeof expected,
             "head \"x/meta.json\" in bucket fs: %s: no such object", f.root);
    assert_string_equal(f.err.text, expected);
    fixture_fini(&f);
}

static void
does_nothing_when_cancelled_or_late(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    CLEANUP(cancel_fini) struct cancel raised = {0};
    cancel_raise(&raised);
    struct objstore_call cancelled = {.deadline_ns = CLOCK_NEVER, .cancel = &raised};
    struct objstore_call late = {.deadline_ns = clock_mono_ns()};
    assert_false(objstore_put(f.bucket, &cancelled, text("a"), text("x"), &f.err));
    assert_int_equal(f.err.code, ERR_CANCELLED);
    assert_false(objstore_put(f.bucket, &late, text("a"), text("x"), &f.err));
    assert_int_equal(f.err.code, ERR_TIMEOUT);
    expect_list(&f, "", "");
    fixture_fini(&f);
}

static void
gets_whole_objects_up_to_the_limit(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct buf b = {0};
    assert_true(put(&f, "five", "12345"));
    assert_true(put(&f, "empty", ""));
    buf_put_str(&b, "before ");
    assert_true(objstore_get(f.bucket, &CALL, text("five"), 5, &b, &f.err));
    assert_true(objstore_get(f.bucket, &CALL, text("empty"), 5, &b, &f.err));
    assert_true(objstore_get(f.bucket, &CALL, text("empty"), 0, &b, &f.err));
    assert_true(objstore_get(f.bucket, &CALL, text("five"), SIZE_MAX, &b, &f.err));
    assert_string_equal(buf_text(&b), "before 1234512345");
    assert_false(objstore_get(f.bucket, &CALL, text("five"), 4, &b, &f.err));
    assert_int_equal(f.err.code, ERR_INVALID);
    assert_non_null(strstr(f.err.text, "larger than 4 bytes"));
    assert_false(objstore_get(f.bucket, &CALL, text("none"), 4, &b, &f.err));
    assert_int_equal(f.err.code, ERR_NOT_FOUND);
    assert_string_equal(buf_text(&b), "before 1234512345");
    buf_fini(&b);
    fixture_fini(&f);
}

static void
leaves_no_half_of_an_object_behind(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    assert_true(put(&f, "a", "123456"));
    f.bucket = faulty_bucket_new(f.bucket);
    faulty_bucket_add(f.bucket,
                      (struct faulty_rule){.ops = FAULTY_GET, .how = FAULTY_CUT});
    struct buf b = {0};
    assert_false(objstore_get(f.bucket, &CALL, text("a"), 100, &b, &f.err));
    assert_int_equal(f.err.code, ERR_UNAVAILABLE);
    assert_int_equal(b.len, 0);
    buf_fini(&b);
    fixture_fini(&f);
}

static void
reads_ranges_into_memory(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    assert_true(put(&f, "a", "0123456789"));
    static const struct {
        uint64_t offset;
        size_t len;
        const char *expected; /* NULL: ERR_INVALID */
    } cases[] = {
        {0, 10, "0123456789"}, {0, 1, "0"},         {9, 1, "9"},
        {3, 4, "3456"},        {8, 7, "89"},        {0, 16, "0123456789"},
        {10, 1, NULL},         {1u << 31, 1, NULL}, {(uint64_t)INT64_MAX + 7, 1, NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint8_t into[16];
        size_t got = 77;
        bool ok = objstore_read_range(
            f.bucket, &CALL, text("a"),
            (struct objstore_range){cases[i].offset, cases[i].len}, into, &got, &f.err);
        assert_int_equal(ok, cases[i].expected != NULL);
        if (!ok) {
            assert_int_equal(f.err.code, ERR_INVALID);
            assert_int_equal(got, 77);
            continue;
        }
        assert_int_equal(got, strlen(cases[i].expected));
        assert_memory_equal(into, cases[i].expected, got);
    }
    fixture_fini(&f);
}

static void
frees_what_is_there(void **state)
{
    (void)state;
    struct objstore_bucket *none = NULL;
    objstore_free(&none);
    assert_null(none);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(judges_keys),
        cmocka_unit_test(bounds_the_length_of_keys),
        cmocka_unit_test(refuses_bad_arguments_before_the_driver),
        cmocka_unit_test(names_operation_key_and_bucket_in_errors),
        cmocka_unit_test(does_nothing_when_cancelled_or_late),
        cmocka_unit_test(gets_whole_objects_up_to_the_limit),
        cmocka_unit_test(leaves_no_half_of_an_object_behind),
        cmocka_unit_test(reads_ranges_into_memory),
        cmocka_unit_test(frees_what_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
