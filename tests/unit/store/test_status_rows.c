/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/xmalloc.h"
#include "store/block_catalog.h"
#include "store/status_rows.h"

enum { SERVED = 5, UNSERVED = 3 };

static struct tsdb_ulid
id_of(size_t number)
{
    return (struct tsdb_ulid){.raw = {1, [TSDB_ULID_SIZE - 1] = (uint8_t)number}};
}

static struct store_block *
block_of(size_t number, int64_t mint_ms)
{
    const struct tsdb_label labels[] = {
        {BYTES("cluster"), number % 2 == 0 ? BYTES("even") : BYTES("odd")},
        {BYTES("number"), bytes_of("0123456789" + number, 1)}};
    struct tsdb_ulid id = id_of(number);
    const struct store_block_meta meta = {.mint_ms = mint_ms,
                                          .maxt_ms = mint_ms + 1000,
                                          .resolution_ms = number == 2 ? 300000 : 0,
                                          .level = (uint32_t)number,
                                          .external = {labels, ARRAY_LEN(labels)},
                                          .source_count = 1,
                                          .sources = &id};
    return store_block_restore(&id, 100 * number, &meta);
}

/* Blocks 0 to 4 are served, 4 being the oldest; 5 to 7 are not, 7 has no meta. */
static struct store_status_rows
rows_of_all(void)
{
    struct store_entry entries[UNSERVED] = {
        {.id = id_of(5), .state = STORE_BLOCK_DUPLICATE, .block = block_of(5, 9000)},
        {.id = id_of(6), .state = STORE_BLOCK_MARKED, .block = block_of(6, 8000)},
        {.id = id_of(7), .state = STORE_BLOCK_NO_META}};
    const struct store_catalog catalog = {.count = UNSERVED, .entries = entries};
    struct store_block **served = xcalloc(SERVED, sizeof *served);
    for (size_t i = 0; i < SERVED; i++)
        served[i] = block_of(i, 5000 - 1000 * (int64_t)i);
    struct store_status_rows rows = {.report = store_block_report_new(&catalog),
                                     .set = store_block_set_new(served, SERVED)};
    for (size_t i = 0; i < UNSERVED; i++)
        store_block_unref(&entries[i].block);
    return rows;
}

static void
check(const char *words, uint64_t offset, uint64_t limit, uint64_t matched,
      const char *wanted)
{
    CLEANUP(store_status_rows_fini) struct store_status_rows rows = rows_of_all();
    const struct store_status_query query = {
        .words = bytes_of_str(words), .offset = offset, .limit = limit};
    CLEANUP(buf_fini) struct buf got = {0};
    store_status_rows_select(&rows, &query);
    for (size_t i = 0; i < rows.count; i++)
        buf_printf(&got, "%d", rows.at[i].id.raw[TSDB_ULID_SIZE - 1]);
    assert_string_equal(buf_text(&got), wanted);
    assert_int_equal(rows.total, SERVED + UNSERVED);
    assert_int_equal(rows.matched, matched);
}

static void
puts_what_is_not_served_first(void **state)
{
    (void)state;
    check("", 0, 100, 8, "76501234");
}

static void
cuts_pages(void **state)
{
    (void)state;
    check("", 0, 3, 8, "765");
    check("", 3, 3, 8, "012");
    check("", 6, 3, 8, "34");
    check("", 8, 3, 8, "");
    check("", UINT64_MAX, 3, 8, "");
    check("", 0, 0, 8, "");
    check("cluster=odd", 1, 1, 3, "1");
}

static void
finds_all_words(void **state)
{
    (void)state;
    check("cluster=odd", 0, 100, 3, "513");
    check("  loaded   cluster=odd ", 0, 100, 2, "13");
    check("duplicate", 0, 100, 1, "5");
    check("no-meta-json", 0, 100, 1, "7");
    check("resolution=5m", 0, 100, 1, "2");
    check("resolution=raw level=4", 0, 100, 1, "4");
    check("number=3", 0, 100, 1, "3");
    check("cluster=Odd", 0, 100, 0, "");
    check(tsdb_ulid_print(&(struct tsdb_ulid){.raw = {1, [15] = 6}}).text, 0, 100, 1,
          "6");
}

static void
shows_nothing_of_nothing(void **state)
{
    CLEANUP(store_status_rows_fini) struct store_status_rows rows = {0};
    const struct store_status_query query = {.limit = 100};
    (void)state;
    store_status_rows_select(&rows, &query);
    assert_int_equal(rows.total + rows.matched + rows.count, 0);
}

static void
has_a_reason_for_each_state(void **state)
{
    (void)state;
    for (int i = 0; i < STORE_BLOCK_STATE_COUNT; i++) {
        const char *reason = store_status_state_reason((enum store_block_state)i);
        assert_int_equal(*reason == 0, i == STORE_BLOCK_SERVED);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(puts_what_is_not_served_first),
        cmocka_unit_test(cuts_pages),
        cmocka_unit_test(finds_all_words),
        cmocka_unit_test(shows_nothing_of_nothing),
        cmocka_unit_test(has_a_reason_for_each_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
