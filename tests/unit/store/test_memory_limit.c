/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/file.h"
#include "common/base/xmalloc.h"
#include "store/memory_limit.h"
#include "tests/support/expect.h"

struct fake_file {
    const char *path;
    const char *text;
};

/* The limit of a machine with these files and no others. */
static uint64_t
limit_with(const struct fake_file *files, size_t count)
{
    char root[] = "/tmp/blockhouse-memory-XXXXXX";
    struct err err;
    assert_non_null(mkdtemp(root));
    for (size_t i = 0; i < count; i++) {
        CLEANUP(xfree) char *path = xasprintf("%s%s", root, files[i].path);
        char *slash = strrchr(path, '/');
        *slash = 0;
        expect_ok(file_mkdirs(path, &err), err);
        *slash = '/';
        expect_ok(file_replace(path, bytes_of_str(files[i].text), &err), err);
    }
    uint64_t limit = store_memory_limit(root);
    expect_ok(file_remove_tree(root, &err), err);
    return limit;
}

#define LIMIT_WITH(...)                                          \
    limit_with((const struct fake_file[]){__VA_ARGS__},          \
               sizeof((const struct fake_file[]){__VA_ARGS__}) / \
                   sizeof(struct fake_file))

static void
falls_back_to_the_machine(void **unused)
{
    (void)unused;
    uint64_t machine = limit_with(NULL, 0);
    assert_true(machine > 1 << 20);
    assert_int_equal(LIMIT_WITH({"/sys/fs/cgroup/memory.max", "max\n"}), machine);
    assert_int_equal(LIMIT_WITH({"/sys/fs/cgroup/memory.max", "nonsense\n"}), machine);
    assert_int_equal(LIMIT_WITH({"/sys/fs/cgroup/memory/memory.limit_in_bytes",
                                 "9223372036854771712\n"}),
                     machine);
    assert_int_equal(LIMIT_WITH({"/proc/self/cgroup", "garbage\n::\n"}), machine);
}

static void
finds_the_limit_of_a_container(void **unused)
{
    (void)unused;
    assert_int_equal(LIMIT_WITH({"/proc/self/cgroup", "0::/\n"},
                                {"/sys/fs/cgroup/memory.max", "1048576\n"}),
                     1048576);
    assert_int_equal(
        LIMIT_WITH({"/proc/self/cgroup", "5:memory:/\n0::/\n"},
                   {"/sys/fs/cgroup/memory/memory.limit_in_bytes", "1234\n"}),
        1234);
}

static void
finds_the_tightest_limit_up_to_the_root(void **unused)
{
    (void)unused;
    assert_int_equal(
        LIMIT_WITH({"/proc/self/cgroup", "0::/system.slice/x.service\n"},
                   {"/sys/fs/cgroup/system.slice/x.service/memory.max", "max"},
                   {"/sys/fs/cgroup/system.slice/memory.max", "2000\n"},
                   {"/sys/fs/cgroup/memory.max", "3000\n"}),
        2000);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(falls_back_to_the_machine),
        cmocka_unit_test(finds_the_limit_of_a_container),
        cmocka_unit_test(finds_the_tightest_limit_up_to_the_root),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
