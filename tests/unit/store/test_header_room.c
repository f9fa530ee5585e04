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
#include "store/header_room.h"
#include "tests/support/expect.h"

enum { HEADERS = 6, BYTES_EACH = 10000 };

/* Monotonic and wall time at which the clocks stand. */
static const int64_t MONO_NS = INT64_C(1000) * CLOCK_NS_PER_S;
static const int64_t WALL_NS = INT64_C(1700000000) * CLOCK_NS_PER_S;

struct fixture {
    char *dir;
    struct metrics_registry *metrics;
    struct store_disk_usage usage;
    struct store_header_room room;
    struct store_block_set *set;
};

static struct err err;

static struct tsdb_ulid
id_of(size_t number)
{
    return (struct tsdb_ulid){.raw = {1, [TSDB_ULID_SIZE - 1] = (uint8_t)number}};
}

static char *
path_of(const struct fixture *f, size_t number)
{
    struct tsdb_ulid id = id_of(number);
    return xasprintf("%s/%s.bhx", f->dir, tsdb_ulid_print(&id).text);
}

static void
make_header(const struct fixture *f, size_t number, int64_t age_s)
{
    CLEANUP(xfree) char *path = path_of(f, number);
    CLEANUP(xfree) uint8_t *content = xcalloc(1, BYTES_EACH);
    struct timespec times[2];
    expect_ok(file_replace(path, bytes_of(content, BYTES_EACH), &err), err);
    times[0] = times[1] = (struct timespec){.tv_sec = WALL_NS / CLOCK_NS_PER_S - age_s};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static bool
has(const struct fixture *f, size_t number)
{
    CLEANUP(xfree) char *path = path_of(f, number);
    return file_exists(path);
}

/* Headers of six blocks, of which the set has all but the last one; the first is the
 * oldest. */
static int
set_up(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    char name[] = "/tmp/blockhouse-header-room-XXXXXX";
    struct store_block_meta meta = {0};
    struct store_block **blocks = xcalloc(HEADERS, sizeof(struct store_block *));
    clock_freeze(MONO_NS, WALL_NS);
    f->dir = xstrdup(mkdtemp(name));
    f->metrics = metrics_registry_new();
    for (size_t i = 0; i < HEADERS; i++)
        make_header(f, i, 1000 - (int64_t)i);
    for (size_t i = 0; i + 1 < HEADERS; i++) {
        struct tsdb_ulid id = id_of(i);
        blocks[i] = store_block_restore(&id, 1, &meta);
    }
    f->set = store_block_set_new(blocks, HEADERS - 1);
    *state = f;
    return 0;
}

static void
limit_to(struct fixture *f, uint64_t limit)
{
    store_disk_usage_init(&f->usage, f->dir, limit);
    f->room = (struct store_header_room){
        .data_dir = f->dir,
        .usage = &f->usage,
        .evictions = metrics_counter(f->metrics, "evictions_total", "For the test.")};
}

static int
tear_down(void **state)
{
    struct fixture *f = *state;
    clock_unfreeze();
    store_block_set_unref(&f->set);
    metrics_registry_free(&f->metrics);
    expect_ok(file_remove_tree(f->dir, &err), err);
    free(f->dir);
    free(f);
    return 0;
}

static void
use(struct fixture *f, size_t number, int64_t age_s)
{
    atomic_store(&f->set->blocks[number]->header_used_ns,
                 MONO_NS - age_s * CLOCK_NS_PER_S);
}

static void
removes_nothing_below_the_limit(void **state)
{
    struct fixture *f = *state;
    limit_to(f, HEADERS * BYTES_EACH);
    assert_int_equal(store_header_room_make(&f->room, f->set, 0), 0);
    assert_int_equal(store_disk_usage_bytes(&f->usage, STORE_DISK_HEADERS),
                     HEADERS * BYTES_EACH);
}

static void
removes_what_was_not_used_for_longest(void **state)
{
    struct fixture *f = *state;
    limit_to(f, 3 * BYTES_EACH + BYTES_EACH / 2);
    use(f, 0, 20);
    use(f, 3, 30);
    /* The last one is of no block, so nobody uses it; it was built last. */
    assert_int_equal(store_header_room_make(&f->room, f->set, 0), 3);
    assert_true(has(f, 0) && has(f, 3) && has(f, 5));
    assert_false(has(f, 1) || has(f, 2) || has(f, 4));
    assert_int_equal(store_disk_usage_bytes(&f->usage, STORE_DISK_HEADERS),
                     3 * BYTES_EACH);
    assert_int_equal(store_disk_usage_to_free(&f->usage), 0);
    assert_int_equal(metrics_get(f->room.evictions), 3);
    /* For so many bytes, although there is room. */
    assert_int_equal(store_header_room_make(&f->room, f->set, BYTES_EACH + 1), 2);
    assert_true(has(f, 0));
}

static void
keeps_what_is_in_use(void **state)
{
    struct fixture *f = *state;
    limit_to(f, 1);
    use(f, 0, 1);
    use(f, 1, 4);
    make_header(f, 2, 0);
    assert_int_equal(store_header_room_make(&f->room, f->set, 0), 3);
    assert_true(has(f, 0) && has(f, 1) && has(f, 2));
}

static void
leaves_other_files_alone(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = {"x.bhx", "blocks.snapshot", "ranges.00000001",
                                        "0123.bhx"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        CLEANUP(xfree) char *path = xasprintf("%s/%s", f->dir, names[i]);
        expect_ok(file_replace(path, BYTES("x"), &err), err);
    }
    limit_to(f, 1);
    assert_int_equal(store_header_room_make(&f->room, f->set, 0), HEADERS);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        CLEANUP(xfree) char *path = xasprintf("%s/%s", f->dir, names[i]);
        assert_true(file_exists(path));
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(removes_nothing_below_the_limit),
        CASE(removes_what_was_not_used_for_longest),
        CASE(keeps_what_is_in_use),
        CASE(leaves_other_files_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
