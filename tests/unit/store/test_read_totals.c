/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/read_totals.h"

enum { US = 1000 };

static const struct store_read_totals sample = {
    .blocks = 2,
    .series = 30,
    .chunks = 400,
    .chunk_bytes = 5000,
    .data = {[STORE_DATA_POSTINGS] = {.touched = 3,
                                      .touched_bytes = 36,
                                      .fetched = 3,
                                      .fetched_bytes = 40,
                                      .requests = 1,
                                      .wait_ns = 11 * US},
             [STORE_DATA_SERIES] = {.touched = 30,
                                    .fetched_bytes = 600,
                                    .requests = 2,
                                    .refetched = 4,
                                    .wait_ns = 12 * US},
             [STORE_DATA_CHUNKS] = {.touched = 400,
                                    .fetched_bytes = 7000,
                                    .requests = 8,
                                    .cached_reads = 9,
                                    .cached_bytes = 1000,
                                    .shared_reads = 2,
                                    .shared_bytes = 300,
                                    .refetched = 1,
                                    .wait_ns = 13 * US}},
    .gate_ns = 14 * US,
    .send_ns = 15 * US,
    .first_ns = 50 * US,
    .total_ns = 100 * US + 999,
};

static void
adds_the_kinds_of_data(void **unused)
{
    struct store_data_totals sum = store_data_totals_sum(sample.data);
    (void)unused;
    assert_int_equal(sum.touched, 433);
    assert_int_equal(sum.touched_bytes, 36);
    assert_int_equal(sum.fetched, 3);
    assert_int_equal(sum.fetched_bytes, 7640);
    assert_int_equal(sum.requests, 11);
    assert_int_equal(sum.cached_reads, 9);
    assert_int_equal(sum.cached_bytes, 1000);
    assert_int_equal(sum.shared_reads, 2);
    assert_int_equal(sum.shared_bytes, 300);
    assert_int_equal(sum.refetched, 5);
    assert_int_equal(sum.wait_ns, 36 * US);
}

static void
work_is_what_no_other_stage_took(void **unused)
{
    struct store_read_totals totals = sample;
    (void)unused;
    assert_int_equal(store_read_totals_work_ns(&totals),
                     (100 - 11 - 12 - 13 - 14 - 15) * US + 999);
    totals.gate_ns = totals.total_ns;
    assert_int_equal(store_read_totals_work_ns(&totals), 0);
}

static void
prints_a_dictionary(void **unused)
{
    CLEANUP(buf_fini) struct buf text = {0};
    (void)unused;
    store_read_totals_print(&sample, &text);
    assert_string_equal(
        buf_text(&text),
        "blocks=2, series=30, chunks=400, chunk_bytes=5000, requests=11, "
        "fetched_bytes=7640, postings_bytes=40, series_bytes=600, chunks_bytes=7000, "
        "cache_hits=9, cached_bytes=1000, shared_reads=2, shared_bytes=300, "
        "refetched=5, gate_us=14, postings_us=11, "
        "series_us=12, chunks_us=13, send_us=15, work_us=35, first_us=50, "
        "total_us=100");
}

static void
prints_every_figure_of_a_read_that_did_nothing(void **unused)
{
    static const struct store_read_totals nothing;
    struct store_figure figures[STORE_FIGURE_COUNT];
    (void)unused;
    store_read_totals_figures(&nothing, figures);
    for (size_t i = 0; i < STORE_FIGURE_COUNT; i++) {
        assert_non_null(figures[i].name);
        assert_int_equal(figures[i].value, 0);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adds_the_kinds_of_data),
        cmocka_unit_test(work_is_what_no_other_stage_took),
        cmocka_unit_test(prints_a_dictionary),
        cmocka_unit_test(prints_every_figure_of_a_read_that_did_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
