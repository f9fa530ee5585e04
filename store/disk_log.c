/* SPDX-License-Identifier: Apache-2.0 */
#include "store/disk_log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/num.h"
#include "common/base/xmalloc.h"
#include "common/codec/compress.h"
#include "common/codec/crc32c.h"

#define NAME "ranges."

enum { NAME_LEN = sizeof NAME - 1, DIGITS = 8 };
enum { RECORD_HEAD_MAX = STORE_DISK_RECORD_SIZE + STORE_DISK_MAX_KEY };

static char *
path_of(const struct store_disk_log *l, uint32_t number)
{
    return xasprintf("%s/" NAME "%08" PRIx32, l->dir, number);
}

void
store_disk_log_init(struct store_disk_log *l, const char *dir, struct bytes bucket)
{
    *l = (struct store_disk_log){.dir = dir, .bucket = bucket, .fd = -1};
}

void
store_disk_log_abandon(struct store_disk_log *l)
{
    file_close(&l->fd);
    free(TAKE(l->path));
    buf_fini(&l->table);
}

bool
store_disk_log_begin(struct store_disk_log *l, uint32_t number, struct err *err)
{
    uint8_t head[STORE_DISK_HEAD_SIZE];
    CHECK(l->fd < 0);
    if (!file_mkdirs(l->dir, err))
        return false;
    l->path = path_of(l, number);
    l->number = number;
    l->size = sizeof head;
    l->fd = open(l->path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (l->fd < 0)
        err_sys(err, errno, "create %s", l->path);
    store_disk_print_head(number, l->bucket, head);
    if (l->fd >= 0 && file_write_all(l->fd, l->path, bytes_of(head, sizeof head), err))
        return true;
    unlink(l->path);
    store_disk_log_abandon(l);
    return false;
}

bool
store_disk_log_current(const struct store_disk_log *l, uint32_t *number, uint32_t *size)
{
    *number = l->number;
    *size = l->size;
    return l->fd >= 0;
}

size_t
store_disk_log_records(const struct store_disk_log *l)
{
    return l->table.len / STORE_DISK_ROW_SIZE;
}

bool
store_disk_log_append(struct store_disk_log *l, struct bytes record,
                      struct bytes content, struct store_disk_row *row, struct err *err)
{
    struct store_disk_record parsed;
    uint64_t end = (uint64_t)l->size + record.len + content.len;
    CHECK(l->fd >= 0 && end <= INT32_MAX);
    CHECK(store_disk_parse_record(record, &parsed, err));
    if (!file_write_all(l->fd, l->path, record, err) ||
        !file_write_all(l->fd, l->path, content, err)) {
        if (ftruncate(l->fd, l->size) != 0 || lseek(l->fd, l->size, SEEK_SET) < 0)
            LOG_DEBUG("torn record left", LOG_STR("path", l->path));
        return false;
    }
    *row = store_disk_row_of(&parsed, l->size);
    store_disk_put_row(&l->table, row);
    l->size = (uint32_t)end;
    return true;
}

uint64_t
store_disk_log_end(struct store_disk_log *l)
{
    struct err err;
    uint64_t bytes = l->size;
    store_disk_put_tail(&l->table, l->size);
    if (file_write_all(l->fd, l->path, buf_bytes(&l->table), &err))
        bytes += l->table.len;
    else if (ftruncate(l->fd, l->size) != 0)
        LOG_DEBUG("torn table left", LOG_STR("path", l->path));
    store_disk_log_abandon(l);
    return bytes;
}

void
store_disk_log_fini(struct store_disk_log *l)
{
    if (l->fd >= 0)
        store_disk_log_end(l);
}

bool
store_disk_log_remove(const struct store_disk_log *l, uint32_t number)
{
    CLEANUP(xfree) char *path = path_of(l, number);
    return unlink(path) == 0 || errno == ENOENT;
}

/* A file that is being loaded. */
struct load {
    const struct store_disk_log *log;
    struct store_disk_index *index;
    const char *path;
    int fd;
    uint32_t number;
    uint64_t size;
};

/* Without memory for a range the oldest file has to go. */
static void
put_rows(const struct load *f, struct bytes rows)
{
    for (size_t i = 0; i + STORE_DISK_ROW_SIZE <= rows.len; i += STORE_DISK_ROW_SIZE) {
        struct store_disk_row row = store_disk_parse_row(rows.at + i);
        while (!store_disk_index_put(f->index, f->number, &row)) {
            uint32_t oldest = f->index->files[0].number;
            if (oldest == f->number)
                return;
            store_disk_index_drop_file(f->index, oldest);
            (void)store_disk_log_remove(f->log, oldest);
        }
    }
}

static bool
load_table(const struct load *f, struct err *err)
{
    CLEANUP(buf_fini) struct buf table = {0};
    uint8_t tail[STORE_DISK_TAIL_SIZE];
    uint32_t at, count;
    if (f->size < STORE_DISK_HEAD_SIZE + sizeof tail ||
        !file_pread(f->fd, f->path, tail, sizeof tail, f->size - sizeof tail, err) ||
        !store_disk_parse_tail(tail, f->size, &at, &count, err))
        return false;
    size_t len = (size_t)(f->size - at);
    if (!file_pread(f->fd, f->path, buf_reserve(&table, len), len, at, err))
        return false;
    table.len = len;
    if (!store_disk_check_table(buf_bytes(&table), at))
        return err_set(err, ERR_CORRUPT, "%s: damaged table", f->path);
    put_rows(f, bytes_of(table.at, count * (size_t)STORE_DISK_ROW_SIZE));
    return true;
}

/* Append the row of the record at a position. False: there is none, or not all of it.
 */
static bool
scan_one(const struct load *f, uint64_t *at, struct buf *table)
{
    uint8_t bytes[RECORD_HEAD_MAX];
    struct store_disk_record record;
    struct err unused;
    size_t len = (size_t)NUM_MIN(f->size - *at, (uint64_t)sizeof bytes);
    if (!file_pread(f->fd, f->path, bytes, len, *at, &unused) ||
        !store_disk_parse_record(bytes_of(bytes, len), &record, &unused) ||
        store_disk_record_len(&record) > f->size - *at)
        return false;
    struct store_disk_row row = store_disk_row_of(&record, (uint32_t)*at);
    store_disk_put_row(table, &row);
    *at += row.len;
    return true;
}

/* A file that nobody came to end: go through its records, and end it. */
static void
load_records(const struct load *f)
{
    CLEANUP(buf_fini) struct buf table = {0};
    CLEANUP(file_close) int fd = -1;
    struct err err;
    uint64_t at = STORE_DISK_HEAD_SIZE;
    while (at < NUM_MIN(f->size, (uint64_t)INT32_MAX) && scan_one(f, &at, &table))
        continue;
    put_rows(f, buf_bytes(&table));
    store_disk_put_tail(&table, (uint32_t)at);
    fd = open(f->path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || ftruncate(fd, (off_t)at) != 0 || lseek(fd, (off_t)at, SEEK_SET) < 0 ||
        !file_write_all(fd, f->path, buf_bytes(&table), &err))
        LOG_DEBUG("file of the disk cache not ended", LOG_STR("path", f->path));
}

static bool
check_head(const struct load *f, struct err *err)
{
    uint8_t head[STORE_DISK_HEAD_SIZE];
    return file_pread(f->fd, f->path, head, sizeof head, 0, err) &&
           (store_disk_check_head(head, f->number, f->log->bucket) ||
            err_set(err, ERR_CORRUPT, "%s is damaged, or of another bucket or version",
                    f->path));
}

static bool
load_file(struct load *f, struct err *err)
{
    if (!file_open_regular(f->path, &f->fd, &f->size, err) || !check_head(f, err))
        return false;
    if (f->size > INT32_MAX)
        return err_set(err, ERR_CORRUPT, "%s is larger than any that was written",
                       f->path);
    store_disk_index_add_file(f->index, f->number, f->size);
    if (!load_table(f, err))
        load_records(f);
    return true;
}

/* Nothing but what path_of makes. */
static bool
parse_name(const char *name, uint32_t *number)
{
    char again[NAME_LEN + DIGITS + 1];
    if (sscanf(name, NAME "%" SCNx32, number) != 1 || *number == UINT32_MAX)
        return false;
    snprintf(again, sizeof again, NAME "%08" PRIx32, *number);
    return strcmp(name, again) == 0;
}

static bool
load_entry(void *arg, const char *name, struct err *err)
{
    struct load *f = arg;
    uint32_t number;
    if (!parse_name(name, &number))
        return true;
    CLEANUP(xfree) char *path = path_of(f->log, number);
    f->number = number;
    f->path = path;
    if (!load_file(f, err)) {
        LOG_WARN("file of the disk cache not used", LOG_ERR(err));
        (void)store_disk_log_remove(f->log, f->number);
    }
    file_close(&f->fd);
    return true;
}

bool
store_disk_log_load(const struct store_disk_log *l, struct store_disk_index *x,
                    uint32_t *last, struct err *err)
{
    struct load f = {.log = l, .index = x, .fd = -1};
    if (!file_list(l->dir, load_entry, &f, err))
        return false;
    *last = f.number;
    return true;
}

static bool
open_place(const struct store_disk_log *l, const struct store_disk_place *place,
           char **path, int *fd, struct err *err)
{
    uint64_t size;
    *path = path_of(l, place->file);
    return file_open_regular(*path, fd, &size, err);
}

static bool
wrong_content(const char *path, uint32_t at, struct err *err)
{
    return err_set(err, ERR_CORRUPT, "%s: checksum mismatch at %" PRIu32, path, at);
}

/* A record's content, which is compressed, becomes data_len bytes at into. */
static bool
unpack(int fd, const char *path, const struct store_disk_record *record, uint64_t at,
       uint8_t *into, struct err *err)
{
    CLEANUP(xfree) uint8_t *packed = malloc(record->content_len + 1UL);
    if (packed == NULL)
        return err_set(err, ERR_NOMEM, "read %s", path);
    if (!file_pread(fd, path, packed, record->content_len, at, err))
        return false;
    struct bytes content = bytes_of(packed, record->content_len);
    return (crc32c(content) == record->content_crc ||
            wrong_content(path, (uint32_t)at, err)) &&
           compress_zstd_decode_exactly(content, into, record->data_len, err);
}

static bool
read_content(int fd, const char *path, const struct store_disk_record *record,
             uint64_t at, uint8_t *into, struct budget *budget, struct err *err)
{
    if ((record->flags & STORE_DISK_ZSTD) == 0)
        return file_pread(fd, path, into, record->data_len, at, err) &&
               (crc32c(bytes_of(into, record->data_len)) == record->content_crc ||
                wrong_content(path, (uint32_t)at, err));
    if (!budget_try(budget, record->content_len))
        return err_set(err, ERR_BUDGET, "no memory to unpack a cached range");
    bool ok = unpack(fd, path, record, at, into, err);
    budget_give(budget, record->content_len);
    return ok;
}

static bool
is_same_range(const struct store_range *a, const struct store_range *b)
{
    return a->offset == b->offset && a->len == b->len && bytes_eq(a->key, b->key);
}

bool
store_disk_log_read(const struct store_disk_log *l,
                    const struct store_disk_place *place, const struct store_range *r,
                    uint8_t *into, size_t *got, struct budget *budget, struct err *err)
{
    CLEANUP(xfree) char *path = NULL;
    CLEANUP(file_close) int fd = -1;
    uint8_t head[RECORD_HEAD_MAX];
    struct store_disk_record record;
    size_t len = NUM_MIN((size_t)place->len, STORE_DISK_RECORD_SIZE + r->key.len);
    if (!open_place(l, place, &path, &fd, err) ||
        !file_pread(fd, path, head, len, place->at, err))
        return false;
    if (!store_disk_parse_record(bytes_of(head, len), &record, err))
        return err_wrap(err, "%s at %" PRIu32, path, place->at);
    if (!is_same_range(&record.range, r) || (record.flags & STORE_DISK_FORGET) != 0)
        return err_set(err, ERR_CONFLICT, "another range is there");
    if (store_disk_record_len(&record) != place->len)
        return err_set(err, ERR_CORRUPT, "%s: wrong length at %" PRIu32, path,
                       place->at);
    *got = record.data_len;
    return read_content(fd, path, &record, (uint64_t)place->at + len, into, budget,
                        err);
}

bool
store_disk_log_read_raw(const struct store_disk_log *l,
                        const struct store_disk_place *place, struct buf *into,
                        size_t *head, struct err *err)
{
    CLEANUP(xfree) char *path = NULL;
    CLEANUP(file_close) int fd = -1;
    struct store_disk_record record;
    if (!open_place(l, place, &path, &fd, err) ||
        !file_pread(fd, path, buf_reserve(into, place->len), place->len, place->at,
                    err))
        return false;
    into->len = place->len;
    if (!store_disk_parse_record(buf_bytes(into), &record, err))
        return err_wrap(err, "%s at %" PRIu32, path, place->at);
    if (store_disk_record_len(&record) != place->len)
        return err_set(err, ERR_CORRUPT, "%s: wrong length at %" PRIu32, path,
                       place->at);
    *head = place->len - record.content_len;
    struct bytes content = bytes_of(into->at + *head, record.content_len);
    return crc32c(content) == record.content_crc || wrong_content(path, place->at, err);
}
