/* SPDX-License-Identifier: Apache-2.0 */
/* The engine against a naive model: random blocks with random external labels, random
 * matchers and ranges; what the engine yields must be what a loop over all series and
 * samples finds, in order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/xmalloc.h"
#include "common/objstore/dir.h"
#include "common/tsdb/chunk_xor.h"
#include "store/query.h"
#include "tests/support/block_writer.h"
#include "tests/support/served_blocks.h"

enum {
    BLOCKS = 4,
    SERIES = 40,
    MAX_SAMPLES = 150,
    ROUNDS = 12,
    QUERIES = 25,
    BLOCK_MS = 10000,
    MAX_LABELS = 8
};

static uint64_t state = 2463534242u;

static size_t
pick(size_t n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % n;
}

static const char *const names[] = {"__name__", "b", "cluster", "job", "m", "z"};
static const char *const values[] = {"a", "ab", "b", "x.y", "é", "up"};
static const char *const external_names[] = {"a", "cluster", "k", "m", "zz"};

struct model_series {
    struct tsdb_label own[MAX_LABELS];
    struct tsdb_labels labels;
    struct tsdb_labels final;
    size_t count;
    struct tsdb_sample samples[MAX_SAMPLES];
};

struct model_block {
    struct tsdb_ulid id;
    struct tsdb_label external[3];
    struct tsdb_labels external_labels;
    size_t series_count;
    struct model_series series[SERIES];
};

struct fixture {
    char *dir;
    char *data_dir;
    struct objstore_bucket *bucket;
    struct budget budget;
    struct arena arena;
    struct pool *pool;
    struct store_page_cache *pages;
    struct model_block *blocks;
};

static struct err err;

#define MUST(call)                    \
    do {                              \
        if (!(call))                  \
            fail_msg("%s", err.text); \
    } while (0)

static int
set_up(void **at)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    char template[] = "/tmp/blockhouse-query-XXXXXX";
    char data_template[] = "/tmp/blockhouse-query-data-XXXXXX";
    f->dir = xstrdup(mkdtemp(template));
    f->data_dir = xstrdup(mkdtemp(data_template));
    f->blocks = xcalloc(BLOCKS, sizeof *f->blocks);
    budget_init(&f->budget, "test", SIZE_MAX, NULL);
    arena_init(&f->arena, &f->budget);
    MUST(objstore_dir_open(&f->bucket, f->dir, &err));
    MUST(pool_new(&f->pool, "fetch", 4, &err));
    f->pages = store_page_cache_new(1 << 20, &f->budget);
    *at = f;
    return 0;
}

static int
tear_down(void **at)
{
    struct fixture *f = *at;
    pool_free(&f->pool);
    objstore_free(&f->bucket);
    store_page_cache_free(&f->pages);
    arena_fini(&f->arena);
    budget_fini(&f->budget);
    MUST(file_remove_tree(f->dir, &err));
    MUST(file_remove_tree(f->data_dir, &err));
    free(f->blocks);
    free(f->data_dir);
    free(f->dir);
    free(f);
    return 0;
}

static int
by_labels(const void *a, const void *b)
{
    const struct model_series *x = *(const struct model_series *const *)a;
    const struct model_series *y = *(const struct model_series *const *)b;
    return tsdb_labels_cmp(x->labels, y->labels);
}

static void
random_series(struct model_series *s, size_t block)
{
    size_t len = 0;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (pick(5) < (i == 0 ? 5 : 2))
            s->own[len++] = (struct tsdb_label){
                bytes_of_str(names[i]), bytes_of_str(values[pick(ARRAY_LEN(values))])};
    s->labels = (struct tsdb_labels){s->own, len};
    s->count = 1 + pick(MAX_SAMPLES);
    int64_t t = (int64_t)block * BLOCK_MS / 2 + (int64_t)pick(50);
    for (size_t i = 0; i < s->count; i++) {
        s->samples[i].t_ms = t;
        t += 1 + (int64_t)pick(20);
    }
}

/* Values follow from final labels and time, so that overlapping blocks agree. */
static void
set_values(struct model_series *s)
{
    uint64_t hash = 1469598103934665603u;
    for (size_t i = 0; i < s->final.len; i++)
        for (size_t k = 0; k < s->final.at[i].value.len; k++)
            hash = (hash ^ s->final.at[i].value.at[k]) * 1099511628211u + i;
    for (size_t i = 0; i < s->count; i++)
        s->samples[i].value_bits = hash ^ ((uint64_t)s->samples[i].t_ms << 20);
}

static void
make_block(struct fixture *f, size_t number)
{
    struct model_block *b = &f->blocks[number];
    struct model_series *sorted[SERIES];
    size_t len = 0;
    memset(b, 0, sizeof *b);
    b->id.raw[0] = 1;
    b->id.raw[TSDB_ULID_SIZE - 1] = (uint8_t)number;
    for (size_t i = 0; i < ARRAY_LEN(external_names) && len < 3; i++)
        if (pick(2) == 0)
            b->external[len++] = (struct tsdb_label){bytes_of_str(external_names[i]),
                                                     bytes_of_str(values[pick(2)])};
    if (len == 0)
        b->external[len++] = (struct tsdb_label){BYTES("zz"), BYTES("a")};
    b->external_labels = (struct tsdb_labels){b->external, len};
    for (size_t i = 0; i < SERIES; i++) {
        random_series(&b->series[i], number);
        sorted[i] = &b->series[i];
    }
    qsort(sorted, SERIES, sizeof *sorted, by_labels);
    struct block_writer_options options = {.external = b->external_labels,
                                           .segment_limit = 20000,
                                           .index_version = 1 + (int)pick(2)};
    CLEANUP(block_writer_free) struct block_writer *w = NULL;
    MUST(block_writer_new(&w, f->dir, &b->id, &options, &err));
    for (size_t i = 0; i < SERIES; i++) {
        if (i > 0 && tsdb_labels_cmp(sorted[i - 1]->labels, sorted[i]->labels) == 0) {
            sorted[i]->count = 0;
            sorted[i]->labels = sorted[i - 1]->labels;
            continue;
        }
        sorted[i]->final =
            tsdb_labels_with_external(sorted[i]->labels, b->external_labels, &f->arena);
        set_values(sorted[i]);
        MUST(block_writer_add_samples(w, sorted[i]->labels, sorted[i]->samples,
                                      sorted[i]->count, &err));
    }
    MUST(block_writer_finish(w, &err));
}

static struct store_block_set *
serve_all(struct fixture *f)
{
    struct store_block_set *set;
    MUST(served_blocks(&set, f->bucket, f->data_dir, f->pages, &err));
    assert_int_equal(set->count, BLOCKS);
    return set;
}

static struct tsdb_matcher *
random_matcher(void)
{
    static const char *const expressions[] = {
        "a|b",  "a.*", ".*",  ".+",     "",    "a|",  "(a|x\\.y)", ".*b",
        "[ab]", "u+p", "é|z", "(?i)UP", "x.y", "a.+", "nothing",   "(a|b)?"};
    static const char *const matched[] = {"__name__", "b", "cluster", "job",    "m",
                                          "z",        "a", "k",       "absent", "zz"};
    enum tsdb_matcher_type type = (enum tsdb_matcher_type)pick(4);
    bool regex = type == TSDB_MATCH_RE || type == TSDB_MATCH_NRE;
    const char *value = regex          ? expressions[pick(ARRAY_LEN(expressions))]
                        : pick(5) == 0 ? ""
                                       : values[pick(ARRAY_LEN(values))];
    struct tsdb_matcher *m;
    MUST(tsdb_matcher_new(&m, type, bytes_of_str(matched[pick(ARRAY_LEN(matched))]),
                          bytes_of_str(value), &err));
    return m;
}

static bool
is_selected(const struct model_series *s, struct tsdb_matcher *const *matchers,
            size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!tsdb_matcher_matches(
                matchers[i], tsdb_labels_get(s->final, tsdb_matcher_name(matchers[i]))))
            return false;
    return s->count > 0;
}

/* Samples of all selected series of the model inside the range, as a sum that does not
 * depend on order; samples that overlap count once. */
struct tally {
    size_t samples;
    uint64_t sum;
};

static void
count_sample(struct tally *t, struct tsdb_labels labels, struct tsdb_sample s)
{
    uint64_t mix = s.value_bits * UINT64_C(0x2545f4914f6cdd1d) + (uint64_t)s.t_ms;
    for (size_t i = 0; i < labels.len; i++)
        mix = mix * 31 + labels.at[i].value.at[0] + labels.at[i].name.len;
    t->samples++;
    t->sum += mix;
}

static bool
is_elsewhere(const struct fixture *f, struct tsdb_matcher *const *matchers,
             size_t matcher_count, size_t block, size_t series, struct tsdb_sample s)
{
    const struct model_series *self = &f->blocks[block].series[series];
    for (size_t b = 0; b <= block; b++)
        for (size_t i = 0; i < SERIES; i++) {
            const struct model_series *other = &f->blocks[b].series[i];
            if (b == block && i == series)
                return false;
            if (!is_selected(other, matchers, matcher_count) ||
                tsdb_labels_cmp(other->final, self->final) != 0)
                continue;
            for (size_t k = 0; k < other->count; k++)
                if (other->samples[k].t_ms == s.t_ms)
                    return true;
        }
    return false;
}

static struct tally
expected(const struct fixture *f, struct tsdb_matcher *const *matchers, size_t count,
         int64_t mint, int64_t maxt)
{
    struct tally t = {0};
    for (size_t b = 0; b < BLOCKS; b++)
        for (size_t i = 0; i < SERIES; i++) {
            const struct model_series *s = &f->blocks[b].series[i];
            if (!is_selected(s, matchers, count))
                continue;
            for (size_t k = 0; k < s->count; k++)
                if (s->samples[k].t_ms >= mint && s->samples[k].t_ms <= maxt &&
                    !is_elsewhere(f, matchers, count, b, i, s->samples[k]))
                    count_sample(&t, s->final, s->samples[k]);
        }
    return t;
}

static void
count_series(struct tally *t, const struct store_series *s, int64_t mint, int64_t maxt)
{
    int64_t last = INT64_MIN;
    for (size_t i = 0; i < s->chunk_count; i++) {
        struct tsdb_xor_reader r;
        struct tsdb_sample sample;
        bool end;
        assert_true(s->chunks[i].mint_ms > last);
        last = s->chunks[i].maxt_ms;
        assert_int_equal(s->chunks[i].chunk.encoding, TSDB_CHUNK_XOR);
        MUST(tsdb_xor_reader_init(&r, s->chunks[i].chunk.data, &err));
        for (;;) {
            MUST(tsdb_xor_next(&r, &sample, &end, &err));
            if (end)
                break;
            if (sample.t_ms >= mint && sample.t_ms <= maxt)
                count_sample(t, s->labels, sample);
        }
    }
}

/* The same query, with and without chunks: the same series come. */
static void
check_labels_only(struct fixture *f, struct store_query_options options)
{
    CLEANUP(store_fetch_source_fini)
    struct store_fetch_source source = {
        .pool = f->pool, .bucket = f->bucket, .deadline_ns = CLOCK_NEVER};
    struct store_query with, without;
    struct store_series s, labels;
    bool end, labels_end;
    struct store_limits limits = {.max_samples = 1};
    MUST(store_query_open(&with, &options, &err));
    options.labels_only = true;
    options.source = &source;
    options.limits = &limits; /* which count samples do not refuse */
    MUST(store_query_open(&without, &options, &err));
    do {
        MUST(store_query_next(&with, &s, &end, &err));
        MUST(store_query_next(&without, &labels, &labels_end, &err));
        assert_int_equal(end, labels_end);
        assert_true(end || tsdb_labels_cmp(s.labels, labels.labels) == 0);
        assert_true(end || (labels.chunk_count == 0 && s.chunk_count > 0));
    } while (!end);
    store_query_fini(&with);
    store_query_fini(&without);
    assert_int_equal(limits.chunks, 0);
    assert_int_equal(source.data[STORE_DATA_CHUNKS].touched, 0);
}

static struct tally
answered(struct fixture *f, struct store_block_set *set, struct tsdb_matcher **matchers,
         size_t count, int64_t mint, int64_t maxt)
{
    struct tally t = {0};
    CLEANUP(store_fetch_source_fini)
    struct store_fetch_source source = {
        .pool = f->pool, .bucket = f->bucket, .deadline_ns = CLOCK_NEVER};
    struct store_limits limits = {0};
    struct budget budget;
    budget_init(&budget, "query", SIZE_MAX, &f->budget);
    const struct store_query_options options = {
        .blocks = set,
        .matchers = (const struct tsdb_matcher *const *)matchers,
        .matcher_count = count,
        .mint_ms = mint,
        .maxt_ms = maxt,
        .source = &source,
        .limits = &limits,
        .budget = &budget,
        .lookahead_bytes = pick(2) ? 1000 : 1 << 20,
    };
    struct store_query q;
    struct arena last;
    struct tsdb_labels last_labels = {0};
    arena_init(&last, &f->budget);
    MUST(store_query_open(&q, &options, &err));
    for (bool first = true;; first = false) {
        struct store_series s;
        bool end;
        MUST(store_query_next(&q, &s, &end, &err));
        if (end)
            break;
        assert_true(first || tsdb_labels_cmp(last_labels, s.labels) < 0);
        arena_reset(&last);
        MUST(store_labels_copy(&last_labels, s.labels, &last, &err));
        count_series(&t, &s, mint, maxt);
    }
    store_query_fini(&q);
    check_labels_only(f, options);
    arena_fini(&last);
    budget_fini(&budget);
    return t;
}

static void
check_queries(struct fixture *f, struct store_block_set *set)
{
    for (int i = 0; i < QUERIES; i++) {
        struct tsdb_matcher *matchers[3];
        size_t count = 1 + pick(ARRAY_LEN(matchers));
        int64_t mint = (int64_t)pick(BLOCK_MS * BLOCKS / 2);
        int64_t maxt = mint + (int64_t)pick(BLOCK_MS * 2);
        for (size_t k = 0; k < count; k++)
            matchers[k] = random_matcher();
        struct tally want = expected(f, matchers, count, mint, maxt);
        struct tally got = answered(f, set, matchers, count, mint, maxt);
        assert_int_equal(got.samples, want.samples);
        assert_true(got.sum == want.sum);
        for (size_t k = 0; k < count; k++)
            tsdb_matcher_free(&matchers[k]);
    }
}

static void
answers_what_a_naive_model_finds(void **at)
{
    struct fixture *f = *at;
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < BLOCKS; i++)
            make_block(f, i);
        struct store_block_set *set = serve_all(f);
        check_queries(f, set);
        store_block_set_unref(&set);
        arena_reset(&f->arena);
        for (size_t i = 0; i < BLOCKS; i++) {
            struct tsdb_ulid_text name = tsdb_ulid_print(&f->blocks[i].id);
            CLEANUP(xfree) char *path = xasprintf("%s/%s", f->dir, name.text);
            CLEANUP(xfree)
            char *header =
                xasprintf("%s/%s%s", f->data_dir, name.text, STORE_BLOCK_HEADER_SUFFIX);
            MUST(file_remove_tree(path, &err) && file_remove_tree(header, &err));
        }
    }
}

/* A selection may take long without reading anything. */
static void
stops_selecting_when_the_deadline_has_passed(void **at)
{
    struct fixture *f = *at;
    for (size_t i = 0; i < BLOCKS; i++)
        make_block(f, i);
    CLEANUP(store_block_set_unref) struct store_block_set *set = serve_all(f);
    CLEANUP(tsdb_matcher_free) struct tsdb_matcher *m = NULL;
    MUST(tsdb_matcher_new(&m, TSDB_MATCH_RE, BYTES("job"), BYTES(".+"), &err));
    CLEANUP(store_fetch_source_fini)
    struct store_fetch_source source = {
        .pool = f->pool, .bucket = f->bucket, .deadline_ns = 1};
    struct store_limits limits = {0};
    const struct store_query_options options = {
        .blocks = set,
        .matchers = (const struct tsdb_matcher *const *)&m,
        .matcher_count = 1,
        .maxt_ms = INT64_MAX,
        .source = &source,
        .limits = &limits,
        .budget = &f->budget,
        .lookahead_bytes = 1 << 20,
    };
    struct store_query q;
    assert_false(store_query_open(&q, &options, &err));
    assert_int_equal(err.code, ERR_TIMEOUT);
    assert_int_equal(store_data_totals_sum(source.data).requests, 0);
    store_query_fini(&q);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(answers_what_a_naive_model_finds, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(stops_selecting_when_the_deadline_has_passed,
                                        set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
