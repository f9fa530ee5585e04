/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/xmalloc.h"
#include "sidecar/block_files.h"
#include "sidecar/block_pin.h"
#include "tests/unit/sidecar/fixture.h"

static void
pin(struct fixture *f, const struct tsdb_ulid *id, bool expect_made)
{
    struct err err;
    bool made;
    if (!sidecar_block_pin(f->tsdb, f->pins, id, &made, &err))
        fail_msg("%s", err.text);
    assert_int_equal(made, expect_made);
}

static void
assert_pinned(struct fixture *f, const struct tsdb_ulid *id)
{
    struct err err;
    CLEANUP(xfree) char *block = fixture_path(f->tsdb, id, "");
    CLEANUP(xfree) char *pinned = fixture_path(f->pins, id, "");
    CLEANUP(sidecar_block_files_fini) struct sidecar_block_files want = {0};
    CLEANUP(sidecar_block_files_fini) struct sidecar_block_files got = {0};
    assert_true(sidecar_block_files_read(&want, block, &err));
    assert_true(sidecar_block_files_read(&got, pinned, &err));
    assert_true(want.count > 2);
    assert_int_equal(want.count, got.count);
    assert_true(sidecar_block_files_cover(&got, &want));
    assert_true(fixture_has(f->pins, id, "meta.json"));
    assert_false(fixture_has(f->pins, id, "tombstones"));
}

static ino_t
inode(const char *folder, const struct tsdb_ulid *id, const char *rel_path)
{
    CLEANUP(xfree) char *path = fixture_path(folder, id, rel_path);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_ino;
}

static void
links_the_files_of_a_block(void **state)
{
    struct fixture *f = *state;
    struct tsdb_ulid id = fixture_block(f->tsdb, 1, 1);
    CLEANUP(xfree) char *stray = fixture_path(f->tsdb, &id, "chunks/000001.tmp");
    fixture_write(stray, "left by a writer");
    pin(f, &id, true);
    assert_pinned(f, &id);
    assert_int_equal(inode(f->tsdb, &id, "index"), inode(f->pins, &id, "index"));
    assert_false(fixture_has(f->pins, &id, "chunks/000001.tmp"));
}

static void
pins_once(void **state)
{
    struct fixture *f = *state;
    struct tsdb_ulid id = fixture_block(f->tsdb, 1, 1);
    pin(f, &id, true);
    pin(f, &id, false);
    assert_pinned(f, &id);
}

static void
outlives_the_block(void **state)
{
    struct fixture *f = *state;
    struct tsdb_ulid id = fixture_block(f->tsdb, 1, 1);
    CLEANUP(xfree) char *index = fixture_path(f->tsdb, &id, "index");
    CLEANUP(xfree) char *pinned = fixture_path(f->pins, &id, "index");
    CLEANUP(buf_fini) struct buf before = fixture_read(index);
    pin(f, &id, true);
    fixture_remove(f->tsdb, &id);
    CLEANUP(buf_fini) struct buf after = fixture_read(pinned);
    assert_true(bytes_eq(buf_bytes(&before), buf_bytes(&after)));
}

/* A pin under its own name that somebody else has left incomplete. */
static void
makes_a_pin_again_that_lacks_a_file(void **state)
{
    struct fixture *f = *state;
    static const char *const missing[] = {"index", "meta.json", "chunks/000001"};
    struct tsdb_ulid id = fixture_block(f->tsdb, 1, 1);
    pin(f, &id, true);
    for (size_t i = 0; i < ARRAY_LEN(missing); i++) {
        CLEANUP(xfree) char *path = fixture_path(f->pins, &id, missing[i]);
        assert_int_equal(unlink(path), 0);
        pin(f, &id, true);
        assert_pinned(f, &id);
    }
}

static void
keeps_a_whole_pin_of_a_block_that_loses_files(void **state)
{
    struct fixture *f = *state;
    struct tsdb_ulid id = fixture_block(f->tsdb, 1, 1);
    CLEANUP(xfree) char *segment = fixture_path(f->tsdb, &id, "chunks/000001");
    pin(f, &id, true);
    assert_int_equal(unlink(segment), 0);
    pin(f, &id, false);
    assert_true(fixture_has(f->pins, &id, "chunks/000001"));
}

static void
cleans_up_what_a_killed_run_left(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct tsdb_ulid whole = fixture_block(f->tsdb, 1, 1);
    struct tsdb_ulid half = fixture_block(f->tsdb, 2, 1);
    pin(f, &whole, true);
    CLEANUP(xfree)
    char *tmp = xasprintf("%s/%s.tmp", f->pins, tsdb_ulid_print(&half).text);
    CLEANUP(xfree) char *chunks = xasprintf("%s/chunks", tmp);
    CLEANUP(xfree) char *other = xasprintf("%s/notes.tmp", f->pins);
    assert_true(file_mkdirs(chunks, &err));
    assert_true(file_mkdirs(other, &err));
    assert_true(sidecar_block_pin_prepare(f->pins, &err));
    assert_false(file_exists(tmp));
    assert_true(file_exists(other));
    assert_pinned(f, &whole);
    pin(f, &half, true);
    assert_pinned(f, &half);
}

static void
pins_over_a_half_made_pin(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct tsdb_ulid id = fixture_block(f->tsdb, 1, 1);
    CLEANUP(xfree)
    char *chunks = xasprintf("%s/%s.tmp/chunks", f->pins, tsdb_ulid_print(&id).text);
    CLEANUP(xfree) char *stray = xasprintf("%s/000001", chunks);
    assert_true(file_mkdirs(chunks, &err));
    fixture_write(stray, "cut");
    pin(f, &id, true);
    assert_pinned(f, &id);
}

static void
unpins_and_accepts_a_missing_pin(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct tsdb_ulid id = fixture_block(f->tsdb, 1, 1);
    assert_true(sidecar_block_unpin(f->pins, &id, &err));
    pin(f, &id, true);
    assert_true(sidecar_block_unpin(f->pins, &id, &err));
    assert_false(fixture_has(f->pins, &id, ""));
    assert_true(fixture_has(f->tsdb, &id, "index"));
}

static void
says_that_a_block_is_gone_or_broken(void **state)
{
    struct fixture *f = *state;
    struct err err;
    bool made;
    struct tsdb_ulid id = fixture_id(1);
    assert_false(sidecar_block_pin(f->tsdb, f->pins, &id, &made, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    fixture_block(f->tsdb, 1, 1);
    CLEANUP(xfree) char *meta = fixture_path(f->tsdb, &id, "meta.json");
    assert_int_equal(unlink(meta), 0);
    assert_false(sidecar_block_pin(f->tsdb, f->pins, &id, &made, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_false(fixture_has(f->pins, &id, ""));
    CLEANUP(xfree)
    char *tmp = xasprintf("%s/%s.tmp", f->pins, tsdb_ulid_print(&id).text);
    assert_false(file_exists(tmp));
}

/* Shared memory is another file system than the one of the fixture. */
static void
copies_where_links_are_impossible(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct stat here, there;
    char folder[] = "/dev/shm/blockhouse-pins-XXXXXX";
    if (mkdtemp(folder) == NULL)
        skip();
    assert_int_equal(stat(f->tsdb, &here), 0);
    assert_int_equal(stat(folder, &there), 0);
    bool possible = here.st_dev == there.st_dev;
    if (!possible) {
        bool made;
        struct tsdb_ulid id = fixture_block(f->tsdb, 1, 1);
        CLEANUP(xfree) char *index = fixture_path(f->tsdb, &id, "index");
        CLEANUP(xfree) char *pinned = fixture_path(folder, &id, "index");
        assert_true(sidecar_block_pin(f->tsdb, folder, &id, &made, &err));
        CLEANUP(buf_fini) struct buf want = fixture_read(index);
        CLEANUP(buf_fini) struct buf got = fixture_read(pinned);
        assert_true(made);
        assert_true(bytes_eq(buf_bytes(&want), buf_bytes(&got)));
        assert_true(sidecar_block_pin(f->tsdb, folder, &id, &made, &err));
        assert_false(made);
    }
    assert_true(file_remove_tree(folder, &err));
    if (possible)
        skip();
}

#define CASE(name) \
    cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(links_the_files_of_a_block),
        CASE(pins_once),
        CASE(outlives_the_block),
        CASE(makes_a_pin_again_that_lacks_a_file),
        CASE(keeps_a_whole_pin_of_a_block_that_loses_files),
        CASE(cleans_up_what_a_killed_run_left),
        CASE(pins_over_a_half_made_pin),
        CASE(unpins_and_accepts_a_missing_pin),
        CASE(says_that_a_block_is_gone_or_broken),
        CASE(copies_where_links_are_impossible),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
