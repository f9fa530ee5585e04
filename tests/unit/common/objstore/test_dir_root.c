/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "common/base/pool.h"
#include "tests/support/expect.h"
#include "tests/support/sandbox.h"
#include "tests/unit/common/objstore/fixture.h"

/* A bucket, and beside it a directory that its keys must not reach. */
struct paths {
    struct fixture f; /* its root is where both are */
    struct objstore_bucket *bucket;
    char inside[80];
    char outside[80];
};

static void
paths_init(struct paths *p)
{
    fixture_init(&p->f);
    snprintf(p->inside, sizeof p->inside, "%s/in", p->f.root);
    snprintf(p->outside, sizeof p->outside, "%s/out", p->f.root);
    assert_true(put(&p->f, "out/secret", "secret"));
    assert_true(put(&p->f, "in/a/b", "inner"));
    p->bucket = p->f.bucket;
    expect_ok(objstore_dir_open(&p->f.bucket, p->inside, &p->f.err), p->f.err);
}

static void
paths_fini(struct paths *p)
{
    objstore_free(&p->bucket);
    fixture_fini(&p->f);
}

static void
link_at(const struct paths *p, const char *key, const char *target)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", p->inside, key);
    assert_int_equal(symlink(target, path), 0);
}

static bool
remove_object(struct fixture *f, const char *key)
{
    return objstore_remove(f->bucket, &CALL, text(key), &f->err);
}

static bool
create(struct fixture *f, const char *key)
{
    return objstore_create(f->bucket, &CALL, text(key), text("x"), &f->err);
}

/* That the directory outside holds its secret and nothing else. */
static void
expect_untouched(struct paths *p)
{
    struct objstore_bucket *b = NULL;
    expect_ok(objstore_dir_open(&b, p->outside, &p->f.err), p->f.err);
    struct fixture outside = {.bucket = b};
    expect_list(&outside, "", "secret ");
    expect_object(&outside, "secret", "secret");
    objstore_free(&b);
}

static void
refuses_keys_that_lead_out(void **state)
{
    (void)state;
    const struct bytes keys[] = {
        BYTES("../out/secret"),
        BYTES("a/../../out/secret"),
        BYTES(".."),
        BYTES("a/.."),
        BYTES("."),
        BYTES("a/./b"),
        BYTES("/etc/passwd"),
        BYTES("a//b"),
        BYTES("a/b\0/../x"),
        BYTES("\0"),
        BYTES("a/"),
        BYTES(""),
    };
    struct paths p;
    paths_init(&p);
    struct objstore_attrs attrs;
    struct buf into = {0};
    struct err err;
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        struct objstore_bucket *b = p.f.bucket;
        expect_fails(objstore_head(b, &CALL, keys[i], &attrs, &err), err, ERR_INVALID);
        expect_fails(objstore_get(b, &CALL, keys[i], 9, &into, &err), err, ERR_INVALID);
        expect_fails(objstore_put(b, &CALL, keys[i], text("x"), &err), err,
                     ERR_INVALID);
        expect_fails(objstore_create(b, &CALL, keys[i], text("x"), &err), err,
                     ERR_INVALID);
        expect_fails(objstore_remove(b, &CALL, keys[i], &err), err, ERR_INVALID);
    }
    expect_list(&p.f, "../", "<invalid>");
    expect_list(&p.f, "/", "<invalid>");
    expect_list(&p.f, "a/../../out/", "<invalid>");
    expect_list(&p.f, "", "a/b ");
    expect_untouched(&p);
    paths_fini(&p);
}

static void
follows_no_link_inside(void **state)
{
    (void)state;
    static const char *const targets[] = {"../out", "a", "/", ".", "nowhere"};
    for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
        struct paths p;
        paths_init(&p);
        link_at(&p, "way", targets[i]);
        static const char *const keys[] = {"way/secret", "way/b", "way/new/x"};
        for (size_t k = 0; k < ARRAY_LEN(keys); k++) {
            expect_object(&p.f, keys[k], "<denied>");
            assert_non_null(strstr(p.f.err.text, "/in/way"));
            assert_non_null(strstr(p.f.err.text, "symbolic link"));
            expect_fails(put(&p.f, keys[k], "x"), p.f.err, ERR_DENIED);
            expect_fails(create(&p.f, keys[k]), p.f.err, ERR_DENIED);
            expect_fails(remove_object(&p.f, keys[k]), p.f.err, ERR_DENIED);
        }
        expect_list(&p.f, "", "a/b ");
        expect_list(&p.f, "way/", "<denied>");
        expect_list(&p.f, "way/new/", "<denied>");
        expect_untouched(&p);
        paths_fini(&p);
    }
}

static void
replaces_and_deletes_links_themselves(void **state)
{
    (void)state;
    static const char *const targets[] = {"../out/secret", "a/b", "nowhere", "a"};
    for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
        struct paths p;
        paths_init(&p);
        link_at(&p, "link", targets[i]);
        expect_object(&p.f, "link", "<denied>");
        expect_list(&p.f, "", "a/b ");
        expect_fails(create(&p.f, "link"), p.f.err, ERR_CONFLICT);
        expect_ok(put(&p.f, "link", "own"), p.f.err);
        expect_object(&p.f, "link", "own");
        link_at(&p, "a/link", targets[i]);
        expect_ok(remove_object(&p.f, "a/link"), p.f.err);
        expect_object(&p.f, "a/link", "<not_found>");
        expect_object(&p.f, "a/b", "inner");
        expect_untouched(&p);
        paths_fini(&p);
    }
}

static void
takes_a_link_for_its_root(void **state)
{
    (void)state;
    struct paths p;
    char path[PATH_MAX];
    paths_init(&p);
    link_at(&p, "self", ".");
    objstore_free(&p.f.bucket);
    snprintf(path, sizeof path, "%s/self/", p.inside);
    expect_ok(objstore_dir_open(&p.f.bucket, path, &p.f.err), p.f.err);
    expect_ok(put(&p.f, "a/c", "x"), p.f.err);
    expect_list(&p.f, "", "a/b a/c ");
    paths_fini(&p);
}

static void
expect_lost(struct fixture *f)
{
    expect_list(f, "", "<io>");
    expect_list(f, "a/", "<io>");
    expect_object(f, "nothing", "<io>");
    expect_object(f, "a/b", "<io>");
    expect_fails(put(f, "a/new", "x"), f->err, ERR_IO);
    expect_fails(create(f, "a/other"), f->err, ERR_IO);
    expect_fails(remove_object(f, "a/nothing"), f->err, ERR_IO);
}

static void
tells_a_root_that_was_replaced(void **state)
{
    (void)state;
    struct paths p;
    char aside[PATH_MAX];
    paths_init(&p);
    snprintf(aside, sizeof aside, "%s/aside", p.f.root);
    assert_int_equal(rename(p.inside, aside), 0);
    expect_lost(&p.f);
    assert_int_equal(mkdir(p.inside, 0755), 0);
    expect_lost(&p.f);
    assert_int_equal(rmdir(p.inside), 0);
    assert_int_equal(rename(aside, p.inside), 0);
    expect_object(&p.f, "a/b", "inner");
    expect_list(&p.f, "", "a/b ");
    expect_ok(put(&p.f, "a/new", "x"), p.f.err);
    paths_fini(&p);
}

struct swapper {
    char folder[PATH_MAX];
    char link[PATH_MAX];
    atomic_bool stop;
};

static void *
swap_again_and_again(void *arg)
{
    struct swapper *s = arg;
    while (!atomic_load(&s->stop))
        if (renameat2(AT_FDCWD, s->folder, AT_FDCWD, s->link, RENAME_EXCHANGE) != 0)
            return s;
    return NULL;
}

/* A folder that becomes a link to the outside and back at any moment. */
static void
does_not_leave_by_a_folder_that_becomes_a_link(void **state)
{
    (void)state;
    enum { ROUNDS = 400 };
    struct paths p;
    struct swapper s = {.stop = false};
    pthread_t thread;
    void *failed;
    paths_init(&p);
    link_at(&p, "link", "../out");
    snprintf(s.folder, sizeof s.folder, "%s/a", p.inside);
    snprintf(s.link, sizeof s.link, "%s/link", p.inside);
    expect_ok(thread_start(&thread, "swapper", swap_again_and_again, &s, &p.f.err),
              p.f.err);
    for (int i = 0; i < ROUNDS; i++) {
        struct buf keys = {0};
        char *got = get(&p.f, "a/secret");
        assert_string_not_equal(got, "secret");
        free(got);
        /* Any of these may fail: which folder they meet is chance. */
        put(&p.f, "a/new", "x");
        put(&p.f, "a/deep/new", "x");
        create(&p.f, "a/created");
        if (objstore_list(p.f.bucket, &CALL, text(""), append_key, &keys, &p.f.err))
            assert_null(strstr(buf_text(&keys), "secret"));
        remove_object(&p.f, "a/deep/new");
        remove_object(&p.f, "a/created");
        remove_object(&p.f, "a/secret");
        buf_fini(&keys);
    }
    atomic_store(&s.stop, true);
    pthread_join(thread, &failed);
    assert_null(failed);
    expect_untouched(&p);
    paths_fini(&p);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_keys_that_lead_out),
        cmocka_unit_test(follows_no_link_inside),
        cmocka_unit_test(replaces_and_deletes_links_themselves),
        cmocka_unit_test(takes_a_link_for_its_root),
        cmocka_unit_test(tells_a_root_that_was_replaced),
        cmocka_unit_test(does_not_leave_by_a_folder_that_becomes_a_link),
    };
    int failures = cmocka_run_group_tests_name("openat2", tests, NULL, NULL);
    if (sandbox_refuse(SYS_openat2, ENOSYS))
        failures += cmocka_run_group_tests_name("no openat2", tests, NULL, NULL);
    return failures;
}
