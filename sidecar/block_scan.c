/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/block_scan.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "common/base/file.h"
#include "common/base/xmalloc.h"
#include "common/tsdb/block_path.h"

struct scan {
    const char *directory;
    sidecar_bad_block_fn *bad;
    void *arg;
    struct sidecar_block_list found;
};

static bool
read_meta(const char *path, struct buf *text, struct err *err)
{
    CLEANUP(file_close) int fd = -1;
    uint64_t size;
    if (!file_open_regular(path, &fd, &size, err)) {
        if (err->code == ERR_INVALID)
            err->code = ERR_CORRUPT;
        return false;
    }
    if (size > SIDECAR_META_MAX_BYTES)
        return err_set(err, ERR_CORRUPT, "%s is larger than %d bytes", path,
                       SIDECAR_META_MAX_BYTES);
    uint8_t *to = buf_reserve(text, (size_t)size);
    if (to == NULL)
        return buf_ok(text, err);
    text->len += (size_t)size;
    return file_pread(fd, path, to, (size_t)size, 0, err);
}

bool
sidecar_block_meta_read(struct tsdb_meta *meta, const char *block_directory,
                        const struct tsdb_ulid *id, struct err *err)
{
    CLEANUP(xfree)
    char *path = xasprintf("%s/%s", block_directory, TSDB_BLOCK_PATH_META);
    CLEANUP(buf_fini) struct buf text = {0};
    CLEANUP(tsdb_meta_fini) struct tsdb_meta parsed = {0};
    if (!read_meta(path, &text, err))
        return false;
    if (!tsdb_meta_parse(&parsed, buf_bytes(&text), err)) {
        err->code = ERR_CORRUPT;
        return err_wrap(err, "%s", path);
    }
    if (tsdb_ulid_cmp(&parsed.ulid, id) != 0)
        return err_set(err, ERR_CORRUPT, "%s is the meta of block %s", path,
                       tsdb_ulid_print(&parsed.ulid).text);
    *meta = parsed;
    parsed = (struct tsdb_meta){0};
    return true;
}

/* Whether the block in path can be read; if not, why. ERR_NOT_FOUND: it is gone. */
static bool
look(const char *path, const struct tsdb_ulid *id, struct tsdb_meta *meta,
     struct err *err)
{
    struct stat st;
    if (lstat(path, &st) != 0)
        return err_sys(err, errno, "stat %s", path);
    if (!S_ISDIR(st.st_mode))
        return err_set(err, ERR_CORRUPT, "%s is not a directory", path);
    if (sidecar_block_meta_read(meta, path, id, err))
        return true;
    if (err->code == ERR_NOT_FOUND && file_exists(path))
        err->code = ERR_CORRUPT;
    return false;
}

static void
append(struct sidecar_block_list *list, const struct tsdb_meta *meta)
{
    list->at = xrealloc(list->at, (list->count + 1) * sizeof *list->at);
    list->at[list->count++] = (struct sidecar_block){
        .id = meta->ulid,
        .mint_ms = meta->mint_ms,
        .maxt_ms = meta->maxt_ms,
        .level = meta->level,
        .num_samples = meta->num_samples,
        .is_regular = meta->level == 1 && meta->parent_count == 0,
    };
}

static bool
visit(void *arg, const char *name, struct err *unused)
{
    (void)unused; /* nothing about one block stops the scan */
    struct scan *scan = arg;
    struct tsdb_ulid id;
    CLEANUP(xfree) char *path = xasprintf("%s/%s", scan->directory, name);
    if (!tsdb_ulid_parse(&id, bytes_of_str(name)))
        return true;
    struct err err = {0};
    CLEANUP(tsdb_meta_fini) struct tsdb_meta meta = {0};
    if (look(path, &id, &meta, &err))
        append(&scan->found, &meta);
    else if (err.code != ERR_NOT_FOUND) /* else Prometheus has just removed it */
        scan->bad(scan->arg, &id, &err);
    return true;
}

static int
by_time(const void *a, const void *b)
{
    const struct sidecar_block *x = a, *y = b;
    int order = (x->mint_ms > y->mint_ms) - (x->mint_ms < y->mint_ms);
    return order != 0 ? order : tsdb_ulid_cmp(&x->id, &y->id);
}

bool
sidecar_block_scan(struct sidecar_block_list *out, const char *directory,
                   sidecar_bad_block_fn *bad, void *arg, struct err *err)
{
    struct scan scan = {.directory = directory, .bad = bad, .arg = arg};
    if (!file_list(directory, visit, &scan, err)) {
        sidecar_block_list_fini(&scan.found);
        return false;
    }
    if (scan.found.count > 0)
        qsort(scan.found.at, scan.found.count, sizeof *scan.found.at, by_time);
    *out = scan.found;
    return true;
}

const struct sidecar_block *
sidecar_block_find(const struct sidecar_block_list *list, const struct tsdb_ulid *id)
{
    for (size_t i = 0; i < list->count; i++)
        if (tsdb_ulid_cmp(&list->at[i].id, id) == 0)
            return &list->at[i];
    return NULL;
}

void
sidecar_block_list_fini(struct sidecar_block_list *list)
{
    free(list->at);
    *list = (struct sidecar_block_list){0};
}
