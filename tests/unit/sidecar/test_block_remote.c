/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/xmalloc.h"
#include "sidecar/block_remote.h"
#include "tests/support/faulty_bucket.h"
#include "tests/unit/sidecar/fixture.h"

static const struct objstore_call call = {.deadline_ns = CLOCK_NEVER};

static void
store(struct fixture *f, const char *key, const char *text)
{
    struct err err;
    assert_true(
        objstore_put(f->bucket, &call, bytes_of_str(key), bytes_of_str(text), &err));
}

static void
lists_one_block_with_one_request(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct tsdb_ulid id = fixture_id(1);
    CLEANUP(sidecar_block_remote_fini) struct sidecar_block_remote block = {0};
    store(f, "01ARZ3NDEKTSV4RRFFQ69G5FA1/chunks/000001", "12345");
    store(f, "01ARZ3NDEKTSV4RRFFQ69G5FA1/index", "123");
    store(f, "01ARZ3NDEKTSV4RRFFQ69G5FA2/meta.json", "1");
    unsigned before = faulty_bucket_calls(f->bucket, FAULTY_ANY);
    assert_true(sidecar_block_remote_list(&block, f->bucket, &call, &id, &err));
    assert_int_equal(faulty_bucket_calls(f->bucket, FAULTY_ANY), before + 1);
    assert_int_equal(block.count, 2);
    assert_int_equal(sidecar_block_remote_find(&block, "index")->attrs.size, 3);
    assert_int_equal(sidecar_block_remote_find(&block, "chunks/000001")->attrs.size, 5);
    assert_null(sidecar_block_remote_find(&block, "meta.json"));
}

static void
finds_nothing_of_a_block_that_is_not_there(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct tsdb_ulid id = fixture_id(1);
    CLEANUP(sidecar_block_remote_fini) struct sidecar_block_remote block = {0};
    assert_true(sidecar_block_remote_list(&block, f->bucket, &call, &id, &err));
    assert_int_equal(block.count, 0);
    assert_null(sidecar_block_remote_find(&block, "index"));
}

struct seen {
    size_t count;
    struct tsdb_ulid ids[4];
    size_t objects[4];
};

static void
note(void *arg, const struct sidecar_block_remote *block)
{
    struct seen *seen = arg;
    assert_true(seen->count < ARRAY_LEN(seen->ids));
    seen->ids[seen->count] = block->id;
    seen->objects[seen->count++] = block->count;
}

static void
hands_out_each_block_of_the_bucket(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct seen seen = {0};
    struct tsdb_ulid first = fixture_id(1), second = fixture_id(2);
    store(f, "01ARZ3NDEKTSV4RRFFQ69G5FA1/index", "123");
    store(f, "01ARZ3NDEKTSV4RRFFQ69G5FA1/meta.json", "1");
    store(f, "01ARZ3NDEKTSV4RRFFQ69G5FA2/chunks/000001", "1");
    store(f, "debug/metas/01ARZ3NDEKTSV4RRFFQ69G5FA3.json", "1");
    store(f, "0", "1");
    assert_true(sidecar_block_remote_each(f->bucket, &call, note, &seen, &err));
    assert_int_equal(seen.count, 2);
    assert_int_equal(tsdb_ulid_cmp(&seen.ids[0], &first), 0);
    assert_int_equal(seen.objects[0], 2);
    assert_int_equal(tsdb_ulid_cmp(&seen.ids[1], &second), 0);
    assert_int_equal(seen.objects[1], 1);
}

static void
fails_with_the_listing(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct seen seen = {0};
    struct tsdb_ulid id = fixture_id(1);
    struct sidecar_block_remote block = {0};
    faulty_bucket_add(f->bucket, (struct faulty_rule){.ops = FAULTY_LIST});
    assert_false(sidecar_block_remote_each(f->bucket, &call, note, &seen, &err));
    assert_false(sidecar_block_remote_list(&block, f->bucket, &call, &id, &err));
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    assert_int_equal(block.count, 0);
}

static void
holds_a_block_when_all_is_there_with_its_size(void **state)
{
    (void)state;
    static struct sidecar_remote_object objects[] = {
        {.rel_path = (char *)"chunks/000001", .attrs.size = 5},
        {.rel_path = (char *)"index", .attrs.size = 3},
        {.rel_path = (char *)"meta.json", .attrs.size = 1},
    };
    static struct sidecar_block_file files[] = {
        {.rel_path = (char *)"chunks/000001", .size = 5},
        {.rel_path = (char *)"index", .size = 3},
    };
    const struct sidecar_block_files local = {2, files};
    struct sidecar_block_remote block = {.count = 3, .at = objects};
    assert_true(sidecar_block_remote_holds(&block, &local));
    block.count = 2; /* no meta.json */
    assert_false(sidecar_block_remote_holds(&block, &local));
    block.count = 3;
    objects[1].attrs.size = 4;
    assert_false(sidecar_block_remote_holds(&block, &local));
    objects[1].attrs.size = 3;
    block = (struct sidecar_block_remote){.count = 2, .at = objects + 1};
    assert_false(sidecar_block_remote_holds(&block, &local));
}

#define CASE(name) \
    cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(lists_one_block_with_one_request),
        CASE(finds_nothing_of_a_block_that_is_not_there),
        CASE(hands_out_each_block_of_the_bucket),
        CASE(fails_with_the_listing),
        cmocka_unit_test(holds_a_block_when_all_is_there_with_its_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
