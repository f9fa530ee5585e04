/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/num.h"
#include "common/base/pool.h"
#include "common/base/xmalloc.h"
#include "store/disk_cache.h"
#include "tests/support/expect.h"

enum { KIB = 1024, MIB = KIB * KIB, LEN = 10000, THREADS = 4, BROAD = 1 << 30 };

struct fixture {
    char *dir;
    struct budget budget;
    struct store_disk_usage usage;
    struct store_disk_cache *cache;
};

static struct err err;

static void
open_as(struct fixture *f, struct bytes bucket, uint64_t limit, size_t index_limit)
{
    store_disk_usage_init(&f->usage, f->dir, limit);
    const struct store_disk_cache_options options = {.data_dir = f->dir,
                                                     .bucket = bucket,
                                                     .budget = &f->budget,
                                                     .index_limit = index_limit,
                                                     .usage = &f->usage};
    expect_ok(store_disk_cache_new(&f->cache, &options, &err), err);
}

static void
begin(struct fixture *f)
{
    open_as(f, BYTES("blocks"), 16 * MIB, MIB);
}

/* Ends it as a stop does; nothing of the budget is left. */
static void
end(struct fixture *f)
{
    store_disk_cache_free(&f->cache);
    assert_null(f->cache);
    assert_int_equal(budget_used(&f->budget), 0);
}

static int
set_up(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    char name[] = "/tmp/blockhouse-disk-cache-XXXXXX";
    assert_non_null(mkdtemp(name));
    f->dir = xstrdup(name);
    budget_init(&f->budget, "test", 256UL * MIB, NULL);
    begin(f);
    *state = f;
    return 0;
}

static int
tear_down(void **state)
{
    struct fixture *f = *state;
    end(f);
    budget_fini(&f->budget);
    expect_ok(file_remove_tree(f->dir, &err), err);
    free(f->dir);
    free(f);
    return 0;
}

/* Content that does not compress; of keys that begin with z, content that does. */
static uint8_t
content(struct bytes key, uint64_t offset)
{
    uint64_t x = (offset + 1) * UINT64_C(0x9e3779b97f4a7c15) + key.at[0];
    x = (x ^ (x >> 31)) * UINT64_C(0xbf58476d1ce4e5b9);
    return key.at[0] == 'z' ? (uint8_t)(offset / 100) : (uint8_t)(x >> 40);
}

static void
put_as(struct fixture *f, const char *key, uint64_t offset, uint64_t query_bytes)
{
    struct store_range r = {.key = bytes_of_str(key), .offset = offset, .len = LEN};
    CLEANUP(xfree) uint8_t *data = xcalloc(1, LEN);
    for (size_t i = 0; i < LEN; i++)
        data[i] = content(r.key, offset + i);
    store_disk_cache_put(f->cache, &r, bytes_of(data, LEN), query_bytes);
}

static void
put(struct fixture *f, const char *key, uint64_t offset)
{
    put_as(f, key, offset, 0);
    store_disk_cache_settle(f->cache);
}

/* Whether the range is there; if so, it is right. */
static bool
has(struct fixture *f, const char *key, uint64_t offset)
{
    struct store_range r = {.key = bytes_of_str(key), .offset = offset, .len = LEN};
    CLEANUP(xfree) uint8_t *into = xcalloc(1, LEN);
    size_t got = SIZE_MAX;
    if (!store_disk_cache_get(f->cache, &r, into, &got))
        return false;
    assert_int_equal(got, LEN);
    for (size_t i = 0; i < LEN; i++)
        assert_int_equal(into[i], content(r.key, offset + i));
    return true;
}

static char *
file_of(const struct fixture *f, unsigned number)
{
    return xasprintf("%s/ranges.%08x", f->dir, number);
}

static uint64_t
size_of(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

/* Where files are summed up. */
struct sum {
    const char *dir;
    uint64_t bytes;
};

static bool
add_size(void *arg, const char *name, struct err *unused)
{
    struct sum *sum = arg;
    CLEANUP(xfree) char *path = xasprintf("%s/%s", sum->dir, name);
    (void)unused;
    sum->bytes += size_of(path);
    return true;
}

static uint64_t
on_disk(struct fixture *f)
{
    struct sum sum = {.dir = f->dir};
    expect_ok(file_list(f->dir, add_size, &sum, &err), err);
    return sum.bytes;
}

/* Bytes of the disk, on which nothing else is. */
#define LARGE_DISK (UINT64_C(1) << 40)
static uint64_t disk_bytes = LARGE_DISK;

/* In place of that of the C library. */
int
statvfs(const char *path, struct statvfs *fs)
{
    struct sum used = {.dir = path};
    struct err unused;
    (void)!file_list(path, add_size, &used, &unused);
    *fs = (struct statvfs){.f_frsize = 1,
                           .f_blocks = disk_bytes,
                           .f_bavail = disk_bytes - NUM_MIN(disk_bytes, used.bytes)};
    return 0;
}

/* Without the fsync of file_replace: there are many. */
static void
write_file(const char *path, struct bytes data)
{
    CLEANUP(file_close) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    expect_ok(file_write_all(fd, path, data, &err), err);
}

static void
finds_what_was_put_and_only_that(void **state)
{
    struct fixture *f = *state;
    put(f, "A/index", 100);
    put(f, "A/index", 100); /* again: written once */
    put(f, "z/index", 7);
    assert_true(has(f, "A/index", 100));
    assert_true(has(f, "z/index", 7));
    assert_false(has(f, "A/index", 101));
    assert_false(has(f, "B/index", 100));
    struct store_disk_cache_counts counts = store_disk_cache_counts(f->cache);
    assert_int_equal(counts.written, 2);
    assert_int_equal(counts.ranges, 2);
    assert_int_equal(counts.hits, 2);
    assert_int_equal(counts.misses, 2);
    assert_true(counts.bytes < 2 * LEN); /* one of them is compressed */
}

static void
remembers_where_an_object_ended(void **state)
{
    struct fixture *f = *state;
    struct store_range r = {.key = BYTES("A/index"), .offset = 10, .len = 100},
                       behind = r;
    uint8_t into[100];
    size_t got;
    behind.offset = 500;
    store_disk_cache_put(f->cache, &r, BYTES("end"), 0);
    store_disk_cache_put(f->cache, &behind, (struct bytes){0}, 0);
    store_disk_cache_settle(f->cache);
    assert_true(store_disk_cache_get(f->cache, &r, into, &got));
    assert_int_equal(got, 3);
    assert_memory_equal(into, "end", 3);
    assert_true(store_disk_cache_get(f->cache, &behind, into, &got));
    assert_int_equal(got, 0);
}

static void
outlives_its_process(void **state)
{
    struct fixture *f = *state;
    for (uint64_t i = 0; i < 20; i++)
        put(f, "A/index", i * LEN);
    for (int restarts = 0; restarts < 3; restarts++) {
        end(f);
        begin(f);
        for (uint64_t i = 0; i < 20; i++)
            assert_true(has(f, "A/index", i * LEN));
    }
    put(f, "A/index", 20 * LEN);
    assert_int_equal(store_disk_cache_counts(f->cache).ranges, 21);
    end(f);
    open_as(f, BYTES("other bucket"), 16 * MIB, MIB);
    assert_false(has(f, "A/index", 0));
    assert_int_equal(store_disk_cache_counts(f->cache).bytes, 0);
    assert_int_equal(on_disk(f), 0);
}

/* As kill -9 leaves it: without a table, at any length. */
static void
finds_what_is_whole_of_a_file_that_was_cut(void **state)
{
    struct fixture *f = *state;
    CLEANUP(xfree) char *path = file_of(f, 1);
    CLEANUP(buf_fini) struct buf whole = {0};
    for (uint64_t i = 0; i < 3; i++)
        put(f, "A/index", i * LEN);
    expect_ok(file_read_all(path, MIB, &whole, &err), err); /* it has not ended */
    size_t record = (whole.len - 16) / 3, before = 3;
    for (size_t len = whole.len; len > 0; len -= NUM_MIN(len, (size_t)97)) {
        end(f);
        write_file(path, bytes_of(whole.at, len));
        begin(f);
        size_t found = 0;
        for (uint64_t i = 0; i < 3; i++)
            found += has(f, "A/index", i * LEN);
        assert_int_equal(found, len < 16 ? 0 : (len - 16) / record);
        assert_true(found <= before);
        before = found;
    }
}

static void
takes_damage_for_a_miss(void **state)
{
    struct fixture *f = *state;
    CLEANUP(xfree) char *path = file_of(f, 1);
    CLEANUP(buf_fini) struct buf whole = {0};
    put(f, "A/index", 0);
    put(f, "z/index", 0);
    expect_ok(file_read_all(path, MIB, &whole, &err), err);
    for (size_t at = 16; at < whole.len; at += 61) {
        int fd = open(path, O_WRONLY);
        uint8_t byte = whole.at[at] ^ 0x20;
        assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
        assert_true(has(f, "A/index", 0) + has(f, "z/index", 0) == 1);
        assert_int_equal(pwrite(fd, &whole.at[at], 1, (off_t)at), 1);
        close(fd);
        /* It is read from the bucket, and put there again. */
        end(f);
        write_file(path, buf_bytes(&whole));
        begin(f);
        assert_true(has(f, "A/index", 0) && has(f, "z/index", 0));
    }
}

static void
heals_when_files_vanish_or_are_cut(void **state)
{
    struct fixture *f = *state;
    CLEANUP(xfree) char *path = file_of(f, 1);
    put(f, "A/index", 0);
    put(f, "A/index", LEN);
    assert_int_equal(unlink(path), 0);
    assert_false(has(f, "A/index", 0));
    assert_false(has(f, "A/index", LEN));
    assert_int_equal(store_disk_cache_counts(f->cache).bytes, 0);
    put(f, "A/index", 0); /* into the file that is no more, as nobody knows yet */
    put(f, "A/index", LEN);
    put(f, "A/index", LEN);
    assert_true(has(f, "A/index", LEN));
    CLEANUP(xfree) char *second = file_of(f, 2);
    assert_int_equal(truncate(second, 100), 0);
    assert_false(has(f, "A/index", LEN));
    put(f, "A/index", LEN);
    assert_true(has(f, "A/index", LEN));
    expect_ok(file_remove_tree(f->dir, &err), err);
    assert_false(has(f, "A/index", LEN));
    put(f, "A/index", LEN);
    put(f, "A/index", LEN);
    assert_true(has(f, "A/index", LEN));
    assert_true(store_disk_cache_counts(f->cache).damaged >= 3);
}

static void
stays_below_its_limit_and_keeps_what_is_asked_for(void **state)
{
    struct fixture *f = *state;
    put(f, "A/index", 0);
    for (uint64_t i = 0; i < 40 * MIB / LEN; i++) {
        put(f, "B/chunks/000001", i * LEN);
        if (i % 50 == 0) {
            assert_true(has(f, "A/index", 0));
            assert_true(on_disk(f) <= 16 * MIB);
        }
    }
    struct store_disk_cache_counts counts = store_disk_cache_counts(f->cache);
    assert_true(counts.bytes > 12 * MIB && counts.bytes <= 16 * MIB);
    assert_int_equal(counts.bytes, on_disk(f));
    assert_false(has(f, "B/chunks/000001", 0));
    /* What others take it has to give back, and all of it if need be. */
    store_disk_usage_add_header(&f->usage, 10 * MIB);
    put(f, "B/chunks/000001", 0);
    assert_true(on_disk(f) <= 6 * MIB);
    store_disk_usage_add_header(&f->usage, 6 * MIB);
    put(f, "B/chunks/000001", 1);
    end(f);
    store_disk_usage_init(&f->usage, f->dir, 1);
    open_as(f, BYTES("blocks"), 1, MIB);
    assert_int_equal(on_disk(f), 0);
}

/* What is free then is less than what it holds. */
static void
keeps_what_it_has_when_it_starts_on_a_disk_that_it_fills(void **state)
{
    struct fixture *f = *state;
    for (uint64_t i = 0; i < 800; i++)
        put(f, "A/index", i * LEN);
    uint64_t ranges = store_disk_cache_counts(f->cache).ranges;
    assert_int_equal(ranges, 800);
    end(f);
    disk_bytes = 10 * MIB;
    begin(f);
    assert_int_equal(store_disk_cache_counts(f->cache).ranges, ranges);
    disk_bytes = 8 * MIB; /* a tenth of it stays free */
    end(f);
    begin(f);
    disk_bytes = LARGE_DISK;
    assert_true(store_disk_cache_counts(f->cache).ranges < ranges);
    assert_true(on_disk(f) <= 8 * MIB / 10 * 9);
}

static void
has_a_limit_of_memory(void **state)
{
    struct fixture *f = *state;
    end(f);
    open_as(f, BYTES("blocks"), 64 * MIB, 40 * KIB);
    for (uint64_t i = 0; i < 3000; i++)
        put(f, "z/index", i * LEN);
    struct store_disk_cache_counts counts = store_disk_cache_counts(f->cache);
    assert_in_range(counts.ranges, 200, 1024);
    assert_true(budget_used(&f->budget) < 300 * KIB); /* with the misses */
    assert_true(has(f, "z/index", 2999 * LEN) || has(f, "z/index", 2998 * LEN));
}

static void
writes_of_a_broad_query_only_what_was_missed_before(void **state)
{
    struct fixture *f = *state;
    for (uint64_t i = 0; i < 100; i++)
        put_as(f, "A/index", i * LEN, BROAD);
    store_disk_cache_settle(f->cache);
    assert_int_equal(store_disk_cache_counts(f->cache).written, 0);
    for (uint64_t i = 0; i < 10; i++)
        put_as(f, "A/index", i * LEN, BROAD);
    store_disk_cache_settle(f->cache);
    assert_in_range(store_disk_cache_counts(f->cache).written, 9, 10);
}

/* Unpacking takes memory. */
static void
keeps_what_there_is_no_memory_to_read(void **state)
{
    struct fixture *f = *state;
    put(f, "z/index", 0);
    size_t rest = budget_limit(&f->budget) - budget_used(&f->budget);
    assert_true(budget_try(&f->budget, rest));
    assert_false(has(f, "z/index", 0));
    budget_give(&f->budget, rest);
    assert_true(has(f, "z/index", 0));
    assert_int_equal(store_disk_cache_counts(f->cache).damaged, 0);
}

/* Nor is anything wrong with a file that could not be opened for want of descriptors.
 */
static void
keeps_what_there_is_no_descriptor_to_read(void **state)
{
    struct fixture *f = *state;
    struct rlimit before, none;
    put(f, "A/index", 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){.rlim_cur = 0, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    bool found = has(f, "A/index", 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_false(found);
    assert_true(has(f, "A/index", 0));
    assert_int_equal(store_disk_cache_counts(f->cache).damaged, 0);
}

static void
forgets_a_block_also_for_later_processes(void **state)
{
    struct fixture *f = *state;
    put(f, "A/index", 0);
    put(f, "A/chunks/000001", 0);
    put(f, "B/index", 0);
    put_as(f, "A/index", LEN, 0); /* may still be in the queue */
    store_disk_cache_forget(f->cache, BYTES("A"));
    put(f, "A/index", 2 * LEN);
    for (int restarts = 0; restarts < 2; restarts++) {
        assert_false(has(f, "A/index", 0));
        assert_false(has(f, "A/index", LEN));
        assert_false(has(f, "A/chunks/000001", 0));
        assert_true(has(f, "A/index", 2 * LEN));
        assert_true(has(f, "B/index", 0));
        end(f);
        begin(f);
    }
    store_disk_cache_forget(f->cache, (struct bytes){0});
    assert_int_equal(store_disk_cache_counts(f->cache).ranges, 0);
    end(f);
    begin(f);
    assert_int_equal(store_disk_cache_counts(f->cache).ranges, 0);
}

/* A file that may not grow stands for a disk that is full. */
static void
only_reads_while_it_cannot_write(void **state)
{
    struct fixture *f = *state;
    struct rlimit before, small = {0};
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    put(f, "A/index", 0);
    CLEANUP(xfree) char *path = file_of(f, 1);
    small.rlim_max = before.rlim_max;
    small.rlim_cur = size_of(path) + LEN / 2;
    sighandler_t handler = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    put(f, "A/index", LEN);
    struct store_disk_cache_counts counts = store_disk_cache_counts(f->cache);
    assert_true(counts.is_off);
    assert_int_equal(counts.failures, 1);
    put(f, "A/index", 2 * LEN);
    assert_int_equal(store_disk_cache_counts(f->cache).failures, 1); /* not tried */
    assert_true(has(f, "A/index", 0));
    assert_false(has(f, "A/index", LEN));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, handler);
    do
        put(f, "A/index", LEN);
    while (store_disk_cache_counts(f->cache).is_off);
    assert_true(has(f, "A/index", 0));
    assert_true(has(f, "A/index", LEN));
    end(f);
    begin(f);
    assert_true(has(f, "A/index", 0));
    assert_true(has(f, "A/index", LEN));
}

struct work {
    struct pool_job job;
    struct fixture *f;
    unsigned seed;
};

static void
use(struct pool_job *job)
{
    struct work *w = (struct work *)(void *)job;
    for (int i = 0; i < 500; i++) {
        uint64_t offset = (uint64_t)(rand_r(&w->seed) % 3000) * LEN;
        const char *key = i % 2 ? "A/index" : "z/index";
        if (!has(w->f, key, offset))
            put_as(w->f, key, offset, 0);
        if (i % 100 == 99)
            store_disk_cache_forget(w->f->cache, BYTES("A"));
    }
}

static void
serves_threads(void **state)
{
    struct fixture *f = *state;
    struct pool *pool;
    struct work work[THREADS];
    expect_ok(pool_new(&pool, "test", THREADS, &err), err);
    for (unsigned i = 0; i < THREADS; i++) {
        work[i] = (struct work){{.run = use}, f, i};
        pool_submit(pool, &work[i].job);
    }
    pool_free(&pool);
    store_disk_cache_settle(f->cache);
    assert_true(store_disk_cache_counts(f->cache).written > 500);
    assert_int_equal(store_disk_cache_counts(f->cache).damaged, 0);
}

static void
leaves_files_of_others_alone(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = {"ranges.0000000A", "ranges.", "ranges.1",
                                        "ranges.zzzzzzzz", "ranges.+0000001"};
    CLEANUP(xfree) char *damaged = file_of(f, 9);
    CLEANUP(xfree) char *folder = file_of(f, 10);
    end(f);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        CLEANUP(xfree) char *path = xasprintf("%s/%s", f->dir, names[i]);
        write_file(path, BYTES("mine"));
    }
    write_file(damaged, BYTES("no head"));
    expect_ok(file_mkdirs(folder, &err), err);
    begin(f);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        CLEANUP(xfree) char *path = xasprintf("%s/%s", f->dir, names[i]);
        assert_int_equal(size_of(path), 4);
    }
    assert_false(file_exists(damaged));
    put(f, "A/index", 0);
    assert_true(has(f, "A/index", 0));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(finds_what_was_put_and_only_that),
        CASE(remembers_where_an_object_ended),
        CASE(outlives_its_process),
        CASE(finds_what_is_whole_of_a_file_that_was_cut),
        CASE(takes_damage_for_a_miss),
        CASE(heals_when_files_vanish_or_are_cut),
        CASE(stays_below_its_limit_and_keeps_what_is_asked_for),
        CASE(keeps_what_it_has_when_it_starts_on_a_disk_that_it_fills),
        CASE(has_a_limit_of_memory),
        CASE(writes_of_a_broad_query_only_what_was_missed_before),
        CASE(keeps_what_there_is_no_memory_to_read),
        CASE(keeps_what_there_is_no_descriptor_to_read),
        CASE(forgets_a_block_also_for_later_processes),
        CASE(only_reads_while_it_cannot_write),
        CASE(serves_threads),
        CASE(leaves_files_of_others_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
