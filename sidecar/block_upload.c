/* SPDX-License-Identifier: Apache-2.0 */
/* The four steps of a shipment, and what is left when the process dies in each:
 *
 *   1 check     the block's own files            nothing
 *   2 compare   with a meta.json in the bucket   nothing
 *   3 send      segments, then the index         objects that no reader looks at
 *   4 commit    meta.json                        the block, whole
 *
 * A put that succeeds has been compared with what the bucket says it holds.
 *
 * After the commit all objects are looked at once more: until then they are a partial
 * upload, which a compactor removes when the block is two days old. What it took away
 * in the meantime is sent again.
 *
 * Every step reads the bucket before it writes, so the next run goes through all four
 * again and sends only what is missing. A put whose answer was lost is found by step 2
 * (meta.json) or step 3 (any other object). */
#include "sidecar/block_upload.h"

#include <inttypes.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/num.h"
#include "common/base/xmalloc.h"
#include "common/codec/digest.h"
#include "common/tsdb/block_path.h"
#include "common/tsdb/meta.h"
#include "sidecar/block_check.h"
#include "sidecar/block_files.h"
#include "sidecar/block_scan.h"
#include "sidecar/meta_difference.h"

/* One request without a file. A guess well above what a healthy store needs. */
#define REQUEST_TIMEOUT_NS (2 * 60 * CLOCK_NS_PER_S)

/* A transfer slower than this has stalled. A guess: 512 MiB may take two hours. */
enum { SLOWEST_BYTES_PER_S = 64 * 1024, PIECE_BYTES = 64 * 1024 };

struct shipment {
    const struct sidecar_block_upload *how;
    const char *directory;
    struct tsdb_ulid_text id;
    struct tsdb_meta meta;
    struct sidecar_block_files files;
    struct tsdb_meta_file *listed;              /* one per file, for meta.json */
    char (*hashes)[2 * DIGEST_SHA256_SIZE + 1]; /* the same; NULL without hashes */
    bool committed; /* the bucket has this block's meta.json */
};

static void
shipment_fini(struct shipment *s)
{
    tsdb_meta_fini(&s->meta);
    sidecar_block_files_fini(&s->files);
    free(s->listed);
    free(s->hashes);
}

static struct objstore_call
call_for(const struct shipment *s, uint64_t bytes)
{
    int64_t transfer_ns = (int64_t)(bytes / SLOWEST_BYTES_PER_S) * CLOCK_NS_PER_S;
    return (struct objstore_call){
        .deadline_ns = clock_deadline(REQUEST_TIMEOUT_NS + transfer_ns),
        .cancel = s->how->cancel,
    };
}

static char *
key_of(const struct shipment *s, const char *rel_path)
{
    return xasprintf("%s/%s", s->id.text, rel_path);
}

/* Step 1. */
static bool
read_block(struct shipment *s, const struct tsdb_ulid *id, struct err *err)
{
    const struct sidecar_block_check check = {.level = TSDB_VERIFY_FRAME,
                                              .cancel = s->how->cancel};
    if (!sidecar_block_meta_read(&s->meta, s->directory, id, err) ||
        !sidecar_block_files_read(&s->files, s->directory, err) ||
        !sidecar_block_check(&check, s->directory, &s->files, &s->meta, err))
        return false;
    s->listed = xcalloc(s->files.count, sizeof *s->listed);
    for (size_t i = 0; i < s->files.count; i++)
        s->listed[i] = (struct tsdb_meta_file){
            .rel_path = s->files.at[i].rel_path,
            .size = (int64_t)s->files.at[i].size,
        };
    return true;
}

static bool
print_meta(const struct shipment *s, struct buf *text, struct err *err)
{
    struct tsdb_meta_thanos thanos = {
        .external = s->how->labels,
        .source = "sidecar",
        .file_count = s->files.count,
        .files = s->listed,
        .upload_time_ns = clock_wall_ns(),
    };
    return tsdb_meta_print_with_thanos(&s->meta, &thanos, text, err);
}

/* Step 2. The meta.json that is there must say what ours would. */
static bool
compare_meta(struct shipment *s, struct bytes text, struct err *err)
{
    CLEANUP(tsdb_meta_fini) struct tsdb_meta theirs = {0};
    CLEANUP(tsdb_meta_fini) struct tsdb_meta ours = {0};
    CLEANUP(buf_fini) struct buf printed = {0};
    if (!print_meta(s, &printed, err) ||
        !tsdb_meta_parse(&ours, buf_bytes(&printed), err))
        return false;
    struct err why;
    if (!tsdb_meta_parse(&theirs, text, &why))
        return err_set(err, ERR_CONFLICT, "the meta.json in the bucket is broken: %s",
                       why.text);
    const char *what = sidecar_meta_difference(&theirs, &ours);
    if (what != NULL)
        return err_set(err, ERR_CONFLICT,
                       "the bucket holds another block under this id: its %s differs",
                       what);
    s->committed = true;
    return true;
}

static bool
find_committed(struct shipment *s, struct err *err)
{
    CLEANUP(buf_fini) struct buf text = {0};
    CLEANUP(xfree) char *key = key_of(s, TSDB_BLOCK_PATH_META);
    struct objstore_attrs attrs;
    struct objstore_call call = call_for(s, SIDECAR_META_MAX_BYTES);
    /* To ask is an ordinary answer; to read what is not there counts as a failure. */
    if (!objstore_head(s->how->bucket, &call, bytes_of_str(key), &attrs, err))
        return err->code == ERR_NOT_FOUND;
    return objstore_get(s->how->bucket, &call, bytes_of_str(key),
                        SIDECAR_META_MAX_BYTES, &text, err) &&
           compare_meta(s, buf_bytes(&text), err);
}

static bool
hash_file(int fd, const char *path, uint64_t size, char *hex, struct err *err)
{
    CLEANUP(xfree) uint8_t *piece = xcalloc(1, PIECE_BYTES);
    struct digest_stream *stream = digest_stream_new(DIGEST_SHA256);
    uint8_t digest[DIGEST_SHA256_SIZE];
    bool ok = true;
    for (uint64_t at = 0; ok && at < size;) {
        size_t len = (size_t)NUM_MIN(size - at, (uint64_t)PIECE_BYTES);
        ok = file_pread(fd, path, piece, len, at, err);
        digest_stream_add(stream, bytes_of(piece, len));
        at += len;
    }
    digest_stream_finish(&stream, digest);
    digest_hex(bytes_of(digest, sizeof digest), hex);
    return ok;
}

static bool
hash_files(struct shipment *s, struct err *err)
{
    s->hashes = xcalloc(s->files.count, sizeof *s->hashes);
    for (size_t i = 0; i < s->files.count; i++) {
        const struct sidecar_block_file *file = &s->files.at[i];
        CLEANUP(xfree) char *path = xasprintf("%s/%s", s->directory, file->rel_path);
        CLEANUP(file_close) int fd = -1;
        if (!file_open_read(path, &fd, err) ||
            !hash_file(fd, path, file->size, s->hashes[i], err))
            return false;
        s->listed[i].sha256 = s->hashes[i];
    }
    return true;
}

static bool
put_file(const struct shipment *s, const struct sidecar_block_file *file,
         const char *key, struct err *err)
{
    CLEANUP(xfree) char *path = xasprintf("%s/%s", s->directory, file->rel_path);
    CLEANUP(file_close) int fd = -1;
    struct objstore_call call = call_for(s, file->size);
    struct objstore_attrs stored;
    if (!file_open_read(path, &fd, err))
        return false;
    /* Only the Prometheus that made a block has its ULID. */
    const struct objstore_file content = {
        .fd = fd, .size = file->size, .sole_writer = true};
    return objstore_put_file(s->how->bucket, &call, bytes_of_str(key), &content,
                             &stored, err);
}

/* Step 3, one file: send it unless the bucket has it. */
static bool
send_file(const struct shipment *s, const struct sidecar_block_file *file,
          struct err *err)
{
    CLEANUP(xfree) char *key = key_of(s, file->rel_path);
    struct objstore_attrs attrs;
    struct objstore_call call = call_for(s, 0);
    bool there = objstore_head(s->how->bucket, &call, bytes_of_str(key), &attrs, err);
    if (!there && err->code != ERR_NOT_FOUND)
        return false;
    if (there && attrs.size == file->size)
        return true;
    return put_file(s, file, key, err);
}

static bool
send_files(const struct shipment *s, struct err *err)
{
    for (size_t i = 0; i < s->files.count; i++) {
        if (cancel_is_raised(s->how->cancel))
            return err_set(err, ERR_CANCELLED, "the process stops");
        if (!send_file(s, &s->files.at[i], err))
            return false;
    }
    return true;
}

/* Step 4. */
static bool
commit(struct shipment *s, struct err *err)
{
    CLEANUP(buf_fini) struct buf text = {0};
    CLEANUP(xfree) char *key = key_of(s, TSDB_BLOCK_PATH_META);
    if (!print_meta(s, &text, err))
        return false;
    struct objstore_call call = call_for(s, text.len);
    return objstore_put(s->how->bucket, &call, bytes_of_str(key), buf_bytes(&text),
                        err);
}

static bool
ship(struct shipment *s, const struct tsdb_ulid *id, struct err *err)
{
    if (s->how->labels.len == 0)
        return err_set(err, ERR_INVALID, "no external labels");
    if (!read_block(s, id, err) || !find_committed(s, err))
        return false;
    if (!s->committed && s->how->hash_sha256 && !hash_files(s, err))
        return false;
    return send_files(s, err) &&
           (s->committed || (commit(s, err) && send_files(s, err)));
}

bool
sidecar_block_upload(const struct sidecar_block_upload *how, const char *directory,
                     const struct tsdb_ulid *id, struct err *err)
{
    CLEANUP(shipment_fini)
    struct shipment s = {.how = how, .directory = directory, .id = tsdb_ulid_print(id)};
    return ship(&s, id, err) || err_wrap(err, "upload block %s", s.id.text);
}
