/* SPDX-License-Identifier: Apache-2.0 */
/* Names and values of blocks that are large enough for each way to be the cheapest;
 * that the answers are right for all matchers is what tests/e2e/discovery.py shows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/xmalloc.h"
#include "common/objstore/dir.h"
#include "store/label_query.h"
#include "tests/support/block_writer.h"

enum { BLOCKS = 3, SERIES = 20000, GROUPS = 100, LOOKAHEAD = 64 * 1024 };

static struct {
    char *dir;
    struct objstore_bucket *bucket;
    struct pool *pool;
    struct budget budget;
    struct store_page_cache *pages;
    struct store_block_set *set;
} f;

static struct err err;

#define MUST(call)                    \
    do {                              \
        if (!(call))                  \
            fail_msg("%s", err.text); \
    } while (0)

static const struct objstore_call call = {.deadline_ns = CLOCK_NEVER};

/* Series {group="g..", id="....."}, in label order; every block has a third of the ids
 * for itself, and one external label. */
static void
write_block(size_t number)
{
    CLEANUP(block_writer_free) struct block_writer *w = NULL;
    struct tsdb_ulid id = {.raw = {1, [TSDB_ULID_SIZE - 1] = (uint8_t)number}};
    struct tsdb_label external = {BYTES("block"), bytes_of("abc" + number, 1)};
    const struct block_writer_options options = {.external = {&external, 1},
                                                 .index_version = number == 0 ? 1 : 2};
    const struct tsdb_sample sample = {.t_ms = 1000};
    MUST(block_writer_new(&w, f.dir, &id, &options, &err));
    for (unsigned group = 0; group < GROUPS; group++)
        for (unsigned i = 0; i < SERIES / GROUPS; i++) {
            char group_text[8], id_text[16];
            snprintf(group_text, sizeof group_text, "g%02u", group);
            snprintf(id_text, sizeof id_text, "%03u-%02u-%zu", i, group, number);
            const struct tsdb_label labels[] = {
                {BYTES("group"), bytes_of_str(group_text)},
                {BYTES("id"), bytes_of_str(id_text)}};
            MUST(block_writer_add_samples(w, (struct tsdb_labels){labels, 2}, &sample,
                                          1, &err));
        }
    MUST(block_writer_finish(w, &err));
}

static struct store_block *
serve_block(const struct store_listed *listed)
{
    struct store_block *s;
    struct tsdb_ulid_text name = tsdb_ulid_print(&listed->id);
    CLEANUP(buf_fini) struct buf text = {0};
    CLEANUP(tsdb_meta_fini) struct tsdb_meta meta = {0};
    CLEANUP(xfree) char *key = xasprintf("%s/meta.json", name.text);
    MUST(objstore_get(f.bucket, &call, bytes_of_str(key), 1 << 20, &text, &err));
    MUST(tsdb_meta_parse(&meta, buf_bytes(&text), &err));
    MUST(store_block_new(&s, listed, &meta, &err));
    MUST(store_block_load(s, f.dir, f.bucket, &call, f.pages, &err));
    return s;
}

static int
set_up(void **state)
{
    char template[] = "/tmp/blockhouse-labels-XXXXXX";
    CLEANUP(store_listing_fini) struct store_listing listing = {0};
    (void)state;
    f.dir = xstrdup(mkdtemp(template));
    budget_init(&f.budget, "test", SIZE_MAX, NULL);
    MUST(objstore_dir_open(&f.bucket, f.dir, &err));
    MUST(pool_new(&f.pool, "fetch", 4, &err));
    f.pages = store_page_cache_new(4 << 20, &f.budget);
    for (size_t i = 0; i < BLOCKS; i++)
        write_block(i);
    MUST(store_listing_read(&listing, f.bucket, &call, &err));
    assert_int_equal(listing.count, BLOCKS);
    struct store_block **served = xcalloc(BLOCKS, sizeof(struct store_block *));
    for (size_t i = 0; i < BLOCKS; i++)
        served[i] = serve_block(&listing.blocks[i]);
    f.set = store_block_set_new(served, BLOCKS);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    store_block_set_unref(&f.set);
    pool_free(&f.pool);
    objstore_free(&f.bucket);
    store_page_cache_free(&f.pages);
    budget_fini(&f.budget);
    MUST(file_remove_tree(f.dir, &err));
    free(f.dir);
    return 0;
}

/* What a query came to. */
struct outcome {
    size_t count;
    char first[32];
    char last[32];
    uint64_t bytes; /* read from the bucket */
    size_t peak;    /* of the budget, bytes */
};

/* name "": the names. matched NULL: no matcher. stop: texts after which to stop. */
static struct outcome
ask(const char *name, const char *matched, const char *expression, size_t stop)
{
    struct outcome o = {0};
    CLEANUP(store_fetch_source_fini)
    struct store_fetch_source source = {
        .pool = f.pool, .bucket = f.bucket, .deadline_ns = CLOCK_NEVER};
    CLEANUP(tsdb_matcher_free) struct tsdb_matcher *m = NULL;
    struct store_limits limits = {0};
    struct budget budget;
    struct store_label_query q;
    budget_init(&budget, "query", SIZE_MAX, NULL);
    if (matched != NULL)
        MUST(tsdb_matcher_new(&m, TSDB_MATCH_RE, bytes_of_str(matched),
                              bytes_of_str(expression), &err));
    const struct tsdb_matcher *const matchers[] = {m};
    const struct store_matchers set = {matchers, 1};
    const struct store_label_query_options options = {
        .blocks = f.set,
        .name = bytes_of_str(name),
        .sets = &set,
        .set_count = matched != NULL,
        .mint_ms = INT64_MIN,
        .maxt_ms = INT64_MAX,
        .source = &source,
        .limits = &limits,
        .budget = &budget,
        .lookahead_bytes = LOOKAHEAD,
    };
    MUST(store_label_query_open(&q, &options, &err));
    while (o.count < stop) {
        struct bytes text;
        bool end;
        MUST(store_label_query_next(&q, &text, &end, &err));
        if (end)
            break;
        if (o.count++ == 0)
            snprintf(o.first, sizeof o.first, "%.*s", BYTES_FMT(text));
        else
            assert_true(bytes_cmp(bytes_of_str(o.last), text) < 0);
        snprintf(o.last, sizeof o.last, "%.*s", BYTES_FMT(text));
    }
    store_label_query_fini(&q);
    o.bytes = store_data_totals_sum(source.data).fetched_bytes;
    o.peak = budget_peak(&budget);
    budget_fini(&budget);
    return o;
}

/* The memo of symbols is the largest part of it. */
enum { SMALL = 512 * 1024 };

static void
streams_all_values_in_little_memory(void **state)
{
    (void)state;
    struct outcome o = ask("id", NULL, NULL, SIZE_MAX);
    assert_int_equal(o.count, BLOCKS * SERIES);
    assert_string_equal(o.first, "000-00-0");
    assert_string_equal(o.last, "199-99-2");
    assert_int_equal(o.bytes, 0);
    assert_in_range(o.peak, 1, SMALL);
}

static void
asks_the_header_for_matchers_on_the_label_itself(void **state)
{
    (void)state;
    struct outcome o = ask("id", "id", ".*-07-1", SIZE_MAX);
    assert_int_equal(o.count, SERIES / GROUPS);
    assert_int_equal(o.bytes, 0);
    assert_in_range(o.peak, 1, SMALL);
}

static void
asks_the_header_for_matchers_on_external_labels(void **state)
{
    (void)state;
    struct outcome o = ask("id", "block", "a|c", SIZE_MAX);
    assert_int_equal(o.count, 2 * SERIES);
    assert_int_equal(o.bytes, 0);
    o = ask("block", "block", "b|c", SIZE_MAX);
    assert_int_equal(o.count, 2);
    assert_string_equal(o.first, "b");
    assert_int_equal(o.bytes, 0);
}

/* 200 entries a block are less than the lists of all 20 000 ids. */
static void
reads_entries_of_few_series(void **state)
{
    (void)state;
    struct outcome o = ask("id", "group", "g07", SIZE_MAX);
    assert_int_equal(o.count, BLOCKS * SERIES / GROUPS);
    assert_string_equal(o.first, "000-07-0");
    assert_string_equal(o.last, "199-07-2");
    assert_in_range(o.bytes, 1, BLOCKS * SERIES * 4);
}

/* The lists of 100 groups are less than the entries of 2 000 series. */
static void
reads_lists_for_many_series(void **state)
{
    (void)state;
    struct outcome o = ask("group", "id", "1.*[05]-.*", SIZE_MAX);
    assert_int_equal(o.count, GROUPS);
    assert_string_equal(o.first, "g00");
    assert_string_equal(o.last, "g99");
    uint64_t lists = BLOCKS * SERIES * sizeof(tsdb_ref);
    assert_in_range(o.bytes, lists, 2 * lists + BLOCKS * SERIES * 16);
}

static void
stops_early(void **state)
{
    (void)state;
    uint64_t whole = ask("group", "id", "1.*[05]-.*", SIZE_MAX).bytes;
    struct outcome o = ask("group", "id", "1.*[05]-.*", 5);
    assert_int_equal(o.count, 5);
    assert_string_equal(o.last, "g04");
    assert_true(o.bytes < whole);
}

static void
finds_names(void **state)
{
    (void)state;
    struct outcome o = ask("", NULL, NULL, SIZE_MAX);
    assert_int_equal(o.count, 3);
    assert_string_equal(o.first, "block");
    assert_string_equal(o.last, "id");
    assert_int_equal(o.bytes, 0);
    o = ask("", "group", "g07", SIZE_MAX);
    assert_int_equal(o.count, 3);
    o = ask("", "group", "nothing", SIZE_MAX);
    assert_int_equal(o.count, 0);
    o = ask("nowhere", NULL, NULL, SIZE_MAX);
    assert_int_equal(o.count, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streams_all_values_in_little_memory),
        cmocka_unit_test(asks_the_header_for_matchers_on_the_label_itself),
        cmocka_unit_test(asks_the_header_for_matchers_on_external_labels),
        cmocka_unit_test(reads_entries_of_few_series),
        cmocka_unit_test(reads_lists_for_many_series),
        cmocka_unit_test(stops_early),
        cmocka_unit_test(finds_names),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
