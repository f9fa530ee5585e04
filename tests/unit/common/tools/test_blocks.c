/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/common/tools/fixture.h"

static void
lists_blocks_and_only_them(void **state)
{
    struct fixture *f = *state;
    struct err err;
    fixture_block(f, 1);
    fixture_block(f, 3);
    CLEANUP(xfree) char *meta = fixture_path(f, 3, "meta.json");
    assert_int_equal(unlink(meta), 0);
    expect_ok(objstore_put(f->bucket, &no_limit, BYTES("debug/metas/x.json"),
                           BYTES("{}"), &err),
              err);
    fixture_list(f);
    assert_int_equal(f->blocks.count, 2);
    const struct tools_block *whole = &f->blocks.at[0], *partial = &f->blocks.at[1];
    assert_true(whole->has_meta && !partial->has_meta);
    assert_int_equal(whole->object_count, 3);
    assert_int_equal(partial->object_count, 2);
    const struct tools_object *index = tools_block_object(whole, BYTES("index"));
    const struct tools_object *chunks =
        tools_block_object(whole, BYTES("chunks/000001"));
    const struct tools_object *text = tools_block_object(whole, BYTES("meta.json"));
    assert_true(index != NULL && chunks != NULL && text != NULL);
    assert_int_equal(whole->size, index->size + chunks->size + text->size);
    assert_null(tools_block_object(partial, BYTES("meta.json")));
    assert_memory_equal(tools_block_state(whole).at, "complete", 8);
    assert_memory_equal(tools_block_state(partial).at, "partial", 7);
}

static void
reads_metas_and_says_which_it_cannot(void **state)
{
    struct fixture *f = *state;
    struct err err;
    for (unsigned n = 1; n <= 5; n++)
        fixture_block(f, n);
    CLEANUP(xfree) char *path = fixture_path(f, 2, "meta.json");
    expect_ok(file_replace(path, BYTES("{"), &err), err);
    faulty_bucket_add(f->bucket,
                      (struct faulty_rule){.ops = FAULTY_GET, .part = "FA4/meta.json"});
    fixture_list(f);
    expect_ok(
        tools_blocks_read_metas(&f->blocks, f->bucket, &no_limit, &f->arena, &err),
        err);
    for (size_t i = 0; i < 5; i++) {
        const struct tools_block *b = &f->blocks.at[i];
        bool is_broken = i == 1 || i == 3;
        assert_int_equal(b->problem.len > 0, is_broken);
        assert_int_equal(b->meta == NULL, is_broken);
        if (!is_broken)
            assert_int_equal(b->meta->num_samples, FIXTURE_SAMPLES);
    }
}

static void
keeps_to_its_budget(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct budget little;
    CLEANUP(arena_fini) struct arena arena = {0};
    struct tools_blocks blocks = {0};
    fixture_block(f, 1);
    budget_init(&little, "little", 100, NULL);
    arena_init(&arena, &little);
    expect_fails(tools_blocks_list(&blocks, f->bucket, &no_limit, (struct bytes){0},
                                   &arena, &err),
                 err, ERR_BUDGET);
}

#define CASE(name) \
    cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(lists_blocks_and_only_them),
        CASE(reads_metas_and_says_which_it_cannot),
        CASE(keeps_to_its_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
