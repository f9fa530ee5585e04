/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/xmalloc.h"
#include "sidecar/block_check.h"
#include "tests/unit/sidecar/fixture.h"

static bool
check_at(enum tsdb_verify_level level, const char *directory, struct err *err)
{
    CLEANUP(sidecar_block_files_fini) struct sidecar_block_files files = {0};
    CLEANUP(tsdb_meta_fini) struct tsdb_meta meta = {0};
    CLEANUP(buf_fini) struct buf text = {0};
    CLEANUP(xfree) char *path = xasprintf("%s/meta.json", directory);
    text = fixture_read(path);
    return tsdb_meta_parse(&meta, buf_bytes(&text), err) &&
           sidecar_block_files_read(&files, directory, err) &&
           sidecar_block_check(&(struct sidecar_block_check){.level = level}, directory,
                               &files, &meta, err);
}

static bool
check(const char *directory, struct err *err)
{
    return check_at(TSDB_VERIFY_FRAME, directory, err);
}

static void
accepts_a_written_block(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct tsdb_ulid id = fixture_block(f->tsdb, 1, 1);
    CLEANUP(xfree) char *directory = fixture_path(f->tsdb, &id, "");
    if (!check(directory, &err))
        fail_msg("%s", err.text);
}

static void
finds_a_damaged_byte(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *rel_path;
        long at;
        enum err_code code;
    } cases[] = {
        {"index", 0, ERR_CORRUPT},         /* magic */
        {"index", 4, ERR_UNSUPPORTED},     /* version */
        {"index", 6, ERR_CORRUPT},         /* length of the symbol table */
        {"index", 20, ERR_CORRUPT},        /* a symbol */
        {"index", -1, ERR_CORRUPT},        /* checksum of the table of contents */
        {"index", -30, ERR_CORRUPT},       /* the table of contents */
        {"index", -52 - 6, ERR_CORRUPT},   /* the postings offset table */
        {"index", 100, ERR_CORRUPT},       /* a series */
        {"index", -52 - 120, ERR_CORRUPT}, /* a postings list */
        {"chunks/000001", 0, ERR_CORRUPT}, /* magic */
        {"chunks/000002", 3, ERR_CORRUPT},
    };
    struct tsdb_ulid id = fixture_block(f->tsdb, 1, 1);
    CLEANUP(xfree) char *directory = fixture_path(f->tsdb, &id, "");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = {0};
        CLEANUP(xfree) char *path = fixture_path(f->tsdb, &id, cases[i].rel_path);
        fixture_flip(path, cases[i].at);
        if (check(directory, &err))
            fail_msg("%s at %ld: not found", cases[i].rel_path, cases[i].at);
        assert_int_equal(err.code, cases[i].code);
        assert_non_null(strstr(err.text, cases[i].rel_path));
        fixture_flip(path, cases[i].at);
    }
    struct err err;
    assert_true(check(directory, &err));
}

static void
finds_a_cut_index(void **state)
{
    struct fixture *f = *state;
    static const off_t sizes[] = {0, 3, 60};
    struct tsdb_ulid id = fixture_block(f->tsdb, 1, 1);
    CLEANUP(xfree) char *directory = fixture_path(f->tsdb, &id, "");
    struct err err;
    CLEANUP(xfree) char *index = fixture_path(f->tsdb, &id, "index");
    for (size_t i = ARRAY_LEN(sizes); i-- > 0;) {
        assert_int_equal(truncate(index, sizes[i]), 0);
        assert_false(check(directory, &err));
        assert_int_equal(err.code, ERR_CORRUPT);
    }
}

static void
finds_a_cut_segment(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct stat st;
    struct tsdb_ulid id = fixture_block(f->tsdb, 1, 1);
    CLEANUP(xfree) char *directory = fixture_path(f->tsdb, &id, "");
    CLEANUP(xfree) char *segment = fixture_path(f->tsdb, &id, "chunks/000002");
    assert_int_equal(stat(segment, &st), 0);
    for (off_t size = st.st_size - 1; size >= 0; size--) {
        assert_int_equal(truncate(segment, size), 0);
        assert_false(check(directory, &err));
        assert_int_equal(err.code, ERR_CORRUPT);
    }
}

static void
finds_a_missing_segment(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct tsdb_ulid id = fixture_block(f->tsdb, 1, 1);
    CLEANUP(xfree) char *directory = fixture_path(f->tsdb, &id, "");
    CLEANUP(xfree) char *segment = fixture_path(f->tsdb, &id, "chunks/000002");
    assert_int_equal(unlink(segment), 0);
    assert_false(check(directory, &err));
    assert_int_equal(err.code, ERR_CORRUPT);
    assert_non_null(strstr(err.text, "refers to a chunk"));
}

static void
finds_fewer_chunks_than_the_meta_says(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct tsdb_ulid id = fixture_block(f->tsdb, 1, 1);
    CLEANUP(xfree) char *directory = fixture_path(f->tsdb, &id, "");
    CLEANUP(xfree) char *path = fixture_path(f->tsdb, &id, "meta.json");
    CLEANUP(buf_fini) struct buf meta = fixture_read(path);
    buf_text(&meta);
    char *said = strstr((char *)meta.at, "\"numChunks\": 6");
    assert_non_null(said);
    said[strlen("\"numChunks\": ")] = '7';
    fixture_write(path, buf_text(&meta));
    assert_false(check(directory, &err));
    assert_int_equal(err.code, ERR_CORRUPT);
    assert_non_null(strstr(err.text, "meta.json says numChunks 7"));
}

static void
finds_a_damaged_sample_when_asked(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct tsdb_ulid id = fixture_block(f->tsdb, 1, 1);
    CLEANUP(xfree) char *directory = fixture_path(f->tsdb, &id, "");
    CLEANUP(xfree) char *segment = fixture_path(f->tsdb, &id, "chunks/000001");
    fixture_flip(segment, 100);
    assert_true(check(directory, &err));
    assert_false(check_at(TSDB_VERIFY_FULL, directory, &err));
    assert_int_equal(err.code, ERR_CORRUPT);
    assert_non_null(strstr(err.text, "chunks/000001: at 8: chunk checksum"));
}

static void
accepts_bytes_too_many(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct tsdb_ulid id = fixture_block(f->tsdb, 1, 1);
    CLEANUP(xfree) char *directory = fixture_path(f->tsdb, &id, "");
    CLEANUP(xfree) char *last = fixture_path(f->tsdb, &id, "chunks/000001");
    CLEANUP(xfree) char *more = fixture_path(f->tsdb, &id, "chunks/000099");
    assert_int_equal(link(last, more), 0);
    if (!check_at(TSDB_VERIFY_FULL, directory, &err))
        fail_msg("%s", err.text);
}

static void
stops_when_cancelled(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct cancel cancel = {0};
    CLEANUP(sidecar_block_files_fini) struct sidecar_block_files files = {0};
    struct tsdb_meta meta = {.maxt_ms = INT64_MAX};
    struct tsdb_ulid id = fixture_block(f->tsdb, 1, 1);
    CLEANUP(xfree) char *directory = fixture_path(f->tsdb, &id, "");
    assert_true(sidecar_block_files_read(&files, directory, &err));
    cancel_raise(&cancel);
    assert_false(sidecar_block_check(&(struct sidecar_block_check){.cancel = &cancel},
                                     directory, &files, &meta, &err));
    assert_int_equal(err.code, ERR_CANCELLED);
}

static void
finds_missing_files(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct tsdb_ulid id = fixture_block(f->tsdb, 1, 1);
    CLEANUP(xfree) char *directory = fixture_path(f->tsdb, &id, "");
    static const char *const missing[] = {"chunks/000002", "chunks/000001", "index"};
    for (size_t i = 0; i < ARRAY_LEN(missing); i++) {
        CLEANUP(xfree) char *path = fixture_path(f->tsdb, &id, missing[i]);
        assert_int_equal(unlink(path), 0);
        assert_false(check(directory, &err));
        assert_int_equal(err.code, ERR_CORRUPT);
    }
}

#define CASE(name) \
    cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(accepts_a_written_block),
        CASE(finds_a_damaged_byte),
        CASE(finds_a_cut_index),
        CASE(finds_a_cut_segment),
        CASE(finds_a_missing_segment),
        CASE(finds_missing_files),
        CASE(finds_fewer_chunks_than_the_meta_says),
        CASE(finds_a_damaged_sample_when_asked),
        CASE(accepts_bytes_too_many),
        CASE(stops_when_cancelled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
