/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "common/base/pool.h"
#include "common/base/xmalloc.h"
#include "store/range_cache.h"
#include "tests/support/expect.h"

enum { LIMIT = 1024 * 1024, LEN = 1000, MANY = 20000, THREADS = 4 };

static struct budget budget;

static int
set_up(void **state)
{
    (void)state;
    budget_init(&budget, "test", SIZE_MAX, NULL);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    budget_fini(&budget); /* nothing is left */
    return 0;
}

/* What an object holds at a place. */
static uint8_t
content(struct bytes key, uint64_t offset)
{
    return (uint8_t)(key.at[key.len - 1] * 31 + offset * 7 + (offset >> 8));
}

static void
put(struct store_range_cache *c, const char *key, uint64_t offset, size_t len)
{
    struct store_range r = {.key = bytes_of_str(key), .offset = offset, .len = len};
    uint8_t *data = xcalloc(1, len);
    for (size_t i = 0; i < len; i++)
        data[i] = content(r.key, offset + i);
    store_range_cache_put(c, &r, bytes_of(data, len));
    free(data);
}

/* Bytes of an empty cache. */
static size_t
tables_of(size_t limit)
{
    struct store_range_cache *c = store_range_cache_new(limit, &budget);
    size_t used = budget_used(&budget);
    store_range_cache_free(&c);
    return used;
}

/* Whether the range is there; if so, it is right. */
static bool
has(struct store_range_cache *c, const char *key, uint64_t offset, size_t len)
{
    struct store_range r = {.key = bytes_of_str(key), .offset = offset, .len = len};
    uint8_t *into = xcalloc(1, len);
    size_t got = SIZE_MAX;
    bool found = store_range_cache_get(c, &r, into, len, &got);
    if (found) {
        assert_int_equal(got, len);
        for (size_t i = 0; i < len; i++)
            assert_int_equal(into[i], content(r.key, offset + i));
    }
    free(into);
    return found;
}

static void
finds_what_was_put_and_only_that(void **state)
{
    (void)state;
    struct store_range_cache *c = store_range_cache_new(LIMIT, &budget);
    put(c, "A/index", 100, LEN);
    put(c, "A/index", 100, LEN); /* again: kept once */
    assert_true(has(c, "A/index", 100, LEN));
    assert_false(has(c, "B/index", 100, LEN));
    assert_false(has(c, "A/index", 101, LEN));
    assert_false(has(c, "A/index", 100, LEN - 1));
    struct store_range_cache_counts counts = store_range_cache_counts(c);
    assert_int_equal(counts.ranges, 1);
    assert_int_equal(counts.bytes, LEN);
    assert_int_equal(counts.hits, 1);
    assert_int_equal(counts.misses, 3);
    store_range_cache_free(&c);
    assert_null(c);
}

static void
remembers_where_an_object_ended(void **state)
{
    (void)state;
    struct store_range_cache *c = store_range_cache_new(LIMIT, &budget);
    struct store_range r = {.key = BYTES("A/index"), .offset = 10, .len = 100};
    struct store_range behind = {.key = BYTES("A/index"), .offset = 500, .len = 100};
    uint8_t into[100];
    size_t got;
    store_range_cache_put(c, &r, BYTES("end"));
    store_range_cache_put(c, &behind, (struct bytes){0});
    assert_true(store_range_cache_get(c, &r, into, sizeof into, &got));
    assert_int_equal(got, 3);
    assert_memory_equal(into, "end", 3);
    assert_true(store_range_cache_find(c, &r, &got));
    assert_int_equal(got, 3);
    assert_false(store_range_cache_get(c, &r, into, 2, &got)); /* no room */
    assert_false(store_range_cache_find(
        c, &(struct store_range){.key = r.key, .offset = 11, .len = 100}, &got));
    assert_true(store_range_cache_get(c, &behind, into, sizeof into, &got));
    assert_int_equal(got, 0);
    store_range_cache_free(&c);
}

static void
stays_below_its_limit_and_keeps_what_is_asked_for(void **state)
{
    (void)state;
    struct store_range_cache *c = store_range_cache_new(LIMIT, &budget);
    put(c, "A/index", 0, LEN);
    for (size_t i = 1; i <= MANY; i++) {
        put(c, "B/chunks/000001", i * LEN, LEN);
        assert_true(budget_used(&budget) <= LIMIT);
        assert_true(has(c, "A/index", 0, LEN));
    }
    assert_true(budget_used(&budget) > LIMIT / 2);
    assert_false(has(c, "B/chunks/000001", LEN, LEN));
    assert_true(has(c, "B/chunks/000001", (uint64_t)MANY * LEN, LEN));
    assert_true(store_range_cache_counts(c).evictions > MANY / 2);
    store_range_cache_free(&c);
}

enum { WORKING_SET = 300, SCAN = 10 * LIMIT / LEN };

/* Ask for each range, and put what is missing; returns how many were there. */
static size_t
read_through(struct store_range_cache *c, const char *key, size_t count)
{
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        bool is_there = has(c, key, i * LEN, LEN);
        found += is_there;
        if (!is_there)
            put(c, key, i * LEN, LEN);
    }
    return found;
}

static void
a_scan_of_ten_times_its_size_leaves_the_working_set(void **state)
{
    (void)state;
    struct store_range_cache *c = store_range_cache_new(LIMIT, &budget);
    assert_int_equal(read_through(c, "A/index", WORKING_SET), 0);
    assert_int_equal(read_through(c, "A/index", WORKING_SET), WORKING_SET);
    for (int i = 0; i < 3; i++)
        assert_int_equal(read_through(c, "B/chunks/000001", SCAN), 0);
    assert_true(read_through(c, "A/index", WORKING_SET) >= WORKING_SET * 8 / 10);
    store_range_cache_free(&c);
}

static void
what_is_larger_than_the_trial_is_kept_when_it_comes_again(void **state)
{
    enum { LARGE = LIMIT / LEN * 6 / 10 };
    (void)state;
    struct store_range_cache *c = store_range_cache_new(LIMIT, &budget);
    for (int i = 0; i < 2; i++)
        read_through(c, "B/chunks/000001", SCAN); /* the cache is full */
    for (int i = 0; i < 2; i++) {
        read_through(c, "A/index", LARGE);
        /* Something in between, so that none is left on trial. */
        read_through(c, "C/chunks/000001", LIMIT / LEN / 5);
    }
    assert_true(read_through(c, "A/index", LARGE) >= LARGE * 8 / 10);
    store_range_cache_free(&c);
}

static void
put_broad(struct store_range_cache *c, uint64_t offset, bool is_repeat)
{
    const uint8_t data[LEN] = {0};
    const struct store_range r = {.key = BYTES("B/chunks/000001"),
                                  .offset = offset,
                                  .len = LEN,
                                  .is_repeat = is_repeat,
                                  .is_broad = true};
    store_range_cache_put(c, &r, bytes_of(data, LEN));
}

static bool
knows_broad(struct store_range_cache *c, uint64_t offset, bool is_repeat)
{
    uint8_t into[LEN];
    size_t got;
    const struct store_range r = {.key = BYTES("B/chunks/000001"),
                                  .offset = offset,
                                  .len = LEN,
                                  .is_repeat = is_repeat,
                                  .is_broad = true};
    return store_range_cache_get(c, &r, into, sizeof into, &got);
}

static void
a_broad_query_displaces_nothing_until_it_is_asked_again(void **state)
{
    enum { HALF = LIMIT / LEN / 2 };
    (void)state;
    struct store_range_cache *c = store_range_cache_new(LIMIT, &budget);
    read_through(c, "A/index", HALF); /* asked for once */
    for (size_t i = 0; i < SCAN; i++)
        put_broad(c, i * LEN, false);
    assert_int_equal(store_range_cache_counts(c).evictions, 0);
    assert_true(budget_used(&budget) >
                LIMIT * 8 / 10); /* it has the room that is left */
    assert_int_equal(read_through(c, "A/index", HALF), HALF);

    size_t last = (size_t)(SCAN - 1) * LEN;
    put_broad(c, last, true); /* the same query has read it again */
    assert_false(knows_broad(c, last, true));
    assert_int_equal(store_range_cache_counts(c).ghost_hits, 0);
    assert_false(knows_broad(c, last, false));
    assert_int_equal(store_range_cache_counts(c).ghost_hits, 1);
    put_broad(c, last, false);
    assert_true(knows_broad(c, last, false));
    store_range_cache_free(&c);
}

static void
ghosts_tell_what_a_larger_cache_would_have_had(void **state)
{
    enum { FITS = LIMIT / LEN * 9 / 10 }; /* tables and headers take a tenth */
    (void)state;
    static const struct {
        size_t ranges;
        bool pays;
    } cases[] = {{FITS / 2, false}, {FITS * 5 / 4, true}, {FITS * 5, false}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct store_range_cache *c = store_range_cache_new(LIMIT, &budget);
        for (int k = 0; k < 2; k++)
            read_through(c, "A/index", cases[i].ranges);
        struct store_range_cache_counts counts = store_range_cache_counts(c);
        if (cases[i].pays)
            assert_true(counts.ghost_hits > (counts.misses - cases[i].ranges) / 2);
        else
            assert_int_equal(counts.ghost_hits, 0);
        store_range_cache_free(&c);
    }
}

static void
does_not_keep_what_would_fill_it(void **state)
{
    (void)state;
    struct store_range_cache *c = store_range_cache_new(LIMIT, &budget);
    put(c, "A/index", 0, LIMIT / 8);
    assert_false(has(c, "A/index", 0, LIMIT / 8));
    store_range_cache_free(&c);
    c = store_range_cache_new(0, &budget);
    put(c, "A/index", 0, 1);
    assert_false(has(c, "A/index", 0, 1));
    store_range_cache_free(&c);
}

static void
makes_do_with_what_the_budget_grants(void **state)
{
    (void)state;
    struct budget small;
    budget_init(&small, "small", tables_of(LIMIT) + 10 * LEN, &budget);
    struct store_range_cache *c = store_range_cache_new(LIMIT, &small);
    for (size_t i = 0; i < 100; i++)
        put(c, "A/index", i * LEN, LEN);
    assert_true(has(c, "A/index", 0, LEN));
    assert_false(has(c, "A/index", 99 * LEN, LEN));
    store_range_cache_free(&c);
    budget_fini(&small);
    budget_init(&small, "small", tables_of(LIMIT) - 1, &budget);
    c = store_range_cache_new(LIMIT, &small);
    put(c, "A/index", 0, LEN);
    assert_false(has(c, "A/index", 0, LEN));
    store_range_cache_free(&c);
    budget_fini(&small);
}

static void
gives_back_what_is_wanted(void **state)
{
    (void)state;
    size_t tables = tables_of(LIMIT);
    struct store_range_cache *c = store_range_cache_new(LIMIT, &budget);
    for (size_t i = 0; i < 500; i++)
        put(c, "A/index", i * LEN, LEN);
    for (size_t i = 0; i < 500; i++)
        assert_true(has(c, "A/index", i * LEN, LEN)); /* all of them recent */
    size_t before = budget_used(&budget);
    size_t released = store_range_cache_reclaim(c, 100 * LEN);
    assert_true(released >= 100 * LEN && released < 150 * LEN);
    assert_int_equal(budget_used(&budget), before - released);
    assert_int_equal(store_range_cache_reclaim(c, SIZE_MAX),
                     before - released - tables);
    assert_int_equal(store_range_cache_reclaim(c, 1), 0);
    assert_int_equal(budget_used(&budget), tables);
    store_range_cache_free(&c);
}

static void
forgets_the_objects_of_a_block(void **state)
{
    (void)state;
    struct store_range_cache *c = store_range_cache_new(LIMIT, &budget);
    for (size_t i = 0; i < 100; i++) {
        put(c, "A/index", i * LEN, LEN);
        put(c, "A/chunks/000001", i * LEN, LEN);
        put(c, "AB/index", i * LEN, LEN);
    }
    store_range_cache_forget(c, BYTES("A/"));
    for (size_t i = 0; i < 100; i++) {
        assert_false(has(c, "A/index", i * LEN, LEN));
        assert_false(has(c, "A/chunks/000001", i * LEN, LEN));
        assert_true(has(c, "AB/index", i * LEN, LEN));
    }
    store_range_cache_free(&c);
}

struct worker {
    struct pool_job job;
    struct store_range_cache *c;
    uint64_t seed;
};

static void
run_worker(struct pool_job *job)
{
    struct worker *w = (struct worker *)job;
    for (size_t i = 0; i < MANY; i++) {
        w->seed = w->seed * UINT64_C(6364136223846793005) + 1442695040888963407;
        const char *key = (w->seed >> 33) % 2 == 0 ? "A/index" : "B/index";
        uint64_t offset = (w->seed >> 40) % 1000 * 500;
        if (!has(w->c, key, offset, 500))
            put(w->c, key, offset, 500);
        if (i % 1000 == 0)
            store_range_cache_forget(w->c, BYTES("A/"));
        if (i % 100 == 0)
            store_range_cache_reclaim(w->c, 3000);
    }
}

static void
serves_many_threads(void **state)
{
    (void)state;
    struct store_range_cache *c = store_range_cache_new(LIMIT / 4, &budget);
    struct worker workers[THREADS];
    struct pool *pool = NULL;
    struct err err;
    expect_ok(pool_new(&pool, "workers", THREADS, &err), err);
    for (size_t i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.job.run = run_worker, .c = c, .seed = i};
        pool_submit(pool, &workers[i].job);
    }
    pool_free(&pool);
    assert_true(budget_used(&budget) <= LIMIT / 4);
    store_range_cache_free(&c);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_was_put_and_only_that),
        cmocka_unit_test(remembers_where_an_object_ended),
        cmocka_unit_test(stays_below_its_limit_and_keeps_what_is_asked_for),
        cmocka_unit_test(a_scan_of_ten_times_its_size_leaves_the_working_set),
        cmocka_unit_test(what_is_larger_than_the_trial_is_kept_when_it_comes_again),
        cmocka_unit_test(a_broad_query_displaces_nothing_until_it_is_asked_again),
        cmocka_unit_test(ghosts_tell_what_a_larger_cache_would_have_had),
        cmocka_unit_test(does_not_keep_what_would_fill_it),
        cmocka_unit_test(makes_do_with_what_the_budget_grants),
        cmocka_unit_test(gives_back_what_is_wanted),
        cmocka_unit_test(forgets_the_objects_of_a_block),
        cmocka_unit_test(serves_many_threads),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
