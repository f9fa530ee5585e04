/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/block_pin.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/file.h"
#include "common/base/xmalloc.h"
#include "common/tsdb/block_path.h"
#include "sidecar/block_files.h"
#include "sidecar/block_scan.h"

#define TMP_SUFFIX ".tmp"

/* Of st_blocks, whatever the file system's own are. */
enum { STAT_BLOCK_BYTES = 512 };

char *
sidecar_block_pin_folder(const char *tsdb_path)
{
    return xasprintf("%s/thanos/upload", tsdb_path);
}

static bool
remove_half_made(void *arg, const char *name, struct err *err)
{
    const char *folder = arg;
    struct tsdb_ulid id;
    struct bytes text = bytes_of_str(name);
    size_t suffix = sizeof TMP_SUFFIX - 1;
    if (text.len < suffix || strcmp(name + text.len - suffix, TMP_SUFFIX) != 0 ||
        !tsdb_ulid_parse(&id, bytes_of(name, text.len - suffix)))
        return true;
    CLEANUP(xfree) char *path = xasprintf("%s/%s", folder, name);
    return file_remove_tree(path, err);
}

bool
sidecar_block_pin_prepare(const char *folder, struct err *err)
{
    CLEANUP(xfree) char *arg = xstrdup(folder);
    if (!file_mkdirs(folder, err) || !file_list(folder, remove_half_made, arg, err))
        return err_wrap(err, "prepare the folder of pins");
    return true;
}

/* What one call of sidecar_block_pin works on. */
struct pinning {
    char *source;
    char *pin;
    char *tmp;
    struct sidecar_block_files files; /* of the source */
    struct sidecar_pin_work work;
};

static void
pinning_fini(struct pinning *p)
{
    free(p->source);
    free(p->pin);
    free(p->tmp);
    sidecar_block_files_fini(&p->files);
}

static bool
pin_file(struct pinning *p, const char *rel_path, struct err *err)
{
    CLEANUP(xfree) char *from = xasprintf("%s/%s", p->source, rel_path);
    CLEANUP(xfree) char *to = xasprintf("%s/%s", p->tmp, rel_path);
    return sidecar_pin_file(&p->work, from, to, err);
}

/* One that cannot be seen is not one that is missing. */
static bool
pin_mark(struct pinning *p, struct err *err)
{
    return pin_file(p, TSDB_BLOCK_PATH_NO_COMPACT_MARK, err) ||
           err->code == ERR_NOT_FOUND;
}

/* Fill the empty directory tmp with all files of the block and make that durable. Every
 * file goes by the name of the block, meta.json last: a block that Prometheus renames
 * away in the meantime is not found, never half pinned. */
static bool
build(struct pinning *p, struct err *err)
{
    CLEANUP(xfree) char *chunks = xasprintf("%s/%s", p->tmp, TSDB_BLOCK_PATH_CHUNKS);
    if (!file_mkdirs(chunks, err))
        return false;
    for (size_t i = 0; i < p->files.count; i++)
        if (!pin_file(p, p->files.at[i].rel_path, err))
            return false;
    return pin_mark(p, err) && pin_file(p, TSDB_BLOCK_PATH_META, err) &&
           file_sync_dir(chunks, err) && file_sync_dir(p->tmp, err);
}

static bool
rename_in(const char *folder, const char *from, const char *to, struct err *err)
{
    if (rename(from, to) != 0)
        return err_sys(err, errno, "rename %s to %s", from, to);
    return file_sync_dir(folder, err);
}

/* Whether the pin has all that the block has. It may have more: of a block that
 * somebody is just deleting file by file, the pin is the whole one. */
static bool
is_whole(const struct pinning *p)
{
    CLEANUP(sidecar_block_files_fini) struct sidecar_block_files pinned = {0};
    CLEANUP(xfree) char *meta = xasprintf("%s/%s", p->pin, TSDB_BLOCK_PATH_META);
    struct err why;
    return file_exists(meta) && sidecar_block_files_read(&pinned, p->pin, &why) &&
           sidecar_block_files_cover(&pinned, &p->files);
}

static bool
is_same_file(const char *a, const char *b)
{
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev &&
           x.st_ino == y.st_ino;
}

static bool
have_same_bytes(const char *a, const char *b)
{
    CLEANUP(buf_fini) struct buf x = {0};
    CLEANUP(buf_fini) struct buf y = {0};
    struct err why;
    return file_read_all(a, SIDECAR_META_MAX_BYTES, &x, &why) &&
           file_read_all(b, SIDECAR_META_MAX_BYTES, &y, &why) &&
           bytes_eq(buf_bytes(&x), buf_bytes(&y));
}

/* A whole pin that a Thanos sidecar has left has the meta.json that it was about to
 * ship, with labels of its time: take the one of the block instead, if that is still
 * there. */
static bool
adopt(struct pinning *p, struct err *err)
{
    CLEANUP(xfree) char *ours = xasprintf("%s/%s", p->pin, TSDB_BLOCK_PATH_META);
    CLEANUP(xfree) char *theirs = xasprintf("%s/%s", p->source, TSDB_BLOCK_PATH_META);
    CLEANUP(xfree) char *tmp = xasprintf("%s" TMP_SUFFIX, ours);
    if (is_same_file(ours, theirs) || have_same_bytes(ours, theirs))
        return true;
    return (file_remove_tree(tmp, err) &&
            sidecar_pin_file(&p->work, theirs, tmp, err) &&
            rename_in(p->pin, tmp, ours, err)) ||
           err->code == ERR_NOT_FOUND;
}

static bool
make(struct pinning *p, const char *folder, const struct tsdb_ulid *id, struct err *err)
{
    struct err ignored;
    if (sidecar_block_unpin(folder, id, err) && build(p, err) &&
        rename_in(folder, p->tmp, p->pin, err))
        return true;
    if (!file_remove_tree(p->tmp, &ignored))
        err_wrap(err, "%s", ignored.text);
    return false;
}

bool
sidecar_block_pin(const char *tsdb_path, const char *folder, const struct tsdb_ulid *id,
                  const struct cancel *cancel, struct sidecar_pin_cost *cost,
                  struct err *err)
{
    struct tsdb_ulid_text name = tsdb_ulid_print(id);
    CLEANUP(pinning_fini)
    struct pinning p = {
        .source = xasprintf("%s/%s", tsdb_path, name.text),
        .pin = xasprintf("%s/%s", folder, name.text),
        .tmp = xasprintf("%s/%s" TMP_SUFFIX, folder, name.text),
        .work = {.cancel = cancel},
    };
    *cost = (struct sidecar_pin_cost){0};
    if (!sidecar_block_files_read(&p.files, p.source, err))
        return err_wrap(err, "pin block %s", name.text);
    p.work.spare_bytes = sidecar_block_files_size(&p.files);
    bool ok = is_whole(&p) ? adopt(&p, err) : make(&p, folder, id, err);
    *cost = p.work.cost;
    return ok || err_wrap(err, "pin block %s", name.text);
}

bool
sidecar_block_is_pinned(const char *folder, const struct tsdb_ulid *id)
{
    CLEANUP(xfree) char *pin = xasprintf("%s/%s", folder, tsdb_ulid_print(id).text);
    return file_exists(pin);
}

bool
sidecar_block_unpin(const char *folder, const struct tsdb_ulid *id, struct err *err)
{
    struct tsdb_ulid_text name = tsdb_ulid_print(id);
    CLEANUP(xfree) char *pin = xasprintf("%s/%s", folder, name.text);
    CLEANUP(xfree) char *tmp = xasprintf("%s" TMP_SUFFIX, pin);
    /* Away from its name first: what is half removed must not pass for a pin. */
    bool ok = file_remove_tree(tmp, err) &&
              (rename_in(folder, pin, tmp, err) ? file_remove_tree(tmp, err)
                                                : err->code == ERR_NOT_FOUND);
    return ok || err_wrap(err, "unpin block %s", name.text);
}

struct sum {
    const char *path;
    uint64_t bytes;
};

/* What has no other name, and what is gone in the meantime costs nothing. */
static bool
add_file(void *arg, const char *name, struct err *unused)
{
    (void)unused;
    struct sum *sum = arg;
    CLEANUP(xfree) char *path = xasprintf("%s/%s", sum->path, name);
    struct stat st;
    if (lstat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1)
        sum->bytes += (uint64_t)st.st_blocks * STAT_BLOCK_BYTES;
    return true;
}

static bool
add_folder(struct sum *sum, const char *path, struct err *err)
{
    sum->path = path;
    return file_list(path, add_file, sum, err) || err->code == ERR_NOT_FOUND;
}

bool
sidecar_block_pin_bytes(const char *folder, const struct tsdb_ulid *id, uint64_t *bytes,
                        struct err *err)
{
    CLEANUP(xfree) char *pin = xasprintf("%s/%s", folder, tsdb_ulid_print(id).text);
    CLEANUP(xfree) char *chunks = xasprintf("%s/%s", pin, TSDB_BLOCK_PATH_CHUNKS);
    struct sum sum = {0};
    if (!add_folder(&sum, pin, err) || !add_folder(&sum, chunks, err))
        return false;
    *bytes = sum.bytes;
    return true;
}

static bool
add_pin(void *arg, const char *name, struct err *err)
{
    struct sum *sum = arg;
    struct tsdb_ulid id;
    uint64_t bytes;
    if (!tsdb_ulid_parse(&id, bytes_of_str(name)))
        return true;
    if (!sidecar_block_pin_bytes(sum->path, &id, &bytes, err))
        return false;
    sum->bytes += bytes;
    return true;
}

bool
sidecar_block_pins_bytes(const char *folder, uint64_t *bytes, struct err *err)
{
    struct sum sum = {.path = folder};
    if (!file_list(folder, add_pin, &sum, err) && err->code != ERR_NOT_FOUND)
        return false;
    *bytes = sum.bytes;
    return true;
}
