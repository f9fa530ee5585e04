/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/compiler.h"
#include "common/codec/varint.h"
#include "tests/support/guard.h"

struct form {
    uint64_t value;
    struct bytes bytes;
};

static const struct form minimal[] = {
    {0, BYTES("\x00")},
    {1, BYTES("\x01")},
    {127, BYTES("\x7f")},
    {128, BYTES("\x80\x01")},
    {300, BYTES("\xac\x02")},
    {UINT64_C(1) << 63, BYTES("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01")},
    {UINT64_MAX, BYTES("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")},
};

static void
expect_reads(struct bytes bytes, uint64_t expected)
{
    CLEANUP(guard_fini) struct guard g = guard_new(bytes);
    struct cursor c = cursor_of(g.bytes);
    assert_int_equal(varint_u64(&c), expected);
    assert_false(c.bad);
    assert_int_equal(c.rest.len, 0);
}

static void
expect_bad(void *arg, struct bytes bytes)
{
    (void)arg;
    struct cursor c = cursor_of(bytes);
    assert_int_equal(varint_u64(&c), 0);
    assert_true(c.bad);
    assert_int_equal(c.rest.len, 0);
}

static void
reads_and_writes_known_forms(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(minimal); i++) {
        uint8_t raw[VARINT_MAX_BYTES];
        size_t len = varint_store_u64(raw, minimal[i].value);
        assert_true(bytes_eq((struct bytes){raw, len}, minimal[i].bytes));
        assert_int_equal(varint_size_u64(minimal[i].value), len);
        expect_reads(minimal[i].bytes, minimal[i].value);
    }
}

static void
rejects_each_truncation(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(minimal); i++)
        for_each_truncation(minimal[i].bytes, expect_bad, NULL);
}

static void
accepts_forms_that_are_not_minimal(void **state)
{
    (void)state;
    expect_reads(BYTES("\x80\x00"), 0);
    expect_reads(BYTES("\x81\x80\x80\x80\x80\x80\x80\x80\x80\x00"), 1);
}

static void
rejects_more_than_64_bits(void **state)
{
    (void)state;
    expect_bad(NULL, BYTES("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"));
    expect_bad(NULL, BYTES("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00"));
}

static void
stays_bad(void **state)
{
    (void)state;
    struct cursor c = {.rest = BYTES("\x05"), .bad = true};
    assert_int_equal(varint_u64(&c), 0);
    assert_true(c.bad);
}

static void
leaves_what_follows(void **state)
{
    (void)state;
    struct cursor c = cursor_of(BYTES("\x80\x01\x07\xff"));
    assert_int_equal(varint_u64(&c), 128);
    assert_int_equal(varint_u64(&c), 7);
    assert_int_equal(c.rest.len, 1);
}

static void
round_trips_every_width(void **state)
{
    (void)state;
    for (unsigned bit = 0; bit < 64; bit++) {
        uint64_t around = UINT64_C(1) << bit;
        for (uint64_t v = around - 1; v != around + 2; v++) {
            CLEANUP(buf_fini) struct buf b = {0};
            varint_put_u64(&b, v);
            varint_put_i64(&b, (int64_t)v);
            assert_int_equal(b.len, varint_size_u64(v) +
                                        varint_size_u64(v << 1 ^ (0 - (v >> 63))));
            struct cursor c = cursor_of(buf_bytes(&b));
            assert_int_equal(varint_u64(&c), v);
            assert_int_equal(varint_i64(&c), (int64_t)v);
            assert_false(c.bad);
        }
    }
}

static void
keeps_small_negatives_short(void **state)
{
    static const struct {
        int64_t value;
        struct bytes bytes;
    } cases[] = {
        {0, BYTES("\x00")},
        {-1, BYTES("\x01")},
        {1, BYTES("\x02")},
        {-64, BYTES("\x7f")},
        {1600000000000, BYTES("\x80\x80\xf4\xf6\x90\x5d")},
        {INT64_MIN, BYTES("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint8_t raw[VARINT_MAX_BYTES];
        size_t len = varint_store_i64(raw, cases[i].value);
        assert_true(bytes_eq((struct bytes){raw, len}, cases[i].bytes));
        struct cursor c = cursor_of(cases[i].bytes);
        assert_int_equal(varint_i64(&c), cases[i].value);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_and_writes_known_forms),
        cmocka_unit_test(rejects_each_truncation),
        cmocka_unit_test(accepts_forms_that_are_not_minimal),
        cmocka_unit_test(rejects_more_than_64_bits),
        cmocka_unit_test(stays_bad),
        cmocka_unit_test(leaves_what_follows),
        cmocka_unit_test(round_trips_every_width),
        cmocka_unit_test(keeps_small_negatives_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
