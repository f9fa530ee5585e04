/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/net/form.h"
#include "tests/support/guard.h"

static struct budget budget;

static void
reads_pairs_in_order(void **state)
{
    CLEANUP(arena_fini) struct arena arena;
    CLEANUP(guard_fini)
    struct guard g =
        guard_new(BYTES("match[]=a%7Bb%3D%22c+d%22%7D&x&&y==&match%5B%5D=e&=z&n=%00"));
    static const struct net_form_pair wanted[] = {
        {BYTES("match[]"), BYTES("a{b=\"c d\"}")},
        {BYTES("x"), BYTES("")},
        {BYTES("y"), BYTES("=")},
        {BYTES("match[]"), BYTES("e")},
        {BYTES(""), BYTES("z")},
        {BYTES("n"), BYTES("\0")}};
    struct net_form form = {0};
    struct bytes value;
    struct err err;
    (void)state;
    arena_init(&arena, &budget);
    assert_true(net_form_parse(&form, g.bytes, &arena, &err));
    assert_int_equal(form.count, ARRAY_LEN(wanted));
    for (size_t i = 0; i < form.count; i++) {
        assert_true(bytes_eq(form.at[i].name, wanted[i].name));
        assert_true(bytes_eq(form.at[i].value, wanted[i].value));
        assert_int_equal(form.at[i].value.at[form.at[i].value.len], 0);
    }
    assert_true(net_form_get(&form, BYTES("match[]"), &value));
    assert_true(bytes_eq(value, wanted[0].value));
    assert_false(net_form_get(&form, BYTES("nowhere"), &value));
    assert_true(net_form_parse(&form, BYTES("more=1"), &arena, &err));
    assert_int_equal(form.count, ARRAY_LEN(wanted) + 1);
}

static void
refuses_broken_texts(void **state)
{
    static const char *const texts[] = {"a=%", "a=%4",    "a=%zz",
                                        "%=1", "a=1;b=2", "a=%4&b=1"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        CLEANUP(arena_fini) struct arena arena;
        CLEANUP(guard_fini) struct guard g = guard_new(bytes_of_str(texts[i]));
        struct net_form form = {0};
        struct err err;
        arena_init(&arena, &budget);
        assert_false(net_form_parse(&form, g.bytes, &arena, &err));
        assert_int_equal(err.code, ERR_INVALID);
    }
}

static void
bounds_the_number_of_pairs(void **state)
{
    CLEANUP(arena_fini) struct arena arena;
    CLEANUP(buf_fini) struct buf text = {0};
    struct net_form form = {0};
    struct err err;
    (void)state;
    arena_init(&arena, &budget);
    for (int i = 0; i < NET_FORM_MAX_PAIRS; i++)
        buf_put_str(&text, "a&");
    assert_true(net_form_parse(&form, buf_bytes(&text), &arena, &err));
    assert_false(net_form_parse(&form, BYTES("a"), &arena, &err));
    assert_int_equal(err.code, ERR_INVALID);
}

static void
parse_quietly(void *arg, struct bytes text)
{
    CLEANUP(arena_fini) struct arena arena;
    struct net_form form = {0};
    struct err err;
    (void)arg;
    arena_init(&arena, &budget);
    if (!net_form_parse(&form, text, &arena, &err))
        assert_int_equal(err.code, ERR_INVALID);
}

static void
survives_cut_and_flipped_input(void **state)
{
    (void)state;
    for_each_truncation(BYTES("a=%41&b%20=+;c"), parse_quietly, NULL);
    for_each_bit_flip(BYTES("a=%41&b%20=+&c"), parse_quietly, NULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_pairs_in_order),
        cmocka_unit_test(refuses_broken_texts),
        cmocka_unit_test(bounds_the_number_of_pairs),
        cmocka_unit_test(survives_cut_and_flipped_input),
    };
    budget_init(&budget, "test", SIZE_MAX, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
