/* SPDX-License-Identifier: Apache-2.0 */
#include "store/page_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/num.h"
#include "common/base/xmalloc.h"
#include "common/codec/crc32c.h"

void
store_page_seal(uint8_t page[STORE_PAGE_SIZE])
{
    be32_store(page + STORE_PAGE_DATA, crc32c(bytes_of(page, STORE_PAGE_DATA)));
}

bool
store_page_writer_open(struct store_page_writer *w, const char *path,
                       struct budget *budget, struct err *err)
{
    CLEANUP(xfree) char *name = xasprintf("%s.XXXXXX", path);
    if (!budget_take(budget, STORE_PAGE_SIZE, err))
        return err_wrap(err, "write %s", path);
    int fd = mkostemp(name, O_CLOEXEC);
    if (fd < 0) {
        budget_give(budget, STORE_PAGE_SIZE);
        return err_sys(err, errno, "create %s", name);
    }
    unlink(name);
    *w = (struct store_page_writer){
        .path = path, .fd = fd, .page = xcalloc(1, STORE_PAGE_SIZE), .budget = budget};
    return true;
}

void
store_page_writer_fini(struct store_page_writer *w)
{
    if (w->page == NULL)
        return;
    file_close(&w->fd);
    free(w->page);
    budget_give(w->budget, STORE_PAGE_SIZE);
    *w = (struct store_page_writer){0};
}

static bool
flush(struct store_page_writer *w, struct err *err)
{
    store_page_seal(w->page);
    return file_write_all(w->fd, w->path, bytes_of(w->page, STORE_PAGE_SIZE), err);
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
flush_last(struct store_page_writer *w, struct err *err)
{
    size_t used = (size_t)(w->size % STORE_PAGE_DATA);
    if (used == 0)
        return true;
    memset(w->page + used, 0, STORE_PAGE_DATA - used);
    return flush(w, err);
}

bool
store_page_writer_copy(struct store_page_writer *w, int to, struct err *err)
{
    if (!flush_last(w, err))
        return false;
    uint64_t left = store_page_count(w->size) * STORE_PAGE_SIZE;
    off_t from = 0;
    while (left > 0) {
        ssize_t n =
            sendfile(to, w->fd, &from, (size_t)NUM_MIN(left, UINT64_C(1) << 30));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return err_sys(err, n < 0 ? errno : EIO, "write %s", w->path);
        left -= (uint64_t)n;
    }
    return true;
}
