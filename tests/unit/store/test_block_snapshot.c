/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "common/base/file.h"
#include "common/base/xmalloc.h"
#include "common/codec/compress.h"
#include "common/codec/crc32c.h"
#include "store/block_snapshot.h"
#include "tests/support/expect.h"
#include "tests/support/guard.h"

enum { BLOCKS = 4, HEAD = 8 };

static const struct bytes bucket = BYTES("blocks");

struct fixture {
    char *dir;
    char *path;
    struct store_catalog catalog;
};

static struct err err;

static struct tsdb_ulid
id_of(size_t number)
{
    return (struct tsdb_ulid){.raw = {1, [TSDB_ULID_SIZE - 1] = (uint8_t)number}};
}

/* Each has something that the others have not. */
static void
fill(struct store_entry *e, size_t number)
{
    static const struct tsdb_label some[] = {{BYTES("cluster"), BYTES("eu")},
                                             {BYTES("replica"), BYTES("a")}};
    static const struct tsdb_label others[] = {{BYTES("cluster"), BYTES("us")}};
    const struct tsdb_ulid sources[] = {id_of(9), id_of(number), id_of(7)};
    struct store_block_meta meta = {
        .mint_ms = -1000 * (int64_t)number,
        .maxt_ms = number == 2 ? INT64_MAX : 5000,
        .resolution_ms = number == 1 ? 300000 : 0,
        .upload_time_ms = number == 2 ? INT64_C(1700000000000) : INT64_MIN,
        .is_rewrite = number == 3,
        .source = number == 3 ? 7 : (uint8_t)number,
        .level = number == 2 ? UINT32_MAX : (uint32_t)number,
        .series_count = 10 * number,
        .sample_count = number == 1 ? UINT64_MAX : 1200 * number,
        .chunk_count = 11 * number,
        .external = number == 1 ? (struct tsdb_labels){others, 1}
                                : (struct tsdb_labels){some, number == 3 ? 0 : 2},
        .source_count = number,
        .sources = sources,
    };
    if (number == 1)
        meta.sources = &sources[1];
    e->id = id_of(number);
    e->name = tsdb_ulid_print(&e->id);
    e->meta = (struct store_stamp){true, 700 + number, 1000};
    e->index = (struct store_stamp){true, UINT64_C(1) << 40, -5};
    e->marked_ms = INT64_MAX;
    if (number == 2) {
        e->mark = (struct store_stamp){true, 20, 3000};
        e->marked_ms = 2900;
    }
    e->block = store_block_restore(&e->id, e->index.size, &meta);
    store_block_reserve_segments(e->block, number);
    for (size_t i = 0; i < number; i++)
        store_block_add_segment(e->block, i == 0 ? BYTES("000002") : BYTES("1"),
                                100 * i);
    if (number > 0)
        e->chunks = (struct store_stamp){true, 900, 70};
}

static int
set_up(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    char dir[] = "/tmp/blockhouse-snapshot-XXXXXX";
    f->dir = xstrdup(mkdtemp(dir));
    f->path = xasprintf("%s/" STORE_BLOCK_SNAPSHOT_NAME, f->dir);
    f->catalog.entries = xcalloc(BLOCKS + 1, sizeof *f->catalog.entries);
    f->catalog.count = BLOCKS + 1;
    f->catalog.is_complete = true;
    for (size_t i = 0; i < BLOCKS; i++)
        fill(&f->catalog.entries[i], i);
    f->catalog.entries[BLOCKS].id = id_of(BLOCKS); /* its meta was never read */
    *state = f;
    return 0;
}

static int
tear_down(void **state)
{
    struct fixture *f = *state;
    store_catalog_fini(&f->catalog);
    expect_ok(file_remove_tree(f->dir, &err), err);
    free(f->path);
    free(f->dir);
    free(f);
    return 0;
}

static void
check_block(const struct store_block *a, const struct store_block *b)
{
    assert_string_equal(a->name.text, b->name.text);
    assert_string_equal(a->index_key, b->index_key);
    assert_true(a->index_size == b->index_size);
    assert_true(a->meta.mint_ms == b->meta.mint_ms);
    assert_true(a->meta.maxt_ms == b->meta.maxt_ms);
    assert_true(a->meta.resolution_ms == b->meta.resolution_ms);
    assert_true(a->meta.upload_time_ms == b->meta.upload_time_ms);
    assert_int_equal(a->meta.is_rewrite, b->meta.is_rewrite);
    assert_string_equal(store_block_meta_source(&a->meta),
                        store_block_meta_source(&b->meta));
    assert_int_equal(a->meta.level, b->meta.level);
    assert_true(a->meta.series_count == b->meta.series_count);
    assert_true(a->meta.sample_count == b->meta.sample_count);
    assert_true(a->meta.chunk_count == b->meta.chunk_count);
    assert_int_equal(tsdb_labels_cmp(a->meta.external, b->meta.external), 0);
    assert_int_equal(a->meta.source_count, b->meta.source_count);
    for (size_t i = 0; i < a->meta.source_count; i++)
        assert_int_equal(tsdb_ulid_cmp(&a->meta.sources[i], &b->meta.sources[i]), 0);
    assert_int_equal(a->segment_count, b->segment_count);
    for (size_t i = 0; i < a->segment_count; i++) {
        assert_string_equal(a->segments[i].key, b->segments[i].key);
        assert_true(a->segments[i].size == b->segments[i].size);
    }
}

static void
check_entry(const struct store_entry *a, const struct store_entry *b)
{
    assert_int_equal(tsdb_ulid_cmp(&a->id, &b->id), 0);
    assert_string_equal(a->name.text, b->name.text);
    assert_true(store_stamp_eq(a->meta, b->meta));
    assert_true(store_stamp_eq(a->index, b->index));
    assert_true(store_stamp_eq(a->chunks, b->chunks));
    assert_true(store_stamp_eq(a->mark, b->mark));
    assert_true(a->marked_ms == b->marked_ms);
    check_block(a->block, b->block);
}

static void
keeps_all_that_is_known(void **state)
{
    struct fixture *f = *state;
    struct store_catalog back = {0};
    expect_ok(store_block_snapshot_save(f->path, bucket, &f->catalog, &err), err);
    expect_ok(store_block_snapshot_load(f->path, bucket, &back, &err), err);
    assert_int_equal(back.count, BLOCKS);
    assert_true(back.is_complete);
    for (size_t i = 0; i < BLOCKS; i++)
        check_entry(&f->catalog.entries[i], &back.entries[i]);
    store_catalog_fini(&back);
}

static void
keeps_nothing_of_nothing(void **state)
{
    struct fixture *f = *state;
    struct store_catalog empty = {0}, back = {0};
    expect_fails(store_block_snapshot_load(f->path, bucket, &back, &err), err,
                 ERR_NOT_FOUND);
    expect_ok(store_block_snapshot_save(f->path, bucket, &empty, &err), err);
    expect_ok(store_block_snapshot_load(f->path, bucket, &back, &err), err);
    assert_int_equal(back.count, 0);
    assert_false(back.is_complete);
    store_catalog_fini(&back);
}

static void
refuses_that_of_another_bucket(void **state)
{
    struct fixture *f = *state;
    struct store_catalog back = {0};
    expect_ok(store_block_snapshot_save(f->path, bucket, &f->catalog, &err), err);
    expect_fails(store_block_snapshot_load(f->path, BYTES("block"), &back, &err), err,
                 ERR_CORRUPT);
    assert_non_null(strstr(err.text, "bucket blocks"));
    assert_null(back.entries);
}

static void
refuse(void *unused, struct bytes file)
{
    struct store_catalog back = {0};
    (void)unused;
    expect_fails(store_block_snapshot_parse(file, bucket, &back, &err), err,
                 ERR_CORRUPT);
    assert_null(back.entries);
}

static void
names_a_damaged_file(void **state)
{
    struct fixture *f = *state;
    struct store_catalog back = {0};
    expect_ok(file_replace(f->path, BYTES("BHS"), &err), err);
    expect_fails(store_block_snapshot_load(f->path, bucket, &back, &err), err,
                 ERR_CORRUPT);
    assert_non_null(strstr(err.text, f->path));
}

static void
refuses_every_damage(void **state)
{
    struct fixture *f = *state;
    CLEANUP(buf_fini) struct buf file = {0};
    expect_ok(store_block_snapshot_save(f->path, bucket, &f->catalog, &err), err);
    expect_ok(file_read_all(f->path, 1 << 20, &file, &err), err);
    for_each_truncation(buf_bytes(&file), refuse, NULL);
    for_each_bit_flip(buf_bytes(&file), refuse, NULL);
}

/* Content that is damaged behind a right checksum: an error or a catalog, no crash. */
static void
survive(void *unused, struct bytes content)
{
    struct store_catalog back = {0};
    CLEANUP(buf_fini) struct buf file = {0};
    (void)unused;
    buf_put_be32(&file, 0x42485302);
    buf_put_be32(&file, 0);
    expect_ok(compress_zstd_encode(content, &file, &err), err);
    be32_store(file.at + 4, crc32c(bytes_of(file.at + HEAD, file.len - HEAD)));
    if (!store_block_snapshot_parse(buf_bytes(&file), bucket, &back, &err))
        assert_null(back.entries);
    store_catalog_fini(&back);
}

static void
survives_damage_behind_the_checksum(void **state)
{
    struct fixture *f = *state;
    CLEANUP(buf_fini) struct buf file = {0};
    CLEANUP(buf_fini) struct buf content = {0};
    expect_ok(store_block_snapshot_save(f->path, bucket, &f->catalog, &err), err);
    expect_ok(file_read_all(f->path, 1 << 20, &file, &err), err);
    expect_ok(compress_zstd_decode(bytes_of(file.at + HEAD, file.len - HEAD), 1 << 20,
                                   &content, &err),
              err);
    for_each_truncation(buf_bytes(&content), survive, NULL);
    for_each_bit_flip(buf_bytes(&content), survive, NULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(keeps_all_that_is_known),        TEST(keeps_nothing_of_nothing),
        TEST(refuses_that_of_another_bucket), TEST(names_a_damaged_file),
        TEST(refuses_every_damage),           TEST(survives_damage_behind_the_checksum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
