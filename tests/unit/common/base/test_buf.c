/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "tests/support/expect.h"

static void
appends_each_kind(void **state)
{
    (void)state;
    CLEANUP(buf_fini) struct buf b = {0};
    buf_put(&b, BYTES("ab"));
    buf_put(&b, (struct bytes){0});
    buf_put_u8(&b, 1);
    buf_put_be32(&b, UINT32_C(0x02030405));
    buf_put_be64(&b, UINT64_C(0x060708090a0b0c0d));
    buf_put_str(&b, "z");
    buf_printf(&b, "%d!", 42);
    assert_true(
        bytes_eq(buf_bytes(&b), BYTES("ab\1\2\3\4\5\6\7\x8\x9\xa\xb\xc\xdz42!")));
}

static void
grows_and_keeps_its_content(void **state)
{
    (void)state;
    CLEANUP(buf_fini) struct buf b = {0};
    for (int i = 0; i < 100000; i++)
        buf_put_u8(&b, (uint8_t)(i % 251));
    assert_int_equal(b.len, 100000);
    for (int i = 0; i < 100000; i++)
        assert_int_equal(b.at[i], i % 251);
}

static void
yields_text_without_counting_its_end(void **state)
{
    (void)state;
    CLEANUP(buf_fini) struct buf b = {0};
    assert_string_equal(buf_text(&b), "");
    buf_put_str(&b, "abc");
    assert_string_equal(buf_text(&b), "abc");
    assert_int_equal(b.len, 3);
    buf_clear(&b);
    assert_string_equal(buf_text(&b), "");
}

static void
reserves_room_for_the_caller(void **state)
{
    (void)state;
    CLEANUP(buf_fini) struct buf b = {0};
    assert_non_null(buf_reserve(&b, 0));
    memset(buf_reserve(&b, 1000), 'x', 1000);
    assert_int_equal(b.len, 0);
    b.len = 1000;
    assert_int_equal(buf_bytes(&b).at[999], 'x');
}

static void
charges_its_budget(void **state)
{
    (void)state;
    struct err err;
    struct budget budget;
    struct buf b;
    budget_init(&budget, "test", 1 << 20, NULL);
    buf_init(&b, &budget);
    assert_int_equal(budget_used(&budget), 0);
    for (int i = 0; i < 10000; i++)
        buf_put_be64(&b, 1);
    expect_ok(buf_ok(&b, &err), err);
    assert_true(budget_used(&budget) >= 80000);
    size_t used = budget_used(&budget);
    buf_clear(&b);
    assert_int_equal(budget_used(&budget), used);
    buf_fini(&b);
    assert_int_equal(budget_used(&budget), 0);
    buf_put_u8(&b, 1);
    assert_true(budget_used(&budget) > 0);
    buf_fini(&b);
    budget_fini(&budget);
}

static void
latches_a_spent_budget_until_cleared(void **state)
{
    (void)state;
    struct err err;
    struct budget budget;
    struct buf b;
    budget_init(&budget, "test", 1000, NULL);
    buf_init(&b, &budget);
    buf_put_str(&b, "kept");
    assert_null(buf_reserve(&b, 2000));
    buf_put_u8(&b, 1);
    buf_printf(&b, "%d", 1);
    assert_int_equal(b.len, 4);
    assert_string_equal(buf_text(&b), "");
    expect_fails(buf_ok(&b, &err), err, ERR_BUDGET);
    buf_clear(&b);
    expect_ok(buf_ok(&b, &err), err);
    buf_put_u8(&b, 1);
    assert_int_equal(b.len, 1);
    buf_fini(&b);
    budget_fini(&budget);
}

static void
refuses_a_length_that_wraps(void **state)
{
    (void)state;
    struct err err;
    CLEANUP(buf_fini) struct buf b = {0};
    buf_put_str(&b, "x");
    assert_null(buf_reserve(&b, SIZE_MAX));
    expect_fails(buf_ok(&b, &err), err, ERR_INVALID);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appends_each_kind),
        cmocka_unit_test(grows_and_keeps_its_content),
        cmocka_unit_test(yields_text_without_counting_its_end),
        cmocka_unit_test(reserves_room_for_the_caller),
        cmocka_unit_test(charges_its_budget),
        cmocka_unit_test(latches_a_spent_budget_until_cleared),
        cmocka_unit_test(refuses_a_length_that_wraps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
