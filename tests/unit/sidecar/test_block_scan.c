/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/xmalloc.h"
#include "sidecar/block_scan.h"
#include "tests/unit/sidecar/fixture.h"

struct bad {
    unsigned count;
    struct tsdb_ulid id;
    struct err err;
};

static void
note_bad(void *arg, const struct tsdb_ulid *id, const struct err *err)
{
    struct bad *bad = arg;
    bad->count++;
    bad->id = *id;
    bad->err = *err;
}

static void
finds_blocks_by_time(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct bad bad = {0};
    unsigned order[] = {7, 2, 5};
    for (size_t i = 0; i < ARRAY_LEN(order); i++)
        fixture_block(f->tsdb, order[i], 1);
    CLEANUP(sidecar_block_list_fini) struct sidecar_block_list list = {0};
    assert_true(sidecar_block_scan(&list, f->tsdb, note_bad, &bad, &err));
    assert_int_equal(list.count, 3);
    assert_int_equal(bad.count, 0);
    unsigned sorted[] = {2, 5, 7};
    for (size_t i = 0; i < list.count; i++) {
        struct tsdb_ulid id = fixture_id(sorted[i]);
        assert_int_equal(tsdb_ulid_cmp(&list.at[i].id, &id), 0);
        assert_true(list.at[i].num_samples > 0);
        assert_int_equal(list.at[i].level, 1);
        assert_ptr_equal(sidecar_block_find(&list, &id), &list.at[i]);
    }
    struct tsdb_ulid other = fixture_id(9);
    assert_null(sidecar_block_find(&list, &other));
}

/* As Prometheus writes the meta of a block of out-of-order samples. */
static void
write_out_of_order(const struct fixture *f, const struct tsdb_ulid *id)
{
    CLEANUP(xfree) char *meta = fixture_path(f->tsdb, id, "meta.json");
    CLEANUP(xfree)
    char *text = xasprintf(
        "{\"ulid\":\"%s\",\"minTime\":0,\"maxTime\":1,\"stats\":{\"numSamples\":1},"
        "\"compaction\":{\"level\":1,\"sources\":[\"%s\"],\"parents\":[{\"ulid\":"
        "\"00000000000000000000000000\",\"minTime\":0,\"maxTime\":0}],\"hints\":"
        "[\"from-out-of-order\"]},\"version\":1}",
        tsdb_ulid_print(id).text, tsdb_ulid_print(id).text);
    fixture_write(meta, text);
}

static void
tells_regular_blocks_from_others(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct bad bad = {0};
    struct tsdb_ulid compacted = fixture_block(f->tsdb, 2, 2);
    struct tsdb_ulid regular = fixture_block(f->tsdb, 3, 1);
    struct tsdb_ulid late = fixture_block(f->tsdb, 4, 1);
    write_out_of_order(f, &late);
    CLEANUP(sidecar_block_list_fini) struct sidecar_block_list list = {0};
    assert_true(sidecar_block_scan(&list, f->tsdb, note_bad, &bad, &err));
    assert_int_equal(list.count, 3);
    assert_false(sidecar_block_find(&list, &compacted)->is_regular);
    assert_true(sidecar_block_find(&list, &regular)->is_regular);
    assert_false(sidecar_block_find(&list, &late)->is_regular);
}

static void
passes_over_what_is_no_block(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct bad bad = {0};
    static const char *const folders[] = {
        "wal",
        "01ARZ3NDEKTSV4RRFFQ69G5FA0.tmp-for-creation",
        "01ARZ3NDEKTSV4RRFFQ69G5FA0.tmp-for-deletion",
        "01ARZ3NDEKTSV4RRFFQ69G5FA",
        "01arz3ndektsv4rrffq69g5fa0",
    };
    for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
        CLEANUP(xfree) char *path = xasprintf("%s/%s", f->tsdb, folders[i]);
        assert_true(file_mkdirs(path, &err));
    }
    CLEANUP(sidecar_block_list_fini) struct sidecar_block_list list = {0};
    assert_true(sidecar_block_scan(&list, f->tsdb, note_bad, &bad, &err));
    assert_int_equal(list.count, 0);
    assert_int_equal(bad.count, 0);
}

static void
names_a_bad_block_and_goes_on(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *meta;
        const char *why;
    } cases[] = {
        {"", "meta.json"},
        {"{", "meta.json"},
        {"{\"version\":2}", "version"},
        {"{\"version\":1,\"ulid\":\"01ARZ3NDEKTSV4RRFFQ69G5FA7\",\"minTime\":0,"
         "\"maxTime\":1,\"stats\":{},\"compaction\":{\"level\":1}}",
         "01ARZ3NDEKTSV4RRFFQ69G5FA7"},
    };
    struct tsdb_ulid broken = fixture_block(f->tsdb, 1, 1);
    struct tsdb_ulid good = fixture_block(f->tsdb, 2, 1);
    CLEANUP(xfree) char *meta = fixture_path(f->tsdb, &broken, "meta.json");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err;
        struct bad bad = {0};
        CLEANUP(sidecar_block_list_fini) struct sidecar_block_list list = {0};
        fixture_write(meta, cases[i].meta);
        assert_true(sidecar_block_scan(&list, f->tsdb, note_bad, &bad, &err));
        assert_int_equal(list.count, 1);
        assert_int_equal(tsdb_ulid_cmp(&list.at[0].id, &good), 0);
        assert_int_equal(bad.count, 1);
        assert_int_equal(tsdb_ulid_cmp(&bad.id, &broken), 0);
        assert_int_equal(bad.err.code, ERR_CORRUPT);
        assert_non_null(strstr(bad.err.text, cases[i].why));
    }
}

/* Of what has the name of a block, each sort that is none. */
static void
make_oddity(const struct fixture *f, unsigned n, const struct tsdb_ulid *id)
{
    CLEANUP(xfree) char *path = fixture_path(f->tsdb, id, "");
    CLEANUP(xfree) char *meta = fixture_path(f->tsdb, id, "meta.json");
    struct err err;
    path[strlen(path) - 1] = 0;
    if (n == 0)
        fixture_write(path, "a file");
    else if (n == 1)
        assert_int_equal(symlink(f->pins, path), 0);
    else
        assert_true(file_mkdirs(path, &err));
    if (n == 3)
        assert_int_equal(mkfifo(meta, 0600), 0);
    if (n == 4)
        assert_int_equal(symlink(f->tsdb, meta), 0);
}

static void
names_what_has_the_name_of_a_block_and_is_none(void **state)
{
    struct fixture *f = *state;
    struct tsdb_ulid good = fixture_block(f->tsdb, 20, 1);
    for (unsigned i = 0; i < 5; i++) {
        struct err err;
        struct bad bad = {0};
        struct tsdb_ulid id = fixture_id(i);
        CLEANUP(sidecar_block_list_fini) struct sidecar_block_list list = {0};
        make_oddity(f, i, &id);
        assert_true(sidecar_block_scan(&list, f->tsdb, note_bad, &bad, &err));
        assert_int_equal(list.count, 1);
        assert_int_equal(tsdb_ulid_cmp(&list.at[0].id, &good), 0);
        assert_int_equal(bad.count, i + 1);
        assert_int_equal(tsdb_ulid_cmp(&bad.id, &id), 0);
        assert_int_equal(bad.err.code, ERR_CORRUPT);
    }
}

static void
says_that_the_directory_is_missing(void **state)
{
    (void)state;
    struct err err;
    struct sidecar_block_list list = {0};
    assert_false(sidecar_block_scan(&list, "/nowhere/at/all", note_bad, NULL, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

#define CASE(name) \
    cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(finds_blocks_by_time),
        CASE(tells_regular_blocks_from_others),
        CASE(passes_over_what_is_no_block),
        CASE(names_a_bad_block_and_goes_on),
        CASE(names_what_has_the_name_of_a_block_and_is_none),
        cmocka_unit_test(says_that_the_directory_is_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
