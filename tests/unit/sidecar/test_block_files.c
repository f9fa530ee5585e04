/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/xmalloc.h"
#include "sidecar/block_files.h"
#include "tests/unit/sidecar/fixture.h"

static void
lists_segments_by_name_then_the_index(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct tsdb_ulid id = fixture_block(f->tsdb, 1, 1);
    CLEANUP(xfree) char *directory = fixture_path(f->tsdb, &id, "");
    static const char *const strays[] = {"chunks/000003.tmp", "chunks/x", "index_tmp_p",
                                         "meta.json.tmp"};
    for (size_t i = 0; i < ARRAY_LEN(strays); i++) {
        CLEANUP(xfree) char *path = fixture_path(f->tsdb, &id, strays[i]);
        fixture_write(path, "left by a writer");
    }
    CLEANUP(xfree) char *tenth = fixture_path(f->tsdb, &id, "chunks/000010");
    fixture_write(tenth, "12345");
    CLEANUP(sidecar_block_files_fini) struct sidecar_block_files files = {0};
    assert_true(sidecar_block_files_read(&files, directory, &err));
    assert_true(files.count >= 4);
    assert_string_equal(files.at[0].rel_path, "chunks/000001");
    assert_string_equal(files.at[1].rel_path, "chunks/000002");
    assert_string_equal(files.at[files.count - 2].rel_path, "chunks/000010");
    assert_int_equal(files.at[files.count - 2].size, 5);
    assert_string_equal(files.at[files.count - 1].rel_path, "index");
}

static void
covers_what_has_the_same_names_and_no_more_bytes(void **state)
{
    (void)state;
    struct sidecar_block_file all[] = {{(char *)"chunks/000001", 1},
                                       {(char *)"chunks/000002", 1},
                                       {(char *)"index", 2}};
    struct sidecar_block_file less[] = {{(char *)"chunks/000002", 1},
                                        {(char *)"index", 1}};
    struct sidecar_block_file larger[] = {{(char *)"chunks/000001", 1},
                                          {(char *)"index", 3}};
    const struct sidecar_block_files have = {3, all};
    assert_true(sidecar_block_files_cover(&have, &have));
    assert_true(
        sidecar_block_files_cover(&have, &(struct sidecar_block_files){2, less}));
    assert_false(
        sidecar_block_files_cover(&have, &(struct sidecar_block_files){2, larger}));
    assert_false(
        sidecar_block_files_cover(&(struct sidecar_block_files){2, all}, &have));
}

static void
says_what_is_missing(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct sidecar_block_files files = {0};
    struct tsdb_ulid id = fixture_block(f->tsdb, 1, 1);
    CLEANUP(xfree) char *directory = fixture_path(f->tsdb, &id, "");
    CLEANUP(xfree) char *index = fixture_path(f->tsdb, &id, "index");
    CLEANUP(xfree) char *chunks = fixture_path(f->tsdb, &id, "chunks");
    CLEANUP(xfree) char *meta = fixture_path(f->tsdb, &id, "meta.json");
    assert_int_equal(unlink(index), 0);
    assert_false(sidecar_block_files_read(&files, directory, &err));
    assert_int_equal(err.code, ERR_CORRUPT);
    assert_int_equal(mkfifo(index, 0600), 0);
    assert_false(sidecar_block_files_read(&files, directory, &err));
    assert_int_equal(err.code, ERR_CORRUPT);
    assert_int_equal(unlink(index), 0);
    assert_int_equal(symlink(meta, index), 0);
    assert_false(sidecar_block_files_read(&files, directory, &err));
    assert_int_equal(err.code, ERR_CORRUPT);
    assert_int_equal(unlink(index), 0);
    assert_int_equal(unlink(meta), 0);
    assert_false(sidecar_block_files_read(&files, directory, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    fixture_write(meta, "{}");
    assert_true(file_mkdirs(index, &err));
    assert_false(sidecar_block_files_read(&files, directory, &err));
    assert_int_equal(err.code, ERR_CORRUPT);
    assert_true(file_remove_tree(chunks, &err));
    assert_true(file_mkdirs(chunks, &err));
    assert_false(sidecar_block_files_read(&files, directory, &err));
    assert_int_equal(err.code, ERR_CORRUPT);
    assert_int_equal(files.count, 0);
}

#define CASE(name) \
    cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(lists_segments_by_name_then_the_index),
        cmocka_unit_test(covers_what_has_the_same_names_and_no_more_bytes),
        CASE(says_what_is_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
