/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/series.h"

static void
copies_labels_and_what_neighbours_share_once(void **unused)
{
    (void)unused;
    uint8_t bytes[] = "__name__upjobajobb";
    const struct bytes name = {bytes, 8}, up = {bytes + 8, 2}, job = {bytes + 10, 3},
                       a = {bytes + 13, 1}, same_job = {bytes + 14, 3},
                       b = {bytes + 17, 1};
    const struct tsdb_label first[] = {{name, up}, {job, a}};
    const struct tsdb_label second[] = {{name, up}, {same_job, b}, {name, up}};
    const struct tsdb_label third[] = {{name, {bytes + 8, 1}}};
    const struct store_entry from[] = {{.labels = {first, 2}, .chunk_count = 3},
                                       {.labels = {second, 3}, .chunk_count = 1},
                                       {.labels = {NULL, 0}, .chunk_count = 2},
                                       {.labels = {third, 1}, .chunk_count = 4}};
    const struct store_entry expected[] = {from[0], from[1], from[2], from[3]};
    struct store_entry to[ARRAY_LEN(from)];
    struct budget budget;
    struct arena arena;
    struct err err;
    budget_init(&budget, "test", SIZE_MAX, NULL);
    arena_init(&arena, &budget);
    assert_true(store_entries_copy_labels(to, from, ARRAY_LEN(from), &arena, &err));
    assert_true(to[1].labels.at[0].name.at == to[0].labels.at[0].name.at);
    assert_true(to[1].labels.at[0].value.at == to[0].labels.at[0].value.at);
    assert_true(to[0].labels.at[0].name.at != name.at);
    for (size_t i = 0; i < ARRAY_LEN(to); i++) {
        assert_int_equal(tsdb_labels_cmp(to[i].labels, expected[i].labels), 0);
        assert_int_equal(to[i].chunk_count, expected[i].chunk_count);
    }
    memset(bytes, 'x', sizeof bytes);
    assert_true(bytes_eq(to[0].labels.at[1].name, BYTES("job")));
    assert_true(bytes_eq(to[1].labels.at[1].value, BYTES("b")));
    assert_true(bytes_eq(to[3].labels.at[0].value, BYTES("u")));
    arena_fini(&arena);
    budget_fini(&budget);
}

static void
a_copy_that_does_not_fit_is_an_error(void **unused)
{
    (void)unused;
    const struct tsdb_label label = {BYTES("job"), BYTES("a")};
    const struct store_entry from = {.labels = {&label, 1}};
    struct store_entry to;
    struct budget budget;
    struct arena arena;
    struct err err;
    budget_init(&budget, "test", 8, NULL);
    arena_init(&arena, &budget);
    assert_false(store_entries_copy_labels(&to, &from, 1, &arena, &err));
    assert_int_equal(err.code, ERR_BUDGET);
    arena_fini(&arena);
    budget_fini(&budget);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_labels_and_what_neighbours_share_once),
        cmocka_unit_test(a_copy_that_does_not_fit_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
