/* SPDX-License-Identifier: Apache-2.0 */
/* A query over far more blocks than are between two of its stages at a time: that it
 * finds all there is, and what it takes of memory for each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/xmalloc.h"
#include "common/objstore/dir.h"
#include "store/query.h"
#include "tests/support/block_writer.h"
#include "tests/support/expect.h"
#include "tests/support/served_blocks.h"

/* Two hours at 15 s. A block is answered with four chunks of a quarter of a kilobyte.
 */
enum { BLOCKS = 300, SAMPLES = 480, STEP_MS = 15000, CHUNKS = 4 };
enum { MOST_BYTES_OF_BLOCK = 8 * 1024, MOST_BYTES_OF_PAGES = 1536 };

struct fixture {
    char *dir;
    char *data_dir;
    struct objstore_bucket *bucket;
    struct pool *pool;
    struct budget pages_budget;
    struct store_page_cache *pages;
    struct store_block_set *set;
};

static void
make_block(const struct fixture *f, uint16_t number)
{
    struct tsdb_sample samples[SAMPLES];
    struct tsdb_ulid id = {.raw = {1, [TSDB_ULID_SIZE - 2] = (uint8_t)(number >> 8),
                                   [TSDB_ULID_SIZE - 1] = (uint8_t)number}};
    struct tsdb_label external[] = {{BYTES("cluster"), BYTES("one")}};
    struct tsdb_label own[] = {{BYTES("__name__"), BYTES("a")}};
    const struct block_writer_options options = {.external = {external, 1}};
    struct err err;
    CLEANUP(block_writer_free) struct block_writer *w = NULL;
    expect_ok(block_writer_new(&w, f->dir, &id, &options, &err), err);
    for (size_t series = 0; series < 2; series++) {
        for (size_t i = 0; i < SAMPLES; i++)
            samples[i] = (struct tsdb_sample){
                .t_ms = ((int64_t)number * SAMPLES + (int64_t)i) * STEP_MS,
                .value_bits = i * 7919 << 40};
        expect_ok(block_writer_add_samples(w, (struct tsdb_labels){own, 1}, samples,
                                           SAMPLES, &err),
                  err);
        own[0].value = BYTES("b");
    }
    expect_ok(block_writer_finish(w, &err), err);
}

static int
set_up(void **state)
{
    static struct fixture f;
    struct err err;
    char template[] = "/tmp/blockhouse-many-XXXXXX";
    char data_template[] = "/tmp/blockhouse-many-data-XXXXXX";
    f.dir = xstrdup(mkdtemp(template));
    f.data_dir = xstrdup(mkdtemp(data_template));
    budget_init(&f.pages_budget, "pages", SIZE_MAX, NULL);
    f.pages = store_page_cache_new(64 << 20, &f.pages_budget);
    expect_ok(objstore_dir_open(&f.bucket, f.dir, &err), err);
    expect_ok(pool_new(&f.pool, "fetch", 4, &err), err);
    for (uint16_t i = 0; i < BLOCKS; i++)
        make_block(&f, i);
    expect_ok(served_blocks(&f.set, f.bucket, f.data_dir, f.pages, &err), err);
    *state = &f;
    return 0;
}

static int
tear_down(void **state)
{
    struct fixture *f = *state;
    struct err err;
    store_block_set_unref(&f->set);
    pool_free(&f->pool);
    objstore_free(&f->bucket);
    store_page_cache_free(&f->pages);
    budget_fini(&f->pages_budget);
    expect_ok(file_remove_tree(f->dir, &err), err);
    expect_ok(file_remove_tree(f->data_dir, &err), err);
    free(f->data_dir);
    free(f->dir);
    return 0;
}

/* Each series has the chunks of all blocks, in the order of time. */
static void
check_series(const struct store_series *s, const char *name)
{
    assert_true(
        bytes_eq(tsdb_labels_get(s->labels, BYTES("__name__")), bytes_of_str(name)));
    assert_int_equal(s->chunk_count, BLOCKS * CHUNKS);
    for (size_t i = 0; i < s->chunk_count; i++)
        assert_int_equal(s->chunks[i].mint_ms,
                         (int64_t)i * (SAMPLES / CHUNKS) * STEP_MS);
}

/* Ask for the series that match; returns the most memory that the query had. */
static size_t
ask(const struct fixture *f, const char *expression, size_t lookahead_bytes,
    const char *const *names, size_t count)
{
    struct err err;
    struct budget budget;
    struct store_limits limits = {0};
    struct store_query q;
    CLEANUP(tsdb_matcher_free) struct tsdb_matcher *m = NULL;
    CLEANUP(store_fetch_source_fini)
    struct store_fetch_source source = {
        .pool = f->pool, .bucket = f->bucket, .deadline_ns = CLOCK_NEVER};
    expect_ok(tsdb_matcher_new(&m, TSDB_MATCH_RE, BYTES("__name__"),
                               bytes_of_str(expression), &err),
              err);
    budget_init(&budget, "query", SIZE_MAX, NULL);
    const struct store_query_options options = {
        .blocks = f->set,
        .matchers = (const struct tsdb_matcher *const *)&m,
        .matcher_count = 1,
        .maxt_ms = INT64_MAX,
        .source = &source,
        .limits = &limits,
        .budget = &budget,
        .lookahead_bytes = lookahead_bytes,
    };
    expect_ok(store_query_open(&q, &options, &err), err);
    assert_int_equal(q.blocks_queried, BLOCKS);
    struct store_series s;
    bool end;
    for (size_t i = 0; i < count; i++) {
        expect_ok(store_query_next(&q, &s, &end, &err), err);
        assert_false(end);
        check_series(&s, names[i]);
    }
    expect_ok(store_query_next(&q, &s, &end, &err), err);
    assert_true(end);
    store_query_fini(&q);
    size_t peak = budget_peak(&budget);
    budget_fini(&budget);
    return peak;
}

static void
finds_what_is_in_all_blocks(void **state)
{
    static const char *const both[] = {"a", "b"};
    const size_t lookaheads[] = {1000, 1 << 20, 16 << 20};
    for (size_t i = 0; i < ARRAY_LEN(lookaheads); i++) {
        ask(*state, "a|b", lookaheads[i], both, 2);
        ask(*state, "b", lookaheads[i], both + 1, 1);
        ask(*state, "c", lookaheads[i], NULL, 0);
    }
}

static void
takes_little_for_each(void **state)
{
    static const char *const name[] = {"b"};
    const struct fixture *f = *state;
    size_t peak = ask(f, "b", 16 << 20, name, 1);
    /* Beside the symbols that are remembered. */
    assert_in_range(peak - 4096 * 64, BLOCKS * 1024, BLOCKS * MOST_BYTES_OF_BLOCK);
    assert_in_range(budget_used(&f->pages_budget), 1, BLOCKS * MOST_BYTES_OF_PAGES);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_is_in_all_blocks),
        cmocka_unit_test(takes_little_for_each),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
