/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <sys/statvfs.h>

#include "common/base/file.h"
#include "common/base/num.h"
#include "common/base/xmalloc.h"
#include "store/disk_usage.h"
#include "tests/support/expect.h"

static struct err err;

static const char *const files[] = {"01J0000000000000000000000A.bhx",
                                    "01J0000000000000000000000B.bhx", "blocks.snapshot",
                                    "ranges.00000001", "thanos.shipper.json"};

static int
set_up(void **state)
{
    char name[] = "/tmp/blockhouse-disk-usage-XXXXXX";
    char *dir = xstrdup(mkdtemp(name));
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        CLEANUP(xfree) char *path = xasprintf("%s/%s", dir, files[i]);
        expect_ok(file_replace(path, BYTES("1234567890"), &err), err);
    }
    *state = dir;
    return 0;
}

static int
tear_down(void **state)
{
    expect_ok(file_remove_tree(*state, &err), err);
    free(*state);
    return 0;
}

static void
lets_headers_go_first(void **state)
{
    struct store_disk_usage u;
    store_disk_usage_init(&u, *state, 100);
    assert_int_equal(store_disk_usage_bytes(&u, STORE_DISK_HEADERS), 20);
    assert_int_equal(store_disk_usage_bytes(&u, STORE_DISK_SNAPSHOT), 10);
    assert_int_equal(store_disk_usage_cache_room(&u), 70);
    store_disk_usage_add_header(&u, 60);
    assert_int_equal(store_disk_usage_cache_room(&u), 10);
    assert_false(store_disk_usage_is_crowded(&u));
    store_disk_usage_add_header(&u, 10);
    assert_int_equal(store_disk_usage_cache_room(&u), 0);
    assert_true(store_disk_usage_is_crowded(&u));
    assert_int_equal(store_disk_usage_to_free(&u), 0);
    store_disk_usage_add_header(&u, 1);
    assert_int_equal(store_disk_usage_to_free(&u), 1 + 100 / 16);
    assert_int_equal(store_disk_usage_cache_room(&u), 0);
    store_disk_usage_add_header(&u, -1000); /* more than there are: they were deleted */
    assert_int_equal(store_disk_usage_bytes(&u, STORE_DISK_HEADERS), 0);
    store_disk_usage_measure(&u);
    assert_int_equal(store_disk_usage_bytes(&u, STORE_DISK_HEADERS), 20);
}

static void
is_a_part_of_the_file_system_without_a_limit(void **state)
{
    struct store_disk_usage u;
    struct statvfs fs;
    assert_int_equal(statvfs(*state, &fs), 0);
    uint64_t size = (uint64_t)fs.f_blocks * fs.f_frsize;
    store_disk_usage_init(&u, *state, 0);
    assert_in_range(u.limit, size / 10 * 9 - 10, size / 10 * 9 + 10);
    uint64_t room = store_disk_usage_cache_room(&u);
    assert_true(room <= NUM_MIN(u.limit / 4, UINT64_C(16) << 30));
    assert_true(room <= (uint64_t)fs.f_bavail * fs.f_frsize);
}

static void
has_no_limit_where_the_file_system_tells_no_size(void **state)
{
    struct store_disk_usage u;
    struct statvfs fs;
    (void)state;
    assert_int_equal(statvfs("/proc", &fs), 0);
    assert_int_equal(fs.f_blocks, 0);
    store_disk_usage_init(&u, "/proc", 0);
    store_disk_usage_add_header(&u, 1 << 30);
    assert_int_equal(store_disk_usage_to_free(&u), 0);
    assert_false(store_disk_usage_is_crowded(&u));
    assert_int_equal(store_disk_usage_cache_room(&u), 0);
}

static void
leaves_a_tenth_of_the_file_system_free(void **state)
{
    struct store_disk_usage u;
    struct statvfs fs;
    store_disk_usage_init(&u, *state, UINT64_MAX / 2);
    assert_int_equal(statvfs(*state, &fs), 0);
    uint64_t free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
    uint64_t spare = (uint64_t)fs.f_blocks * fs.f_frsize / 10;
    uint64_t room = store_disk_usage_cache_room(&u);
    /* Others write to that file system, too. */
    uint64_t expected = free_bytes - NUM_MIN(free_bytes, spare);
    uint64_t most = NUM_MAX(room, expected), least = NUM_MIN(room, expected);
    assert_true(most - least < spare);
    assert_true(room < u.limit / 2);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(lets_headers_go_first),
        CASE(is_a_part_of_the_file_system_without_a_limit),
        CASE(has_no_limit_where_the_file_system_tells_no_size),
        CASE(leaves_a_tenth_of_the_file_system_free),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
