/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/bytes.h"
#include "common/base/compiler.h"

static void
orders_by_bytes_then_length(void **state)
{
    static const struct bytes ascending[] = {
        {NULL, 0},  BYTES("\0"),   BYTES("a"),    BYTES("a\0"),  BYTES("ab"),
        BYTES("b"), BYTES("\x7f"), BYTES("\x80"), BYTES("\xff"),
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ascending); i++)
        for (size_t k = 0; k < ARRAY_LEN(ascending); k++) {
            int order = bytes_cmp(ascending[i], ascending[k]);
            assert_int_equal((order > 0) - (order < 0), (i > k) - (i < k));
            assert_int_equal(bytes_eq(ascending[i], ascending[k]), i == k);
        }
}

static void
knows_its_beginnings(void **state)
{
    (void)state;
    assert_true(bytes_starts_with(BYTES("abc"), BYTES("ab")));
    assert_true(bytes_starts_with(BYTES("abc"), BYTES("abc")));
    assert_true(bytes_starts_with((struct bytes){0}, (struct bytes){0}));
    assert_false(bytes_starts_with(BYTES("ab"), BYTES("abc")));
    assert_false(bytes_starts_with(BYTES("xbc"), BYTES("ab")));
}

static void
loads_and_stores_big_endian(void **state)
{
    (void)state;
    uint8_t raw[9];
    be16_store(raw + 1, 0x0102);
    assert_memory_equal(raw + 1, "\1\2", 2);
    assert_int_equal(be16_load(raw + 1), 0x0102);
    be32_store(raw + 1, UINT32_C(0xf1020304));
    assert_memory_equal(raw + 1, "\xf1\2\3\4", 4);
    assert_int_equal(be32_load(raw + 1), UINT32_C(0xf1020304));
    be64_store(raw + 1, UINT64_C(0xf102030405060708));
    assert_memory_equal(raw + 1, "\xf1\2\3\4\5\6\7\x8", 8);
    assert_true(be64_load(raw + 1) == UINT64_C(0xf102030405060708));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(orders_by_bytes_then_length),
        cmocka_unit_test(knows_its_beginnings),
        cmocka_unit_test(loads_and_stores_big_endian),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
