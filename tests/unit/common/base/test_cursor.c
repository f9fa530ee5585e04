/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/cursor.h"
#include "tests/support/guard.h"

static const struct bytes sample = BYTES("\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b"
                                         "\x0c\x0d\x0e\x0f\x10\x11");

static void
reads_in_order(void **state)
{
    (void)state;
    struct cursor c = cursor_of(sample);
    assert_int_equal(cursor_u8(&c), 0x01);
    assert_int_equal(cursor_be16(&c), 0x0203);
    assert_int_equal(cursor_be32(&c), 0x04050607);
    assert_int_equal(cursor_be64(&c), UINT64_C(0x08090a0b0c0d0e0f));
    assert_true(bytes_eq(cursor_take(&c, 1), BYTES("\x10")));
    assert_int_equal(cursor_take(&c, 0).len, 0);
    assert_int_equal(c.rest.len, 1);
    assert_false(c.bad);
}

static void
read_structure(void *arg, struct bytes bytes)
{
    (void)arg;
    struct cursor c = cursor_of(bytes);
    cursor_u8(&c);
    cursor_be16(&c);
    cursor_be32(&c);
    cursor_be64(&c);
    cursor_take(&c, 2);
    assert_true(c.bad);
    assert_int_equal(c.rest.len, 0);
    assert_int_equal(cursor_u8(&c), 0);
    assert_int_equal(cursor_be16(&c), 0);
    assert_int_equal(cursor_be32(&c), 0);
    assert_int_equal(cursor_be64(&c), 0);
    assert_int_equal(cursor_take(&c, 0).len, 0);
}

static void
goes_bad_at_each_truncation_and_stays_bad(void **state)
{
    (void)state;
    for_each_truncation(sample, read_structure, NULL);
}

static void
refuses_lengths_beyond_the_address_space(void **state)
{
    (void)state;
    struct cursor c = cursor_of(sample);
    assert_int_equal(cursor_take(&c, UINT64_MAX).len, 0);
    assert_true(c.bad);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_in_order),
        cmocka_unit_test(goes_bad_at_each_truncation_and_stays_bad),
        cmocka_unit_test(refuses_lengths_beyond_the_address_space),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
