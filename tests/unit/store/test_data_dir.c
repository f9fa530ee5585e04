/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/xmalloc.h"
#include "store/data_dir.h"
#include "tests/support/expect.h"

static char *dir;
static struct err err;

static int
set_up(void **state)
{
    (void)state;
    char name[] = "/tmp/blockhouse-data-dir-XXXXXX";
    assert_non_null(mkdtemp(name));
    dir = xasprintf("%s/a/b", name); /* has to be made */
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    dir[strlen(dir) - strlen("/a/b")] = 0;
    expect_ok(file_remove_tree(dir, &err), err);
    free(dir);
    return 0;
}

static void
keeps_a_second_store_out_and_says_who_is_in(void **state)
{
    (void)state;
    int first = -1, second = -1;
    char pid[32];
    snprintf(pid, sizeof pid, "pid %ld on ", (long)getpid());
    expect_ok(store_data_dir_lock(dir, &first, &err), err);
    expect_fails(store_data_dir_lock(dir, &second, &err), err, ERR_CONFLICT);
    assert_int_equal(second, -1);
    assert_non_null(strstr(err.text, dir));
    assert_non_null(strstr(err.text, STORE_DATA_DIR_LOCK));
    assert_non_null(strstr(err.text, pid));
    file_close(&first);
    expect_ok(store_data_dir_lock(dir, &second, &err), err);
    file_close(&second);
}

static void
ends_with_a_process_that_is_killed(void **state)
{
    (void)state;
    int fd = -1, status, ready[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        bool ok = store_data_dir_lock(dir, &fd, &err);
        if (write(ready[1], ok ? "y" : "n", 1) == 1)
            pause();
        _exit(1);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(byte, 'y');
    expect_fails(store_data_dir_lock(dir, &fd, &err), err, ERR_CONFLICT);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    expect_ok(store_data_dir_lock(dir, &fd, &err), err);
    file_close(&fd);
    close(ready[0]);
    close(ready[1]);
}

static void
refuses_what_is_no_directory(void **state)
{
    (void)state;
    int fd = -1;
    CLEANUP(xfree) char *path = xasprintf("%s/" STORE_DATA_DIR_LOCK, dir);
    expect_fails(store_data_dir_lock("/dev/null/x", &fd, &err), err, ERR_CONFLICT);
    expect_ok(file_mkdirs(path, &err), err);
    expect_fails(store_data_dir_lock(dir, &fd, &err), err, ERR_IO);
    assert_non_null(strstr(err.text, path));
    assert_int_equal(fd, -1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(keeps_a_second_store_out_and_says_who_is_in,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(ends_with_a_process_that_is_killed, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(refuses_what_is_no_directory, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
