/* SPDX-License-Identifier: Apache-2.0 */
/* A directory bucket of written blocks that can be made to fail; include it behind
 * cmocka.h. */
#ifndef TESTS_UNIT_COMMON_TOOLS_FIXTURE_H
#define TESTS_UNIT_COMMON_TOOLS_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/xmalloc.h"
#include "common/objstore/dir.h"
#include "common/tools/blocks.h"
#include "tests/support/block_writer.h"
#include "tests/support/expect.h"
#include "tests/support/faulty_bucket.h"

enum { FIXTURE_BUDGET = 64 * 1024 * 1024, FIXTURE_SAMPLES = 300 };

struct fixture {
    char *root;
    struct objstore_bucket *bucket; /* faulty_bucket around it */
    struct budget budget;
    struct arena arena;
    struct tools_blocks blocks;
};

static const struct objstore_call no_limit = {.deadline_ns = CLOCK_NEVER};

static inline struct tsdb_ulid
fixture_id(unsigned n)
{
    struct tsdb_ulid id;
    char text[] = "01ARZ3NDEKTSV4RRFFQ69G5FA0";
    text[sizeof text - 2] = (char)('0' + n);
    assert_true(tsdb_ulid_parse(&id, bytes_of_str(text)));
    return id;
}

static inline char *
fixture_path(const struct fixture *f, unsigned n, const char *rel_path)
{
    struct tsdb_ulid id = fixture_id(n);
    return xasprintf("%s/%s/%s", f->root, tsdb_ulid_print(&id).text, rel_path);
}

/* Write the n-th block. */
static inline void
fixture_block(struct fixture *f, unsigned n)
{
    static const struct tsdb_label external = {BYTES("cluster"), BYTES("eu1")};
    static const struct tsdb_label label = {BYTES("__name__"), BYTES("up")};
    const struct block_writer_options options = {.external = {&external, 1}};
    struct tsdb_sample samples[FIXTURE_SAMPLES];
    struct tsdb_ulid id = fixture_id(n);
    struct err err;
    CLEANUP(block_writer_free) struct block_writer *w = NULL;
    for (int i = 0; i < FIXTURE_SAMPLES; i++)
        samples[i] = (struct tsdb_sample){1000 * (int64_t)i, (uint64_t)i << 40};
    expect_ok(block_writer_new(&w, f->root, &id, &options, &err), err);
    expect_ok(block_writer_add_samples(w, (struct tsdb_labels){&label, 1}, samples,
                                       FIXTURE_SAMPLES, &err),
              err);
    expect_ok(block_writer_finish(w, &err), err);
}

static inline int
fixture_setup(void **state)
{
    struct err err;
    char root[] = "/tmp/blockhouse-tools-XXXXXX";
    struct fixture *f = xcalloc(1, sizeof *f);
    assert_non_null(mkdtemp(root));
    f->root = xstrdup(root);
    expect_ok(objstore_dir_open(&f->bucket, f->root, &err), err);
    f->bucket = faulty_bucket_new(f->bucket);
    budget_init(&f->budget, "test", FIXTURE_BUDGET, NULL);
    arena_init(&f->arena, &f->budget);
    *state = f;
    return 0;
}

static inline int
fixture_teardown(void **state)
{
    struct err err;
    struct fixture *f = *state;
    objstore_free(&f->bucket);
    arena_fini(&f->arena);
    budget_fini(&f->budget);
    expect_ok(file_remove_tree(f->root, &err), err);
    free(f->root);
    free(f);
    return 0;
}

static inline void
fixture_list(struct fixture *f)
{
    struct err err;
    f->blocks = (struct tools_blocks){0};
    expect_ok(tools_blocks_list(&f->blocks, f->bucket, &no_limit, (struct bytes){0},
                                &f->arena, &err),
              err);
}

#endif
