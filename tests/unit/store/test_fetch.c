/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/objstore/dir.h"
#include "store/fetch.h"
#include "tests/support/faulty_bucket.h"

static void
merges_neighbours_and_keeps_far_pieces_apart(void **unused)
{
    struct store_piece p[] = {
        {.offset = 0, .len = 10},
        {.offset = 10, .len = 10},
        {.offset = 25, .len = 5},
        {.offset = 100, .len = 1},
        {.object = 1, .offset = 0, .len = 4},
    };
    struct store_read r[ARRAY_LEN(p)];
    (void)unused;
    assert_int_equal(store_fetch_plan(p, ARRAY_LEN(p), 5, 1000, NULL), 3);
    assert_int_equal(store_fetch_plan(p, ARRAY_LEN(p), 5, 1000, r), 3);
    assert_true(r[0].pieces == p && r[1].pieces == p + 3 && r[2].pieces == p + 4);
    assert_int_equal(r[0].piece_count, 3);
    assert_int_equal(r[2].piece_count, 1);
    assert_int_equal(r[0].offset, 0);
    assert_int_equal(r[0].len, 30);
    assert_int_equal(r[1].offset, 100);
    assert_int_equal(r[2].object, 1);
    assert_int_equal(p[2].read, 0);
    assert_int_equal(p[3].read, 1);
    assert_int_equal(p[4].read, 2);
}

static void
cuts_reads_between_pieces(void **unused)
{
    struct store_piece p[] = {{.offset = 0, .len = 60},
                              {.offset = 60, .len = 60},
                              {.offset = 120, .len = 500}};
    struct store_read r[ARRAY_LEN(p)];
    (void)unused;
    assert_int_equal(store_fetch_plan(p, ARRAY_LEN(p), 0, 100, NULL), 3);
    assert_int_equal(store_fetch_plan(p, ARRAY_LEN(p), 0, 100, r), 3);
    assert_int_equal(r[2].len, 500);
}

static void
covers_pieces_inside_others(void **unused)
{
    struct store_piece p[] = {{.offset = 0, .len = 100}, {.offset = 10, .len = 5}};
    struct store_read r[ARRAY_LEN(p)];
    (void)unused;
    assert_int_equal(store_fetch_plan(p, ARRAY_LEN(p), 0, 1000, r), 1);
    assert_int_equal(r[0].len, 100);
}

static bool
reader_has_left(void *arg)
{
    const bool *left = arg;
    return *left;
}

static void
check_tells_why_a_query_is_not_wanted_any_more(void **unused)
{
    struct err err;
    bool left = false;
    CLEANUP(store_fetch_source_fini)
    struct store_fetch_source source = {.deadline_ns = CLOCK_NEVER,
                                        .is_abandoned = reader_has_left,
                                        .abandoned_arg = &left};
    (void)unused;
    assert_true(store_fetch_check(&source, &err));
    left = true;
    assert_false(store_fetch_check(&source, &err));
    assert_int_equal(err.code, ERR_CANCELLED);
    left = false;
    source.deadline_ns = 1;
    assert_false(store_fetch_check(&source, &err));
    assert_int_equal(err.code, ERR_TIMEOUT);
    source.deadline_ns = CLOCK_NEVER;
    cancel_raise(&source.cancel);
    assert_false(store_fetch_check(&source, &err));
    assert_int_equal(err.code, ERR_CANCELLED);
}

static void
a_read_that_outlasts_the_query_names_its_time_limit(void **unused)
{
    char dir[] = "/tmp/blockhouse-fetch-XXXXXX";
    static const char *const keys[] = {"object"};
    struct err err;
    struct objstore_bucket *plain;
    struct pool *pool;
    struct budget budget;
    struct arena arena;
    struct store_piece piece = {.len = 10};
    struct store_fetch fetch = {.data = STORE_DATA_SERIES};
    (void)unused;
    assert_non_null(mkdtemp(dir));
    assert_true(objstore_dir_open(&plain, dir, &err));
    struct objstore_bucket *bucket = faulty_bucket_new(plain);
    faulty_bucket_add(bucket, (struct faulty_rule){FAULTY_ANY, .how = FAULTY_HANG});
    assert_true(pool_new(&pool, "fetch", 1, &err));
    budget_init(&budget, "test", SIZE_MAX, NULL);
    arena_init(&arena, &budget);
    struct store_fetch_source source = {
        .pool = pool, .bucket = bucket, .deadline_ns = clock_deadline(CLOCK_NS_PER_MS)};

    assert_true(store_fetch_start(&fetch, &source, keys, &piece, 1, &arena, &err));
    assert_false(store_fetch_wait(&fetch, &err));
    assert_int_equal(err.code, ERR_TIMEOUT);
    assert_non_null(strstr(err.text, "--store.query-timeout"));

    store_fetch_fini(&fetch);
    store_fetch_source_fini(&source);
    pool_free(&pool);
    objstore_free(&bucket);
    arena_fini(&arena);
    budget_fini(&budget);
    rmdir(dir);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merges_neighbours_and_keeps_far_pieces_apart),
        cmocka_unit_test(cuts_reads_between_pieces),
        cmocka_unit_test(covers_pieces_inside_others),
        cmocka_unit_test(check_tells_why_a_query_is_not_wanted_any_more),
        cmocka_unit_test(a_read_that_outlasts_the_query_names_its_time_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
