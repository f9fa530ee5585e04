/* SPDX-License-Identifier: Apache-2.0 */
/* What a selection reads, how many reads wait for each other, and what is expected of
 * it before; that it is right is also seen by test_query. */
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
#include "common/base/xmalloc.h"
#include "common/objstore/dir.h"
#include "store/estimate.h"
#include "store/query.h"
#include "tests/support/block_writer.h"
#include "tests/support/expect.h"
#include "tests/support/lockstep_bucket.h"
#include "tests/support/served_blocks.h"

/* Each block has METRICS metrics of as many series; ids are unique, jobs are few, and
 * some series have none. */
enum { BLOCKS = 4, METRICS = 10, PER_METRIC = 100, SERIES = METRICS * PER_METRIC };
enum {
    CACHE_BYTES = 8 * 1024 * 1024,
    JOBS = 5,
    BLOCK_MS = 7200 * 1000,
    MATCHERS = 3,
    ROUNDS = 3000
};

struct model {
    char name[8];
    char id[8];
    char job[8];
    struct tsdb_label at[3];
    struct tsdb_labels labels;
};

struct fixture {
    char *dir;
    char *data_dir;
    struct objstore_bucket *bucket;
    struct budget budget;
    struct pool *pool;
    struct store_page_cache *pages;
    struct store_block_set *set;
    struct store_fetch_source source;
    struct model series[SERIES];
};

static struct err err;

#define MUST(call) expect_ok(call, err)

static uint64_t state = 88172645463325252u;

static size_t
pick(size_t n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (size_t)(state >> 20) % n;
}

static void
make_series(struct model *s, unsigned number)
{
    size_t len = 0;
    snprintf(s->name, sizeof s->name, "m%u", number / PER_METRIC);
    snprintf(s->id, sizeof s->id, "%04u", number);
    snprintf(s->job, sizeof s->job, "j%u", number % JOBS);
    s->at[len++] = (struct tsdb_label){BYTES("__name__"), bytes_of_str(s->name)};
    s->at[len++] = (struct tsdb_label){BYTES("id"), bytes_of_str(s->id)};
    if (number % JOBS != 0)
        s->at[len++] = (struct tsdb_label){BYTES("job"), bytes_of_str(s->job)};
    s->labels = (struct tsdb_labels){s->at, len};
}

static void
write_block(struct fixture *f, unsigned number, const char *external)
{
    const struct tsdb_label label = {bytes_of_str(external), BYTES("x")};
    const struct block_writer_options options = {.external = {&label, 1}};
    const struct tsdb_ulid id = {.raw = {1, (uint8_t)number}};
    int64_t begin_ms = (int64_t)number * BLOCK_MS;
    const struct tsdb_sample samples[] = {{.t_ms = begin_ms},
                                          {.t_ms = begin_ms + BLOCK_MS - 1}};
    CLEANUP(block_writer_free) struct block_writer *w = NULL;
    MUST(block_writer_new(&w, f->dir, &id, &options, &err));
    for (size_t i = 0; i < SERIES; i++)
        MUST(block_writer_add_samples(w, f->series[i].labels, samples, 2, &err));
    MUST(block_writer_finish(w, &err));
}

static void
serve(struct fixture *f, unsigned blocks, const char *external)
{
    for (unsigned i = 0; i < blocks; i++)
        write_block(f, i, external);
    MUST(served_blocks(&f->set, f->bucket, f->data_dir, f->pages, &err));
}

static int
set_up(void **at)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    char template[] = "/tmp/blockhouse-select-XXXXXX";
    char data_template[] = "/tmp/blockhouse-select-data-XXXXXX";
    struct objstore_bucket *inner;
    f->dir = xstrdup(mkdtemp(template));
    f->data_dir = xstrdup(mkdtemp(data_template));
    for (unsigned i = 0; i < SERIES; i++)
        make_series(&f->series[i], i);
    budget_init(&f->budget, "test", SIZE_MAX, NULL);
    MUST(objstore_dir_open(&inner, f->dir, &err));
    f->bucket = lockstep_bucket_new(inner);
    MUST(pool_new(&f->pool, "fetch", STORE_FETCH_IN_FLIGHT, &err));
    f->pages = store_page_cache_new(1 << 20, &f->budget);
    f->source = (struct store_fetch_source){
        .pool = f->pool, .bucket = f->bucket, .deadline_ns = CLOCK_NEVER};
    *at = f;
    return 0;
}

static int
tear_down(void **at)
{
    struct fixture *f = *at;
    store_fetch_source_fini(&f->source);
    store_block_set_unref(&f->set);
    pool_free(&f->pool);
    objstore_free(&f->bucket);
    store_page_cache_free(&f->pages);
    budget_fini(&f->budget);
    MUST(file_remove_tree(f->dir, &err));
    MUST(file_remove_tree(f->data_dir, &err));
    free(f->data_dir);
    free(f->dir);
    free(f);
    return 0;
}

struct matchers {
    struct tsdb_matcher *at[MATCHERS];
    size_t count;
};

static void
matchers_fini(struct matchers *m)
{
    for (size_t i = 0; i < m->count; i++)
        tsdb_matcher_free(&m->at[i]);
}

static void
add_matcher(struct matchers *m, enum tsdb_matcher_type type, const char *name,
            const char *value)
{
    MUST(tsdb_matcher_new(&m->at[m->count], type, bytes_of_str(name),
                          bytes_of_str(value), &err));
    m->count++;
}

static size_t
read_all(struct fixture *f, const struct matchers *m)
{
    struct store_limits limits = {0};
    const struct store_query_options options = {
        .blocks = f->set,
        .matchers = (const struct tsdb_matcher *const *)m->at,
        .matcher_count = m->count,
        .maxt_ms = INT64_MAX,
        .source = &f->source,
        .limits = &limits,
        .budget = &f->budget,
        .lookahead_bytes = 16 << 20,
    };
    struct store_query q;
    struct store_series series;
    size_t count = 0;
    bool end;
    MUST(store_query_open(&q, &options, &err));
    for (;; count++) {
        MUST(store_query_next(&q, &series, &end, &err));
        if (end)
            break;
    }
    store_query_fini(&q);
    return count;
}

static void
reads_in_three_rounds_whatever_the_blocks_and_matchers(void **at)
{
    static const unsigned rounds[] = {BLOCKS, BLOCKS, BLOCKS};
    struct fixture *f = *at;
    CLEANUP(matchers_fini) struct matchers m = {0};
    serve(f, BLOCKS, "cluster");
    add_matcher(&m, TSDB_MATCH_EQ, "__name__", "m3");
    add_matcher(&m, TSDB_MATCH_RE, "id", ".+");
    add_matcher(&m, TSDB_MATCH_NRE, "job", "j[13]");
    lockstep_bucket_expect(f->bucket, rounds, ARRAY_LEN(rounds));
    assert_int_equal(read_all(f, &m), PER_METRIC / JOBS * 3);
    assert_int_equal(lockstep_bucket_rounds(f->bucket), ARRAY_LEN(rounds));
}

/* Each value of a label that an external label replaces is a stream of its own. */
static void
reads_in_three_rounds_when_an_external_label_replaces_one(void **at)
{
    static const unsigned rounds[] = {2, JOBS, JOBS};
    struct fixture *f = *at;
    CLEANUP(matchers_fini) struct matchers m = {0};
    serve(f, 1, "job");
    add_matcher(&m, TSDB_MATCH_EQ, "__name__", "m3");
    lockstep_bucket_expect(f->bucket, rounds, ARRAY_LEN(rounds));
    assert_int_equal(read_all(f, &m), PER_METRIC);
    assert_int_equal(lockstep_bucket_rounds(f->bucket), ARRAY_LEN(rounds));
}

/* Select in the first block; what it yields lives in arena. */
static struct store_selection
select_from(struct fixture *f, const struct matchers *m, struct arena *arena)
{
    struct store_select s;
    struct store_selection selection;
    const struct store_replica_labels none = {0};
    const struct store_matchers matchers = {(const struct tsdb_matcher *const *)m->at,
                                            m->count};
    MUST(store_select_begin(&s, f->set->blocks[0], matchers, &none, &f->source,
                            &f->budget, &err));
    MUST(store_select_finish(&s, arena, &selection, &err));
    store_select_fini(&s);
    assert_true(selection.parts.count <= 1);
    return selection;
}

static void
leaves_to_the_series_what_their_postings_are_not_worth(void **at)
{
    static const struct {
        const char *name;
        enum tsdb_matcher_type type;
        const char *value;
        enum tsdb_matcher_type id_type;
        const char *id; /* NULL: no matcher on it */
        size_t refs;
        size_t filters;
        bool reads;
    } cases[] = {
        {"__name__", TSDB_MATCH_EQ, "m3", TSDB_MATCH_RE, ".*9", PER_METRIC, 1, true},
        {"__name__", TSDB_MATCH_EQ, "m3", TSDB_MATCH_NEQ, "", PER_METRIC, 1, true},
        {"__name__", TSDB_MATCH_EQ, "m3", TSDB_MATCH_RE, ".*", PER_METRIC, 0, true},
        {"__name__", TSDB_MATCH_EQ, "m3", TSDB_MATCH_EQ, "0300", 1, 0, true},
        {"__name__", TSDB_MATCH_RE, ".+", TSDB_MATCH_RE, NULL, SERIES, 1, true},
        {"id", TSDB_MATCH_RE, ".*9", TSDB_MATCH_RE, NULL, SERIES / 10, 0, true},
        {"id", TSDB_MATCH_RE, "00.*", TSDB_MATCH_RE, NULL, SERIES / 10, 0, true},
        {"job", TSDB_MATCH_EQ, "", TSDB_MATCH_RE, NULL, SERIES / JOBS, 0, true},
        {"job", TSDB_MATCH_NRE, ".*", TSDB_MATCH_RE, ".*9", 0, 0, false},
        {"absent", TSDB_MATCH_RE, ".+", TSDB_MATCH_RE, ".*9", 0, 0, false},
        {"job", TSDB_MATCH_EQ, "j9", TSDB_MATCH_RE, ".*9", 0, 0, false},
    };
    struct fixture *f = *at;
    struct arena arena;
    arena_init(&arena, &f->budget);
    serve(f, 1, "cluster");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(matchers_fini) struct matchers m = {0};
        uint64_t before = f->source.data[STORE_DATA_POSTINGS].requests;
        if (cases[i].id != NULL)
            add_matcher(&m, cases[i].id_type, "id", cases[i].id);
        add_matcher(&m, cases[i].type, cases[i].name, cases[i].value);
        struct store_selection s = select_from(f, &m, &arena);
        assert_int_equal(s.parts.count, cases[i].refs > 0);
        if (cases[i].refs > 0)
            assert_int_equal(s.parts.at[0].count, cases[i].refs);
        assert_int_equal(s.filter_count, cases[i].filters);
        assert_int_equal(f->source.data[STORE_DATA_POSTINGS].requests > before,
                         cases[i].reads);
    }
    arena_fini(&arena);
}

static void
add_random_matcher(struct matchers *m)
{
    static const char *const names[] = {"__name__", "id", "job", "absent"};
    static const char *const texts[] = {"m3", "0123", "j2", "", "m9"};
    static const char *const expressions[] = {".+",    ".*",     "m[1-4]",
                                              "",      "j1|j3|", "0[0-4].*",
                                              ".*7",   "00.*",   "m1|m2|0001|0999|j4",
                                              "(j2)?", "x"};
    enum tsdb_matcher_type type = (enum tsdb_matcher_type)pick(4);
    bool regex = type == TSDB_MATCH_RE || type == TSDB_MATCH_NRE;
    add_matcher(m, type, names[pick(ARRAY_LEN(names))],
                regex ? expressions[pick(ARRAY_LEN(expressions))]
                      : texts[pick(ARRAY_LEN(texts))]);
}

static bool
match_all(const struct model *s, struct tsdb_matcher *const *matchers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!tsdb_matcher_matches(
                matchers[i],
                tsdb_labels_get(s->labels, tsdb_matcher_name(matchers[i]))))
            return false;
    return true;
}

/* The parts of a selection, one behind the other. */
static uint64_t
digest(const struct store_selection *s)
{
    uint64_t hash = s->parts.count;
    for (size_t i = 0; i < s->parts.count; i++) {
        hash = (hash ^ s->parts.at[i].count) * UINT64_C(0x100000001b3);
        for (size_t k = 0; k < s->parts.at[i].count; k++)
            hash = (hash ^ s->parts.at[i].at[k]) * UINT64_C(0x100000001b3);
    }
    return hash;
}

static void
select_at_random(struct fixture *f)
{
    struct arena kept, arena;
    size_t filtered = 0, whole = 0;
    arena_init(&kept, &f->budget);
    arena_init(&arena, &f->budget);
    struct store_selection all = select_from(f, &(struct matchers){.count = 0}, &kept);
    assert_int_equal(all.parts.at[0].count, SERIES);
    for (size_t round = 0; round < ROUNDS; round++) {
        CLEANUP(matchers_fini) struct matchers m = {0};
        for (size_t k = 1 + pick(MATCHERS); k > 0; k--)
            add_random_matcher(&m);
        struct store_selection s = select_from(f, &m, &arena);
        if (f->source.cache != NULL) {
            struct store_selection again = select_from(f, &m, &arena);
            assert_int_equal(digest(&again), digest(&s));
            assert_int_equal(again.filter_count, s.filter_count);
        }
        struct store_refs refs = s.parts.count > 0 ? s.parts.at[0] : all.parts.at[0];
        size_t next = 0, count = s.parts.count > 0 ? refs.count : 0;
        for (size_t i = 0; i < SERIES; i++) {
            bool got = next < count && refs.at[next] == all.parts.at[0].at[i];
            next += got;
            if (got && s.filter_count > 0)
                got = match_all(&f->series[i],
                                (struct tsdb_matcher *const *)(uintptr_t)s.filters,
                                s.filter_count);
            assert_int_equal(got, match_all(&f->series[i], m.at, m.count));
        }
        assert_int_equal(next, count);
        filtered += s.filter_count > 0;
        whole += s.filter_count == 0 && count > 0;
        arena_reset(&arena);
    }
    assert_true(filtered > ROUNDS / 50);
    assert_true(whole > ROUNDS / 50);
    arena_fini(&arena);
    arena_fini(&kept);
}

static void
selects_the_same_with_any_plan(void **at)
{
    struct fixture *f = *at;
    serve(f, 1, "cluster");
    select_at_random(f);
}

static void
selects_the_same_from_the_cache(void **at)
{
    struct fixture *f = *at;
    const struct store_data_totals *postings = &f->source.data[STORE_DATA_POSTINGS];
    serve(f, 1, "cluster");
    f->source.cache = store_range_cache_new(CACHE_BYTES, &f->budget);
    select_at_random(f);
    assert_true(postings->cached_reads > ROUNDS / 2);
    store_range_cache_free(&f->source.cache);
}

static struct store_selection
select_without(struct fixture *f, const struct matchers *m,
               const struct store_replica_labels *dropped, struct arena *arena)
{
    struct store_select s;
    struct store_selection selection;
    const struct store_matchers matchers = {(const struct tsdb_matcher *const *)m->at,
                                            m->count};
    MUST(store_select_begin(&s, f->set->blocks[0], matchers, dropped, &f->source,
                            &f->budget, &err));
    MUST(store_select_finish(&s, arena, &selection, &err));
    store_select_fini(&s);
    return selection;
}

/* An external label, or one that is dropped, makes parts. */
static void
a_selection_that_was_made_needs_no_postings(void **at)
{
    struct fixture *f = *at;
    CLEANUP(matchers_fini) struct matchers m = {0};
    struct bytes job = BYTES("job");
    const struct store_replica_labels dropped[] = {{0}, {&job, 1}};
    struct store_data_totals *postings = &f->source.data[STORE_DATA_POSTINGS];
    struct store_limits limits = {0};
    struct arena arena;
    arena_init(&arena, &f->budget);
    serve(f, 1, "cluster");
    f->source.cache = store_range_cache_new(CACHE_BYTES, &f->budget);
    f->source.limits = &limits;
    add_matcher(&m, TSDB_MATCH_EQ, "__name__", "m3");
    add_matcher(&m, TSDB_MATCH_NEQ, "id", "0300");
    for (size_t i = 0; i < ARRAY_LEN(dropped); i++) {
        *postings = (struct store_data_totals){0};
        limits.bytes = 0;
        struct store_selection made = select_without(f, &m, &dropped[i], &arena);
        uint64_t bytes = limits.bytes, reads = postings->requests,
                 touched = postings->touched;
        assert_int_equal(made.parts.count, i == 0 ? 1 : JOBS);
        assert_true(reads > 0 && bytes > 0);

        limits.bytes = 0;
        struct store_selection found = select_without(f, &m, &dropped[i], &arena);
        assert_int_equal(postings->requests, reads);
        assert_int_equal(limits.bytes, bytes);
        assert_int_equal(postings->touched, 2 * touched);
        assert_int_equal(digest(&found), digest(&made));
        assert_int_equal(found.filter_count, made.filter_count);

        limits.max_bytes = bytes - 1;
        limits.bytes = 0;
        struct store_select s;
        const struct store_matchers matchers = {
            (const struct tsdb_matcher *const *)m.at, m.count};
        assert_false(store_select_begin(&s, f->set->blocks[0], matchers, &dropped[i],
                                        &f->source, &f->budget, &err));
        assert_int_equal(err.code, ERR_BUDGET);
        store_select_fini(&s);
        limits.max_bytes = 0;

        store_range_cache_forget(f->source.cache,
                                 bytes_of_str(f->set->blocks[0]->name.text));
        (void)select_without(f, &m, &dropped[i], &arena);
        assert_true(postings->requests > reads);
    }
    f->source.limits = NULL;
    store_range_cache_free(&f->source.cache);
    arena_fini(&arena);
}

static void
estimate(struct fixture *f, struct store_estimate *e,
         const struct store_estimate_query *q)
{
    CLEANUP(arena_fini) struct arena arena;
    struct store_block_choice blocks;
    arena_init(&arena, &f->budget);
    const struct store_block_question question = {q->range, STORE_RESOLUTION_RAW};
    expect_ok(store_block_choose(&blocks, &f->set->plan, &question, &arena, &err), err);
    store_estimate_add(e, &blocks, q);
}

/* Series that demand label=value, if any, over all of four blocks of two hours or over
 * the first half hour. */
static void
estimates_by_the_labels_that_are_demanded(void **at)
{
    static const struct {
        const char *label; /* NULL: none */
        const char *value;
        int64_t maxt_ms;
        uint64_t chunks;
        uint64_t blocks;
        bool is_small;
    } cases[] = {
        {"__name__", "m3", INT64_MAX, 4 * PER_METRIC * 9, 4, true},
        {"id", "0300", INT64_MAX, 4 * 9, 4, true},
        {"id", "no", INT64_MAX, 0, 0, true},
        {"no", "0300", INT64_MAX, 0, 0, true},
        {"cluster", "x", BLOCK_MS / 4, SERIES * 6, 1, true},
        {"cluster", "y", INT64_MAX, 0, 0, true},
        {NULL, NULL, -1, 0, 0, true},
        {NULL, NULL, 0, SERIES * 5, 1, true},
        {NULL, NULL, INT64_MAX, 2 * SERIES * 9, 4, false},
    };
    struct fixture *f = *at;
    serve(f, BLOCKS, "cluster");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct store_estimate e = {0};
        struct tsdb_labels none = {0};
        struct tsdb_label label;
        if (cases[i].label != NULL) {
            label.name = bytes_of_str(cases[i].label);
            label.value = bytes_of_str(cases[i].value);
        }
        const struct store_estimate_query q = {
            .demanded = cases[i].label != NULL ? (struct tsdb_labels){&label, 1} : none,
            .range = {INT64_MIN, cases[i].maxt_ms}};
        estimate(f, &e, &q);
        assert_int_equal(store_estimate_is_small(&e), cases[i].is_small);
        assert_in_range(e.chunks, cases[i].chunks, cases[i].chunks * 11 / 10);
        assert_int_equal(e.blocks, cases[i].blocks);
    }
}

/* Of downsampled blocks less is read for the same time. */
static void
estimates_less_of_downsampled_blocks(void **at)
{
    struct fixture *f = *at;
    const struct tsdb_label label = {BYTES("__name__"), BYTES("m3")};
    const struct store_estimate_query q = {.demanded = {&label, 1},
                                           .range = {INT64_MIN, INT64_MAX}};
    struct store_estimate raw = {0}, coarse = {0};
    serve(f, BLOCKS, "cluster");
    estimate(f, &raw, &q);
    for (size_t i = 0; i < f->set->count; i++)
        f->set->blocks[i]->meta.resolution_ms = 3600 * 1000;
    estimate(f, &coarse, &q);
    assert_int_equal(coarse.blocks, raw.blocks);
    assert_in_range(coarse.chunks, 1, raw.chunks - 1);
}

/* One series, but a wide look at headers: every pair of an alternation, every value of
 * a label. */
static void
estimates_what_is_looked_at_in_headers(void **at)
{
    struct fixture *f = *at;
    const struct tsdb_label id = {BYTES("id"), BYTES("0300")};
    const struct bytes scanned = BYTES("id");
    struct store_estimate_query q = {.demanded = {&id, 1}, .range = {0, INT64_MAX}};
    struct store_estimate plain = {0}, alternation = {0}, scan = {0};
    serve(f, BLOCKS, "cluster");
    estimate(f, &plain, &q);
    assert_true(store_estimate_is_small(&plain));
    assert_int_equal(store_estimate_alternatives(BYTES("a|b.*|c")), 3);
    q.alternatives = STORE_ESTIMATE_SMALL_LOOKUPS / 2;
    estimate(f, &alternation, &q);
    assert_false(store_estimate_is_small(&alternation));
    q.alternatives = 0;
    q.scanned = &scanned;
    q.scanned_count = 1;
    estimate(f, &scan, &q);
    assert_int_equal(scan.lookups, plain.lookups + BLOCKS * SERIES);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            reads_in_three_rounds_whatever_the_blocks_and_matchers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            reads_in_three_rounds_when_an_external_label_replaces_one, set_up,
            tear_down),
        cmocka_unit_test_setup_teardown(
            leaves_to_the_series_what_their_postings_are_not_worth, set_up, tear_down),
        cmocka_unit_test_setup_teardown(estimates_less_of_downsampled_blocks, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(estimates_what_is_looked_at_in_headers, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(estimates_by_the_labels_that_are_demanded,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(selects_the_same_from_the_cache, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_selection_that_was_made_needs_no_postings,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(selects_the_same_with_any_plan, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
