/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/xmalloc.h"
#include "tests/support/expect.h"

static char folder[64];

static int
make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/test_file.XXXXXX");
    return mkdtemp(folder) != NULL ? 0 : -1;
}

static int
remove_folder(void **state)
{
    (void)state;
    struct err err;
    return file_remove_tree(folder, &err) ? 0 : -1;
}

static char *
in_folder(const char *name)
{
    return xasprintf("%s/%s", folder, name);
}

static void
expect_content(const char *path, const char *expected)
{
    struct err err;
    CLEANUP(buf_fini) struct buf content = {0};
    expect_ok(file_read_all(path, 1 << 20, &content, &err), err);
    assert_string_equal(buf_text(&content), expected);
}

static bool
append_name(void *arg, const char *name, struct err *err)
{
    if (strcmp(name, "stop") == 0)
        return err_set(err, ERR_CANCELLED, "told to stop");
    buf_printf(arg, "%s ", name);
    return true;
}

static void
expect_entries(const char *path, const char *expected)
{
    struct err err;
    CLEANUP(buf_fini) struct buf names = {0};
    expect_ok(file_list(path, append_name, &names, &err), err);
    assert_string_equal(buf_text(&names), expected);
}

static void
replaces_whole_and_leaves_nothing_beside(void **state)
{
    (void)state;
    struct err err;
    CLEANUP(xfree) char *path = in_folder("state.json");
    expect_ok(file_replace(path, BYTES("old content"), &err), err);
    expect_content(path, "old content");
    expect_ok(file_replace(path, BYTES("new"), &err), err);
    expect_content(path, "new");
    expect_ok(file_replace(path, (struct bytes){0}, &err), err);
    expect_content(path, "");
    expect_entries(folder, "state.json ");
}

static mode_t
mode_of(const char *path)
{
    struct stat st;
    assert_int_equal(lstat(path, &st), 0);
    return st.st_mode;
}

/* What lies where the temporary file goes was left by a crash, or is a trap. */
static void
replaces_by_a_file_of_its_own(void **state)
{
    (void)state;
    struct err err;
    CLEANUP(xfree) char *path = in_folder("f");
    CLEANUP(xfree) char *tmp = in_folder("f.tmp");
    CLEANUP(xfree) char *other = in_folder("other");
    expect_ok(file_replace(other, BYTES("theirs"), &err), err);
    assert_int_equal(symlink(other, tmp), 0);
    expect_ok(file_replace_private(path, BYTES("secret"), &err), err);
    assert_int_equal(mode_of(path), S_IFREG | 0600);
    expect_content(path, "secret");
    expect_content(other, "theirs");
    assert_int_equal(rename(other, tmp), 0);
    expect_ok(file_replace_private(path, BYTES("secret"), &err), err);
    assert_int_equal(mode_of(path), S_IFREG | 0600);
    expect_entries(folder, "f ");
}

static void
keeps_the_old_content_when_it_cannot_replace(void **state)
{
    (void)state;
    struct err err;
    CLEANUP(xfree) char *path = in_folder("f");
    CLEANUP(xfree) char *blocker = in_folder("f.tmp");
    CLEANUP(xfree) char *missing = in_folder("missing/f");
    CLEANUP(xfree) char *directory = in_folder("d");
    expect_ok(file_replace(path, BYTES("old"), &err), err);
    expect_ok(file_mkdirs(blocker, &err), err);
    expect_fails(file_replace(path, BYTES("new"), &err), err, ERR_IO);
    expect_content(path, "old");
    expect_fails(file_replace(missing, BYTES("x"), &err), err, ERR_NOT_FOUND);
    expect_ok(file_mkdirs(directory, &err), err);
    expect_fails(file_replace(directory, BYTES("x"), &err), err, ERR_IO);
    expect_entries(folder, "d f f.tmp ");
}

static void
replaces_in_the_working_directory(void **state)
{
    (void)state;
    struct err err;
    CLEANUP(file_close) int before = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(chdir(folder), 0);
    expect_ok(file_replace("plain", BYTES("x"), &err), err);
    expect_content("plain", "x");
    assert_int_equal(fchdir(before), 0);
}

static void
reads_at_offsets_and_refuses_short_files(void **state)
{
    (void)state;
    struct err err;
    char into[8] = "";
    uint64_t size = 0;
    CLEANUP(file_close) int fd = -1;
    CLEANUP(xfree) char *path = in_folder("f");
    expect_ok(file_replace(path, BYTES("0123456789"), &err), err);
    expect_ok(file_open_read(path, &fd, &err), err);
    expect_ok(file_size(fd, path, &size, &err), err);
    assert_int_equal(size, 10);
    expect_ok(file_pread(fd, path, into, 4, 6, &err), err);
    assert_memory_equal(into, "6789", 4);
    expect_ok(file_pread(fd, path, into, 0, 100, &err), err);
    expect_fails(file_pread(fd, path, into, 5, 6, &err), err, ERR_CORRUPT);
    assert_non_null(strstr(err.text, "ends at 10"));
    expect_fails(file_pread(fd, path, into, 1, UINT64_MAX, &err), err, ERR_IO);
}

static void
says_what_it_cannot_open(void **state)
{
    (void)state;
    struct err err;
    uint64_t size = 7;
    int fd = -1;
    CLEANUP(file_close) int directory = -1;
    CLEANUP(xfree) char *path = in_folder("missing");
    expect_fails(file_open_read(path, &fd, &err), err, ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, path));
    assert_int_equal(fd, -1);
    expect_ok(file_open_read(folder, &directory, &err), err);
    expect_fails(file_size(directory, folder, &size, &err), err, ERR_INVALID);
    assert_int_equal(size, 7);
}

static void
opens_regular_files_and_nothing_else(void **state)
{
    (void)state;
    struct err err;
    uint64_t size = 7;
    int fd = -1;
    CLEANUP(file_close) int opened = -1;
    CLEANUP(xfree) char *file = in_folder("file");
    CLEANUP(xfree) char *fifo = in_folder("fifo");
    CLEANUP(xfree) char *link = in_folder("link");
    CLEANUP(xfree) char *missing = in_folder("missing");
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_int_equal(symlink("file", link), 0);
    expect_fails(file_open_regular(fifo, &fd, &size, &err), err, ERR_INVALID);
    expect_fails(file_open_regular(link, &fd, &size, &err), err, ERR_INVALID);
    expect_fails(file_open_regular(folder, &fd, &size, &err), err, ERR_INVALID);
    expect_fails(file_open_regular(missing, &fd, &size, &err), err, ERR_NOT_FOUND);
    assert_int_equal(fd, -1);
    assert_int_equal(size, 7);
    expect_ok(file_replace(file, BYTES("12345"), &err), err);
    expect_ok(file_open_regular(file, &opened, &size, &err), err);
    assert_int_equal(size, 5);
}

static void
reads_no_more_than_the_limit(void **state)
{
    (void)state;
    struct err err;
    CLEANUP(buf_fini) struct buf content = {0};
    CLEANUP(xfree) char *path = in_folder("f");
    CLEANUP(xfree) char *missing = in_folder("missing");
    expect_ok(file_replace(path, BYTES("0123456789"), &err), err);
    buf_put_str(&content, "> ");
    expect_ok(file_read_all(path, 10, &content, &err), err);
    assert_string_equal(buf_text(&content), "> 0123456789");
    expect_fails(file_read_all(path, 9, &content, &err), err, ERR_INVALID);
    expect_fails(file_read_all("/dev/zero", 1000, &content, &err), err, ERR_INVALID);
    expect_fails(file_read_all(missing, 9, &content, &err), err, ERR_NOT_FOUND);
    assert_string_equal(buf_text(&content), "> 0123456789");
}

static void
reports_a_failed_write(void **state)
{
    (void)state;
    struct err err;
    CLEANUP(file_close) int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    assert_true(full >= 0);
    expect_fails(file_write_all(full, "/dev/full", BYTES("x"), &err), err, ERR_IO);
    expect_ok(file_write_all(full, "/dev/full", (struct bytes){0}, &err), err);
}

static void
makes_missing_parents(void **state)
{
    (void)state;
    struct err err;
    struct stat st;
    CLEANUP(xfree) char *deep = in_folder("a/b//c/");
    CLEANUP(xfree) char *a = in_folder("a/b/c");
    CLEANUP(xfree) char *file = in_folder("f");
    CLEANUP(xfree) char *below = in_folder("f/x");
    expect_ok(file_mkdirs(deep, &err), err);
    expect_ok(file_mkdirs(deep, &err), err);
    assert_int_equal(stat(a, &st), 0);
    assert_true(S_ISDIR(st.st_mode) && (st.st_mode & 07027) == 0);
    expect_ok(file_replace(file, BYTES("x"), &err), err);
    expect_fails(file_mkdirs(file, &err), err, ERR_CONFLICT);
    expect_fails(file_mkdirs(below, &err), err, ERR_CONFLICT);
    expect_fails(file_mkdirs("", &err), err, ERR_NOT_FOUND);
    expect_ok(file_mkdirs("/", &err), err);
}

static void
syncs_directories(void **state)
{
    (void)state;
    struct err err;
    CLEANUP(xfree) char *missing = in_folder("missing");
    expect_ok(file_sync_dir(folder, &err), err);
    expect_fails(file_sync_dir(missing, &err), err, ERR_NOT_FOUND);
}

static void
removes_trees_but_follows_no_links(void **state)
{
    (void)state;
    struct err err;
    CLEANUP(xfree) char *outside = in_folder("outside");
    CLEANUP(xfree) char *tree = in_folder("tree");
    CLEANUP(xfree) char *inside = in_folder("tree/a/b");
    CLEANUP(xfree) char *file = in_folder("tree/a/b/f");
    CLEANUP(xfree) char *link = in_folder("tree/a/link");
    CLEANUP(xfree) char *kept = in_folder("outside/kept");
    expect_ok(file_mkdirs(outside, &err), err);
    expect_ok(file_mkdirs(inside, &err), err);
    expect_ok(file_replace(kept, BYTES("x"), &err), err);
    expect_ok(file_replace(file, BYTES("x"), &err), err);
    assert_int_equal(symlink(outside, link), 0);
    expect_ok(file_remove_tree(tree, &err), err);
    assert_false(file_exists(tree));
    expect_content(kept, "x");
    expect_ok(file_remove_tree(tree, &err), err);
    expect_ok(file_remove_tree(kept, &err), err);
    assert_false(file_exists(kept));
    expect_fails(file_remove_tree("/proc/self", &err), err, ERR_DENIED);
}

static void
lists_in_byte_order_until_told_to_stop(void **state)
{
    static const char *const names[] = {"b", "a", "B", "\xc3\xa4", ".hidden", "stop"};
    (void)state;
    struct err err;
    CLEANUP(buf_fini) struct buf seen = {0};
    CLEANUP(xfree) char *missing = in_folder("missing");
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        CLEANUP(xfree) char *path = in_folder(names[i]);
        expect_ok(file_replace(path, BYTES("x"), &err), err);
    }
    expect_fails(file_list(folder, append_name, &seen, &err), err, ERR_CANCELLED);
    assert_string_equal(buf_text(&seen), ".hidden B a b ");
    CLEANUP(xfree) char *stop = in_folder("stop");
    expect_ok(file_remove_tree(stop, &err), err);
    expect_entries(folder, ".hidden B a b \xc3\xa4 ");
    expect_fails(file_list(missing, append_name, &seen, &err), err, ERR_NOT_FOUND);
}

static void
closes_once(void **state)
{
    (void)state;
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int copy = fd;
    file_close(&fd);
    assert_int_equal(fd, -1);
    assert_int_equal(fcntl(copy, F_GETFD), -1);
    file_close(&fd);
}

#define in_own_folder(test) \
    cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        in_own_folder(replaces_whole_and_leaves_nothing_beside),
        in_own_folder(replaces_by_a_file_of_its_own),
        in_own_folder(keeps_the_old_content_when_it_cannot_replace),
        in_own_folder(replaces_in_the_working_directory),
        in_own_folder(reads_at_offsets_and_refuses_short_files),
        in_own_folder(says_what_it_cannot_open),
        in_own_folder(opens_regular_files_and_nothing_else),
        in_own_folder(reads_no_more_than_the_limit),
        in_own_folder(reports_a_failed_write),
        in_own_folder(makes_missing_parents),
        in_own_folder(syncs_directories),
        in_own_folder(removes_trees_but_follows_no_links),
        in_own_folder(lists_in_byte_order_until_told_to_stop),
        cmocka_unit_test(closes_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
