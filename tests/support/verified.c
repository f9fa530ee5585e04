/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/verified.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/base/file.h"
#include "common/base/xmalloc.h"

enum { FILE_LIMIT = 64 * 1024 * 1024 };

static const char *const segment_names[VERIFIED_SEGMENTS] = {
    "chunks/000001", "chunks/000002", "chunks/000003", "chunks/000004",
    "chunks/000005", "chunks/000006", "chunks/000007", "chunks/000008"};

static bool
read_whole(const char *directory, const char *name, struct buf *into)
{
    struct err err;
    CLEANUP(xfree) char *path = xasprintf("%s/%s", directory, name);
    return file_exists(path) && file_read_all(path, FILE_LIMIT, into, &err);
}

void
verified_open(struct verified *b, const char *directory)
{
    CLEANUP(buf_fini) struct buf meta = {0};
    struct err err;
    *b = (struct verified){0};
    CHECK(read_whole(directory, "meta.json", &meta));
    CHECK(tsdb_meta_parse(&b->meta, buf_bytes(&meta), &err));
    CHECK(read_whole(directory, "index", &b->index));
    while (b->segment_count < VERIFIED_SEGMENTS &&
           read_whole(directory, segment_names[b->segment_count],
                      &b->segments[b->segment_count]))
        b->segment_count++;
}

void
verified_fini(struct verified *b)
{
    tsdb_meta_fini(&b->meta);
    buf_fini(&b->index);
    for (size_t i = 0; i < VERIFIED_SEGMENTS; i++)
        buf_fini(&b->segments[i]);
}

static bool
read_file(void *arg, size_t file, uint64_t offset, uint8_t *into, size_t len,
          struct err *err)
{
    struct verdict *v = arg;
    CHECK(file <= v->block->segment_count);
    const struct buf *b = file == 0 ? &v->block->index : &v->block->segments[file - 1];
    CHECK(len > 0 && offset <= b->len && len <= b->len - offset);
    if (v->read_limit > 0 && offset + len > v->read_limit)
        return err_set(err, ERR_IO, "the disk is gone");
    memcpy(into, b->at + offset, len);
    return true;
}

static bool
take_finding(void *arg, const struct tsdb_verify_finding *f)
{
    struct verdict *v = arg;
    size_t i = v->totals.findings++;
    if (i < VERIFIED_FINDINGS) {
        snprintf(v->findings[i], VERIFIED_TEXT, "%s at %" PRIu64 ": %s", f->file,
                 f->offset, f->what);
        v->are_surplus[i] = f->is_surplus;
    }
    return v->most_findings == 0 || v->totals.findings < v->most_findings;
}

static void
take_progress(void *arg, uint64_t bytes_read)
{
    struct verdict *v = arg;
    if (v->cancel_at > 0 && bytes_read >= v->cancel_at)
        cancel_raise(&v->cancel);
}

bool
verified_check(const struct verified *b, struct verdict *verdict, struct err *err)
{
    struct tsdb_verify_file files[1 + VERIFIED_SEGMENTS] = {{"index", b->index.len}};
    struct tsdb_verify_totals totals;
    struct budget budget;
    for (size_t i = 0; i < b->segment_count; i++)
        files[1 + i] = (struct tsdb_verify_file){segment_names[i], b->segments[i].len};
    verdict->block = b;
    verdict->totals = (struct tsdb_verify_totals){0};
    budget_init(&budget, "check", verdict->budget_limit, NULL);
    struct tsdb_verify how = {.level = verdict->level,
                              .meta = &b->meta,
                              .files = files,
                              .file_count = 1 + b->segment_count,
                              .piece_bytes = verdict->piece_bytes,
                              .budget = &budget,
                              .cancel = &verdict->cancel,
                              .read = read_file,
                              .found = take_finding,
                              .progress = take_progress,
                              .arg = verdict};
    bool ok = tsdb_block_verify(&how, &totals, err);
    CHECK(totals.findings == verdict->totals.findings);
    verdict->totals = totals;
    verdict->budget_peak = budget_peak(&budget);
    budget_fini(&budget);
    return ok;
}
