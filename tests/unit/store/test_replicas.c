/* SPDX-License-Identifier: Apache-2.0 */
/* The engine with labels that are dropped, against a naive model: random blocks whose
 * series have those labels themselves, or by external labels, at any place. What comes
 * must be in order, each label set once, with the samples that merging its replicas
 * yields. */
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
#include "common/tsdb/chunk_xor.h"
#include "store/chunk_merge.h"
#include "store/label_query.h"
#include "store/query.h"
#include "tests/support/block_writer.h"
#include "tests/support/expect.h"
#include "tests/support/served_blocks.h"

enum {
    BLOCKS = 4,
    SERIES = 60,
    ALL = BLOCKS * SERIES,
    MAX_SAMPLES = 150,
    MAX_MERGED = ALL * MAX_SAMPLES,
    MAX_LABELS = 8,
    ROUNDS = 60,
    MINT_MS = 1000000,
    MAXT_MS = 2500000
};

static uint64_t state = 2463534242u;

static size_t
pick(size_t n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (size_t)(state >> 20) % n;
}

static const char *const names[] = {"__name__", "a", "b", "r", "s", "z"};
static const char *const values[] = {"1", "2"};
static const char *const external_names[] = {"a", "r", "rr", "zz"};
static const char *const droppable[] = {"b", "r", "z", "rr", "zz", "absent"};

struct model_series {
    struct tsdb_label own[MAX_LABELS];
    struct tsdb_labels labels;
    struct tsdb_labels stay;
    struct tsdb_labels replica;
    size_t block;
    struct tsdb_sample samples[MAX_SAMPLES];
    size_t count; /* 0: it is there twice, and this one is not written */
};

struct fixture {
    char *dir;
    char *data_dir;
    struct objstore_bucket *bucket;
    struct budget budget;
    struct arena arena;
    struct pool *pool;
    struct store_page_cache *pages;
    struct store_replica_labels dropped;
    struct tsdb_label external[BLOCKS][2];
    struct tsdb_labels external_labels[BLOCKS];
    struct model_series series[ALL];
    struct model_series *sorted[ALL]; /* by labels that stay, replica and block */
};

static struct err err;

#define MUST(call) expect_ok(call, err)

static int
set_up(void **at)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    char template[] = "/tmp/blockhouse-replicas-XXXXXX";
    char data_template[] = "/tmp/blockhouse-replicas-data-XXXXXX";
    f->dir = xstrdup(mkdtemp(template));
    f->data_dir = xstrdup(mkdtemp(data_template));
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
    store_replica_labels_fini(&f->dropped);
    pool_free(&f->pool);
    objstore_free(&f->bucket);
    store_page_cache_free(&f->pages);
    arena_fini(&f->arena);
    budget_fini(&f->budget);
    MUST(file_remove_tree(f->dir, &err));
    MUST(file_remove_tree(f->data_dir, &err));
    free(f->data_dir);
    free(f->dir);
    free(f);
    return 0;
}

static void
pick_dropped(struct fixture *f)
{
    const char *texts[2];
    size_t count = 1 + pick(ARRAY_LEN(texts));
    for (size_t i = 0; i < count; i++)
        texts[i] = droppable[pick(ARRAY_LEN(droppable))];
    store_replica_labels_fini(&f->dropped);
    MUST(store_replica_labels_init(&f->dropped, texts, count, &err));
}

static void
make_series(struct fixture *f, struct model_series *s, size_t block)
{
    size_t len = 0;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (i == 0 || pick(5) < 2)
            s->own[len++] = (struct tsdb_label){
                bytes_of_str(names[i]), bytes_of_str(values[pick(ARRAY_LEN(values))])};
    s->labels = (struct tsdb_labels){s->own, len};
    s->block = block;
    struct tsdb_labels full =
        tsdb_labels_with_external(s->labels, f->external_labels[block], &f->arena);
    MUST(store_replica_labels_split(&f->dropped, full, &s->stay, &s->replica, &f->arena,
                                    &err));
    s->count = 1 + pick(MAX_SAMPLES);
    int64_t t_ms = (int64_t)block * 500000 + (int64_t)pick(20000);
    for (size_t i = 0; i < s->count; i++) {
        s->samples[i] = (struct tsdb_sample){t_ms, pick(1000)};
        t_ms += pick(20) == 0 ? 200000 : 9000 + (int64_t)pick(2000);
    }
}

static int
by_own(const void *a, const void *b)
{
    const struct model_series *x = a, *y = b;
    return tsdb_labels_cmp(x->labels, y->labels);
}

static int
by_answer(const void *a, const void *b)
{
    const struct model_series *x = *(struct model_series *const *)a;
    const struct model_series *y = *(struct model_series *const *)b;
    int order = tsdb_labels_cmp(x->stay, y->stay);
    if (order == 0)
        order = tsdb_labels_cmp(x->replica, y->replica);
    return order != 0 ? order : (x->block > y->block) - (x->block < y->block);
}

/* What points into series moves with them. */
static void
sort_block(struct model_series *series)
{
    qsort(series, SERIES, sizeof *series, by_own);
    for (size_t i = 0; i < SERIES; i++)
        series[i].labels.at = series[i].own;
}

static void
make_block(struct fixture *f, size_t number)
{
    struct model_series *series = &f->series[number * SERIES];
    const struct tsdb_ulid id = {.raw = {1, (uint8_t)number}};
    size_t len = 0;
    for (size_t i = 0; i < ARRAY_LEN(external_names) && len < 2; i++)
        if (pick(3) == 0)
            f->external[number][len++] = (struct tsdb_label){
                bytes_of_str(external_names[i]), bytes_of_str(values[pick(2)])};
    if (len == 0)
        f->external[number][len++] = (struct tsdb_label){BYTES("zz"), BYTES("1")};
    f->external_labels[number] = (struct tsdb_labels){f->external[number], len};
    for (size_t i = 0; i < SERIES; i++)
        make_series(f, &series[i], number);
    sort_block(series);
    const struct block_writer_options options = {.external = f->external_labels[number],
                                                 .index_version = 1 + (int)pick(2)};
    CLEANUP(block_writer_free) struct block_writer *w = NULL;
    MUST(block_writer_new(&w, f->dir, &id, &options, &err));
    const struct model_series *last = NULL;
    for (size_t i = 0; i < SERIES; i++) {
        if (last != NULL && tsdb_labels_cmp(last->labels, series[i].labels) == 0) {
            series[i].count = 0;
            continue;
        }
        last = &series[i];
        MUST(block_writer_add_samples(w, last->labels, last->samples, last->count,
                                      &err));
    }
    MUST(block_writer_finish(w, &err));
}

static void
remove_blocks(struct fixture *f)
{
    for (size_t i = 0; i < BLOCKS; i++) {
        struct tsdb_ulid_text name =
            tsdb_ulid_print(&(struct tsdb_ulid){.raw = {1, (uint8_t)i}});
        CLEANUP(xfree) char *path = xasprintf("%s/%s", f->dir, name.text);
        CLEANUP(xfree)
        char *header =
            xasprintf("%s/%s%s", f->data_dir, name.text, STORE_BLOCK_HEADER_SUFFIX);
        MUST(file_remove_tree(path, &err) && file_remove_tree(header, &err));
    }
}

/* The chunks of a series of the model, as block_writer cuts them. */
static size_t
add_chunks(struct fixture *f, const struct model_series *s, struct tsdb_timed_chunk *to)
{
    size_t count = 0;
    for (size_t at = 0; at < s->count; at += 120) {
        CLEANUP(buf_fini) struct buf data = {0};
        struct tsdb_xor_writer w;
        size_t end = at + 120 < s->count ? at + 120 : s->count;
        /* the engine reads what overlaps the query */
        if (s->samples[at].t_ms > MAXT_MS || s->samples[end - 1].t_ms < MINT_MS)
            continue;
        tsdb_xor_writer_init(&w, &data);
        for (size_t i = at; i < end; i++)
            tsdb_xor_append(&w, s->samples[i]);
        tsdb_xor_finish(&w);
        to[count++] = (struct tsdb_timed_chunk){
            s->samples[at].t_ms, s->samples[end - 1].t_ms,
            tsdb_chunk_loose(TSDB_CHUNK_XOR, arena_copy(&f->arena, buf_bytes(&data)))};
    }
    return count;
}

/* The series of the model from *at on that are one in the answer, merged; *at moves
 * behind them. False: they have no chunk that the engine reads. */
static bool
merge_model(struct fixture *f, size_t *at, const struct store_replica_rule *rule,
            struct store_replica *out)
{
    static struct tsdb_timed_chunk chunks[ALL * 2];
    struct store_replica replicas[ALL];
    size_t count = 0, used = 0, i = *at;
    while (i < ALL && tsdb_labels_cmp(f->sorted[i]->stay, f->sorted[*at]->stay) == 0) {
        size_t first = i, begin = used;
        for (; i < ALL &&
               tsdb_labels_cmp(f->sorted[i]->stay, f->sorted[*at]->stay) == 0 &&
               tsdb_labels_cmp(f->sorted[i]->replica, f->sorted[first]->replica) == 0;
             i++)
            used += add_chunks(f, f->sorted[i], chunks + used);
        if (used > begin) {
            MUST(store_chunk_merge(chunks + begin, used - begin, &f->arena,
                                   &replicas[count].chunks, &replicas[count].count,
                                   &err));
            count++;
        }
    }
    *at = i;
    if (count > 0)
        MUST(store_replica_merge(replicas, count, rule, &f->arena, out, &err));
    return count > 0;
}

static size_t
decode(struct store_replica r, struct tsdb_sample *to)
{
    size_t total = 0;
    for (size_t i = 0; i < r.count; i++) {
        struct tsdb_xor_reader reader;
        MUST(tsdb_xor_reader_init(&reader, r.chunks[i].chunk.data, &err));
        MUST(tsdb_xor_read_all(&reader, to + total, &err));
        total += tsdb_xor_reader_count(&reader);
    }
    return total;
}

static void
expect_series(struct store_replica expected, const struct store_series *got)
{
    static struct tsdb_sample want[MAX_MERGED], have[MAX_MERGED];
    size_t count = decode(expected, want);
    assert_int_equal(
        count, decode((struct store_replica){got->chunks, got->chunk_count}, have));
    assert_memory_equal(want, have, count * sizeof *want);
}

static void
check_query(struct fixture *f, struct store_block_set *set, bool labels_only)
{
    CLEANUP(store_fetch_source_fini)
    struct store_fetch_source source = {
        .pool = f->pool, .bucket = f->bucket, .deadline_ns = CLOCK_NEVER};
    CLEANUP(tsdb_matcher_free) struct tsdb_matcher *m = NULL;
    struct store_limits limits = {0};
    struct store_query q;
    size_t at = 0;
    MUST(tsdb_matcher_new(&m, TSDB_MATCH_NEQ, BYTES("__name__"), BYTES(""), &err));
    const struct store_query_options options = {
        .blocks = set,
        .matchers = (const struct tsdb_matcher *const *)&m,
        .matcher_count = 1,
        .mint_ms = MINT_MS,
        .maxt_ms = MAXT_MS,
        .hints = {.func = pick(2) == 0 ? BYTES("rate") : BYTES("sum")},
        .dropped = f->dropped,
        .labels_only = labels_only,
        .source = &source,
        .limits = &limits,
        .budget = &f->budget,
        .lookahead_bytes = pick(2) == 0 ? 1000 : 1 << 20,
    };
    const struct store_replica_rule rule = {
        MINT_MS, MAXT_MS, store_replica_is_counter(options.hints.func)};
    MUST(store_query_open(&q, &options, &err));
    for (;;) {
        struct store_series s;
        struct store_replica expected = {0};
        bool end, is_there = false;
        size_t first = at;
        MUST(store_query_next(&q, &s, &end, &err));
        while (at < ALL && !is_there) {
            first = at;
            is_there = merge_model(f, &at, &rule, &expected);
        }
        assert_int_equal(end, !is_there);
        if (end)
            break;
        assert_int_equal(tsdb_labels_cmp(s.labels, f->sorted[first]->stay), 0);
        if (!labels_only)
            expect_series(expected, &s);
    }
    store_query_fini(&q);
}

/* Texts of a label query, each behind a comma. */
static void
ask(struct fixture *f, struct store_block_set *set, struct bytes name, struct buf *out)
{
    CLEANUP(store_fetch_source_fini)
    struct store_fetch_source source = {
        .pool = f->pool, .bucket = f->bucket, .deadline_ns = CLOCK_NEVER};
    struct store_limits limits = {0};
    struct store_label_query q;
    const struct store_label_query_options options = {.blocks = set,
                                                      .name = name,
                                                      .dropped = f->dropped,
                                                      .mint_ms = INT64_MIN,
                                                      .maxt_ms = INT64_MAX,
                                                      .source = &source,
                                                      .limits = &limits,
                                                      .budget = &f->budget,
                                                      .lookahead_bytes = 1 << 20};
    MUST(store_label_query_open(&q, &options, &err));
    for (;;) {
        struct bytes text;
        bool end;
        MUST(store_label_query_next(&q, &text, &end, &err));
        if (end)
            break;
        buf_put_u8(out, ',');
        buf_put(out, text);
    }
    store_label_query_fini(&q);
}

static void
check_discovery(struct fixture *f, struct store_block_set *set)
{
    CLEANUP(buf_fini) struct buf found = {0};
    ask(f, set, (struct bytes){0}, &found);
    assert_non_null(strstr(buf_text(&found), "__name__"));
    for (size_t i = 0; i < f->dropped.count; i++) {
        CLEANUP(buf_fini) struct buf none = {0};
        CLEANUP(xfree)
        char *name = xasprintf(",%.*s,", BYTES_FMT(f->dropped.names[i]));
        buf_put_u8(&found, ',');
        assert_null(strstr(buf_text(&found), name));
        ask(f, set, f->dropped.names[i], &none);
        assert_int_equal(none.len, 0);
    }
}

static void
labels_are_dropped_in_the_order_of_answers(void **at)
{
    struct fixture *f = *at;
    for (int round = 0; round < ROUNDS; round++) {
        struct store_block_set *set;
        pick_dropped(f);
        for (size_t i = 0; i < BLOCKS; i++)
            make_block(f, i);
        size_t written = 0;
        for (size_t i = 0; i < ALL; i++)
            f->sorted[i] = &f->series[i];
        for (size_t i = 0; i < ALL; i++)
            written += f->series[i].count > 0;
        assert_true(written > ALL / 4);
        qsort(f->sorted, ALL, sizeof f->sorted[0], by_answer);
        MUST(served_blocks(&set, f->bucket, f->data_dir, f->pages, &err));
        check_query(f, set, false);
        check_query(f, set, true);
        check_discovery(f, set);
        store_block_set_unref(&set);
        remove_blocks(f);
        arena_reset(&f->arena);
    }
}

static void
names_may_be_lists(void **at)
{
    struct store_replica_labels r;
    const char *const texts[] = {"replica,a", "b", "a,replica"};
    const char *const wrong[] = {"", "a,", ",a", "a,,b", "\xff"};
    (void)at;
    MUST(store_replica_labels_init(&r, texts, ARRAY_LEN(texts), &err));
    assert_int_equal(r.count, 3);
    assert_true(store_replica_labels_has(&r, BYTES("replica")));
    assert_true(store_replica_labels_has(&r, BYTES("b")));
    assert_false(store_replica_labels_has(&r, BYTES("replica,a")));
    store_replica_labels_fini(&r);
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        expect_fails(store_replica_labels_init(&r, &wrong[i], 1, &err), err,
                     ERR_INVALID);
    MUST(store_replica_labels_init(&r, NULL, 0, &err));
    assert_false(store_replica_labels_has(&r, BYTES("")));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(labels_are_dropped_in_the_order_of_answers,
                                        set_up, tear_down),
        cmocka_unit_test(names_may_be_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
