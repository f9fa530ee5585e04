/* SPDX-License-Identifier: Apache-2.0 */
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
#include "store/block_headers.h"
#include "store/header_room.h"
#include "tests/support/block_writer.h"
#include "tests/support/expect.h"
#include "tests/support/faulty_bucket.h"
#include "tests/support/lockstep_bucket.h"

enum { BLOCKS = 6, READERS = 8, WAIT_S = 30, SERIES = 3000, MANY_SERIES = 20000 };

struct fixture {
    char *dir;
    char *data_dir;
    struct objstore_bucket *lockstep; /* inside the faulty one */
    struct objstore_bucket *bucket;
    struct budget budget;
    struct store_page_cache *cache;
    struct metrics_registry *metrics;
    struct store_block_headers *headers;
    struct store_block_set *set;
    struct store_disk_usage usage;
    struct metrics_value *evictions;
    atomic_uint changes;
    atomic_uint vanished;
};

static struct err err;

static void
make_block(const struct fixture *f, size_t number, size_t series)
{
    struct tsdb_ulid id = {.raw = {1, [TSDB_ULID_SIZE - 1] = (uint8_t)number}};
    const struct block_writer_options options = {0};
    const struct tsdb_sample sample = {.t_ms = 1000 * (int64_t)number};
    CLEANUP(block_writer_free) struct block_writer *w = NULL;
    expect_ok(block_writer_new(&w, f->dir, &id, &options, &err), err);
    for (size_t i = 0; i < series; i++) {
        char text[16];
        snprintf(text, sizeof text, "%08zu", i);
        struct tsdb_label own = {BYTES("id"), bytes_of_str(text)};
        expect_ok(block_writer_add_samples(w, (struct tsdb_labels){&own, 1}, &sample, 1,
                                           &err),
                  err);
    }
    expect_ok(block_writer_finish(w, &err), err);
}

static struct store_block *
serve(struct fixture *f, const struct store_listed *listed)
{
    struct store_block_meta meta = {0};
    struct store_block *b = store_block_restore(&listed->id, listed->index.size, &meta);
    b->headers = f->headers;
    return b;
}

/* Blocks without headers. */
static void
make_set(struct fixture *f)
{
    const struct objstore_call call = {.deadline_ns = CLOCK_NEVER};
    CLEANUP(store_listing_fini) struct store_listing listing = {0};
    expect_ok(store_listing_read(&listing, f->bucket, &call, &err), err);
    struct store_block **blocks = xcalloc(listing.count, sizeof(struct store_block *));
    for (size_t i = 0; i < listing.count; i++)
        blocks[i] = serve(f, &listing.blocks[i]);
    store_block_set_unref(&f->set);
    f->set = store_block_set_new(blocks, listing.count);
}

static int
set_up(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    char dir[] = "/tmp/blockhouse-headers-XXXXXX";
    char data_dir[] = "/tmp/blockhouse-data-XXXXXX";
    struct objstore_bucket *inner = NULL;
    f->dir = xstrdup(mkdtemp(dir));
    f->data_dir = xstrdup(mkdtemp(data_dir));
    expect_ok(objstore_dir_open(&inner, f->dir, &err), err);
    f->lockstep = lockstep_bucket_new(inner);
    f->bucket = faulty_bucket_new(f->lockstep);
    budget_init(&f->budget, "test", SIZE_MAX, NULL);
    f->cache = store_page_cache_new(1 << 20, &f->budget);
    f->metrics = metrics_registry_new();
    f->evictions = metrics_counter(f->metrics, "evictions_total", "For the test.");
    store_disk_usage_init(&f->usage, f->data_dir, 1 << 30);
    const struct store_block_headers_options options = {.bucket = f->bucket,
                                                        .usage = &f->usage,
                                                        .cache = f->cache,
                                                        .metrics = f->metrics,
                                                        .data_dir = f->data_dir,
                                                        .threads = 2};
    expect_ok(store_block_headers_new(&f->headers, &options, &err), err);
    for (size_t i = 0; i < BLOCKS; i++)
        make_block(f, i, 1);
    make_set(f);
    *state = f;
    return 0;
}

static int
tear_down(void **state)
{
    struct fixture *f = *state;
    store_block_headers_free(&f->headers);
    store_block_set_unref(&f->set);
    store_page_cache_free(&f->cache);
    metrics_registry_free(&f->metrics);
    objstore_free(&f->bucket);
    budget_fini(&f->budget);
    expect_ok(file_remove_tree(f->dir, &err), err);
    expect_ok(file_remove_tree(f->data_dir, &err), err);
    free(f->data_dir);
    free(f->dir);
    free(f);
    return 0;
}

static bool
get(struct fixture *f, size_t block, int64_t wait_ns, struct err *failure)
{
    const struct store_fetch_source source = {.deadline_ns = clock_deadline(wait_ns)};
    return store_block_headers_get(f->set->blocks[block], &source, failure);
}

static unsigned
gets(const struct fixture *f)
{
    return faulty_bucket_calls(f->bucket, FAULTY_GET);
}

static void
fail_index(struct fixture *f, enum faulty_how how, enum err_code code)
{
    faulty_bucket_add(
        f->bucket, (struct faulty_rule){
                       .ops = FAULTY_GET, .part = "/index", .how = how, .code = code});
}

static void
builds_what_is_asked_for(void **state)
{
    struct fixture *f = *state;
    expect_ok(get(f, 2, WAIT_S * CLOCK_NS_PER_S, &err), err);
    bool has = false;
    expect_ok(
        store_index_header_has_name(f->set->blocks[2]->header, BYTES("id"), &has, &err),
        err);
    assert_true(has);
    assert_null(f->set->blocks[1]->header);
    unsigned before = gets(f);
    expect_ok(get(f, 2, WAIT_S * CLOCK_NS_PER_S, &err), err);
    make_set(f);
    expect_ok(get(f, 2, WAIT_S * CLOCK_NS_PER_S, &err), err);
    assert_int_equal(gets(f), before);
}

struct reader {
    struct fixture *f;
    pthread_t thread;
    bool ok;
    struct err err;
};

static void *
read_all(void *arg)
{
    struct reader *r = arg;
    r->ok = true;
    for (size_t i = 0; i < BLOCKS && r->ok; i++)
        r->ok = get(r->f, i, WAIT_S * CLOCK_NS_PER_S, &r->err);
    return NULL;
}

static void
builds_once_however_many_ask(void **state)
{
    struct fixture *f = *state;
    struct reader readers[READERS];
    unsigned before = gets(f);
    for (size_t i = 0; i < READERS; i++) {
        readers[i].f = f;
        expect_ok(
            thread_start(&readers[i].thread, "reader", read_all, &readers[i], &err),
            err);
    }
    for (size_t i = 0; i < READERS; i++) {
        pthread_join(readers[i].thread, NULL);
        expect_ok(readers[i].ok, readers[i].err);
    }
    assert_int_equal(gets(f) - before, BLOCKS); /* an index this small is one read */
}

/* The second has another read beside it where the postings table is long. */
static void
needs_two_rounds_of_reads(void **state)
{
    static const struct {
        size_t series;
        unsigned rounds[2];
    } cases[] = {{SERIES, {1, 1}}, {MANY_SERIES, {1, 2}}};
    struct fixture *f = *state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        make_block(f, BLOCKS + i, cases[i].series);
        make_set(f);
        lockstep_bucket_expect(f->lockstep, cases[i].rounds, 2);
        expect_ok(get(f, BLOCKS + i, WAIT_S * CLOCK_NS_PER_S, &err), err);
        assert_int_equal(lockstep_bucket_rounds(f->lockstep), 2);
        lockstep_bucket_expect(f->lockstep, NULL, 0);
    }
}

static void
tells_a_failure_for_a_while(void **state)
{
    struct fixture *f = *state;
    fail_index(f, FAULTY_REFUSE, ERR_UNAVAILABLE);
    expect_fails(get(f, 0, WAIT_S * CLOCK_NS_PER_S, &err), err, ERR_UNAVAILABLE);
    unsigned before = gets(f);
    expect_fails(get(f, 0, WAIT_S * CLOCK_NS_PER_S, &err), err, ERR_UNAVAILABLE);
    assert_int_equal(gets(f), before);
    assert_false(store_block_headers_is_broken(f->set->blocks[0]));
    faulty_bucket_heal(f->bucket);
    int64_t deadline_ns = clock_deadline(WAIT_S * CLOCK_NS_PER_S);
    while (!get(f, 0, WAIT_S * CLOCK_NS_PER_S, &err)) {
        assert_true(clock_left_ns(deadline_ns) > 0);
        usleep(10000);
    }
}

/* A folder that cannot be used is no fault of the block, whose errors are forgotten
 * only by the next look at the bucket. */
static void
does_not_blame_a_block_for_our_disk(void **state)
{
    struct fixture *f = *state;
    struct err failure;
    expect_ok(file_remove_tree(f->data_dir, &err), err);
    expect_ok(file_replace(f->data_dir, BYTES("a file"), &err), err);
    expect_fails(get(f, 0, WAIT_S * CLOCK_NS_PER_S, &failure), failure, ERR_IO);
    assert_non_null(strstr(failure.text, "data directory"));
    assert_false(store_block_headers_is_broken(f->set->blocks[0]));
    assert_int_equal(unlink(f->data_dir), 0);
    expect_ok(get(f, 1, WAIT_S * CLOCK_NS_PER_S, &failure), failure);
}

static void
ends_with_who_asks(void **state)
{
    struct fixture *f = *state;
    fail_index(f, FAULTY_HANG, 0);
    expect_fails(get(f, 0, 20 * CLOCK_NS_PER_MS, &err), err, ERR_TIMEOUT);
    assert_false(store_block_headers_prepare(f->set->blocks[1]));
    assert_null(f->set->blocks[1]->header);
}

static void
note_change(void *arg, bool is_gone)
{
    struct fixture *f = arg;
    atomic_fetch_add(is_gone ? &f->vanished : &f->changes, 1);
}

static void
follow(struct fixture *f)
{
    store_block_headers_follow(f->headers, f->set, note_change, f);
    store_block_headers_settle(f->headers);
}

static void
has_all_in_the_background(void **state)
{
    struct fixture *f = *state;
    follow(f);
    for (size_t i = 0; i < BLOCKS; i++)
        assert_non_null(f->set->blocks[i]->header);
    assert_int_equal(atomic_load(&f->changes), 0);
}

static void
tells_of_broken_blocks_and_of_healed_ones(void **state)
{
    struct fixture *f = *state;
    faulty_bucket_add(
        f->bucket,
        (struct faulty_rule){.ops = FAULTY_GET, .part = "3/index", .how = FAULTY_FLIP});
    follow(f);
    assert_int_equal(atomic_load(&f->changes), 1);
    for (size_t i = 0; i < BLOCKS; i++) {
        assert_int_equal(store_block_headers_is_broken(f->set->blocks[i]), i == 3);
        assert_int_equal(f->set->blocks[i]->header == NULL, i == 3);
    }
    faulty_bucket_heal(f->bucket);
    follow(f);
    assert_int_equal(atomic_load(&f->changes), 2);
    assert_false(store_block_headers_is_broken(f->set->blocks[3]));
    store_block_headers_unfollow(f->headers);
}

/* It may have a successor that nobody knows of yet: so it is not left out. */
static void
tells_of_a_block_that_is_gone(void **state)
{
    struct fixture *f = *state;
    faulty_bucket_add(f->bucket, (struct faulty_rule){.ops = FAULTY_GET,
                                                      .part = "4/index",
                                                      .code = ERR_NOT_FOUND});
    follow(f);
    assert_true(atomic_load(&f->vanished) >= 1);
    assert_int_equal(atomic_load(&f->changes), 0);
    assert_false(store_block_headers_is_broken(f->set->blocks[4]));
    expect_fails(get(f, 4, WAIT_S * CLOCK_NS_PER_S, &err), err, ERR_NOT_FOUND);
    store_block_headers_unfollow(f->headers);
}

static void
does_not_blame_a_block_for_damage_on_the_way(void **state)
{
    struct fixture *f = *state;
    faulty_bucket_add(f->bucket, (struct faulty_rule){.ops = FAULTY_GET,
                                                      .part = "3/index",
                                                      .times = 1,
                                                      .how = FAULTY_FLIP});
    faulty_bucket_add(f->bucket, (struct faulty_rule){.ops = FAULTY_GET,
                                                      .part = "5/index",
                                                      .times = 1,
                                                      .how = FAULTY_FLIP});
    faulty_bucket_add(f->bucket, (struct faulty_rule){.ops = FAULTY_GET,
                                                      .part = "5/index",
                                                      .first = 2,
                                                      .times = 1,
                                                      .how = FAULTY_TRUNCATE});
    expect_ok(get(f, 3, WAIT_S * CLOCK_NS_PER_S, &err), err);
    expect_fails(get(f, 5, WAIT_S * CLOCK_NS_PER_S, &err), err, ERR_UNAVAILABLE);
    assert_false(store_block_headers_is_broken(f->set->blocks[5]));
}

static void
replaces_a_damaged_file(void **state)
{
    struct fixture *f = *state;
    follow(f);
    CLEANUP(xfree)
    char *path = xasprintf("%s/%s" STORE_BLOCK_HEADER_SUFFIX, f->data_dir,
                           f->set->blocks[5]->name.text);
    expect_ok(file_replace(path, BYTES("no header"), &err), err);
    make_set(f);
    expect_ok(get(f, 5, WAIT_S * CLOCK_NS_PER_S, &err), err);
}
/* As if nobody had used them for long. */
static void
remove_all(struct fixture *f)
{
    static const struct timespec long_ago[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
    struct store_header_room room = {
        .data_dir = f->data_dir, .usage = &f->usage, .evictions = f->evictions};
    for (size_t i = 0; i < BLOCKS; i++) {
        struct store_block *b = f->set->blocks[i];
        CLEANUP(xfree)
        char *path =
            xasprintf("%s/%s" STORE_BLOCK_HEADER_SUFFIX, f->data_dir, b->name.text);
        assert_int_equal(utimensat(AT_FDCWD, path, long_ago, 0), 0);
        atomic_store(&b->header_used_ns, 0);
    }
    assert_int_equal(store_header_room_make(&room, f->set, 1 << 20), BLOCKS);
}

/* As those that were never built: counted, and within the time of who asks. */
static void
builds_again_what_made_room(void **state)
{
    struct fixture *f = *state;
    follow(f);
    uint64_t bytes = store_disk_usage_bytes(&f->usage, STORE_DISK_HEADERS);
    assert_true(bytes > 0);
    remove_all(f);
    assert_int_equal(store_disk_usage_bytes(&f->usage, STORE_DISK_HEADERS), 0);
    assert_int_equal(store_block_headers_state(f->set->blocks[0]), STORE_HEADER_NONE);
    for (size_t i = 0; i < BLOCKS; i++)
        expect_ok(get(f, i, WAIT_S * CLOCK_NS_PER_S, &err), err);
    assert_int_equal(store_disk_usage_bytes(&f->usage, STORE_DISK_HEADERS), bytes);
    unsigned before = gets(f);
    for (size_t i = 0; i < BLOCKS; i++) {
        bool has = false;
        expect_ok(store_index_header_has_name(f->set->blocks[i]->header, BYTES("id"),
                                              &has, &err),
                  err);
        assert_true(has);
    }
    assert_int_equal(gets(f), before);
    remove_all(f);
    fail_index(f, FAULTY_HANG, 0);
    expect_fails(get(f, 0, 20 * CLOCK_NS_PER_MS, &err), err, ERR_TIMEOUT);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(builds_what_is_asked_for),
        TEST(builds_once_however_many_ask),
        TEST(needs_two_rounds_of_reads),
        TEST(tells_a_failure_for_a_while),
        TEST(does_not_blame_a_block_for_our_disk),
        TEST(ends_with_who_asks),
        TEST(has_all_in_the_background),
        TEST(tells_of_broken_blocks_and_of_healed_ones),
        TEST(tells_of_a_block_that_is_gone),
        TEST(does_not_blame_a_block_for_damage_on_the_way),
        TEST(replaces_a_damaged_file),
        TEST(builds_again_what_made_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
