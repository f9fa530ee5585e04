/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/arena.h"
#include "tests/support/expect.h"

struct fixture {
    struct budget budget;
    struct arena arena;
};

static void
fixture_init(struct fixture *f, size_t limit)
{
    budget_init(&f->budget, "test", limit, NULL);
    arena_init(&f->arena, &f->budget);
}

static void
fixture_fini(struct fixture *f)
{
    arena_fini(&f->arena);
    budget_fini(&f->budget);
}

static void
allocates_nothing_before_the_first_piece(void **state)
{
    (void)state;
    CLEANUP(fixture_fini) struct fixture f;
    fixture_init(&f, 1 << 20);
    assert_int_equal(budget_used(&f.budget), 0);
    assert_int_equal(arena_size(&f.arena), 0);
}

static void
aligns_pieces_and_keeps_them_apart(void **state)
{
    (void)state;
    uint8_t *pieces[200];
    CLEANUP(fixture_fini) struct fixture f;
    fixture_init(&f, 1 << 20);
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        pieces[i] = arena_alloc(&f.arena, i);
        assert_non_null(pieces[i]);
        assert_int_equal((uintptr_t)pieces[i] % 16, 0);
        memset(pieces[i], (int)i, i);
    }
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++)
        for (size_t k = 0; k < i; k++)
            assert_int_equal(pieces[i][k], i);
    assert_int_equal(arena_size(&f.arena), budget_used(&f.budget));
}

static void
serves_pieces_larger_than_a_block(void **state)
{
    (void)state;
    CLEANUP(fixture_fini) struct fixture f;
    fixture_init(&f, 1 << 22);
    uint8_t *large = arena_alloc(&f.arena, 1 << 21);
    assert_non_null(large);
    memset(large, 1, 1 << 21);
}

/* A query holds thousands of arenas with little in them. */
static void
is_small_when_little_is_in_it(void **state)
{
    (void)state;
    CLEANUP(fixture_fini) struct fixture f;
    fixture_init(&f, 1 << 20);
    assert_true(sizeof f.arena <= 64);
    assert_non_null(arena_alloc(&f.arena, 100));
    assert_in_range(budget_used(&f.budget), 100, 600);
    for (int i = 0; i < 100; i++)
        assert_non_null(arena_alloc(&f.arena, 32));
    assert_in_range(budget_used(&f.budget), 3300, 8000);
}

/* The first failure is the one that is told, and the text of it. */
static void
tells_the_first_failure(void **state)
{
    (void)state;
    struct err err;
    CLEANUP(fixture_fini) struct fixture f;
    fixture_init(&f, 1 << 10);
    assert_null(arena_alloc(&f.arena, 1 << 20));
    assert_null(arena_calloc(&f.arena, SIZE_MAX / 8 + 2, 8));
    expect_fails(arena_ok(&f.arena, &err), err, ERR_BUDGET);
    assert_non_null(strstr(err.text, "test"));
    arena_rewind(&f.arena, (struct arena_mark){0});
    assert_null(arena_calloc(&f.arena, SIZE_MAX / 8 + 2, 8));
    expect_fails(arena_ok(&f.arena, &err), err, ERR_INVALID);
}

static void
latches_a_spent_budget_until_it_is_reset(void **state)
{
    (void)state;
    struct err err;
    CLEANUP(fixture_fini) struct fixture f;
    fixture_init(&f, 256 * 1024);
    assert_non_null(arena_alloc(&f.arena, 100));
    assert_null(arena_alloc(&f.arena, 1 << 20));
    assert_null(arena_alloc(&f.arena, 1));
    assert_int_equal(arena_copy(&f.arena, BYTES("x")).len, 0);
    expect_fails(arena_ok(&f.arena, &err), err, ERR_BUDGET);
    arena_reset(&f.arena);
    expect_ok(arena_ok(&f.arena, &err), err);
    assert_non_null(arena_alloc(&f.arena, 1));
}

static void
refuses_sizes_that_wrap(void **state)
{
    static const size_t sizes[] = {SIZE_MAX, SIZE_MAX - 15, SIZE_MAX - 47,
                                   SIZE_MAX / 2};
    (void)state;
    CLEANUP(fixture_fini) struct fixture f;
    fixture_init(&f, 1 << 20);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        assert_null(arena_alloc(&f.arena, sizes[i]));
        arena_reset(&f.arena);
    }
    assert_null(arena_calloc(&f.arena, SIZE_MAX / 8 + 2, 8));
}

static void
zeroes_what_it_counts(void **state)
{
    (void)state;
    CLEANUP(fixture_fini) struct fixture f;
    fixture_init(&f, 1 << 20);
    struct arena_mark start = arena_mark(&f.arena);
    memset(arena_alloc(&f.arena, 800), 0xff, 800);
    arena_rewind(&f.arena, start);
    const uint64_t *zeros = arena_calloc(&f.arena, 100, sizeof *zeros);
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(zeros[i], 0);
}

static void
copies_slices(void **state)
{
    (void)state;
    CLEANUP(fixture_fini) struct fixture f;
    fixture_init(&f, 1 << 20);
    struct bytes original = BYTES("labels");
    struct bytes copy = arena_copy(&f.arena, original);
    assert_true(bytes_eq(copy, original));
    assert_ptr_not_equal(copy.at, original.at);
    assert_int_equal(arena_copy(&f.arena, (struct bytes){0}).len, 0);
}

static void
gives_back_what_came_after_a_mark(void **state)
{
    (void)state;
    CLEANUP(fixture_fini) struct fixture f;
    fixture_init(&f, 1 << 20);
    uint8_t *kept = arena_alloc(&f.arena, 10);
    memset(kept, 7, 10);
    size_t before = budget_used(&f.budget);
    struct arena_mark mark = arena_mark(&f.arena);
    for (int i = 0; i < 100; i++)
        assert_non_null(arena_alloc(&f.arena, 5000));
    assert_true(budget_used(&f.budget) >= before + 500000 - 5000);
    arena_rewind(&f.arena, mark);
    assert_int_equal(budget_used(&f.budget), before);
    for (int i = 0; i < 10; i++)
        assert_int_equal(kept[i], 7);
    arena_reset(&f.arena);
    assert_int_equal(budget_used(&f.budget), 0);
}

static void
takes_the_zero_value_as_empty(void **state)
{
    (void)state;
    CLEANUP(arena_fini) struct arena none = {0};
    assert_int_equal(arena_size(&none), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allocates_nothing_before_the_first_piece),
        cmocka_unit_test(aligns_pieces_and_keeps_them_apart),
        cmocka_unit_test(serves_pieces_larger_than_a_block),
        cmocka_unit_test(is_small_when_little_is_in_it),
        cmocka_unit_test(tells_the_first_failure),
        cmocka_unit_test(latches_a_spent_budget_until_it_is_reset),
        cmocka_unit_test(refuses_sizes_that_wrap),
        cmocka_unit_test(zeroes_what_it_counts),
        cmocka_unit_test(copies_slices),
        cmocka_unit_test(gives_back_what_came_after_a_mark),
        cmocka_unit_test(takes_the_zero_value_as_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
