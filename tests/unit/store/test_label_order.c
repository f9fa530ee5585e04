/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "store/label_order.h"

enum { MAX_LABELS = 6, SERIES = 64, ROUNDS = 300 };

static uint64_t state = 88172645463325252u;

static size_t
pick(size_t n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % n;
}

static int
by_labels(const void *a, const void *b)
{
    const struct tsdb_labels *x = a;
    const struct tsdb_labels *y = b;
    return tsdb_labels_cmp(*x, *y);
}

/* A random set of labels out of names, so that prefixes are frequent. */
static struct tsdb_labels
random_labels(struct arena *arena)
{
    static const char *const names[] = {"b", "d", "f", "h", "k", "m"};
    static const char *const values[] = {"1", "2"};
    struct tsdb_label *at = arena_calloc(arena, MAX_LABELS, sizeof *at);
    size_t len = 0;
    for (size_t i = 0; i < MAX_LABELS; i++)
        if (pick(3) > 0)
            at[len++] = (struct tsdb_label){bytes_of_str(names[i]),
                                            bytes_of_str(values[pick(2)])};
    return (struct tsdb_labels){at, len};
}

static size_t
random_block(struct arena *arena, struct tsdb_labels *own)
{
    for (size_t i = 0; i < SERIES; i++)
        own[i] = random_labels(arena);
    qsort(own, SERIES, sizeof *own, by_labels);
    size_t kept = 1;
    for (size_t i = 1; i < SERIES; i++)
        if (tsdb_labels_cmp(own[kept - 1], own[i]) != 0)
            own[kept++] = own[i];
    return kept;
}

static struct tsdb_labels
random_external(struct arena *arena)
{
    static const char *const names[] = {"a", "c", "e", "g", "j", "z"};
    struct tsdb_label *at = arena_calloc(arena, 3, sizeof *at);
    size_t len = 0;
    for (size_t i = 0; i < ARRAY_LEN(names) && len < 3; i++)
        if (pick(2) == 0)
            at[len++] = (struct tsdb_label){bytes_of_str(names[i]), BYTES("x")};
    return (struct tsdb_labels){at, len};
}

/* Push the series in batches that change the arena, as a stream does, and check that
 * all come out, in the order of their final labels. */
static void
check_block(struct arena *arena, struct budget *budget)
{
    struct tsdb_labels own[SERIES];
    struct store_entry out_at[SERIES];
    struct store_entries out = {.at = out_at};
    struct store_label_order order = {0};
    struct err err;
    size_t count = random_block(arena, own);
    struct tsdb_labels external = random_external(arena);
    struct arena moved[2];
    unsigned turn = 0;
    arena_init(&moved[0], budget);
    arena_init(&moved[1], budget);
    for (size_t i = 0; i < count; i++) {
        struct store_entry e = {.labels =
                                    tsdb_labels_with_external(own[i], external, arena)};
        if (pick(4) == 0) {
            turn = !turn;
            assert_true(store_label_order_move(&order, &moved[turn], &err));
            arena_reset(&moved[!turn]);
        }
        assert_true(store_label_order_push(&order, &e, &moved[turn], &out, &err));
        assert_true(order.depth <= MAX_LABELS + 3);
        for (size_t k = 0; k < out.count; k++)
            assert_true(
                store_labels_copy(&out.at[k].labels, out.at[k].labels, arena, &err));
    }
    assert_true(store_label_order_flush(&order, &out, &err));
    assert_int_equal(out.count, count);
    for (size_t i = 1; i < count; i++)
        assert_true(tsdb_labels_cmp(out.at[i - 1].labels, out.at[i].labels) < 0);
    arena_fini(&moved[0]);
    arena_fini(&moved[1]);
}

static void
orders_any_block_with_any_external_labels(void **unused)
{
    struct budget budget;
    struct arena arena;
    (void)unused;
    budget_init(&budget, "test", SIZE_MAX, NULL);
    arena_init(&arena, &budget);
    for (int i = 0; i < ROUNDS; i++) {
        check_block(&arena, &budget);
        arena_reset(&arena);
    }
    arena_fini(&arena);
    budget_fini(&budget);
}

static void
refuses_series_out_of_order(void **unused)
{
    struct budget budget;
    struct arena arena;
    struct err err;
    struct store_entry out_at[4];
    struct store_entries out = {.at = out_at};
    struct store_label_order order = {0};
    struct tsdb_label b = {BYTES("b"), BYTES("1")};
    struct tsdb_label a = {BYTES("a"), BYTES("1")};
    struct tsdb_label c = {BYTES("c"), BYTES("1")};
    struct store_entry first = {.labels = {&b, 1}};
    struct store_entry second = {.labels = {&c, 1}};
    struct store_entry third = {.labels = {&a, 1}};
    (void)unused;
    budget_init(&budget, "test", SIZE_MAX, NULL);
    arena_init(&arena, &budget);
    assert_true(store_label_order_push(&order, &first, &arena, &out, &err));
    assert_true(store_label_order_push(&order, &second, &arena, &out, &err));
    /* It may wait as if it extended the others; at the latest the end tells. */
    bool ok = store_label_order_push(&order, &third, &arena, &out, &err) &&
              store_label_order_flush(&order, &out, &err);
    assert_false(ok);
    assert_int_equal(err.code, ERR_CORRUPT);
    arena_fini(&arena);
    budget_fini(&budget);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(orders_any_block_with_any_external_labels),
        cmocka_unit_test(refuses_series_out_of_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
