/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "common/base/err.h"

static void
formats_at_the_source(void **state)
{
    (void)state;
    struct err err;
    assert_false(err_set(&err, ERR_CORRUPT, "block %s: %d", "01J", 7));
    assert_int_equal(err.code, ERR_CORRUPT);
    assert_int_equal(err.sys, 0);
    assert_string_equal(err.text, "block 01J: 7");
}

static void
reads_outside_in(void **state)
{
    (void)state;
    struct err err;
    err_set(&err, ERR_CORRUPT, "checksum mismatch");
    assert_false(err_wrap(&err, "postings"));
    assert_false(err_wrap(&err, "block %d", 1));
    assert_string_equal(err.text, "block 1: postings: checksum mismatch");
    assert_int_equal(err.code, ERR_CORRUPT);
}

static void
may_be_told_its_own_text(void **state)
{
    (void)state;
    struct err err;
    err_set(&err, ERR_IO, "inner");
    err_set(&err, ERR_INVALID, "outer, %s", err.text);
    assert_string_equal(err.text, "outer, inner");
    err_wrap(&err, "<%s>", err.text);
    assert_string_equal(err.text, "<outer, inner>: outer, inner");
}

static void
maps_errno_to_a_code(void **state)
{
    static const struct {
        int errnum;
        enum err_code code;
    } cases[] = {
        {ENOENT, ERR_NOT_FOUND},
        {ENOTDIR, ERR_NOT_FOUND},
        {EEXIST, ERR_CONFLICT},
        {ENOTEMPTY, ERR_CONFLICT},
        {EACCES, ERR_DENIED},
        {EPERM, ERR_DENIED},
        {ENOMEM, ERR_NOMEM},
        {ETIMEDOUT, ERR_TIMEOUT},
        {EAGAIN, ERR_UNAVAILABLE},
        {ECONNREFUSED, ERR_UNAVAILABLE},
        {EIO, ERR_IO},
        {ENOSPC, ERR_IO},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err;
        assert_false(err_sys(&err, cases[i].errnum, "open %s", "f"));
        assert_int_equal(err.code, cases[i].code);
        assert_int_equal(err.sys, cases[i].errnum);
    }
    struct err err;
    err_sys(&err, ENOENT, "open f");
    assert_string_equal(err.text, "open f: No such file or directory");
}

static void
cuts_long_texts(void **state)
{
    (void)state;
    struct err err;
    char text[2000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    err_set(&err, ERR_INVALID, "%s", text);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    err_wrap(&err, "block");
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    assert_memory_equal(err.text, "block: xxx", 10);
    err_wrap(&err, "%s", text);
    err_sys(&err, EIO, "%s", text);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
}

static void
tells_what_may_heal(void **state)
{
    (void)state;
    for (enum err_code code = ERR_NONE; code <= ERR_INTERNAL; code++) {
        bool transient =
            code == ERR_UNAVAILABLE || code == ERR_THROTTLED || code == ERR_TIMEOUT;
        assert_int_equal(err_is_transient(code), transient);
    }
}

static void
names_each_code_once(void **state)
{
    (void)state;
    for (enum err_code code = ERR_NONE; code <= ERR_INTERNAL; code++) {
        assert_string_not_equal(err_code_name(code), "unknown");
        for (enum err_code other = ERR_NONE; other < code; other++)
            assert_string_not_equal(err_code_name(code), err_code_name(other));
    }
    assert_string_equal(err_code_name(ERR_NOT_FOUND), "not_found");
}

static void
is_kept_until_it_is_forgotten(void **state)
{
    (void)state;
    struct err err;
    const struct err *kept = NULL;
    err_forget(&kept);
    err_sys(&err, ENOENT, "open %s", "/x");
    err.retry_after_ns = 7;
    kept = err_keep(&err);
    err_set(&err, ERR_INTERNAL, "another");
    assert_int_equal(kept->code, ERR_NOT_FOUND);
    assert_int_equal(kept->sys, ENOENT);
    assert_int_equal(kept->retry_after_ns, 7);
    assert_memory_equal(kept->text, "open /x", 7);
    err_forget(&kept);
    assert_null(kept);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats_at_the_source),
        cmocka_unit_test(reads_outside_in),
        cmocka_unit_test(may_be_told_its_own_text),
        cmocka_unit_test(maps_errno_to_a_code),
        cmocka_unit_test(cuts_long_texts),
        cmocka_unit_test(tells_what_may_heal),
        cmocka_unit_test(names_each_code_once),
        cmocka_unit_test(is_kept_until_it_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
