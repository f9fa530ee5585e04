/* SPDX-License-Identifier: Apache-2.0 */
#include "store/page_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/num.h"
#include "common/base/xmalloc.h"
#include "common/codec/crc32c.h"

enum { GULP = 2048 };

void
store_page_seal(uint8_t page[STORE_PAGE_SIZE])
{
    be32_store(page + STORE_PAGE_DATA, crc32c(bytes_of(page, STORE_PAGE_DATA)));
}

bool
store_page_disk_failed(struct err *err)
{
    if (err->code == ERR_BUDGET || err->code == ERR_NOMEM)
        return false;
    err->code = ERR_IO;
    return err_wrap(err, err->sys == ENOSPC || err->sys == EDQUOT
                             ? "data directory has no space left, free some or lower "
                               "--store.disk-limit"
                             : "data directory");
}

bool
store_page_writer_open_at(struct store_page_writer *w, int fd, const char *path,
                          struct budget *budget, struct err *err)
{
    if (!budget_take(budget, STORE_PAGE_SIZE, err))
        return err_wrap(err, "write %s", path);
    *w = (struct store_page_writer){
        .path = path, .fd = fd, .page = xcalloc(1, STORE_PAGE_SIZE), .budget = budget};
    return true;
}

bool
store_page_writer_open(struct store_page_writer *w, const char *path,
                       struct budget *budget, struct err *err)
{
    if (!store_page_writer_open_at(w, -1, path, budget, err))
        return false;
    w->is_temporary = true;
    return true;
}

void
store_page_writer_fini(struct store_page_writer *w)
{
    if (w->page == NULL)
        return;
    if (w->is_temporary)
        file_close(&w->fd);
    free(w->page);
    budget_give(w->budget, STORE_PAGE_SIZE);
    *w = (struct store_page_writer){0};
}

static bool
make_temporary(struct store_page_writer *w, struct err *err)
{
    CLEANUP(xfree) char *name = xasprintf("%s.XXXXXX", w->path);
    w->fd = mkostemp(name, O_CLOEXEC);
    if (w->fd < 0)
        return err_sys(err, errno, "create %s", name);
    unlink(name);
    return true;
}

static bool
flush(struct store_page_writer *w, struct err *err)
{
    if (w->fd < 0 && !make_temporary(w, err))
        return store_page_disk_failed(err);
    store_page_seal(w->page);
    return file_write_all(w->fd, w->path, bytes_of(w->page, STORE_PAGE_SIZE), err) ||
           store_page_disk_failed(err);
}

bool
store_page_writer_put(struct store_page_writer *w, struct bytes data, struct err *err)
{
    while (data.len > 0) {
        size_t used = (size_t)(w->size % STORE_PAGE_DATA);
        size_t part = NUM_MIN(data.len, STORE_PAGE_DATA - used);
        memcpy(w->page + used, data.at, part);
        bytes_skip(&data, part);
        w->size += part;
        if (used + part == STORE_PAGE_DATA && !flush(w, err))
            return false;
    }
    return true;
}

static bool
append_page(struct store_page_writer *w, const struct store_page_writer *from,
            uint64_t page, struct err *err)
{
    uint8_t gulp[GULP];
    for (size_t at = 0; at < STORE_PAGE_DATA; at += GULP) {
        size_t part = NUM_MIN((size_t)GULP, (size_t)STORE_PAGE_DATA - at);
        if (!file_pread(from->fd, from->path, gulp, part, page * STORE_PAGE_SIZE + at,
                        err))
            return store_page_disk_failed(err);
        if (!store_page_writer_put(w, bytes_of(gulp, part), err))
            return false;
    }
    return true;
}

bool
store_page_writer_append(struct store_page_writer *w,
                         const struct store_page_writer *from, struct err *err)
{
    for (uint64_t page = 0; page < from->size / STORE_PAGE_DATA; page++)
        if (!append_page(w, from, page, err))
            return false;
    size_t rest = (size_t)(from->size % STORE_PAGE_DATA);
    return store_page_writer_put(w, bytes_of(from->page, rest), err);
}

bool
store_page_writer_end(struct store_page_writer *w, struct err *err)
{
    size_t used = (size_t)(w->size % STORE_PAGE_DATA);
    if (used == 0)
        return true;
    memset(w->page + used, 0, STORE_PAGE_DATA - used);
    return flush(w, err);
}
