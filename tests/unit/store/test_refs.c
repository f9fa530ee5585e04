/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "store/refs.h"

enum { MOST = 3000, ROUNDS = 300 };

static uint64_t state = 88172645463325252u;

static uint32_t
pick(uint32_t n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 20) % n;
}

static int
by_value(const void *a, const void *b)
{
    tsdb_ref x = *(const tsdb_ref *)a, y = *(const tsdb_ref *)b;
    return (x > y) - (x < y);
}

static void
sorts_whatever_comes(void **unused)
{
    static tsdb_ref at[MOST], expected[MOST];
    (void)unused;
    for (int round = 0; round < ROUNDS; round++) {
        struct store_refs refs = {at, pick(MOST)};
        uint32_t range = round % 3 == 0 ? 4 : round % 3 == 1 ? 100000 : UINT32_MAX;
        for (size_t i = 0; i < refs.count; i++)
            at[i] = expected[i] = pick(range) + (round % 2 ? UINT32_MAX - range : 0);
        qsort(expected, refs.count, sizeof *expected, by_value);
        store_refs_sort(&refs);
        assert_memory_equal(at, expected, refs.count * sizeof *at);
        store_refs_sort(&refs);
        assert_memory_equal(at, expected, refs.count * sizeof *at);
    }
}

/* Fill in ascending references with gaps below gap. */
static size_t
ascend(tsdb_ref *at, size_t count, uint32_t gap)
{
    tsdb_ref ref = 0;
    for (size_t i = 0; i < count; i++)
        at[i] = ref += 1 + pick(gap);
    return count;
}

static void
marks_and_keeps_what_both_have(void **unused)
{
    static tsdb_ref at[MOST], other[MOST], taken[MOST];
    static uint8_t raw[MOST * sizeof(tsdb_ref)];
    static bool hits[MOST];
    (void)unused;
    for (int round = 0; round < ROUNDS; round++) {
        struct store_refs refs = {at, ascend(at, pick(MOST), 1 + pick(50))};
        size_t count = ascend(other, pick(round % 2 ? MOST : 5), 1 + pick(50));
        struct store_refs copy = {taken, 0};
        size_t kept = 0;
        for (size_t i = 0; i < count; i++)
            be32_store(raw + i * sizeof *other, other[i]);
        memset(hits, 0, sizeof hits);
        struct tsdb_postings list = {bytes_of(raw, count * sizeof *other)};
        store_refs_mark(&refs, list, hits, &copy);
        for (size_t i = 0; i < refs.count; i++) {
            bool both = bsearch(&at[i], other, count, sizeof *other, by_value) != NULL;
            assert_int_equal(hits[i], both);
            if (both)
                assert_int_equal(taken[kept++], at[i]);
        }
        assert_int_equal(copy.count, kept);
        assert_int_equal(store_refs_meet(&refs, list), kept > 0);
        size_t before = refs.count;
        store_refs_keep(&refs, hits, round % 4 < 2);
        assert_int_equal(refs.count, round % 4 < 2 ? kept : before - kept);
    }
}

static void
appends_lists_in_native_order(void **unused)
{
    static const uint8_t raw[] = {0, 0, 0, 7, 1, 0, 0, 0};
    tsdb_ref at[4];
    struct store_refs refs = {at, 0};
    (void)unused;
    store_refs_append(&refs, (struct tsdb_postings){bytes_of(raw, sizeof raw)});
    store_refs_append(&refs, (struct tsdb_postings){bytes_of(raw, 4)});
    assert_int_equal(refs.count, 3);
    assert_int_equal(at[0], 7);
    assert_int_equal(at[1], 1 << 24);
    assert_int_equal(at[2], 7);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sorts_whatever_comes),
        cmocka_unit_test(marks_and_keeps_what_both_have),
        cmocka_unit_test(appends_lists_in_native_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
