/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/compiler.h"
#include "common/codec/crc32c.h"
#include "common/codec/crc32c_priv.h"
#include "tests/support/guard.h"

enum { PATTERN_BYTES = 4096 };

static uint8_t pattern[PATTERN_BYTES];

static int
fill_pattern(void **state)
{
    (void)state;
    uint32_t x = 12345;
    for (size_t i = 0; i < sizeof pattern; i++) {
        x = x * 1664525 + 1013904223;
        pattern[i] = (uint8_t)(x >> 24);
    }
    return 0;
}

/* The definition, bit by bit. */
static uint32_t
slow_crc32c(struct bytes data)
{
    uint32_t state = UINT32_MAX;
    for (size_t i = 0; i < data.len; i++) {
        state ^= data.at[i];
        for (int bit = 0; bit < 8; bit++)
            state = state >> 1 ^ (state & 1 ? UINT32_C(0x82f63b78) : 0);
    }
    return ~state;
}

static void
knows_published_values(void **state)
{
    static const uint8_t zeros[32];
    static const struct {
        struct bytes data;
        uint32_t crc;
    } cases[] = {
        {{NULL, 0}, 0},
        {BYTES("a"), UINT32_C(0xc1d04330)},
        {BYTES("123456789"), UINT32_C(0xe3069283)},
        {{zeros, sizeof zeros}, UINT32_C(0x8a9136aa)}, /* RFC 3720 B.4 */
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(crc32c(cases[i].data), cases[i].crc);
        assert_int_equal(crc32c_extend_by_table(0, cases[i].data), cases[i].crc);
    }
}

static void
agrees_with_the_table_at_each_length_and_alignment(void **state)
{
    (void)state;
    for (size_t len = 0; len < 300; len++)
        for (size_t at = 0; at < 16; at++) {
            struct bytes data = {pattern + at, len};
            uint32_t expected = slow_crc32c(data);
            assert_int_equal(crc32c(data), expected);
            assert_int_equal(crc32c_extend_by_table(0, data), expected);
        }
    for (size_t len = 300; len <= sizeof pattern; len++) {
        struct bytes data = {pattern + sizeof pattern - len, len};
        assert_int_equal(crc32c(data), crc32c_extend_by_table(0, data));
    }
}

static void
reads_nothing_behind_its_input(void **state)
{
    (void)state;
    for (size_t len = 0; len < 64; len++) {
        CLEANUP(guard_fini) struct guard g = guard_new((struct bytes){pattern, len});
        assert_int_equal(crc32c(g.bytes), crc32c_extend_by_table(0, g.bytes));
    }
}

static void
extends_over_any_split(void **state)
{
    (void)state;
    struct bytes all = {pattern, 2000};
    for (size_t cut = 0; cut <= all.len; cut++) {
        struct bytes head = {all.at, cut}, tail = {all.at + cut, all.len - cut};
        assert_int_equal(crc32c_extend(crc32c(head), tail), crc32c(all));
        assert_int_equal(crc32c_extend_by_table(crc32c(head), tail), crc32c(all));
    }
}

static void
combines_over_any_split(void **state)
{
    (void)state;
    struct bytes all = {pattern, sizeof pattern};
    for (size_t cut = 0; cut <= all.len; cut++) {
        struct bytes head = {all.at, cut}, tail = {all.at + cut, all.len - cut};
        uint32_t a = crc32c(head), b = crc32c(tail);
        assert_int_equal(crc32c_combine(a, b, tail.len), crc32c(all));
        assert_int_equal(crc32c_combine_by_bits(a, b, tail.len), crc32c(all));
    }
}

/* A byte over and over; lengths beyond what can be hashed agree with their halves. */
static void
combines_long_texts(void **state)
{
    (void)state;
    struct bytes part = {pattern, 1};
    uint32_t crc = crc32c(part), hashed = 0;
    uint64_t len = part.len;
    for (; len <= UINT64_C(1) << 22; len *= 2)
        crc = crc32c_combine(crc, crc, len);
    for (uint64_t i = 0; i < len; i++)
        hashed = crc32c_extend(hashed, part);
    assert_int_equal(crc, hashed);
    for (; len <= UINT64_C(1) << 62; len *= 2) {
        assert_int_equal(crc32c_combine(crc, 0, len),
                         crc32c_combine_by_bits(crc, 0, len));
        uint32_t half = crc32c_combine(crc, 0, len / 2);
        assert_int_equal(crc32c_combine(half, 0, len / 2), crc32c_combine(crc, 0, len));
    }
}

/* What comes before a text may be exchanged when the checksum of both is known. */
static void
exchanges_what_comes_first(void **state)
{
    (void)state;
    struct bytes old = {pattern, 1}, new = {pattern + 100, 17};
    struct bytes text = {pattern + 200, 570};
    uint32_t of_both = crc32c_extend(crc32c(old), text);
    assert_int_equal(crc32c_combine(crc32c(new) ^ crc32c(old), of_both, text.len),
                     crc32c_extend(crc32c(new), text));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_published_values),
        cmocka_unit_test(agrees_with_the_table_at_each_length_and_alignment),
        cmocka_unit_test(reads_nothing_behind_its_input),
        cmocka_unit_test(extends_over_any_split),
        cmocka_unit_test(combines_over_any_split),
        cmocka_unit_test(combines_long_texts),
        cmocka_unit_test(exchanges_what_comes_first),
    };
    return cmocka_run_group_tests(tests, fill_pattern, NULL);
}
