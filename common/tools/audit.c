/* SPDX-License-Identifier: Apache-2.0 */
#include "common/tools/audit.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "common/base/clock.h"
#include "common/base/num.h"
#include "common/base/xmalloc.h"
#include "common/codec/digest.h"
#include "common/tsdb/block_path.h"
#include "common/tsdb/meta.h"

/* One request; guesses. The piece makes the delay of a request small beside its
 * transfer. */
static const int64_t REQUEST_TIMEOUT_NS = 2 * 60 * CLOCK_NS_PER_S;
enum { PIECE_BYTES = 4 * 1024 * 1024, WHAT_BYTES = 512 };

/* What beside the files of the meta may stand in a block. */
static const char *const marks[] = {TSDB_BLOCK_PATH_META, TSDB_BLOCK_PATH_DELETION_MARK,
                                    TSDB_BLOCK_PATH_NO_COMPACT_MARK,
                                    TSDB_BLOCK_PATH_NO_DOWNSAMPLE_MARK};

/* A file that is checked, and its hash if the meta tells it. Reads are mostly in
 * order; what the check did not read in order is read again at the end. */
struct hashed {
    const char *expected;         /* NULL: not told */
    struct digest_stream *stream; /* NULL: nothing to hash */
    uint64_t done;                /* bytes hashed */
};

struct audit {
    const struct tools_audit *how;
    const struct tools_block *block;
    struct tools_report *report;
    struct tsdb_meta meta;
    struct tsdb_verify_file *files; /* the index, then the segments */
    char **names;                   /* theirs */
    struct hashed *hashes;
    size_t file_count;
    bool is_incomplete; /* a file that is needed is not there */
};

static struct tools_problem *
add_problem(struct audit *a, const char *object)
{
    struct tools_report *r = a->report;
    r->verdict = NUM_MAX(r->verdict, TOOLS_BROKEN);
    r->problem_count++;
    if (r->kept == TOOLS_PROBLEMS_MAX)
        return NULL;
    struct tools_problem *p = &r->problems[r->kept++];
    *p = (struct tools_problem){.object = xstrdup(object)};
    return p;
}

static void problem(struct audit *a, const char *object, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

static void
problem(struct audit *a, const char *object, const char *fmt, ...)
{
    struct tools_problem *p = add_problem(a, object);
    char what[WHAT_BYTES];
    if (p == NULL)
        return;
    va_list args;
    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    p->what = xstrdup(what);
}

/* It ends here. The reason has a place even if there were too many problems. */
static void
give_up(struct audit *a, const struct err *err)
{
    struct tools_report *r = a->report;
    if (r->kept == TOOLS_PROBLEMS_MAX) {
        struct tools_problem *last = &r->problems[--r->kept];
        free(last->object);
        free(last->what);
    }
    problem(a, "", "%s", err->text);
    r->verdict = TOOLS_UNREAD;
}

static struct objstore_call
new_call(void)
{
    return (struct objstore_call){.deadline_ns = clock_deadline(REQUEST_TIMEOUT_NS)};
}

static char *
key_of(const struct audit *a, const char *rel_path)
{
    return xasprintf("%s/%s", a->block->name.text, rel_path);
}

static bool
read_meta(struct audit *a)
{
    CLEANUP(buf_fini) struct buf text = {0};
    CLEANUP(xfree) char *key = key_of(a, TSDB_BLOCK_PATH_META);
    struct objstore_call call = new_call();
    struct err err;
    if (!objstore_get(a->how->bucket, &call, bytes_of_str(key), TOOLS_META_MAX_BYTES,
                      &text, &err)) {
        give_up(a, &err);
        return false;
    }
    if (!tsdb_meta_parse(&a->meta, buf_bytes(&text), &err)) {
        problem(a, TSDB_BLOCK_PATH_META, "%s", err.text);
        return false;
    }
    if (tsdb_ulid_cmp(&a->meta.ulid, &a->block->id) != 0)
        problem(a, TSDB_BLOCK_PATH_META, "is of another block: %s",
                tsdb_ulid_print(&a->meta.ulid).text);
    if (a->meta.external.len == 0)
        problem(a, TSDB_BLOCK_PATH_META, "has no external labels");
    return true;
}

static const struct tsdb_meta_file *
listed_file(const struct audit *a, struct bytes rel_path)
{
    for (size_t i = 0; i < a->meta.file_count; i++)
        if (bytes_eq(bytes_of_str(a->meta.files[i].rel_path), rel_path))
            return &a->meta.files[i];
    return NULL;
}

/* Whether an object is a segment, whatever the meta says. */
static bool
is_segment(struct bytes rel_path)
{
    struct bytes folder = BYTES(TSDB_BLOCK_PATH_CHUNKS "/");
    if (!bytes_starts_with(rel_path, folder))
        return false;
    bytes_skip(&rel_path, folder.len);
    return tsdb_block_path_is_segment(rel_path);
}

static bool
is_expected(const struct audit *a, struct bytes rel_path)
{
    for (size_t i = 0; i < ARRAY_LEN(marks); i++)
        if (bytes_eq(rel_path, bytes_of_str(marks[i])))
            return true;
    if (a->meta.file_count > 0)
        return listed_file(a, rel_path) != NULL;
    return is_segment(rel_path) || bytes_eq(rel_path, BYTES(TSDB_BLOCK_PATH_INDEX));
}

/* The listing against thanos.files. Old blocks have no such list. */
static void
compare_objects(struct audit *a)
{
    for (size_t i = 0; i < a->meta.file_count; i++) {
        const struct tsdb_meta_file *f = &a->meta.files[i];
        const struct tools_object *o =
            tools_block_object(a->block, bytes_of_str(f->rel_path));
        if (o == NULL)
            problem(a, f->rel_path, "is missing");
        else if (f->size >= 0 && (uint64_t)f->size != o->size)
            problem(a, f->rel_path, "has %" PRIu64 " bytes, in meta.json %" PRId64,
                    o->size, f->size);
    }
    for (size_t i = 0; i < a->block->object_count; i++) {
        struct bytes name = a->block->objects[i].rel_path;
        if (is_expected(a, name))
            continue;
        CLEANUP(xfree) char *text = xasprintf("%.*s", BYTES_FMT(name));
        problem(a, text, "does not belong to the block");
    }
}

/* Takes *name. */
static void
add_file(struct audit *a, char **name)
{
    const struct tools_object *o = tools_block_object(a->block, bytes_of_str(*name));
    const struct tsdb_meta_file *f = listed_file(a, bytes_of_str(*name));
    size_t i = a->file_count++;
    a->names[i] = TAKE(*name);
    if (o == NULL) {
        a->is_incomplete = true;
        if (f == NULL) /* else it is reported */
            problem(a, a->names[i], "is missing");
        return;
    }
    a->files[i] = (struct tsdb_verify_file){a->names[i], o->size};
    if (f != NULL && f->sha256 != NULL)
        a->hashes[i] = (struct hashed){f->sha256, digest_stream_new(DIGEST_SHA256), 0};
}

/* The index, then the segments: as the meta lists them, else by name. */
static void
choose_files(struct audit *a)
{
    size_t room = 1 + a->meta.segment_count + a->block->object_count;
    a->files = xcalloc(room, sizeof *a->files);
    a->names = xcalloc(room, sizeof *a->names);
    a->hashes = xcalloc(room, sizeof *a->hashes);
    char *name = xstrdup(TSDB_BLOCK_PATH_INDEX);
    add_file(a, &name);
    for (size_t i = 0; i < a->meta.segment_count; i++) {
        name = xasprintf("%s/%s", TSDB_BLOCK_PATH_CHUNKS, a->meta.segments[i]);
        add_file(a, &name);
    }
    for (size_t i = 0; i < a->block->object_count && a->meta.segment_count == 0; i++) {
        struct bytes path = a->block->objects[i].rel_path;
        if (!is_segment(path))
            continue;
        name = xasprintf("%.*s", BYTES_FMT(path));
        add_file(a, &name);
    }
}

static void
hash_piece(struct hashed *h, uint64_t offset, struct bytes piece)
{
    uint64_t end = offset + piece.len;
    if (h->stream == NULL || offset > h->done || end <= h->done)
        return;
    bytes_skip(&piece, (size_t)(h->done - offset));
    digest_stream_add(h->stream, piece);
    h->done = end;
}

static bool
read_object(void *arg, size_t file, uint64_t offset, uint8_t *into, size_t len,
            struct err *err)
{
    struct audit *a = arg;
    CLEANUP(xfree) char *key = key_of(a, a->names[file]);
    struct objstore_call call = new_call();
    size_t got = 0;
    if (!objstore_read_range(a->how->bucket, &call, bytes_of_str(key),
                             (struct objstore_range){offset, len}, into, &got, err))
        return false;
    if (got != len)
        return err_set(err, ERR_IO, "%s has become shorter", key);
    hash_piece(&a->hashes[file], offset, bytes_of(into, len));
    tools_progress_add(a->how->progress, len);
    return true;
}

static bool
take_finding(void *arg, const struct tsdb_verify_finding *f)
{
    struct audit *a = arg;
    struct tools_problem *p = add_problem(a, f->file);
    if (p != NULL) {
        p->what = xstrdup(f->what);
        p->has_offset = strcmp(f->file, TSDB_BLOCK_PATH_META) != 0;
        p->offset = f->offset;
    }
    return true;
}

/* Hash what the check has not read, or not in order. */
static bool
hash_rest(struct audit *a, size_t file, struct err *err)
{
    uint64_t size = a->files[file].size;
    CLEANUP(buf_fini) struct buf piece;
    buf_init(&piece, a->how->budget);
    while (a->hashes[file].done < size) {
        uint64_t offset = a->hashes[file].done;
        size_t len = (size_t)NUM_MIN(size - offset, (uint64_t)PIECE_BYTES);
        uint8_t *into = buf_reserve(&piece, len);
        if (into == NULL && !buf_ok(&piece, err))
            return false;
        if (!read_object(a, file, offset, into, len, err))
            return false;
    }
    return true;
}

static bool
check_hash(struct audit *a, size_t file, struct err *err)
{
    struct hashed *h = &a->hashes[file];
    uint8_t digest[DIGEST_SHA256_SIZE];
    char hex[2 * DIGEST_SHA256_SIZE + 1];
    if (h->stream == NULL)
        return true;
    if (!hash_rest(a, file, err))
        return false;
    digest_stream_finish(&h->stream, digest);
    digest_hex(bytes_of(digest, sizeof digest), hex);
    if (strcasecmp(hex, h->expected) != 0)
        problem(a, a->names[file], "has SHA-256 %s, in meta.json %s", hex, h->expected);
    return true;
}

static void
check_content(struct audit *a)
{
    struct err err;
    const struct tsdb_verify verify = {.level = TSDB_VERIFY_FULL,
                                       .meta = &a->meta,
                                       .files = a->files,
                                       .file_count = a->file_count,
                                       .piece_bytes = PIECE_BYTES,
                                       .budget = a->how->budget,
                                       .read = read_object,
                                       .found = take_finding,
                                       .arg = a};
    bool ok = tsdb_block_verify(&verify, &a->report->totals, &err);
    for (size_t i = 0; i < a->file_count && ok; i++)
        ok = check_hash(a, i, &err);
    if (!ok)
        give_up(a, &err);
}

static void
audit_fini(struct audit *a)
{
    for (size_t i = 0; i < a->file_count; i++) {
        free(a->names[i]);
        digest_stream_free(&a->hashes[i].stream);
    }
    free(a->names);
    free(a->hashes);
    free(a->files);
    tsdb_meta_fini(&a->meta);
}

void
tools_audit_block(const struct tools_audit *how, const struct tools_block *block,
                  struct tools_report *report)
{
    CLEANUP(audit_fini)
    struct audit a = {.how = how, .block = block, .report = report};
    if (!block->has_meta) {
        report->verdict = TOOLS_PARTIAL;
        return;
    }
    if (!read_meta(&a))
        return;
    compare_objects(&a);
    choose_files(&a);
    if (!a.is_incomplete)
        check_content(&a);
}

void
tools_report_fini(struct tools_report *report)
{
    for (size_t i = 0; i < report->kept; i++) {
        free(report->problems[i].object);
        free(report->problems[i].what);
    }
    *report = (struct tools_report){0};
}
