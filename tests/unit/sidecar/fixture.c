/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/file.h"
#include "common/base/xmalloc.h"
#include "common/objstore/dir.h"
#include "common/tsdb/meta.h"
#include "sidecar/block_files.h"
#include "sidecar/block_pin.h"
#include "tests/support/block_writer.h"
#include "tests/support/faulty_bucket.h"
#include "tests/unit/sidecar/fixture.h"

enum { SERIES = 3, SAMPLES = 240, STEP_MS = 30000 };

/* A segment takes one chunk of ours: with SERIES there are several. */
enum { SEGMENT_LIMIT = 512 };

static const struct tsdb_label label_storage[] = {
    {BYTES("cluster"), BYTES("eu1")},
    {BYTES("replica"), BYTES("a")},
};
const struct tsdb_labels fixture_labels = {label_storage, 2};

static void
must(bool ok, const struct err *err)
{
    if (!ok)
        fail_msg("%s", err->text);
}

int
fixture_setup(void **state)
{
    struct err err;
    char root[] = "/tmp/blockhouse-sidecar-XXXXXX";
    struct fixture *f = xcalloc(1, sizeof *f);
    assert_non_null(mkdtemp(root));
    f->root = xstrdup(root);
    f->tsdb = xasprintf("%s/data", root);
    f->bucket_dir = xasprintf("%s/bucket", root);
    f->pins = sidecar_block_pin_folder(f->tsdb);
    must(sidecar_block_pin_prepare(f->pins, &err), &err);
    must(objstore_dir_open(&f->bucket, f->bucket_dir, &err), &err);
    f->bucket = faulty_bucket_new(f->bucket);
    *state = f;
    return 0;
}

int
fixture_teardown(void **state)
{
    struct err err;
    struct fixture *f = *state;
    objstore_free(&f->bucket);
    must(file_remove_tree(f->root, &err), &err);
    free(f->root);
    free(f->tsdb);
    free(f->pins);
    free(f->bucket_dir);
    free(f);
    return 0;
}

struct tsdb_ulid
fixture_id(unsigned n)
{
    struct tsdb_ulid id;
    char text[] = "01ARZ3NDEKTSV4RRFFQ69G5FA0";
    text[sizeof text - 2] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"[n];
    assert_true(tsdb_ulid_parse(&id, bytes_of_str(text)));
    return id;
}

static void
add_series(struct block_writer *w, unsigned n, unsigned series)
{
    struct err err;
    struct tsdb_sample samples[SAMPLES];
    char name[16];
    snprintf(name, sizeof name, "metric_%u", series);
    struct tsdb_label label = {BYTES("__name__"), bytes_of_str(name)};
    for (unsigned i = 0; i < SAMPLES; i++)
        samples[i] = (struct tsdb_sample){
            .t_ms = ((int64_t)n * SAMPLES + i) * STEP_MS,
            .value_bits = UINT64_C(0x9e3779b97f4a7c15) * (i + series + n + 1),
        };
    must(block_writer_add_samples(w, (struct tsdb_labels){&label, 1}, samples, SAMPLES,
                                  &err),
         &err);
}

struct tsdb_ulid
fixture_block(const char *folder, unsigned n, int64_t level)
{
    struct err err;
    struct tsdb_ulid id = fixture_id(n);
    struct block_writer_options options = {.segment_limit = SEGMENT_LIMIT,
                                           .level = level};
    CLEANUP(block_writer_free) struct block_writer *w = NULL;
    must(block_writer_new(&w, folder, &id, &options, &err), &err);
    for (unsigned series = 0; series < SERIES; series++)
        add_series(w, n, series);
    must(block_writer_finish(w, &err), &err);
    return id;
}

char *
fixture_path(const char *folder, const struct tsdb_ulid *id, const char *rel_path)
{
    return xasprintf("%s/%s/%s", folder, tsdb_ulid_print(id).text, rel_path);
}

bool
fixture_has(const char *folder, const struct tsdb_ulid *id, const char *rel_path)
{
    CLEANUP(xfree) char *path = fixture_path(folder, id, rel_path);
    return file_exists(path);
}

struct buf
fixture_read(const char *path)
{
    struct err err;
    struct buf content = {0};
    must(file_read_all(path, SIZE_MAX, &content, &err), &err);
    return content;
}

void
fixture_write(const char *path, const char *text)
{
    struct err err;
    must(file_replace(path, bytes_of_str(text), &err), &err);
}

void
fixture_flip(const char *path, long at)
{
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    int whence = at < 0 ? SEEK_END : SEEK_SET;
    assert_int_equal(fseek(file, at, whence), 0);
    int byte = fgetc(file);
    assert_int_not_equal(byte, EOF);
    assert_int_equal(fseek(file, at, whence), 0);
    assert_int_not_equal(fputc(byte ^ 0xff, file), EOF);
    assert_int_equal(fclose(file), 0);
}

void
fixture_remove(const char *folder, const struct tsdb_ulid *id)
{
    struct err err;
    CLEANUP(xfree) char *path = fixture_path(folder, id, "");
    must(file_remove_tree(path, &err), &err);
}

static void
assert_same_file(const struct fixture *f, const char *folder,
                 const struct tsdb_ulid *id, const char *rel_path)
{
    CLEANUP(xfree) char *here = fixture_path(folder, id, rel_path);
    CLEANUP(xfree) char *there = fixture_path(f->bucket_dir, id, rel_path);
    CLEANUP(buf_fini) struct buf mine = fixture_read(here);
    CLEANUP(buf_fini) struct buf theirs = fixture_read(there);
    assert_true(bytes_eq(buf_bytes(&mine), buf_bytes(&theirs)));
}

void
fixture_assert_shipped(const struct fixture *f, const char *folder,
                       const struct tsdb_ulid *id)
{
    struct err err;
    CLEANUP(xfree) char *block = fixture_path(folder, id, "");
    CLEANUP(xfree) char *meta_path = fixture_path(f->bucket_dir, id, "meta.json");
    CLEANUP(buf_fini) struct buf text = fixture_read(meta_path);
    CLEANUP(tsdb_meta_fini) struct tsdb_meta meta = {0};
    CLEANUP(sidecar_block_files_fini) struct sidecar_block_files files = {0};
    must(tsdb_meta_parse(&meta, buf_bytes(&text), &err), &err);
    must(sidecar_block_files_read(&files, block, &err), &err);
    assert_int_equal(tsdb_labels_cmp(meta.external, fixture_labels), 0);
    assert_int_equal(meta.file_count, files.count + 1); /* meta.json lists itself */
    assert_int_equal(meta.segment_count, files.count - 1);
    for (size_t i = 0; i < files.count; i++)
        assert_same_file(f, folder, id, files.at[i].rel_path);
}
