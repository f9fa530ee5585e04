/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/compiler.h"
#include "store/kept_series.h"

enum { ROOM = 64 * 1024 };

/* Series number i, in buffers that the next one overwrites. */
static struct store_series
make_series(size_t i)
{
    static struct tsdb_label label;
    static struct tsdb_timed_chunk chunks[2];
    static uint8_t bytes[16];
    memset(bytes, (int)i, sizeof bytes);
    label = (struct tsdb_label){BYTES("a"), bytes_of(bytes, 3)};
    chunks[0] = (struct tsdb_timed_chunk){
        (int64_t)i, (int64_t)i + 1,
        tsdb_chunk_loose(TSDB_CHUNK_XOR, bytes_of(bytes, sizeof bytes))};
    chunks[1] = (struct tsdb_timed_chunk){
        (int64_t)i + 2, (int64_t)i + 3,
        tsdb_chunk_loose(TSDB_CHUNK_XOR2, bytes_of(bytes, 1))};
    return (struct store_series){{&label, 1}, i % 3, chunks};
}

static void
expect_series(const struct store_series *got, const struct store_series *wanted)
{
    assert_int_equal(tsdb_labels_cmp(got->labels, wanted->labels), 0);
    assert_int_equal(got->chunk_count, wanted->chunk_count);
    for (size_t i = 0; i < wanted->chunk_count; i++) {
        const struct tsdb_timed_chunk *a = &got->chunks[i], *b = &wanted->chunks[i];
        assert_int_equal(a->mint_ms, b->mint_ms);
        assert_int_equal(a->maxt_ms, b->maxt_ms);
        assert_int_equal(a->chunk.encoding, b->chunk.encoding);
        assert_true(bytes_eq(a->chunk.data, b->chunk.data));
    }
}

static void
keeps_copies_in_order(void **state)
{
    enum { COUNT = 50 };
    (void)state;
    CLEANUP(budget_fini) struct budget budget;
    budget_init(&budget, "test", SIZE_MAX, NULL);
    CLEANUP(store_kept_series_fini) struct store_kept_series kept;
    store_kept_series_init(&kept, ROOM, &budget);
    for (size_t i = 0; i < COUNT; i++) {
        const struct store_series series = make_series(i);
        store_kept_series_add(&kept, &series);
    }
    assert_true(store_kept_series_is_whole(&kept));
    assert_int_equal(kept.count, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        const struct store_series series = make_series(i);
        expect_series(&kept.at[i], &series);
    }
}

static void
expect_to_give_up(size_t most, size_t limit)
{
    struct budget budget;
    struct store_kept_series kept;
    budget_init(&budget, "test", limit, NULL);
    store_kept_series_init(&kept, most, &budget);
    for (size_t i = 0; i < 2000; i++) {
        const struct store_series series = make_series(i);
        store_kept_series_add(&kept, &series);
        assert_true(budget_used(&budget) <= most);
    }
    assert_false(store_kept_series_is_whole(&kept));
    assert_int_equal(budget_used(&budget), 0);
    store_kept_series_fini(&kept);
    budget_fini(&budget);
}

static void
gives_up_and_releases_all_when_there_is_no_room(void **state)
{
    (void)state;
    expect_to_give_up(ROOM, SIZE_MAX);
    expect_to_give_up(SIZE_MAX, ROOM);
    expect_to_give_up(0, SIZE_MAX);
}

static void
is_whole_without_any(void **state)
{
    (void)state;
    CLEANUP(budget_fini) struct budget budget;
    budget_init(&budget, "test", SIZE_MAX, NULL);
    CLEANUP(store_kept_series_fini) struct store_kept_series kept;
    store_kept_series_init(&kept, ROOM, &budget);
    assert_true(store_kept_series_is_whole(&kept));
    assert_int_equal(kept.count, 0);
    CLEANUP(store_kept_series_fini) struct store_kept_series zero = {0};
    assert_false(store_kept_series_is_whole(&zero));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_copies_in_order),
        cmocka_unit_test(gives_up_and_releases_all_when_there_is_no_room),
        cmocka_unit_test(is_whole_without_any),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
