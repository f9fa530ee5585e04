/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/block_check.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/xmalloc.h"
#include "common/tsdb/block_path.h"

enum {
    PIECE_BYTES = 64 * 1024,
    /* Broken lengths aside, only an index with more than 8 GiB of series needs more. */
    BUDGET_BYTES = 64 * 1024 * 1024
};

/* A file that is open. The zero value is none. */
struct open_file {
    char *path; /* NULL: none */
    int fd;
    size_t file; /* its number */
};

/* The index and one segment are read in turns. */
enum { SLOT_INDEX, SLOT_SEGMENT, SLOT_COUNT };

struct check {
    const char *directory;
    struct tsdb_verify_file *files; /* the index first */
    struct open_file open[SLOT_COUNT];
    bool is_broken;
    struct err *err; /* says why */
};

static void
close_slot(struct open_file *open)
{
    if (open->path != NULL)
        file_close(&open->fd);
    free(open->path);
    open->path = NULL;
}

static void
check_fini(struct check *c)
{
    for (int i = 0; i < SLOT_COUNT; i++)
        close_slot(&c->open[i]);
    free(c->files);
}

static bool
open_slot(struct check *c, struct open_file *open, size_t file, struct err *err)
{
    close_slot(open);
    CLEANUP(xfree) char *path = xasprintf("%s/%s", c->directory, c->files[file].name);
    if (!file_open_read(path, &open->fd, err))
        return false;
    open->path = TAKE(path);
    open->file = file;
    return true;
}

static bool
read_file(void *arg, size_t file, uint64_t offset, uint8_t *into, size_t len,
          struct err *err)
{
    struct check *c = arg;
    struct open_file *open = &c->open[file == 0 ? SLOT_INDEX : SLOT_SEGMENT];
    if ((open->path == NULL || open->file != file) && !open_slot(c, open, file, err))
        return false;
    return file_pread(open->fd, open->path, into, len, offset, err);
}

/* The first is enough: the block is not shipped. One with bytes too many is: it holds
 * all that it should. */
static bool
take_finding(void *arg, const struct tsdb_verify_finding *f)
{
    struct check *c = arg;
    if (f->is_surplus) {
        LOG_WARN("block holds bytes that nothing refers to",
                 LOG_STR("path", c->directory), LOG_STR("object", f->file),
                 LOG_INT("offset", f->offset));
        return true;
    }
    c->is_broken = true;
    err_set(c->err, f->code, "%s/%s: at %" PRIu64 ": %s", c->directory, f->file,
            f->offset, f->what);
    return false;
}

/* The index, which is the last of the files of a shipment, becomes the first. */
static struct tsdb_verify_file *
index_first(const struct sidecar_block_files *files)
{
    struct tsdb_verify_file *out = xcalloc(files->count, sizeof *out);
    for (size_t i = 0; i < files->count; i++) {
        const struct sidecar_block_file *f = &files->at[i];
        size_t at = strcmp(f->rel_path, TSDB_BLOCK_PATH_INDEX) == 0 ? 0 : i + 1;
        out[at] = (struct tsdb_verify_file){f->rel_path, f->size};
    }
    return out;
}

bool
sidecar_block_check(const struct sidecar_block_check *how, const char *directory,
                    const struct sidecar_block_files *files,
                    const struct tsdb_meta *meta, struct err *err)
{
    struct budget budget;
    struct tsdb_verify_totals totals;
    CLEANUP(check_fini)
    struct check c = {.directory = directory, .files = index_first(files), .err = err};
    budget_init(&budget, "block check", BUDGET_BYTES, NULL);
    const struct tsdb_verify verify = {.level = how->level,
                                       .meta = meta,
                                       .files = c.files,
                                       .file_count = files->count,
                                       .piece_bytes = PIECE_BYTES,
                                       .budget = &budget,
                                       .cancel = how->cancel,
                                       .read = read_file,
                                       .found = take_finding,
                                       .arg = &c};
    if (!tsdb_block_verify(&verify, &totals, err))
        return err_wrap(err, "check %s", directory);
    return !c.is_broken;
}
