/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/pool.h"
#include "common/base/xmalloc.h"
#include "store/page_cache.h"
#include "store/page_writer.h"
#include "tests/support/expect.h"

enum { PAGES = 40, SIZE = PAGES * STORE_PAGE_DATA - 100, THREADS = 4, ROUNDS = 3000 };

struct fixture {
    char *dir;
    char *path;
    uint8_t *data; /* SIZE bytes, as in the file */
    struct budget budget;
};

static uint64_t
next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void
write_pages(const struct fixture *f)
{
    struct err err;
    struct store_page_writer w = {0};
    int fd = open(f->path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    struct store_page_writer part = {0};
    expect_ok(
        store_page_writer_open_at(&w, fd, f->path, (struct budget *)&f->budget, &err),
        err);
    expect_ok(store_page_writer_open(&part, f->path, (struct budget *)&f->budget, &err),
              err);
    for (size_t at = 0, step = 1; at < SIZE; at += step, step = step * 3 % 20011) {
        if (step > SIZE - at)
            step = SIZE - at;
        struct store_page_writer *to = at < SIZE / 3 ? &w : &part;
        expect_ok(store_page_writer_put(to, bytes_of(f->data + at, step), &err), err);
    }
    expect_ok(store_page_writer_append(&w, &part, &err), err);
    assert_int_equal(w.size, SIZE);
    expect_ok(store_page_writer_end(&w, &err), err);
    store_page_writer_fini(&part);
    store_page_writer_fini(&w);
    close(fd);
}

static int
set_up(void **state)
{
    static struct fixture f;
    char template[] = "/tmp/blockhouse-pages-XXXXXX";
    uint64_t seed = 88172645463325252u;
    f.dir = xstrdup(mkdtemp(template));
    f.path = xasprintf("%s/file", f.dir);
    f.data = xcalloc(1, SIZE);
    for (size_t i = 0; i < SIZE; i++)
        f.data[i] = (uint8_t)next_random(&seed);
    budget_init(&f.budget, "test", SIZE_MAX, NULL);
    write_pages(&f);
    *state = &f;
    return 0;
}

static int
tear_down(void **state)
{
    struct fixture *f = *state;
    struct err err;
    expect_ok(file_remove_tree(f->dir, &err), err);
    budget_fini(&f->budget);
    free(f->data);
    free(f->path);
    free(f->dir);
    return 0;
}

static void
read_randomly(const struct fixture *f, struct store_page_cache *c, uint64_t file,
              uint64_t seed)
{
    uint8_t *into = xcalloc(1, 3 * STORE_PAGE_DATA);
    struct err err;
    for (size_t i = 0; i < ROUNDS; i++) {
        uint64_t at = next_random(&seed) % SIZE;
        size_t len = next_random(&seed) % (i % 10 == 0 ? 3 * STORE_PAGE_DATA : 100);
        if (len > SIZE - at)
            len = SIZE - at;
        expect_ok(store_page_cache_read(c, file, f->path, at, into, len, &err), err);
        assert_memory_equal(into, f->data + at, len);
    }
    free(into);
}

static void
reads_what_was_written(void **state)
{
    struct fixture *f = *state;
    struct store_page_cache *c = store_page_cache_new(1 << 20, &f->budget);
    read_randomly(f, c, store_page_cache_file_id(c), 1);
    assert_int_equal(budget_used(&f->budget), PAGES * STORE_PAGE_SIZE);
    store_page_cache_free(&c);
    assert_null(c);
}

static void
stays_below_its_limit(void **state)
{
    struct fixture *f = *state;
    struct store_page_cache *c = store_page_cache_new(20 * STORE_PAGE_SIZE, &f->budget);
    read_randomly(f, c, store_page_cache_file_id(c), 2);
    assert_int_equal(budget_used(&f->budget), 20 * STORE_PAGE_SIZE);
    store_page_cache_free(&c);
}

static void
rounds_its_limit_up(void **state)
{
    struct fixture *f = *state;
    struct store_page_cache *c = store_page_cache_new(0, &f->budget);
    read_randomly(f, c, store_page_cache_file_id(c), 3);
    assert_int_equal(budget_used(&f->budget), 16 * STORE_PAGE_SIZE);
    store_page_cache_free(&c);
}

static void
makes_do_with_what_the_budget_grants(void **state)
{
    struct fixture *f = *state;
    for (size_t pages = 0; pages < 4; pages++) {
        struct budget budget;
        budget_init(&budget, "small", pages * STORE_PAGE_SIZE, NULL);
        struct store_page_cache *c = store_page_cache_new(1 << 20, &budget);
        read_randomly(f, c, store_page_cache_file_id(c), 4);
        assert_int_equal(budget_peak(&budget), pages * STORE_PAGE_SIZE);
        store_page_cache_free(&c);
        budget_fini(&budget);
    }
}

static void
tells_files_apart(void **state)
{
    struct fixture *f = *state;
    CLEANUP(xfree) char *other = xasprintf("%s/other", f->dir);
    uint8_t page[STORE_PAGE_SIZE] = {42}, got = 0;
    struct err err;
    store_page_seal(page);
    expect_ok(file_replace(other, bytes_of(page, sizeof page), &err), err);
    struct store_page_cache *c = store_page_cache_new(1 << 20, &f->budget);
    uint64_t a = store_page_cache_file_id(c), b = store_page_cache_file_id(c);
    expect_ok(store_page_cache_read(c, a, f->path, 0, &got, 1, &err), err);
    assert_int_equal(got, f->data[0]);
    expect_ok(store_page_cache_read(c, b, other, 0, &got, 1, &err), err);
    assert_int_equal(got, 42);
    store_page_cache_forget(c, a);
    assert_in_range(budget_used(&f->budget), 1, 1024);
    expect_ok(store_page_cache_read(c, b, other, 0, &got, 1, &err), err);
    assert_int_equal(got, 42);
    store_page_cache_free(&c);
}

/* A file of one page, of which so many bytes are not zero. */
static void
write_small(const char *path, size_t filled)
{
    uint8_t page[STORE_PAGE_SIZE] = {0};
    struct err err;
    memset(page, 'x', filled);
    store_page_seal(page);
    expect_ok(file_replace(path, bytes_of(page, sizeof page), &err), err);
}

static void
keeps_what_stands_in_a_page(void **state)
{
    struct fixture *f = *state;
    const size_t sizes[] = {0, 1, 127, 128, 129, 300, 8192, 16000, STORE_PAGE_DATA};
    CLEANUP(xfree) char *path = xasprintf("%s/small", f->dir);
    uint8_t got[STORE_PAGE_DATA], wanted[STORE_PAGE_DATA] = {0};
    struct err err;
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct store_page_cache *c = store_page_cache_new(1 << 20, &f->budget);
        uint64_t file = store_page_cache_file_id(c);
        memset(wanted, 'x', sizes[i]);
        write_small(path, sizes[i]);
        for (int again = 0; again < 2; again++) {
            expect_ok(store_page_cache_read(c, file, path, 0, got, sizeof got, &err),
                      err);
            assert_memory_equal(got, wanted, sizeof got);
            expect_ok(store_page_cache_read(c, file, path, 250, got, 100, &err), err);
            assert_memory_equal(got, wanted + 250, 100);
            assert_in_range(budget_used(&f->budget), sizes[i] > 0 ? sizes[i] : 1,
                            sizes[i] + 128);
        }
        store_page_cache_free(&c);
    }
}

static void
read_first(struct store_page_cache *c, uint64_t file, const char *path)
{
    uint8_t got = 0;
    struct err err;
    expect_ok(store_page_cache_read(c, file, path, 0, &got, 1, &err), err);
    assert_int_equal(got, 'x');
}

/* More of them than a cache of that size would hold of full pages, and then more than
 * it has slots for. */
static void
keeps_many_small_pages(void **state)
{
    struct fixture *f = *state;
    enum { FULL = 16, FEW = 4 * FULL, MANY = 20 * FULL };
    CLEANUP(xfree) char *path = xasprintf("%s/small", f->dir);
    struct store_page_cache *c =
        store_page_cache_new(FULL * STORE_PAGE_SIZE, &f->budget);
    uint64_t first = store_page_cache_file_id(c);
    write_small(path, 100);
    read_first(c, first, path);
    for (int i = 1; i < FEW; i++)
        read_first(c, store_page_cache_file_id(c), path);
    assert_int_equal(budget_used(&f->budget), FEW * 128);
    assert_int_equal(unlink(path), 0);
    for (int i = 0; i < FEW; i++)
        read_first(c, first + (uint64_t)i, path);
    write_small(path, 100);
    for (int i = FEW; i < MANY; i++)
        read_first(c, store_page_cache_file_id(c), path);
    assert_in_range(budget_used(&f->budget), FEW * 128, (MANY - 1) * 128);
    assert_int_equal(store_page_cache_reclaim(c, 100), 128);
    store_page_cache_reclaim(c, SIZE_MAX);
    assert_int_equal(budget_used(&f->budget), 0);
    store_page_cache_free(&c);
}

static void
flip_bit(const char *path, off_t at)
{
    uint8_t byte = 0;
    int fd = open(path, O_RDWR);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 0x10;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

static void
check_damage(struct fixture *f, struct budget *budget)
{
    const off_t places[] = {0, STORE_PAGE_DATA - 1, STORE_PAGE_DATA,
                            STORE_PAGE_SIZE - 1};
    struct err err;
    uint8_t got[2];
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        struct store_page_cache *c = store_page_cache_new(1 << 20, budget);
        uint64_t file = store_page_cache_file_id(c);
        flip_bit(f->path, STORE_PAGE_SIZE + places[i]);
        expect_fails(
            store_page_cache_read(c, file, f->path, STORE_PAGE_DATA + 5, got, 1, &err),
            err, ERR_CORRUPT);
        expect_fails(
            store_page_cache_read(c, file, f->path, STORE_PAGE_DATA - 1, got, 2, &err),
            err, ERR_CORRUPT);
        expect_ok(
            store_page_cache_read(c, file, f->path, 2 * STORE_PAGE_DATA, got, 2, &err),
            err);
        flip_bit(f->path, STORE_PAGE_SIZE + places[i]);
        expect_ok(
            store_page_cache_read(c, file, f->path, STORE_PAGE_DATA, got, 2, &err),
            err);
        store_page_cache_free(&c);
    }
}

static void
refuses_a_damaged_page_and_only_that(void **state)
{
    struct fixture *f = *state;
    struct budget none;
    budget_init(&none, "none", 0, NULL);
    check_damage(f, &f->budget);
    check_damage(f, &none);
}

static void
refuses_what_is_not_there(void **state)
{
    struct fixture *f = *state;
    struct store_page_cache *c = store_page_cache_new(1 << 20, &f->budget);
    uint64_t file = store_page_cache_file_id(c);
    CLEANUP(xfree) char *missing = xasprintf("%s/missing", f->dir);
    uint8_t got[2];
    struct err err;
    uint64_t end = (uint64_t)PAGES * STORE_PAGE_DATA;
    expect_ok(store_page_cache_read(c, file, f->path, end - 2, got, 2, &err), err);
    expect_fails(store_page_cache_read(c, file, f->path, end - 1, got, 2, &err), err,
                 ERR_CORRUPT);
    expect_fails(store_page_cache_read(c, file + 1, missing, 0, got, 2, &err), err,
                 ERR_NOT_FOUND);
    store_page_cache_free(&c);
}

struct reader {
    struct pool_job job;
    const struct fixture *f;
    struct store_page_cache *c;
    uint64_t file;
    uint64_t seed;
};

static void
run_reader(struct pool_job *job)
{
    struct reader *r = (struct reader *)job;
    read_randomly(r->f, r->c, r->file, r->seed);
    store_page_cache_forget(r->c, r->file);
}

static void
serves_many_threads(void **state)
{
    struct fixture *f = *state;
    struct store_page_cache *c = store_page_cache_new(20 * STORE_PAGE_SIZE, &f->budget);
    struct reader readers[2 * THREADS];
    struct pool *pool = NULL;
    struct err err;
    uint64_t file = store_page_cache_file_id(c);
    expect_ok(pool_new(&pool, "readers", THREADS, &err), err);
    for (size_t i = 0; i < ARRAY_LEN(readers); i++) {
        readers[i] =
            (struct reader){.job.run = run_reader,
                            .f = f,
                            .c = c,
                            .file = i % 3 == 0 ? store_page_cache_file_id(c) : file,
                            .seed = 77 + i};
        pool_submit(pool, &readers[i].job);
    }
    pool_free(&pool);
    assert_true(budget_used(&f->budget) <= 20 * STORE_PAGE_SIZE);
    store_page_cache_free(&c);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_was_written),
        cmocka_unit_test(stays_below_its_limit),
        cmocka_unit_test(rounds_its_limit_up),
        cmocka_unit_test(makes_do_with_what_the_budget_grants),
        cmocka_unit_test(tells_files_apart),
        cmocka_unit_test(keeps_what_stands_in_a_page),
        cmocka_unit_test(keeps_many_small_pages),
        cmocka_unit_test(refuses_a_damaged_page_and_only_that),
        cmocka_unit_test(refuses_what_is_not_there),
        cmocka_unit_test(serves_many_threads),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
