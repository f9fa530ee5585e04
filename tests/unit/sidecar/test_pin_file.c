/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/xmalloc.h"
#include "sidecar/pin_file.h"
#include "tests/unit/sidecar/disk.h"
#include "tests/unit/sidecar/fixture.h"

/* More than one piece of a copy by hand, and not a multiple of one. */
enum { BIG = 600 * 1000 + 7 };

struct pair {
    char *from;
    char *to;
    struct sidecar_pin_work work;
    struct err err;
};

static struct pair
pair_of(const struct fixture *f)
{
    struct err err;
    struct pair p = {.from = xasprintf("%s/from", f->root),
                     .to = xasprintf("%s/to", f->root)};
    CLEANUP(xfree) uint8_t *content = xcalloc(1, BIG);
    for (size_t i = 0; i < BIG; i++)
        content[i] = (uint8_t)(i * 2654435761U >> 13);
    assert_true(file_replace(p.from, bytes_of(content, BIG), &err));
    return p;
}

static void
pair_fini(struct pair *p)
{
    free(p->from);
    free(p->to);
    disk = (struct disk){0};
}

static void
assert_equal(const struct pair *p)
{
    CLEANUP(buf_fini) struct buf from = fixture_read(p->from);
    CLEANUP(buf_fini) struct buf to = fixture_read(p->to);
    assert_int_equal(from.len, BIG);
    assert_true(bytes_eq(buf_bytes(&from), buf_bytes(&to)));
}

static void
links_when_it_may(void **state)
{
    CLEANUP(pair_fini) struct pair p = pair_of(*state);
    struct stat st;
    assert_true(sidecar_pin_file(&p.work, p.from, p.to, &p.err));
    assert_int_equal(stat(p.to, &st), 0);
    assert_int_equal(st.st_nlink, 2);
    assert_int_equal(p.work.cost.kind, SIDECAR_PIN_LINKED);
    assert_int_equal(p.work.cost.bytes, 0);
    assert_int_equal(p.work.cost.refusal, 0);
}

/* A file system that clones does so here, too; only what a copy is made of differs. */
static void
copies_when_links_are_refused(void **state)
{
    static const struct {
        int link_errnum;
        int copy_errnum;
    } cases[] = {{EPERM, 0},
                 {EXDEV, EXDEV},
                 {EMLINK, EINVAL},
                 {EOPNOTSUPP, ENOSYS},
                 {ENOSYS, EPERM}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(pair_fini) struct pair p = pair_of(*state);
        struct stat st;
        disk.link_errnum = cases[i].link_errnum;
        disk.copy_errnum = cases[i].copy_errnum;
        assert_true(sidecar_pin_file(&p.work, p.from, p.to, &p.err));
        assert_equal(&p);
        assert_int_equal(stat(p.to, &st), 0);
        assert_int_equal(st.st_nlink, 1);
        assert_int_equal(st.st_mode & 07, 0);
        assert_true(p.work.cost.kind >= SIDECAR_PIN_CLONED);
        assert_int_equal(p.work.cost.bytes, BIG);
        assert_int_equal(p.work.cost.refusal, cases[i].link_errnum);
        assert_int_equal(unlink(p.to), 0);
    }
}

static void
passes_other_failures_on(void **state)
{
    CLEANUP(pair_fini) struct pair p = pair_of(*state);
    disk.link_errnum = ENOSPC; /* no room in the folder: a copy would not fit either */
    assert_false(sidecar_pin_file(&p.work, p.from, p.to, &p.err));
    assert_int_equal(p.err.sys, ENOSPC);
    assert_false(file_exists(p.to));
    disk.link_errnum = EPERM;
    assert_int_equal(unlink(p.from), 0);
    assert_false(sidecar_pin_file(&p.work, p.from, p.to, &p.err));
    assert_int_equal(p.err.code, ERR_NOT_FOUND);
    assert_int_equal(mkdir(p.from, 0700), 0);
    assert_false(sidecar_pin_file(&p.work, p.from, p.to, &p.err));
    assert_int_equal(p.err.code, ERR_INVALID);
}

static void
says_that_the_disk_is_full(void **state)
{
    static const struct {
        uint64_t spare_bytes;
        int copy_errnum;
        int sync_errnum;
        int sys;
    } cases[] = {{0, ENOSPC, 0, ENOSPC},
                 {0, EDQUOT, 0, EDQUOT},
                 {0, 0, ENOSPC, ENOSPC},
                 {UINT64_MAX / 2, 0, 0, ENOSPC},
                 {UINT64_MAX, 0, 0, ENOSPC}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(pair_fini) struct pair p = pair_of(*state);
        disk.link_errnum = EXDEV;
        disk.copy_errnum = cases[i].copy_errnum;
        disk.sync_errnum = cases[i].sync_errnum;
        p.work.spare_bytes = cases[i].spare_bytes;
        bool ok = sidecar_pin_file(&p.work, p.from, p.to, &p.err);
        if (ok && p.work.cost.kind == SIDECAR_PIN_CLONED)
            skip(); /* a clone needs no room */
        assert_false(ok);
        assert_int_equal(p.err.code, ERR_IO);
        assert_int_equal(p.err.sys, cases[i].sys);
        assert_int_equal(unlink(p.to), 0);
    }
}

static void
stops_when_cancelled(void **state)
{
    CLEANUP(pair_fini) struct pair p = pair_of(*state);
    CLEANUP(cancel_fini) struct cancel cancel = {0};
    cancel_raise(&cancel);
    p.work.cancel = &cancel;
    disk.link_errnum = EPERM;
    bool ok = sidecar_pin_file(&p.work, p.from, p.to, &p.err);
    if (ok && p.work.cost.kind == SIDECAR_PIN_CLONED)
        skip(); /* that takes no time */
    assert_false(ok);
    assert_int_equal(p.err.code, ERR_CANCELLED);
}

#define CASE(name) \
    cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(links_when_it_may),        CASE(copies_when_links_are_refused),
        CASE(passes_other_failures_on), CASE(says_that_the_disk_is_full),
        CASE(stops_when_cancelled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
