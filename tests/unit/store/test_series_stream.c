/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/num.h"
#include "common/base/xmalloc.h"
#include "common/objstore/dir.h"
#include "store/query.h"
#include "tests/support/block_writer.h"
#include "tests/support/expect.h"
#include "tests/support/served_blocks.h"

/* A kilobyte of chunks for each series: many times the look-ahead. */
enum { SERIES = 6000, SAMPLES = 480, LOOKAHEAD = 1024 * 1024, SMALL_PART = 8 };

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
make_block(const struct fixture *f)
{
    static struct tsdb_sample samples[SAMPLES];
    const struct tsdb_ulid id = {.raw = {1}};
    struct tsdb_label external[] = {{BYTES("cluster"), BYTES("one")}};
    const struct block_writer_options options = {.external = {external, 1}};
    struct err err;
    CLEANUP(block_writer_free) struct block_writer *w = NULL;
    expect_ok(block_writer_new(&w, f->dir, &id, &options, &err), err);
    for (size_t i = 0; i < SAMPLES; i++)
        samples[i] = (struct tsdb_sample){(int64_t)i * 15000, i * 7919 << 40};
    for (int i = 0; i < SERIES; i++) {
        char text[16];
        snprintf(text, sizeof text, "n%06d", i);
        struct tsdb_label own[] = {{BYTES("__name__"), bytes_of_str(text)}};
        expect_ok(block_writer_add_samples(w, (struct tsdb_labels){own, 1}, samples,
                                           SAMPLES, &err),
                  err);
    }
    expect_ok(block_writer_finish(w, &err), err);
}

static int
set_up(void **state)
{
    static struct fixture f;
    struct err err;
    char template[] = "/tmp/blockhouse-stream-XXXXXX";
    char data_template[] = "/tmp/blockhouse-stream-data-XXXXXX";
    f.dir = xstrdup(mkdtemp(template));
    f.data_dir = xstrdup(mkdtemp(data_template));
    budget_init(&f.pages_budget, "pages", SIZE_MAX, NULL);
    f.pages = store_page_cache_new(16 << 20, &f.pages_budget);
    expect_ok(objstore_dir_open(&f.bucket, f.dir, &err), err);
    expect_ok(pool_new(&f.pool, "fetch", 4, &err), err);
    make_block(&f);
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

static double
share_of(void *arg)
{
    return *(double *)arg;
}

/* Read so many series; returns the most memory that was held between two of them. */
static size_t
read_some(struct store_query *q, const struct budget *budget, int count)
{
    size_t most = 0;
    struct err err;
    for (int i = 0; i < count; i++) {
        struct store_series s;
        bool end;
        expect_ok(store_query_next(q, &s, &end, &err), err);
        assert_false(end);
        most = NUM_MAX(most, budget_used(budget));
    }
    return most;
}

/* A query that has begun alone gives way when others come, and not only for what it
 * opens later. */
static void
reads_less_ahead_when_its_share_shrinks(void **state)
{
    const struct fixture *f = *state;
    struct err err;
    struct budget budget;
    struct store_limits limits = {0};
    struct store_query q;
    double share = 1;
    CLEANUP(tsdb_matcher_free) struct tsdb_matcher *m = NULL;
    CLEANUP(store_fetch_source_fini)
    struct store_fetch_source source = {.pool = f->pool,
                                        .bucket = f->bucket,
                                        .deadline_ns = CLOCK_NEVER,
                                        .share = share_of,
                                        .share_arg = &share};
    expect_ok(tsdb_matcher_new(&m, TSDB_MATCH_RE, BYTES("__name__"), BYTES(".+"), &err),
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
        .lookahead_bytes = 4 * (size_t)LOOKAHEAD, /* a quarter, of local files */
    };
    expect_ok(store_query_open(&q, &options, &err), err);
    read_some(&q, &budget, 500);
    size_t alone = read_some(&q, &budget, 1000);
    share = 1.0 / SMALL_PART;
    read_some(&q, &budget, 2000);
    size_t among_others = read_some(&q, &budget, 500);
    share = 1;
    size_t alone_again = read_some(&q, &budget, SERIES - 4000);
    /* The symbols that are remembered do not shrink. */
    enum { FIXED = 4096 * 64 + 64 * 1024 };
    assert_true(alone > FIXED + LOOKAHEAD / 2);
    assert_true(among_others < FIXED + (alone - FIXED) / 3);
    assert_true(alone_again > FIXED + LOOKAHEAD / 2);
    store_query_fini(&q);
    budget_fini(&budget);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_less_ahead_when_its_share_shrinks),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
