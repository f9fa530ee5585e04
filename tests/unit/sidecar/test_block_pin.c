/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/xmalloc.h"
#include "sidecar/block_files.h"
#include "sidecar/block_pin.h"
#include "tests/unit/sidecar/disk.h"
#include "tests/unit/sidecar/fixture.h"

static void
pin(struct fixture *f, const struct tsdb_ulid *id, bool expect_made)
{
    struct err err;
    struct sidecar_pin_cost cost;
    if (!sidecar_block_pin(f->tsdb, f->pins, id, NULL, &cost, &err))
        fail_msg("%s", err.text);
    assert_int_equal(cost.kind != SIDECAR_PIN_KEPT, expect_made);
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
fails(const struct fixture *f, const struct tsdb_ulid *id, enum err_code code)
{
    struct err err;
    struct sidecar_pin_cost cost;
    CLEANUP(xfree)
    char *tmp = xasprintf("%s/%s.tmp", f->pins, tsdb_ulid_print(id).text);
    assert_false(sidecar_block_pin(f->tsdb, f->pins, id, NULL, &cost, &err));
    if (err.code != code)
        fail_msg("%s: %s", err_code_name(err.code), err.text);
    assert_false(fixture_has(f->pins, id, ""));
    assert_false(file_exists(tmp));
}

static void
says_that_a_block_is_gone_or_broken(void **state)
{
    struct fixture *f = *state;
    struct tsdb_ulid id = fixture_id(1);
    fails(f, &id, ERR_NOT_FOUND);
    fixture_block(f->tsdb, 1, 1);
    CLEANUP(xfree) char *index = fixture_path(f->tsdb, &id, "index");
    CLEANUP(xfree) char *meta = fixture_path(f->tsdb, &id, "meta.json");
    CLEANUP(xfree) char *fifo = fixture_path(f->tsdb, &id, "chunks/000009");
    assert_int_equal(mkfifo(fifo, 0600), 0);
    fails(f, &id, ERR_CORRUPT);
    assert_int_equal(unlink(fifo), 0);
    assert_int_equal(unlink(index), 0);
    fails(f, &id, ERR_CORRUPT);
    fixture_remove(f->tsdb, &id);
    fixture_block(f->tsdb, 1, 1);
    assert_int_equal(unlink(meta), 0);
    fails(f, &id, ERR_NOT_FOUND);
}

static void
copies_where_links_are_refused(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct sidecar_pin_cost cost;
    struct tsdb_ulid id = fixture_block(f->tsdb, 1, 1);
    uint64_t bytes, all;
    disk.link_errnum = EPERM;
    assert_true(sidecar_block_pin(f->tsdb, f->pins, &id, NULL, &cost, &err));
    assert_pinned(f, &id);
    assert_true(cost.kind >= SIDECAR_PIN_CLONED);
    assert_int_equal(cost.refusal, EPERM);
    assert_int_not_equal(inode(f->tsdb, &id, "index"), inode(f->pins, &id, "index"));
    assert_true(sidecar_block_pin_bytes(f->pins, &id, &bytes, &err));
    assert_true(bytes >= cost.bytes);
    assert_true(sidecar_block_pins_bytes(f->pins, &all, &err));
    assert_int_equal(all, bytes);
    pin(f, &id, false);
}

static void
costs_nothing_until_the_block_is_deleted(void **state)
{
    struct fixture *f = *state;
    struct err err;
    uint64_t bytes, all;
    struct tsdb_ulid id = fixture_block(f->tsdb, 1, 1);
    struct tsdb_ulid other = fixture_block(f->tsdb, 2, 1);
    assert_true(sidecar_block_pin_bytes(f->pins, &id, &bytes, &err));
    assert_int_equal(bytes, 0);
    pin(f, &id, true);
    pin(f, &other, true);
    assert_true(sidecar_block_pins_bytes(f->pins, &all, &err));
    assert_int_equal(all, 0);
    fixture_remove(f->tsdb, &id);
    assert_true(sidecar_block_pin_bytes(f->pins, &id, &bytes, &err));
    assert_true(bytes >= 512 * 5);
    assert_true(sidecar_block_pins_bytes(f->pins, &all, &err));
    assert_int_equal(all, bytes);
    assert_true(sidecar_block_pins_bytes("/nowhere/at/all", &all, &err));
    assert_int_equal(all, 0);
}

static void
leaves_nothing_of_a_copy_that_fails(void **state)
{
    struct fixture *f = *state;
    struct tsdb_ulid id = fixture_block(f->tsdb, 1, 1);
    disk.link_errnum = EPERM;
    disk.sync_errnum = ENOSPC;
    fails(f, &id, ERR_IO);
    disk = (struct disk){0};
    pin(f, &id, true);
}

/* Prometheus deletes a block: away from its name, then file by file. */
struct deletion {
    const struct fixture *f;
    struct tsdb_ulid id;
    unsigned countdown; /* calls until the next step */
    unsigned pause;     /* calls between the two steps */
    enum { DELETION_STARTS, DELETION_REMOVES, DELETION_DONE } next;
};

static void
delete_step(void *arg)
{
    struct deletion *d = arg;
    struct err err;
    CLEANUP(xfree) char *block = fixture_path(d->f->tsdb, &d->id, "");
    CLEANUP(xfree)
    char *tmp =
        xasprintf("%s/%s.tmp-for-deletion", d->f->tsdb, tsdb_ulid_print(&d->id).text);
    if (d->next == DELETION_DONE || d->countdown-- > 0)
        return;
    block[strlen(block) - 1] = 0;
    if (d->next == DELETION_STARTS)
        assert_int_equal(rename(block, tmp), 0);
    else
        assert_true(file_remove_tree(tmp, &err));
    d->next++;
    d->countdown = d->pause;
}

/* Pin while the block is deleted from the call-th call on. Returns whether that began
 * before the pin was made. */
static bool
pin_in_time(const struct fixture *f, unsigned call, unsigned pause, int link_errnum)
{
    struct deletion d = {
        .f = f, .id = fixture_block(f->tsdb, 1, 1), .countdown = call, .pause = pause};
    CLEANUP(sidecar_block_files_fini) struct sidecar_block_files want = {0};
    CLEANUP(sidecar_block_files_fini) struct sidecar_block_files got = {0};
    CLEANUP(xfree) char *block = fixture_path(f->tsdb, &d.id, "");
    CLEANUP(xfree) char *pinned = fixture_path(f->pins, &d.id, "");
    CLEANUP(xfree)
    char *tmp = xasprintf("%s/%s.tmp", f->pins, tsdb_ulid_print(&d.id).text);
    struct err err, later;
    struct sidecar_pin_cost cost;
    assert_true(sidecar_block_files_read(&want, block, &err));
    disk = (struct disk){.before = delete_step, .arg = &d, .link_errnum = link_errnum};
    bool ok = sidecar_block_pin(f->tsdb, f->pins, &d.id, NULL, &cost, &err);
    disk = (struct disk){0};
    assert_false(file_exists(tmp));
    if (ok) {
        assert_true(sidecar_block_files_read(&got, pinned, &later));
        assert_int_equal(got.count, want.count);
        assert_true(sidecar_block_files_cover(&got, &want));
        assert_true(fixture_has(f->pins, &d.id, "meta.json"));
    } else {
        if (err.code != ERR_NOT_FOUND)
            fail_msg("%s: %s", err_code_name(err.code), err.text);
        assert_false(file_exists(pinned));
    }
    assert_true(file_remove_tree(f->tsdb, &later));
    assert_true(sidecar_block_pin_prepare(f->pins, &later));
    return d.next != DELETION_STARTS;
}

static void
pins_whole_or_not_at_all_while_prometheus_deletes(void **state)
{
    struct fixture *f = *state;
    static const int refusals[] = {0, EPERM};
    for (size_t i = 0; i < ARRAY_LEN(refusals); i++)
        for (unsigned pause = 0; pause < 3; pause++) {
            unsigned call = 0;
            while (pin_in_time(f, call, pause, refusals[i]))
                call++;
            assert_true(call > 20);
        }
}

/* What a Thanos sidecar has in the same place while it ships a block: links, and a
 * meta.json of its own. */
static void
stage_as_thanos(struct fixture *f, const struct tsdb_ulid *id)
{
    pin(f, id, true);
    CLEANUP(xfree) char *meta = fixture_path(f->pins, id, "meta.json");
    fixture_write(meta, "{\"thanos\":{\"labels\":{\"old\":\"label\"}}}");
}

static void
adopts_what_thanos_has_staged(void **state)
{
    struct fixture *f = *state;
    static const int refusals[] = {0, EXDEV};
    for (unsigned i = 0; i < ARRAY_LEN(refusals); i++) {
        struct tsdb_ulid id = fixture_block(f->tsdb, i + 1, 1);
        CLEANUP(xfree) char *ours = fixture_path(f->pins, &id, "meta.json");
        CLEANUP(xfree) char *theirs = fixture_path(f->tsdb, &id, "meta.json");
        CLEANUP(buf_fini) struct buf want = fixture_read(theirs);
        stage_as_thanos(f, &id);
        ino_t index = inode(f->pins, &id, "index");
        disk.link_errnum = refusals[i];
        pin(f, &id, true);
        pin(f, &id, false);
        disk = (struct disk){0};
        CLEANUP(buf_fini) struct buf got = fixture_read(ours);
        CLEANUP(buf_fini) struct buf still = fixture_read(theirs);
        assert_true(bytes_eq(buf_bytes(&want), buf_bytes(&got)));
        assert_true(bytes_eq(buf_bytes(&want), buf_bytes(&still)));
        assert_int_equal(inode(f->pins, &id, "index"), index);
        assert_false(fixture_has(f->pins, &id, "meta.json.tmp"));
    }
}

static void
makes_again_what_thanos_has_staged_in_part(void **state)
{
    struct fixture *f = *state;
    struct tsdb_ulid id = fixture_block(f->tsdb, 1, 1);
    stage_as_thanos(f, &id);
    CLEANUP(xfree) char *segment = fixture_path(f->pins, &id, "chunks/000002");
    assert_int_equal(unlink(segment), 0);
    pin(f, &id, true);
    assert_pinned(f, &id);
    assert_int_equal(inode(f->tsdb, &id, "meta.json"),
                     inode(f->pins, &id, "meta.json"));
}

static void
keeps_what_thanos_has_staged_of_a_block_that_is_gone(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct tsdb_ulid id = fixture_block(f->tsdb, 1, 1);
    stage_as_thanos(f, &id);
    fixture_remove(f->tsdb, &id);
    assert_true(sidecar_block_pin_prepare(f->pins, &err));
    assert_true(fixture_has(f->pins, &id, "index"));
    assert_true(fixture_has(f->pins, &id, "chunks/000002"));
}

static int
teardown(void **state)
{
    disk = (struct disk){0};
    return fixture_teardown(state);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, teardown)

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
        CASE(copies_where_links_are_refused),
        CASE(costs_nothing_until_the_block_is_deleted),
        CASE(leaves_nothing_of_a_copy_that_fails),
        CASE(pins_whole_or_not_at_all_while_prometheus_deletes),
        CASE(adopts_what_thanos_has_staged),
        CASE(makes_again_what_thanos_has_staged_in_part),
        CASE(keeps_what_thanos_has_staged_of_a_block_that_is_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
