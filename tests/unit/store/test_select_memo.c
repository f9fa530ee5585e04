/* SPDX-License-Identifier: Apache-2.0 */
/* What is kept of a selection, without a block; test_select sees that it is used. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/num.h"
#include "common/base/xmalloc.h"
#include "store/select_memo.h"
#include "tests/support/expect.h"

enum { LIMIT = 32 * 1024 * 1024, MATCHERS = 3, SELECTED = 1000 };

static struct err err;

#define MUST(call) expect_ok(call, err)

struct fixture {
    struct budget budget;
    struct arena arena;
    struct store_block block;
    struct store_fetch_source source;
    struct tsdb_matcher *at[MATCHERS];
    struct store_select_question question;
};

static const struct {
    const char *name;
    enum tsdb_matcher_type type;
    const char *value;
} texts[MATCHERS] = {
    {"__name__", TSDB_MATCH_EQ, "up"},
    {"job", TSDB_MATCH_RE, "a|b"},
    {"job", TSDB_MATCH_NEQ, "a"},
};

static int
set_up(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    budget_init(&f->budget, "test", SIZE_MAX, NULL);
    arena_init(&f->arena, &f->budget);
    strcpy(f->block.name.text, "01ARZ3NDEKTSV4RRFFQ69G5FAV");
    f->source.cache = store_range_cache_new(LIMIT, &f->budget);
    for (size_t i = 0; i < MATCHERS; i++)
        MUST(tsdb_matcher_new(&f->at[i], texts[i].type, bytes_of_str(texts[i].name),
                              bytes_of_str(texts[i].value), &err));
    f->question = (struct store_select_question){
        .block = &f->block,
        .matchers = {(const struct tsdb_matcher *const *)f->at, MATCHERS}};
    *state = f;
    return 0;
}

static int
tear_down(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < MATCHERS; i++)
        tsdb_matcher_free(&f->at[i]);
    store_range_cache_free(&f->source.cache);
    arena_fini(&f->arena);
    budget_fini(&f->budget);
    free(f);
    return 0;
}

static struct store_select_memo
memo_of(struct fixture *f)
{
    struct store_select_memo memo;
    MUST(store_select_memo_init(&memo, &f->question, &f->arena, &err));
    return memo;
}

static bool
find(struct fixture *f, struct store_selection *selection)
{
    struct store_select_memo memo = memo_of(f);
    bool found;
    MUST(store_select_memo_get(&memo, &f->source, &f->arena, selection, &found, &err));
    assert_int_equal(memo.lists, found ? 7 : 0);
    assert_int_equal(memo.bytes, found ? 12345 : 0);
    return found;
}

/* Two parts, the second of count references, and the second matcher as a filter. */
static void
keep(struct fixture *f, size_t count)
{
    struct store_select_memo memo = memo_of(f);
    tsdb_ref few[] = {5, 5, UINT32_MAX};
    tsdb_ref *many = xcalloc(count, sizeof *many);
    for (size_t i = 0; i < count; i++)
        many[i] = (tsdb_ref)(i * i % 1000 + i * 1000);
    struct store_refs parts[] = {{few, ARRAY_LEN(few)}, {many, count}};
    const struct tsdb_matcher *filters[] = {f->at[1]};
    const struct store_selection s = {
        .parts = {parts, ARRAY_LEN(parts), 0}, .filters = filters, .filter_count = 1};
    memo.lists = 7;
    memo.bytes = 12345;
    store_select_memo_put(&memo, &f->source, &f->budget, &s);
    free(many);
}

static void
finds_what_was_kept(void **state)
{
    struct fixture *f = *state;
    struct store_selection s;
    assert_false(find(f, &s));
    keep(f, SELECTED);
    assert_true(find(f, &s));
    assert_int_equal(s.filter_count, 1);
    assert_ptr_equal(s.filters[0], f->at[1]);
    assert_int_equal(s.parts.count, 2);
    assert_int_equal(s.parts.at[0].count, 3);
    assert_int_equal(s.parts.at[0].at[1], 5);
    assert_int_equal(s.parts.at[0].at[2], UINT32_MAX);
    assert_int_equal(s.parts.at[1].count, SELECTED);
    for (size_t i = 0; i < SELECTED; i++)
        assert_int_equal(s.parts.at[1].at[i], i * i % 1000 + i * 1000);
    const struct store_data_totals *totals = &f->source.data[STORE_DATA_POSTINGS];
    assert_int_equal(totals->cached_reads, 1);
    assert_int_equal(totals->touched, 7);
    assert_int_equal(totals->touched_bytes, 12345);
    assert_int_equal(totals->requests, 0);
}

static void
the_order_of_matchers_does_not_matter(void **state)
{
    struct fixture *f = *state;
    struct store_selection s;
    keep(f, SELECTED);
    struct tsdb_matcher *first = f->at[0];
    f->at[0] = f->at[2];
    f->at[2] = first;
    assert_true(find(f, &s));
    assert_ptr_equal(s.filters[0], f->at[1]);
}

static void
tells_questions_apart(void **state)
{
    struct fixture *f = *state;
    const struct store_select_question asked = f->question;
    struct bytes replica = BYTES("replica");
    const struct store_replica_labels none = {0}, one = {&replica, 1};
    struct tsdb_matcher *last = f->at[2];
    struct store_selection s;
    keep(f, SELECTED);
    f->question.dropped = &none;
    assert_false(find(f, &s));
    f->question.dropped = &one;
    assert_false(find(f, &s));
    f->question = asked;
    f->question.matchers.count--;
    assert_false(find(f, &s));
    f->question = asked;
    f->block.name.text[25] = 'W';
    assert_false(find(f, &s));
    f->block.name.text[25] = 'V';
    MUST(tsdb_matcher_new(&f->at[2], TSDB_MATCH_NRE, BYTES("job"), BYTES("a"), &err));
    assert_false(find(f, &s));
    tsdb_matcher_free(&f->at[2]);
    f->at[2] = last;
    assert_true(find(f, &s));
}

/* They hide labels of series, by which the selection is split. */
static void
tells_new_external_labels_of_a_block(void **state)
{
    struct fixture *f = *state;
    const struct store_replica_labels none = {0};
    struct tsdb_label zone = {BYTES("zone"), BYTES("a")};
    struct store_selection s;
    f->question.dropped = &none;
    keep(f, SELECTED);
    assert_true(find(f, &s));
    f->block.meta.external = (struct tsdb_labels){&zone, 1};
    assert_false(find(f, &s));
    f->block.meta.external = (struct tsdb_labels){0};
    assert_true(find(f, &s));
}

static void
goes_with_the_block(void **state)
{
    struct fixture *f = *state;
    struct store_selection s;
    keep(f, SELECTED);
    store_range_cache_forget(f->source.cache, BYTES("01ARZ3NDEKTSV4RRFFQ69G5FAV"));
    assert_false(find(f, &s));
}

static void
keeps_nothing_large_or_out_of_order(void **state)
{
    enum { MANY = 1000 * 1000 };
    struct fixture *f = *state;
    struct store_select_memo memo = memo_of(f);
    tsdb_ref refs[] = {2, 1};
    struct store_refs part = {refs, ARRAY_LEN(refs)};
    struct store_selection s;
    keep(f, MANY); /* two bytes each */
    assert_false(find(f, &s));
    store_select_memo_put(&memo, &f->source, &f->budget,
                          &(struct store_selection){.parts = {&part, 1, 0}});
    assert_false(find(f, &s));
}

static void
has_no_key_for_long_matchers(void **state)
{
    struct fixture *f = *state;
    struct tsdb_matcher *last = f->at[2];
    struct store_selection s;
    char value[5000];
    memset(value, 'x', sizeof value);
    MUST(tsdb_matcher_new(&f->at[2], TSDB_MATCH_EQ, BYTES("job"),
                          bytes_of(value, sizeof value), &err));
    keep(f, SELECTED);
    assert_false(find(f, &s));
    assert_int_equal(store_range_cache_counts(f->source.cache).ranges, 0);
    tsdb_matcher_free(&f->at[2]);
    f->at[2] = last;
}

/* Put other bytes in the place of what is kept. */
static void
replace(struct fixture *f, const struct store_range *range, struct bytes data)
{
    store_range_cache_forget(f->source.cache, (struct bytes){0});
    store_range_cache_put(f->source.cache, range, data);
}

static void
what_is_damaged_is_not_found(void **state)
{
    enum { ROOM = 1024, FEW = 20 };
    struct fixture *f = *state;
    struct store_select_memo memo = memo_of(f);
    const struct store_range range = {
        .key = memo.key, .offset = UINT64_MAX, .len = 1024 * 1024};
    struct store_selection s;
    uint8_t bytes[ROOM];
    size_t len;
    keep(f, FEW);
    assert_true(store_range_cache_get(f->source.cache, &range, bytes, ROOM, &len));
    for (size_t bit = 0; bit < len * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        replace(f, &range, bytes_of(bytes, len));
        assert_false(find(f, &s));
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t cut = 0; cut < len; cut++) {
        replace(f, &range, bytes_of(bytes, cut));
        assert_false(find(f, &s));
    }
    replace(f, &range, bytes_of(bytes, len));
    assert_true(find(f, &s));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(finds_what_was_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_order_of_matchers_does_not_matter, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(tells_questions_apart, set_up, tear_down),
        cmocka_unit_test_setup_teardown(tells_new_external_labels_of_a_block, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(goes_with_the_block, set_up, tear_down),
        cmocka_unit_test_setup_teardown(keeps_nothing_large_or_out_of_order, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(has_no_key_for_long_matchers, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_is_damaged_is_not_found, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
