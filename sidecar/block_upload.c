/* SPDX-License-Identifier: Apache-2.0 */
/* The steps of a shipment, and what is left when the process dies in each:
 *
 *   1 check     the block's own files             nothing
 *   2 look      what the bucket holds of it       nothing
 *   3 send      segments, the index, the mark     objects that no reader looks at
 *   4 commit    meta.json                         the block, whole
 *   5 look      again
 *
 * A look is one listing. A put that succeeds has been compared with what the bucket
 * says it holds.
 *
 * A meta.json that is there already says the same as ours would, or it is a conflict.
 * Only labels that could not be noted give way to those of the bucket.
 * meta.json is created, not replaced, where the bucket can do that: of two writers one
 * is told so.
 *
 * The second look is for what was taken away before the commit: until then the objects
 * are a partial upload, which a compactor removes when the block is two days old. What
 * is missing is sent again.
 *
 * The next run goes through all steps again and sends only what is missing. A put whose
 * answer was lost is found by step 2. */
#include "sidecar/block_upload.h"

#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/xmalloc.h"
#include "common/tsdb/block_path.h"
#include "common/tsdb/meta.h"
#include "sidecar/block_check.h"
#include "sidecar/block_scan.h"
#include "sidecar/meta_difference.h"

/* A mark has some hundred bytes; its details are free text. */
enum { MARK_MAX_BYTES = 64 * 1024 };

struct shipment {
    const struct sidecar_block_upload *how;
    const char *directory;
    const struct tsdb_ulid *id;
    char *meta_key;
    struct tsdb_meta meta;
    struct sidecar_block_files files;
    struct tsdb_meta_file *listed;           /* one per file, for meta.json */
    char (*hashes)[2 * DIGEST_MAX_SIZE + 1]; /* the same; NULL without hashes */
    struct buf mark; /* its no-compact-mark.json; empty for none */
    struct sidecar_block_remote there;
    bool committed; /* the bucket has this block's meta.json */
};

static void
shipment_fini(struct shipment *s)
{
    tsdb_meta_fini(&s->meta);
    sidecar_block_files_fini(&s->files);
    sidecar_block_remote_fini(&s->there);
    buf_fini(&s->mark);
    free(s->listed);
    free(s->hashes);
    free(s->meta_key);
}

static bool
read_mark(struct shipment *s, struct err *err)
{
    CLEANUP(xfree)
    char *path = xasprintf("%s/%s", s->directory, TSDB_BLOCK_PATH_NO_COMPACT_MARK);
    return file_read_all(path, MARK_MAX_BYTES, &s->mark, err) ||
           err->code == ERR_NOT_FOUND;
}

/* Step 1. */
static bool
read_block(struct shipment *s, struct err *err)
{
    const struct sidecar_block_check check = {.level = s->how->verify,
                                              .cancel = s->how->sender.cancel};
    if (!sidecar_block_meta_read(&s->meta, s->directory, s->id, err) ||
        !sidecar_block_files_read(&s->files, s->directory, err) ||
        !sidecar_block_check(&check, s->directory, &s->files, &s->meta, err) ||
        !read_mark(s, err))
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
        .source_count = s->how->replaced.count,
        .sources = s->how->replaced.at,
    };
    return tsdb_meta_print_with_thanos(&s->meta, &thanos, text, err);
}

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
    bool keeps_theirs =
        s->how->labels_are_held && tsdb_labels_cmp(theirs.external, ours.external) != 0;
    if (keeps_theirs)
        ours.external = theirs.external;
    const char *what = sidecar_meta_difference(&theirs, &ours);
    if (what != NULL)
        return err_set(err, ERR_CONFLICT,
                       "the bucket holds another block under this id: its %s differs",
                       what);
    if (keeps_theirs)
        LOG_WARN("the bucket holds the block with other labels, which stay",
                 LOG_STR("block", tsdb_ulid_print(s->id).text));
    s->committed = true;
    return true;
}

/* There is a meta.json: it must say what ours would. */
static bool
adopt(struct shipment *s, struct err *err)
{
    CLEANUP(buf_fini) struct buf text = {0};
    struct objstore_call call =
        sidecar_sender_call(&s->how->sender, SIDECAR_META_MAX_BYTES);
    return objstore_get(s->how->sender.bucket, &call, bytes_of_str(s->meta_key),
                        SIDECAR_META_MAX_BYTES, &text, err) &&
           compare_meta(s, buf_bytes(&text), err);
}

static bool
look(struct shipment *s, struct err *err)
{
    struct objstore_call call = sidecar_sender_call(&s->how->sender, 0);
    sidecar_block_remote_fini(&s->there);
    return sidecar_block_remote_list(&s->there, s->how->sender.bucket, &call, s->id,
                                     err);
}

/* Step 2. */
static bool
compare(struct shipment *s, struct err *err)
{
    return look(s, err) &&
           (sidecar_block_remote_find(&s->there, TSDB_BLOCK_PATH_META) == NULL ||
            adopt(s, err));
}

static bool
hash_files(struct shipment *s, struct err *err)
{
    s->hashes = xcalloc(s->files.count, sizeof *s->hashes);
    for (size_t i = 0; i < s->files.count; i++) {
        if (!sidecar_block_file_digest(s->directory, &s->files.at[i], DIGEST_SHA256,
                                       s->hashes[i], s->how->sender.cancel, err))
            return false;
        s->listed[i].sha256 = s->hashes[i];
    }
    return true;
}

/* The bucket's own mark stays once the block is committed: somebody may have changed
 * it.
 */
static bool
send_mark(const struct shipment *s, struct err *err)
{
    bool is_there =
        sidecar_block_remote_find(&s->there, TSDB_BLOCK_PATH_NO_COMPACT_MARK) != NULL;
    if (s->mark.len == 0 || (s->committed && is_there))
        return true;
    CLEANUP(xfree)
    char *key = xasprintf("%s/%s", tsdb_ulid_print(s->id).text,
                          TSDB_BLOCK_PATH_NO_COMPACT_MARK);
    struct objstore_call call = sidecar_sender_call(&s->how->sender, s->mark.len);
    return objstore_put(s->how->sender.bucket, &call, bytes_of_str(key),
                        buf_bytes(&s->mark), err);
}

/* Step 3. Behind a commit sizes must do: a wrong guess about digests would send a block
 * again that is whole. */
static bool
send_missing(const struct shipment *s, struct err *err)
{
    return sidecar_block_send(&s->how->sender, s->directory, &s->files, &s->there,
                              !s->committed, err) &&
           send_mark(s, err);
}

/* Step 4. */
static bool
commit(struct shipment *s, struct err *err)
{
    CLEANUP(buf_fini) struct buf text = {0};
    struct objstore_bucket *bucket = s->how->sender.bucket;
    struct bytes key = bytes_of_str(s->meta_key);
    if (!print_meta(s, &text, err))
        return false;
    struct objstore_call call = sidecar_sender_call(&s->how->sender, text.len);
    if (objstore_can(bucket, OBJSTORE_CAN_CREATE)) {
        if (objstore_create(bucket, &call, key, buf_bytes(&text), err))
            return true;
        if (err->code == ERR_CONFLICT)
            return adopt(s, err);
        if (err->code != ERR_UNSUPPORTED)
            return false;
    }
    return objstore_put(bucket, &call, key, buf_bytes(&text), err);
}

static bool
commit_and_look(struct shipment *s, struct err *err)
{
    if (!commit(s, err))
        return false;
    s->committed = true;
    return look(s, err) && send_missing(s, err);
}

static bool
ship(struct shipment *s, bool *broken, struct err *err)
{
    const struct sidecar_block_upload *how = s->how;
    if (how->labels.len == 0)
        return err_set(err, ERR_INVALID, "no external labels");
    if (!read_block(s, err)) {
        *broken = err->code == ERR_CORRUPT || err->code == ERR_UNSUPPORTED;
        return false;
    }
    if (how->checked != NULL && !how->checked(how->checked_arg, &s->meta, err))
        return false;
    if (!compare(s, err))
        return false;
    if (!s->committed && how->hash_sha256 && !hash_files(s, err))
        return false;
    return send_missing(s, err) && (s->committed || commit_and_look(s, err));
}

bool
sidecar_block_upload(const struct sidecar_block_upload *how, const char *directory,
                     const struct tsdb_ulid *id, bool *broken, struct err *err)
{
    struct tsdb_ulid_text name = tsdb_ulid_print(id);
    CLEANUP(shipment_fini)
    struct shipment s = {.how = how,
                         .directory = directory,
                         .id = id,
                         .meta_key = xasprintf("%s/" TSDB_BLOCK_PATH_META, name.text)};
    *broken = false;
    return ship(&s, broken, err) || err_wrap(err, "upload block %s", name.text);
}
