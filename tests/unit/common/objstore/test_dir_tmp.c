/* SPDX-License-Identifier: Apache-2.0 */
/* What is left of puts that do not come to their end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "tests/support/expect.h"
#include "tests/support/sandbox.h"
#include "tests/unit/common/objstore/fixture.h"

enum { BIG = 2 << 20, DISK = 1 << 20 };

static bool
append_name(void *arg, const char *name, struct err *err)
{
    (void)err;
    buf_printf((struct buf *)arg, "%s ", name);
    return true;
}

/* What is in a folder of the bucket, temporary files included; "" if it is not there.
 */
static void
entries_of(const struct fixture *f, const char *folder, struct buf *names)
{
    char path[PATH_MAX];
    struct err ignored;
    buf_clear(names);
    snprintf(path, sizeof path, "%s/%s", f->root, folder);
    if (!file_list(path, append_name, names, &ignored))
        buf_clear(names);
}

static void
expect_entries(const struct fixture *f, const char *folder, const char *expected)
{
    struct buf names = {0};
    entries_of(f, folder, &names);
    assert_string_equal(buf_text(&names), expected);
    buf_fini(&names);
}

static bool
put_big(struct fixture *f, const char *key)
{
    FILE *file = tmpfile();
    bool ok = file != NULL && ftruncate(fileno(file), BIG) == 0 &&
              put_file(f, &CALL, text(key), fileno(file), BIG);
    if (file != NULL)
        fclose(file);
    return ok;
}

static bool
put_alone(struct fixture *f, const char *key)
{
    FILE *file = tmpfile();
    struct objstore_attrs stored;
    const struct objstore_file source = {.fd = fileno(file), .sole_writer = true};
    bool ok = objstore_put_file(f->bucket, &CALL, text(key), &source, &stored, &f->err);
    fclose(file);
    return ok;
}

/* A call in a child process, and what it came to. */
struct attempt {
    struct fixture f;
    long refused; /* system call */
    int errnum;
    bool create;
    int source; /* a file to put */
    bool done;  /* the conditions could be made */
    bool succeeded;
    char entries[256];
};

static struct attempt *
attempt_new(void)
{
    struct attempt *a = mmap(NULL, sizeof *a, PROT_READ | PROT_WRITE,
                             MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(a, MAP_FAILED);
    *a = (struct attempt){.done = false};
    fixture_init(&a->f);
    return a;
}

static void
attempt_free(struct attempt *a)
{
    fixture_fini(&a->f);
    munmap(a, sizeof *a);
}

static bool
attempt_refused(void *arg)
{
    struct attempt *a = arg;
    a->done = sandbox_refuse(a->refused, a->errnum);
    if (a->done)
        a->succeeded = a->create ? objstore_create(a->f.bucket, &CALL, text("a/new"),
                                                   text("new"), &a->f.err)
                                 : put(&a->f, "a/old", "new");
    return true;
}

static void
leaves_the_old_object_when_a_system_call_fails(void **state)
{
    (void)state;
    static const struct {
        long refused;
        int errnum;
        bool create;
        enum err_code code;
        const char *text;
    } cases[] = {
        {SYS_write, ENOSPC, false, ERR_IO, "write a/old: No space left on device"},
        {SYS_write, EDQUOT, false, ERR_IO, "write a/old: Disk quota exceeded"},
        {SYS_write, EIO, true, ERR_IO, "write a/new: Input/output error"},
        {SYS_fsync, ENOSPC, false, ERR_IO, "fsync a/old: No space left on device"},
        {SYS_fsync, EIO, true, ERR_IO, "fsync a/new: Input/output error"},
        {SYS_close, EDQUOT, false, ERR_IO, "close a/old: Disk quota exceeded"},
        {SYS_renameat, ENOSPC, false, ERR_IO, "a/old: No space left on device"},
        {SYS_linkat, ENOSPC, true, ERR_IO, "a/new: No space left on device"},
        {SYS_linkat, EPERM, true, ERR_UNSUPPORTED, "no hard links"},
        {SYS_linkat, EOPNOTSUPP, true, ERR_UNSUPPORTED, "no hard links"},
        {SYS_getdents64, EIO, false, ERR_NONE, ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct attempt *a = attempt_new();
        expect_ok(put(&a->f, "a/old", "old"), a->f.err);
        a->refused = cases[i].refused;
        a->errnum = cases[i].errnum;
        a->create = cases[i].create;
        assert_true(sandbox_run(attempt_refused, a));
        if (!a->done)
            skip();
        assert_int_equal(a->succeeded, cases[i].code == ERR_NONE);
        if (!a->succeeded) {
            assert_int_equal(a->f.err.code, cases[i].code);
            if (strstr(a->f.err.text, cases[i].text) == NULL)
                fail_msg("no \"%s\" in \"%s\"", cases[i].text, a->f.err.text);
            assert_non_null(strstr(a->f.err.text, a->f.root));
        }
        expect_object(&a->f, "a/old", a->succeeded ? "new" : "old");
        expect_entries(&a->f, "a", "old ");
        attempt_free(a);
    }
}

/* Put what does not fit over an object and beside it; then what fits. */
static bool
fill_the_disk(void *arg)
{
    struct attempt *a = arg;
    struct buf names = {0};
    objstore_free(&a->f.bucket);
    a->done = sandbox_mount(a->f.root, DISK) &&
              objstore_dir_open(&a->f.bucket, a->f.root, &a->f.err) &&
              put(&a->f, "a/old", "old");
    if (!a->done)
        return true;
    a->succeeded = put_big(&a->f, "b/new") || put_big(&a->f, "a/old");
    struct err first = a->f.err;
    char *old = get(&a->f, "a/old");
    bool whole = strcmp(old, "old") == 0 && put(&a->f, "c", "fits");
    entries_of(&a->f, "a", &names);
    snprintf(a->entries, sizeof a->entries, "%s", buf_text(&names));
    entries_of(&a->f, "b", &names);
    strncat(a->entries, buf_text(&names), sizeof a->entries - strlen(a->entries) - 1);
    a->f.err = first;
    free(old);
    buf_fini(&names);
    objstore_free(&a->f.bucket);
    return whole;
}

static void
leaves_nothing_on_a_full_disk(void **state)
{
    (void)state;
    struct attempt *a = attempt_new();
    struct objstore_bucket *bucket = a->f.bucket;
    bool kept = sandbox_run(fill_the_disk, a);
    bool done = a->done;
    a->f.bucket = bucket;
    if (done) {
        assert_true(kept);
        assert_false(a->succeeded);
        assert_int_equal(a->f.err.code, ERR_IO);
        assert_non_null(strstr(a->f.err.text, "a/old: No space left on device"));
        assert_string_equal(a->entries, "old ");
    }
    attempt_free(a);
    if (!done) {
        print_message("no mount of a small file system is allowed here\n");
        skip();
    }
}

static bool
pass_the_file_size_limit(void *arg)
{
    struct attempt *a = arg;
    const struct rlimit limit = {DISK, DISK};
    signal(SIGXFSZ, SIG_IGN); /* as daemons do */
    a->done = setrlimit(RLIMIT_FSIZE, &limit) == 0;
    a->succeeded = put_file(&a->f, &CALL, text("a/old"), a->source, BIG);
    return true;
}

static void
leaves_nothing_of_a_file_that_is_too_large(void **state)
{
    (void)state;
    struct attempt *a = attempt_new();
    FILE *file = tmpfile();
    a->source = fileno(file);
    assert_int_equal(ftruncate(a->source, BIG), 0);
    expect_ok(put(&a->f, "a/old", "old"), a->f.err);
    assert_true(sandbox_run(pass_the_file_size_limit, a));
    assert_true(a->done);
    assert_false(a->succeeded);
    assert_int_equal(a->f.err.code, ERR_IO);
    assert_non_null(strstr(a->f.err.text, "a/old: File too large"));
    expect_object(&a->f, "a/old", "old");
    expect_entries(&a->f, "a", "old ");
    fclose(file);
    attempt_free(a);
}

/* A put whose temporary file stays, as if it had been killed. */
static bool
die_while_writing(void *arg)
{
    struct attempt *a = arg;
    return sandbox_refuse(SYS_unlinkat, EPERM) && sandbox_refuse(SYS_fsync, EIO) &&
           !put(&a->f, "a/own", "x");
}

static void
make_old(const struct fixture *f, const char *folder, const char *name)
{
    char path[PATH_MAX];
    const time_t then = (time_t)(clock_wall_ns() / CLOCK_NS_PER_S) - 25 * 3600;
    const struct timespec old[] = {{.tv_sec = then}, {.tv_sec = then}};
    snprintf(path, sizeof path, "%s/%s/%s", f->root, folder, name);
    int fd = open(path, O_WRONLY | O_CREAT, 0644);
    assert_true(fd >= 0);
    assert_int_equal(futimens(fd, old), 0);
    close(fd);
}

static void
removes_what_killed_puts_have_left(void **state)
{
    (void)state;
    struct attempt *a = attempt_new();
    struct buf names = {0};
    if (!sandbox_run(die_while_writing, a))
        skip();
    entries_of(&a->f, "a", &names);
    assert_int_equal(names.len, strlen(".blockhouse-0123456789abcdef.tmp "));

    /* It may be of a put that still runs, unless nobody else stores that object. */
    expect_ok(put(&a->f, "a/own", "x"), a->f.err);
    expect_ok(put_alone(&a->f, "a/other"), a->f.err);
    buf_put_str(&names, "other own ");
    expect_entries(&a->f, "a", buf_text(&names));
    expect_ok(put_alone(&a->f, "a/own"), a->f.err);
    expect_entries(&a->f, "a", "other own ");
    buf_fini(&names);
    attempt_free(a);
}

static void
removes_what_is_a_day_old_in_the_folder_of_a_put(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    expect_ok(put(&f, "a/b/c", "x"), f.err);
    expect_ok(put(&f, "top", "x"), f.err);
    make_old(&f, "a/b", ".blockhouse-0123456789abcdef.tmp");
    make_old(&f, "a/b", ".blockhouse-0123456789abcdef.tmp2");
    make_old(&f, "a", ".blockhouse-0123456789abcdef.tmp");
    make_old(&f, "", ".blockhouse-fedcba9876543210.tmp");
    expect_ok(put(&f, "a/b/d", "x"), f.err);
    expect_entries(&f, "a/b", ".blockhouse-0123456789abcdef.tmp2 c d ");
    expect_entries(&f, "a", ".blockhouse-0123456789abcdef.tmp b ");
    expect_ok(put(&f, "top", "x"), f.err);
    expect_entries(&f, "", "a top ");
    fixture_fini(&f);
}

/* A create that is killed behind its link: the object has a second name. */
static bool
die_behind_the_link(void *arg)
{
    struct attempt *a = arg;
    a->done = sandbox_refuse(SYS_unlinkat, EPERM);
    return a->done &&
           objstore_create(a->f.bucket, &CALL, text("a/own"), text("whole"), &a->f.err);
}

static void
keeps_the_object_of_a_create_that_left_its_file(void **state)
{
    (void)state;
    struct attempt *a = attempt_new();
    struct buf names = {0};
    bool created = sandbox_run(die_behind_the_link, a);
    if (!a->done)
        skip();
    assert_true(created);
    expect_object(&a->f, "a/own", "whole");
    expect_list(&a->f, "", "a/own ");
    entries_of(&a->f, "a", &names);
    char *end = strchr(buf_text(&names), ' ');
    assert_string_equal(end, " own ");
    *end = 0;
    make_old(&a->f, "a", buf_text(&names));
    expect_list(&a->f, "", "a/own ");
    expect_entries(&a->f, "a", "own ");
    expect_object(&a->f, "a/own", "whole");
    buf_fini(&names);
    attempt_free(a);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(leaves_the_old_object_when_a_system_call_fails),
        cmocka_unit_test(leaves_nothing_on_a_full_disk),
        cmocka_unit_test(leaves_nothing_of_a_file_that_is_too_large),
        cmocka_unit_test(removes_what_killed_puts_have_left),
        cmocka_unit_test(removes_what_is_a_day_old_in_the_folder_of_a_put),
        cmocka_unit_test(keeps_the_object_of_a_create_that_left_its_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
