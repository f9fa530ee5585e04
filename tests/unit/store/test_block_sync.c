/* SPDX-License-Identifier: Apache-2.0 */
/* The sync over a bucket in a directory whose blocks come, go and break. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/xmalloc.h"
#include "common/objstore/dir.h"
#include "common/tsdb/block_path.h"
#include "store/block_snapshot.h"
#include "store/block_sync.h"
#include "tests/support/block_writer.h"
#include "tests/support/expect.h"
#include "tests/support/faulty_bucket.h"

enum { WAIT_S = 30 };

struct fixture {
    char *bucket_dir;
    char *data_dir;
    struct objstore_bucket *bucket;
    struct budget budget;
    struct store_page_cache *cache;
    struct store_block_headers *headers;
    struct metrics_registry *metrics;
    struct app_admin *admin;
    struct store_block_view view;
    struct store_block_sync *sync;
    struct store_block_sync_options options;
};

static struct err err;

static void
new_sync(struct fixture *f)
{
    store_block_sync_free(&f->sync);
    store_block_headers_free(&f->headers);
    app_admin_free(&f->admin);
    metrics_registry_free(&f->metrics);
    f->options.metrics = f->metrics = metrics_registry_new();
    f->options.admin = f->admin = app_admin_new("store", f->metrics);
    const struct store_block_headers_options headers = {.bucket = f->bucket,
                                                        .cache = f->cache,
                                                        .metrics = f->metrics,
                                                        .data_dir = f->data_dir,
                                                        .threads = 4};
    expect_ok(store_block_headers_new(&f->headers, &headers, &err), err);
    f->options.headers = f->headers;
    expect_ok(store_block_sync_new(&f->sync, &f->options, &err), err);
}

static int
set_up(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    char bucket_dir[] = "/tmp/blockhouse-bucket-XXXXXX";
    char data_dir[] = "/tmp/blockhouse-data-XXXXXX";
    struct objstore_bucket *dir = NULL;
    f->bucket_dir = xstrdup(mkdtemp(bucket_dir));
    f->data_dir = xasprintf("%s/deeper", mkdtemp(data_dir));
    expect_ok(objstore_dir_open(&dir, f->bucket_dir, &err), err);
    f->bucket = faulty_bucket_new(dir);
    budget_init(&f->budget, "test", SIZE_MAX, NULL);
    f->cache = store_page_cache_new(1 << 20, &f->budget);
    store_block_view_init(&f->view);
    f->options = (struct store_block_sync_options){
        .bucket = f->bucket,
        .view = &f->view,
        .data_dir = f->data_dir,
        .interval_ns = CLOCK_NS_PER_S / 50,
        .meta_concurrency = 4,
        .mint = {.ms = INT64_MIN / 2},
        .maxt = {.ms = INT64_MAX / 2},
        .deletion_delay_ms = 3600 * 1000,
    };
    new_sync(f);
    *state = f;
    return 0;
}

static int
tear_down(void **state)
{
    struct fixture *f = *state;
    store_block_sync_free(&f->sync);
    store_block_headers_free(&f->headers);
    store_block_view_fini(&f->view);
    store_page_cache_free(&f->cache);
    app_admin_free(&f->admin);
    metrics_registry_free(&f->metrics);
    objstore_free(&f->bucket);
    budget_fini(&f->budget);
    expect_ok(file_remove_tree(f->bucket_dir, &err), err);
    *strrchr(f->data_dir, '/') = 0;
    expect_ok(file_remove_tree(f->data_dir, &err), err);
    free(f->bucket_dir);
    free(f->data_dir);
    free(f);
    return 0;
}

/* Blocks have numbers; theirs is the last digit of their name. */
static struct tsdb_ulid
id_of(unsigned number)
{
    return (struct tsdb_ulid){.raw = {1, [TSDB_ULID_SIZE - 1] = (uint8_t)number}};
}

static char *
path_in(const char *dir, unsigned number, const char *file)
{
    struct tsdb_ulid id = id_of(number);
    return xasprintf("%s/%s%s", dir, tsdb_ulid_print(&id).text, file);
}

static void
put_file(struct fixture *f, unsigned number, const char *file, const char *text)
{
    CLEANUP(xfree) char *path = path_in(f->bucket_dir, number, file);
    expect_ok(file_replace(path, bytes_of_str(text), &err), err);
}

static void
remove_file(struct fixture *f, unsigned number, const char *file)
{
    CLEANUP(xfree) char *path = path_in(f->bucket_dir, number, file);
    expect_ok(file_remove_tree(path, &err), err);
}

/* A block of one series from start_ms on. */
static void
put_block(struct fixture *f, unsigned number, int64_t start_ms)
{
    struct tsdb_ulid id = id_of(number);
    struct tsdb_label external = {BYTES("cluster"), BYTES("eu")};
    struct tsdb_label own = {BYTES("__name__"), BYTES("up")};
    struct tsdb_sample samples[] = {{.t_ms = start_ms}, {.t_ms = start_ms + 1000}};
    struct block_writer_options options = {.external = {&external, 1}};
    CLEANUP(block_writer_free) struct block_writer *w = NULL;
    expect_ok(block_writer_new(&w, f->bucket_dir, &id, &options, &err), err);
    expect_ok(
        block_writer_add_samples(w, (struct tsdb_labels){&own, 1}, samples, 2, &err),
        err);
    expect_ok(block_writer_finish(w, &err), err);
}

/* A meta with these members beside ULID and version. */
static void
put_meta(struct fixture *f, unsigned number, const char *members)
{
    struct tsdb_ulid id = id_of(number);
    CLEANUP(xfree)
    char *text = xasprintf("{\"ulid\":\"%s\",\"version\":1,%s}",
                           tsdb_ulid_print(&id).text, members);
    put_file(f, number, "/meta.json", text);
}

static bool
run(struct fixture *f)
{
    bool complete = false;
    expect_ok(store_block_sync_run(f->sync, &complete, &err), err);
    store_block_sync_settle(f->sync);
    return complete;
}

/* Check that these blocks are served, in that order; a number ends in 0. */
static void
check_served(struct fixture *f, const unsigned *numbers)
{
    const struct store_fetch_source source = {
        .deadline_ns = clock_deadline(WAIT_S * CLOCK_NS_PER_S)};
    struct store_block_set *set = store_block_view_get(&f->view);
    for (size_t i = 0; i < set->count; i++) {
        struct tsdb_ulid id = id_of(numbers[i]);
        if (numbers[i] == 0 || tsdb_ulid_cmp(&set->blocks[i]->id, &id) != 0)
            fail_msg("%s is served", set->blocks[i]->name.text);
        bool has = false;
        expect_ok(store_block_headers_get(set->blocks[i], &source, &err), err);
        expect_ok(store_index_header_has_name(set->blocks[i]->header, BYTES("__name__"),
                                              &has, &err),
                  err);
        assert_true(has);
    }
    if (numbers[set->count] != 0)
        fail_msg("block %u is not served", numbers[set->count]);
    store_block_set_unref(&set);
}

#define CHECK_SERVED(f, ...) check_served((f), (const unsigned[]){__VA_ARGS__, 0})

static void
check_metric(struct fixture *f, const char *line)
{
    CLEANUP(buf_fini) struct buf text = {0};
    CLEANUP(xfree) char *wanted = xasprintf("\n%s\n", line);
    metrics_print(f->metrics, &text);
    if (strstr(buf_text(&text), wanted) == NULL)
        fail_msg("no line %s in\n%s", line, buf_text(&text));
}

static void
tells_an_empty_bucket_from_one_that_was_not_looked_at(void **state)
{
    struct fixture *f = *state;
    assert_null(store_block_view_get(&f->view));
    assert_true(run(f));
    check_served(f, (const unsigned[]){0});
}

static void
serves_complete_blocks_in_order_of_time(void **state)
{
    struct fixture *f = *state;
    put_block(f, 1, 5000);
    put_block(f, 2, 1000);
    put_block(f, 3, 5000);
    put_block(f, 4, 3000);
    remove_file(f, 4, "/meta.json");
    CLEANUP(xfree) char *foreign = xasprintf("%s/debug", f->bucket_dir);
    expect_ok(file_mkdirs(foreign, &err), err);
    assert_true(run(f));
    CHECK_SERVED(f, 2, 1, 3);
    check_metric(f, "thanos_blocks_meta_synced{state=\"loaded\"} 3");
    check_metric(f, "thanos_blocks_meta_synced{state=\"no-meta-json\"} 1");
    check_metric(f, "thanos_bucket_store_blocks_loaded 3");
    check_metric(f, "thanos_bucket_store_block_loads_total 3");
}

static void
tells_segments_sizes_and_labels(void **state)
{
    struct fixture *f = *state;
    put_block(f, 1, 0);
    put_file(f, 1, "/chunks/000002", "xx");
    put_file(f, 1, "/chunks/000003", "xxx");
    put_file(f, 1, "/chunks/readme", "x");
    put_meta(f, 1,
             "\"minTime\":0,\"maxTime\":1001,\"thanos\":{\"labels\":{\"b\":\"2\",\"a\":"
             "\"1\"},\"segment_files\":[\"000003\",\"000001\"]}");
    put_block(f, 2, 10);
    put_meta(f, 2, "\"minTime\":0,\"maxTime\":1001");
    put_file(f, 2, "/chunks/000002", "xx");
    assert_true(run(f));
    struct store_block_set *set = store_block_view_get(&f->view);
    assert_int_equal(set->count, 2);
    const struct store_block *b = set->blocks[0];
    assert_int_equal(b->segment_count, 2);
    assert_non_null(strstr(b->segments[0].key, "/chunks/000003"));
    assert_int_equal(b->segments[0].size, 3);
    assert_non_null(strstr(b->segments[1].key, "/chunks/000001"));
    assert_int_equal(b->meta.external.len, 2);
    assert_true(bytes_eq(tsdb_labels_get(b->meta.external, BYTES("a")), BYTES("1")));
    b = set->blocks[1];
    assert_int_equal(b->meta.external.len, 0);
    assert_int_equal(b->segment_count, 2);
    assert_non_null(strstr(b->segments[1].key, "/chunks/000002"));
    store_block_set_unref(&set);
}

static void
sees_segments_that_come_late(void **state)
{
    struct fixture *f = *state;
    put_block(f, 1, 0);
    put_meta(f, 1, "\"minTime\":0,\"maxTime\":1001");
    assert_true(run(f));
    put_file(f, 1, "/chunks/000002", "xx");
    assert_true(run(f));
    struct store_block_set *set = store_block_view_get(&f->view);
    assert_int_equal(set->count, 1);
    assert_int_equal(set->blocks[0]->segment_count, 2);
    store_block_set_unref(&set);
}

static void
leaves_broken_blocks_out_until_they_heal(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 1; i <= 7; i++)
        put_block(f, i, 1000 * i);
    CLEANUP(xfree) char *index = path_in(f->bucket_dir, 2, "/index");
    CLEANUP(xfree) char *moved = path_in(f->bucket_dir, 3, "/moved");
    CLEANUP(xfree) char *there = path_in(f->bucket_dir, 3, "/index");
    assert_int_equal(truncate(index, 100), 0);
    assert_int_equal(rename(there, moved), 0);
    put_file(f, 4, "/meta.json", "{\"ulid\":");
    put_meta(f, 5,
             "\"minTime\":0,\"maxTime\":1,\"thanos\":{\"segment_files\":[\"000009\"]}");
    put_file(f, 6, "/meta.json",
             "{\"ulid\":\"01M852M9MD7R7B87FBFM0F3DC8\",\"version\":1,\"minTime\":0,"
             "\"maxTime\":1}");
    assert_true(run(f));
    CHECK_SERVED(f, 1, 7);
    check_metric(f, "thanos_blocks_meta_synced{state=\"corrupted-meta-json\"} 1");
    check_metric(f, "thanos_blocks_meta_synced{state=\"failed\"} 4");
    check_metric(f, "thanos_bucket_store_block_load_failures_total 1");
    unsigned gets = faulty_bucket_calls(f->bucket, FAULTY_GET);
    assert_true(run(f));
    check_metric(f, "thanos_blocks_meta_synced{state=\"corrupted-meta-json\"} 1");
    check_metric(f, "thanos_blocks_meta_synced{state=\"failed\"} 4");
    assert_int_equal(faulty_bucket_calls(f->bucket, FAULTY_GET), gets + 2); /* twice */
    assert_int_equal(rename(moved, there), 0);
    put_meta(f, 4, "\"minTime\":4000,\"maxTime\":5000");
    assert_true(run(f));
    CHECK_SERVED(f, 1, 3, 4, 7);
}

static struct store_sync_moment
look(struct fixture *f)
{
    struct store_sync_moment m;
    store_sync_progress_look(store_block_sync_progress(f->sync), &m);
    return m;
}

/* Check that the n-th block that is not served is number, in that state, for a reason
 * that has text in it; "": for none that is told. */
static void
check_unserved(const struct store_sync_moment *m, size_t n, unsigned number,
               enum store_block_state state, const char *text)
{
    struct tsdb_ulid id = id_of(number);
    assert_true(n < m->report->count);
    const struct store_unserved *u = &m->report->blocks[n];
    assert_int_equal(tsdb_ulid_cmp(&u->id, &id), 0);
    assert_int_equal(u->state, state);
    assert_int_equal(u->failure != NULL, *text != 0);
    if (u->failure != NULL)
        assert_non_null(strstr(u->failure->text, text));
}

static void
tells_why_blocks_are_not_served(void **state)
{
    struct fixture *f = *state;
    CLEANUP(store_sync_moment_fini) struct store_sync_moment before = look(f);
    assert_null(before.report);
    assert_true(before.ended_ms == INT64_MIN && before.read_ms == INT64_MIN);
    for (unsigned i = 1; i <= 4; i++)
        put_block(f, i, 1000 * i);
    CLEANUP(xfree) char *index = path_in(f->bucket_dir, 2, "/index");
    assert_int_equal(truncate(index, 100), 0);
    put_file(f, 3, "/meta.json", "{\"ulid\":");
    remove_file(f, 4, "/meta.json");
    assert_true(run(f));
    CLEANUP(store_sync_moment_fini) struct store_sync_moment broken = look(f);
    assert_int_equal(broken.report->count, 3);
    check_unserved(&broken, 0, 2, STORE_BLOCK_FAILED, "index");
    check_unserved(&broken, 1, 3, STORE_BLOCK_BAD_META, "meta.json");
    check_unserved(&broken, 2, 4, STORE_BLOCK_NO_META, "");
    assert_int_equal(broken.counts[STORE_BLOCK_SERVED], 1);
    assert_int_equal(broken.counts[STORE_BLOCK_FAILED], 1);
    put_meta(f, 3, "\"minTime\":4000,\"maxTime\":5000");
    assert_true(run(f));
    CLEANUP(store_sync_moment_fini) struct store_sync_moment healed = look(f);
    assert_int_equal(healed.report->count, 2);
    assert_int_equal(healed.counts[STORE_BLOCK_SERVED], 2);
    /* Who has looked keeps what there was. */
    assert_int_equal(broken.report->count, 3);
}

static void
tells_how_the_last_pass_went(void **state)
{
    struct fixture *f = *state;
    bool complete;
    put_block(f, 1, 1000);
    put_block(f, 2, 2000);
    assert_true(run(f));
    CLEANUP(store_sync_moment_fini) struct store_sync_moment good = look(f);
    assert_true(good.is_complete && !good.is_running && !good.is_of_snapshot);
    assert_int_equal(good.failure.code, ERR_NONE);
    assert_int_equal(good.metas, 2);
    assert_int_equal(good.unread, 0);
    assert_true(good.begun_ms <= good.ended_ms && good.read_ms >= good.begun_ms);
    faulty_bucket_add(f->bucket, (struct faulty_rule){.ops = FAULTY_LIST,
                                                      .how = FAULTY_CUT,
                                                      .code = ERR_THROTTLED});
    expect_fails(store_block_sync_run(f->sync, &complete, &err), err, ERR_THROTTLED);
    CLEANUP(store_sync_moment_fini) struct store_sync_moment bad = look(f);
    assert_false(bad.is_complete);
    assert_int_equal(bad.failure.code, ERR_THROTTLED);
    assert_string_equal(bad.failure.text, err.text);
    assert_true(bad.read_ms == good.read_ms);
    faulty_bucket_heal(f->bucket);
    new_sync(f);
    faulty_bucket_add(f->bucket, (struct faulty_rule){.ops = FAULTY_LIST,
                                                      .how = FAULTY_CUT,
                                                      .code = ERR_THROTTLED});
    expect_fails(store_block_sync_run(f->sync, &complete, &err), err, ERR_THROTTLED);
    CLEANUP(store_sync_moment_fini) struct store_sync_moment restored = look(f);
    assert_true(restored.is_of_snapshot);
    assert_int_equal(restored.counts[STORE_BLOCK_SERVED], 2);
    faulty_bucket_heal(f->bucket);
}

static bool
has_file(struct fixture *f, unsigned number, const char *file)
{
    CLEANUP(xfree) char *path = path_in(f->data_dir, number, file);
    return file_exists(path);
}

static void
follows_blocks_that_come_and_go(void **state)
{
    struct fixture *f = *state;
    put_block(f, 1, 1000);
    put_block(f, 2, 2000);
    assert_true(run(f));
    struct store_block_set *old = store_block_view_get(&f->view);
    assert_true(has_file(f, 1, ".bhx"));
    remove_file(f, 1, "");
    put_block(f, 3, 3000);
    assert_true(run(f));
    CHECK_SERVED(f, 2, 3);
    assert_false(has_file(f, 1, ".bhx"));
    assert_true(has_file(f, 2, ".bhx"));
    check_metric(f, "thanos_bucket_store_block_drops_total 1");
    /* A query that began before still has its blocks. */
    assert_int_equal(old->count, 2);
    assert_int_equal(old->blocks[0]->meta.mint_ms, 1000);
    store_block_set_unref(&old);
    remove_file(f, 3, "/meta.json");
    assert_true(run(f));
    CHECK_SERVED(f, 2);
    check_metric(f, "thanos_bucket_store_block_drops_total 2");
}

static void
keeps_serving_when_the_bucket_cannot_be_listed(void **state)
{
    struct fixture *f = *state;
    bool complete;
    put_block(f, 1, 1000);
    put_block(f, 2, 2000);
    assert_true(run(f));
    faulty_bucket_add(f->bucket, (struct faulty_rule){.ops = FAULTY_LIST,
                                                      .how = FAULTY_CUT,
                                                      .code = ERR_THROTTLED});
    expect_fails(store_block_sync_run(f->sync, &complete, &err), err, ERR_THROTTLED);
    assert_false(complete);
    CHECK_SERVED(f, 1, 2);
    assert_true(has_file(f, 2, ".bhx"));
    check_metric(f, "thanos_blocks_meta_sync_failures_total 1");
    faulty_bucket_heal(f->bucket);
    assert_true(run(f));
}

static void
tries_again_what_failed_in_passing(void **state)
{
    struct fixture *f = *state;
    put_block(f, 1, 1000);
    put_block(f, 2, 2000);
    put_block(f, 3, 3000);
    faulty_bucket_add(f->bucket, (struct faulty_rule){.ops = FAULTY_GET,
                                                      .part = "2/meta.json",
                                                      .code = ERR_THROTTLED});
    faulty_bucket_add(f->bucket, (struct faulty_rule){.ops = FAULTY_GET,
                                                      .part = "3/index",
                                                      .code = ERR_UNAVAILABLE});
    assert_false(run(f));
    check_metric(f, "thanos_blocks_meta_synced{state=\"loaded\"} 2");
    check_metric(f, "thanos_blocks_meta_synced{state=\"failed\"} 1");
    check_metric(f, "blockhouse_store_unread_metas 0");
    check_metric(f, "blockhouse_store_listed_blocks 3");
    check_metric(f, "thanos_bucket_store_block_load_failures_total 1");
    faulty_bucket_heal(f->bucket);
    assert_true(run(f));
    CHECK_SERVED(f, 1, 2, 3);
}

static void
keeps_a_known_block_whose_new_meta_cannot_be_read(void **state)
{
    struct fixture *f = *state;
    put_block(f, 1, 1000);
    assert_true(run(f));
    put_meta(f, 1, "\"minTime\":1000,\"maxTime\":2001");
    faulty_bucket_add(f->bucket,
                      (struct faulty_rule){.ops = FAULTY_GET, .part = "meta.json"});
    assert_false(run(f));
    CHECK_SERVED(f, 1);
    faulty_bucket_heal(f->bucket);
    assert_true(run(f));
    CHECK_SERVED(f, 1);
    struct store_block_set *set = store_block_view_get(&f->view);
    assert_int_equal(set->blocks[0]->meta.external.len, 0);
    store_block_set_unref(&set);
    check_metric(f, "thanos_blocks_meta_base_cache_busts_total 1");
}

/* It may have become one that is newer and cannot be read yet. */
static void
keeps_a_deleted_block_until_newer_ones_can_be_read(void **state)
{
    static const enum err_code codes[] = {ERR_DENIED, ERR_UNAVAILABLE, ERR_NOT_FOUND};
    struct fixture *f = *state;
    put_block(f, 5, 5000);
    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        put_block(f, 1, 1000);
        assert_true(run(f));
        faulty_bucket_add(f->bucket, (struct faulty_rule){.ops = FAULTY_GET,
                                                          .part = "2/meta.json",
                                                          .code = codes[i]});
        put_block(f, 2, 1000);
        remove_file(f, 1, "");
        (void)run(f);
        CHECK_SERVED(f, 1, 5);
        (void)run(f);
        CHECK_SERVED(f, 1, 5);
        faulty_bucket_heal(f->bucket);
        assert_true(run(f));
        CHECK_SERVED(f, 2, 5);
        remove_file(f, 2, "");
        assert_true(run(f));
        CHECK_SERVED(f, 5);
    }
}

/* What is known of it includes why its new meta could not be read. */
static void
keeps_a_deleted_block_whose_new_meta_could_not_be_read(void **state)
{
    struct fixture *f = *state;
    put_block(f, 1, 1000);
    assert_true(run(f));
    put_meta(f, 1, "\"minTime\":1000,\"maxTime\":2001");
    faulty_bucket_add(f->bucket,
                      (struct faulty_rule){.ops = FAULTY_GET, .part = "meta.json"});
    assert_false(run(f));
    put_block(f, 2, 1000);
    remove_file(f, 1, "");
    for (int passes = 0; passes < 3; passes++) {
        (void)run(f);
        CHECK_SERVED(f, 1);
    }
    faulty_bucket_heal(f->bucket);
    assert_true(run(f));
    CHECK_SERVED(f, 2);
}

/* Tools delete the meta first, and the listing may come before the rest has gone. */
static void
keeps_a_half_deleted_block_until_newer_ones_can_be_read(void **state)
{
    struct fixture *f = *state;
    put_block(f, 1, 1000);
    assert_true(run(f));
    faulty_bucket_add(f->bucket,
                      (struct faulty_rule){.ops = FAULTY_GET, .part = "2/meta.json"});
    put_block(f, 2, 1000);
    remove_file(f, 1, "/meta.json");
    (void)run(f);
    CHECK_SERVED(f, 1);
    remove_file(f, 1, "");
    (void)run(f);
    CHECK_SERVED(f, 1);
    faulty_bucket_heal(f->bucket);
    assert_true(run(f));
    CHECK_SERVED(f, 2);
    remove_file(f, 2, "/meta.json");
    assert_true(run(f));
    assert_true(run(f));
    check_metric(f, "thanos_blocks_meta_synced{state=\"no-meta-json\"} 1");
    check_metric(f, "thanos_blocks_meta_synced{state=\"loaded\"} 0");
}

static void
keeps_no_deleted_block_for_older_ones(void **state)
{
    struct fixture *f = *state;
    put_block(f, 2, 2000);
    assert_true(run(f));
    faulty_bucket_add(
        f->bucket,
        (struct faulty_rule){.ops = FAULTY_GET, .part = "1/meta", .code = ERR_DENIED});
    put_block(f, 1, 1000);
    remove_file(f, 2, "");
    (void)run(f);
    check_served(f, (const unsigned[]){0});
}

/* As one whose content is nothing. */
static void
refuses_no_meta_that_was_damaged_on_its_way(void **state)
{
    static const enum faulty_how hows[] = {FAULTY_FLIP, FAULTY_TRUNCATE};
    struct fixture *f = *state;
    for (size_t i = 0; i < ARRAY_LEN(hows); i++) {
        unsigned number = (unsigned)i + 1;
        put_block(f, number, 1000 * (int64_t)number);
        faulty_bucket_add(f->bucket, (struct faulty_rule){.ops = FAULTY_GET,
                                                          .part = "meta.json",
                                                          .times = 1,
                                                          .how = hows[i]});
        assert_false(run(f));
        check_metric(f, "thanos_blocks_meta_synced{state=\"failed\"} 1");
        assert_true(run(f));
        check_metric(f, "thanos_blocks_meta_synced{state=\"failed\"} 0");
        faulty_bucket_heal(f->bucket);
    }
    CHECK_SERVED(f, 1, 2);
}

static void
drops_a_known_block_whose_files_are_gone(void **state)
{
    struct fixture *f = *state;
    put_block(f, 1, 1000);
    put_block(f, 2, 2000);
    put_block(f, 3, 3000);
    put_meta(f, 1,
             "\"minTime\":1000,\"maxTime\":2001,"
             "\"thanos\":{\"segment_files\":[\"000001\"]}");
    assert_true(run(f));
    CHECK_SERVED(f, 1, 2, 3);
    remove_file(f, 1, "/chunks/000001");
    remove_file(f, 3, "/index");
    assert_true(run(f));
    CHECK_SERVED(f, 2);
    check_metric(f, "thanos_blocks_meta_synced{state=\"failed\"} 2");
    check_metric(f, "thanos_bucket_store_block_drops_total 2");
}

static void
put_mark(struct fixture *f, unsigned number, int64_t age_s)
{
    CLEANUP(xfree)
    char *text = xasprintf("{\"version\":1,\"deletion_time\":%lld}",
                           (long long)(clock_wall_ns() / CLOCK_NS_PER_S - age_s));
    put_file(f, number, "/" TSDB_BLOCK_PATH_DELETION_MARK, text);
}

static void
drops_marked_blocks_after_the_delay(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 1; i <= 4; i++)
        put_block(f, i, 1000 * i);
    assert_true(run(f));
    put_mark(f, 2, 1800);
    put_mark(f, 3, 7200);
    put_file(f, 4, "/" TSDB_BLOCK_PATH_DELETION_MARK, "{\"vers");
    assert_true(run(f));
    CHECK_SERVED(f, 1, 2, 4);
    check_metric(f, "thanos_blocks_meta_synced{state=\"marked-for-deletion\"} 1");
    remove_file(f, 3, "/" TSDB_BLOCK_PATH_DELETION_MARK);
    assert_true(run(f));
    CHECK_SERVED(f, 1, 2, 3, 4);
}

static void
reads_a_mark_once(void **state)
{
    struct fixture *f = *state;
    put_block(f, 1, 1000);
    put_mark(f, 1, 7200);
    assert_true(run(f));
    unsigned gets = faulty_bucket_calls(f->bucket, FAULTY_GET);
    assert_true(run(f));
    assert_int_equal(faulty_bucket_calls(f->bucket, FAULTY_GET), gets);
    check_served(f, (const unsigned[]){0});
}

static void
filters_by_time_age_resolution_and_sources(void **state)
{
    struct fixture *f = *state;
    struct tsdb_ulid one = id_of(1), two = id_of(2);
    CLEANUP(xfree)
    char *sources = xasprintf("\"minTime\":1000,\"maxTime\":4000,\"compaction\":{"
                              "\"level\":2,\"sources\":[\"%s\","
                              "\"%s\"]},\"thanos\":{\"labels\":{\"cluster\":\"eu\"},"
                              "\"source\":\"compactor\"}",
                              tsdb_ulid_print(&one).text, tsdb_ulid_print(&two).text);
    for (unsigned i = 1; i <= 6; i++)
        put_block(f, i, 1000 * i);
    put_meta(f, 3, sources);
    put_meta(
        f, 4,
        "\"minTime\":1000,\"maxTime\":4000,\"thanos\":{\"downsample\":{\"resolution\":"
        "300000}}");
    f->options.maxt = (struct store_time_bound){.ms = 5999};
    new_sync(f);
    assert_true(run(f));
    CHECK_SERVED(f, 3, 5);
    check_metric(f, "thanos_blocks_meta_synced{state=\"duplicate\"} 2");
    check_metric(f, "thanos_blocks_meta_synced{state=\"downsampled\"} 1");
    check_metric(f, "thanos_blocks_meta_synced{state=\"time-excluded\"} 1");
    f->options.max_resolution_ms = 300000;
    new_sync(f);
    assert_true(run(f));
    CHECK_SERVED(f, 3, 4, 5);
    check_metric(f, "blockhouse_store_blocks_served{resolution=\"raw\"} 2");
    check_metric(f, "blockhouse_store_blocks_served{resolution=\"5m\"} 1");
    check_metric(f, "blockhouse_store_blocks_served{resolution=\"1h\"} 0");
}

static void
starts_warm_from_its_data_directory(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 1; i <= 5; i++)
        put_block(f, i, 1000 * i);
    assert_true(run(f));
    unsigned gets = faulty_bucket_calls(f->bucket, FAULTY_GET);
    new_sync(f);
    assert_true(run(f));
    assert_int_equal(faulty_bucket_calls(f->bucket, FAULTY_GET), gets);
    CHECK_SERVED(f, 1, 2, 3, 4, 5);
}

static void
damage_file(const char *dir, unsigned number, const char *suffix)
{
    CLEANUP(xfree) char *path = path_in(dir, number, suffix);
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fwrite("????", 1, 4, file), 4);
    fclose(file);
}

static bool
is_ready(struct fixture *f)
{
    CLEANUP(buf_fini) struct buf text = {0};
    metrics_print(f->metrics, &text);
    return strstr(buf_text(&text), "check=\"ready\"} 1") != NULL;
}

static char *
snapshot_path(const struct fixture *f)
{
    return xasprintf("%s/" STORE_BLOCK_SNAPSHOT_NAME, f->data_dir);
}

static void
damage_snapshot(const struct fixture *f)
{
    CLEANUP(xfree) char *path = snapshot_path(f);
    assert_int_equal(truncate(path, 20), 0);
}

static void
replaces_damaged_files_of_its_data_directory(void **state)
{
    struct fixture *f = *state;
    put_block(f, 1, 1000);
    put_block(f, 2, 2000);
    assert_true(run(f));
    damage_file(f->data_dir, 1, ".bhx");
    damage_snapshot(f);
    CLEANUP(xfree) char *unfinished = path_in(f->data_dir, 2, ".bhx.AbCdEf");
    CLEANUP(xfree) char *former = path_in(f->data_dir, 2, ".meta.json");
    expect_ok(file_replace(unfinished, BYTES("x"), &err), err);
    expect_ok(file_replace(former, BYTES("x"), &err), err);
    new_sync(f);
    assert_false(file_exists(unfinished));
    assert_false(file_exists(former));
    assert_true(run(f));
    CHECK_SERVED(f, 1, 2);
    unsigned gets = faulty_bucket_calls(f->bucket, FAULTY_GET);
    new_sync(f);
    assert_true(run(f));
    assert_int_equal(faulty_bucket_calls(f->bucket, FAULTY_GET), gets);
    CHECK_SERVED(f, 1, 2);
}

static void
refuse_listings(struct fixture *f)
{
    faulty_bucket_add(f->bucket, (struct faulty_rule){.ops = FAULTY_LIST});
}

static void
run_in_vain(struct fixture *f)
{
    bool complete;
    expect_fails(store_block_sync_run(f->sync, &complete, &err), err, ERR_UNAVAILABLE);
}

static void
serves_its_snapshot_until_the_bucket_is_read(void **state)
{
    struct fixture *f = *state;
    put_block(f, 1, 1000);
    put_block(f, 2, 2000);
    assert_true(run(f));
    check_metric(f, "blockhouse_store_serves_snapshot 0");
    refuse_listings(f);
    new_sync(f);
    run_in_vain(f);
    CHECK_SERVED(f, 1, 2);
    assert_true(is_ready(f));
    check_metric(f, "blockhouse_store_serves_snapshot 1");
    faulty_bucket_heal(f->bucket);
    remove_file(f, 1, "");
    assert_true(run(f));
    CHECK_SERVED(f, 2);
    check_metric(f, "blockhouse_store_serves_snapshot 0");
}

/* What it names may have been deleted since; but nothing is fetched again. */
static void
does_not_serve_an_old_snapshot(void **state)
{
    struct fixture *f = *state;
    CLEANUP(xfree) char *path = snapshot_path(f);
    put_block(f, 1, 1000);
    assert_true(run(f));
    unsigned gets = faulty_bucket_calls(f->bucket, FAULTY_GET);
    int64_t old_s = clock_wall_ns() / CLOCK_NS_PER_S - 2 * 3600;
    const struct timespec times[] = {{.tv_sec = old_s}, {.tv_sec = old_s}};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    refuse_listings(f);
    store_block_view_fini(&f->view);
    store_block_view_init(&f->view);
    new_sync(f);
    run_in_vain(f);
    assert_null(store_block_view_get(&f->view));
    assert_false(is_ready(f));
    faulty_bucket_heal(f->bucket);
    assert_true(run(f));
    CHECK_SERVED(f, 1);
    assert_int_equal(faulty_bucket_calls(f->bucket, FAULTY_GET), gets);
}

static void
keeps_what_it_could_read(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 1; i <= 3; i++)
        put_block(f, i, 1000 * i);
    faulty_bucket_add(f->bucket, (struct faulty_rule){.ops = FAULTY_GET,
                                                      .part = "2/meta.json",
                                                      .code = ERR_THROTTLED});
    assert_false(run(f));
    unsigned gets = faulty_bucket_calls(f->bucket, FAULTY_GET);
    faulty_bucket_heal(f->bucket);
    refuse_listings(f);
    new_sync(f);
    run_in_vain(f);
    assert_false(is_ready(f)); /* not all of it was read */
    faulty_bucket_heal(f->bucket);
    faulty_bucket_add(f->bucket,
                      (struct faulty_rule){.ops = FAULTY_GET, .part = "/index"});
    assert_true(run(f));
    check_metric(f, "thanos_bucket_store_blocks_loaded 3");
    /* The meta, and an index in vain. */
    assert_int_equal(faulty_bucket_calls(f->bucket, FAULTY_GET), gets + 2);
}

static bool
wait_for(bool (*condition)(struct fixture *), struct fixture *f)
{
    int64_t deadline_ns = clock_deadline(WAIT_S * CLOCK_NS_PER_S);
    while (!condition(f)) {
        if (clock_left_ns(deadline_ns) == 0)
            return false;
        usleep(1000);
    }
    return true;
}

static bool
serves_two(struct fixture *f)
{
    struct store_block_set *set = store_block_view_get(&f->view);
    bool done = set->count == 2;
    store_block_set_unref(&set);
    return done;
}

static void
becomes_ready_and_goes_on(void **state)
{
    struct fixture *f = *state;
    put_block(f, 1, 1000);
    assert_false(is_ready(f));
    expect_ok(store_block_sync_start(f->sync, &err), err);
    assert_true(wait_for(is_ready, f));
    put_block(f, 2, 2000);
    assert_true(wait_for(serves_two, f));
}

static void
looks_when_asked(void **state)
{
    struct fixture *f = *state;
    f->options.interval_ns = 3600 * CLOCK_NS_PER_S;
    new_sync(f);
    put_block(f, 1, 1000);
    expect_ok(store_block_sync_start(f->sync, &err), err);
    assert_true(wait_for(is_ready, f));
    put_block(f, 2, 2000);
    assert_int_not_equal(store_block_sync_ask(f->sync), STORE_BLOCK_SYNC_STOPPED);
    assert_true(wait_for(serves_two, f));
    store_block_sync_stop(f->sync);
    assert_int_equal(store_block_sync_ask(f->sync), STORE_BLOCK_SYNC_STOPPED);
}

static bool
is_listing(struct fixture *f)
{
    return faulty_bucket_calls(f->bucket, FAULTY_LIST) > 0;
}

static void
looks_again_when_asked_meanwhile(void **state)
{
    struct fixture *f = *state;
    f->options.interval_ns = 3600 * CLOCK_NS_PER_S;
    new_sync(f);
    put_block(f, 1, 1000);
    faulty_bucket_add(
        f->bucket,
        (struct faulty_rule){.ops = FAULTY_LIST, .times = 1, .how = FAULTY_HANG});
    expect_ok(store_block_sync_start(f->sync, &err), err);
    assert_true(wait_for(is_listing, f));
    assert_int_equal(store_block_sync_ask(f->sync), STORE_BLOCK_SYNC_FOLLOWS);
}

static void
stops_in_the_middle_of_a_pass(void **state)
{
    struct fixture *f = *state;
    put_block(f, 1, 1000);
    faulty_bucket_add(f->bucket,
                      (struct faulty_rule){.ops = FAULTY_ANY, .how = FAULTY_HANG});
    expect_ok(store_block_sync_start(f->sync, &err), err);
    assert_true(wait_for(is_listing, f));
    int64_t start_ns = clock_mono_ns();
    store_block_sync_free(&f->sync);
    assert_true(clock_mono_ns() - start_ns < 5 * CLOCK_NS_PER_S);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(tells_an_empty_bucket_from_one_that_was_not_looked_at),
        TEST(serves_complete_blocks_in_order_of_time),
        TEST(tells_segments_sizes_and_labels),
        TEST(sees_segments_that_come_late),
        TEST(leaves_broken_blocks_out_until_they_heal),
        TEST(tells_why_blocks_are_not_served),
        TEST(tells_how_the_last_pass_went),
        TEST(follows_blocks_that_come_and_go),
        TEST(keeps_serving_when_the_bucket_cannot_be_listed),
        TEST(tries_again_what_failed_in_passing),
        TEST(keeps_a_known_block_whose_new_meta_cannot_be_read),
        TEST(keeps_a_deleted_block_until_newer_ones_can_be_read),
        TEST(keeps_a_half_deleted_block_until_newer_ones_can_be_read),
        TEST(keeps_a_deleted_block_whose_new_meta_could_not_be_read),
        TEST(keeps_no_deleted_block_for_older_ones),
        TEST(refuses_no_meta_that_was_damaged_on_its_way),
        TEST(drops_a_known_block_whose_files_are_gone),
        TEST(drops_marked_blocks_after_the_delay),
        TEST(reads_a_mark_once),
        TEST(filters_by_time_age_resolution_and_sources),
        TEST(starts_warm_from_its_data_directory),
        TEST(replaces_damaged_files_of_its_data_directory),
        TEST(serves_its_snapshot_until_the_bucket_is_read),
        TEST(does_not_serve_an_old_snapshot),
        TEST(keeps_what_it_could_read),
        TEST(becomes_ready_and_goes_on),
        TEST(looks_when_asked),
        TEST(looks_again_when_asked_meanwhile),
        TEST(stops_in_the_middle_of_a_pass),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
