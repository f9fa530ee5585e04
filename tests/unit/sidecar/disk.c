/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/sidecar/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

struct disk disk;

typedef int select_fn(const struct dirent *entry);
typedef int order_fn(const struct dirent **a, const struct dirent **b);

int __real_link(const char *from, const char *to);
int __real_open64(const char *path, int flags, ...);
int __real_access(const char *path, int mode);
int __real_mkdir(const char *path, mode_t mode);
int __real_rename(const char *from, const char *to);
int __real_scandir64(const char *path, struct dirent ***entries, select_fn *select,
                     order_fn *order);
ssize_t __real_copy_file_range(int from, off_t *from_at, int to, off_t *to_at,
                               size_t len, unsigned flags);

int __wrap_link(const char *from, const char *to);
int __wrap_open64(const char *path, int flags, ...);
int __wrap_access(const char *path, int mode);
int __wrap_mkdir(const char *path, mode_t mode);
int __wrap_rename(const char *from, const char *to);
int __wrap_scandir64(const char *path, struct dirent ***entries, select_fn *select,
                     order_fn *order);
int __wrap_fdatasync(int fd);
int __wrap_fsync(int fd);
ssize_t __wrap_copy_file_range(int from, off_t *from_at, int to, off_t *to_at,
                               size_t len, unsigned flags);

static void
come_before(void)
{
    static bool is_within;
    if (disk.before == NULL || is_within)
        return;
    is_within = true;
    disk.before(disk.arg);
    is_within = false;
}

static bool
has_no_room(const char *path)
{
    if (disk.full == NULL || strstr(path, disk.full) == NULL)
        return false;
    errno = ENOSPC;
    return true;
}

int
__wrap_link(const char *from, const char *to)
{
    come_before();
    errno = disk.link_errnum;
    return disk.link_errnum != 0 ? -1 : __real_link(from, to);
}

int
__wrap_open64(const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    unsigned mode = (flags & O_CREAT) != 0 ? va_arg(rest, unsigned) : 0;
    va_end(rest);
    come_before();
    return (flags & O_CREAT) != 0 && has_no_room(path)
               ? -1
               : __real_open64(path, flags, mode);
}

int
__wrap_access(const char *path, int mode)
{
    come_before();
    return __real_access(path, mode);
}

int
__wrap_mkdir(const char *path, mode_t mode)
{
    come_before();
    bool is_there = __real_access(path, F_OK) == 0;
    return !is_there && has_no_room(path) ? -1 : __real_mkdir(path, mode);
}

int
__wrap_rename(const char *from, const char *to)
{
    come_before();
    return __real_rename(from, to);
}

int
__wrap_scandir64(const char *path, struct dirent ***entries, select_fn *select,
                 order_fn *order)
{
    come_before();
    if (disk.unlisted != NULL && strcmp(disk.unlisted, path) == 0 &&
        disk.listings-- == 0) {
        disk.unlisted = NULL;
        errno = EIO;
        return -1;
    }
    return __real_scandir64(path, entries, select, order);
}

int
__wrap_fdatasync(int fd)
{
    (void)fd;
    errno = disk.sync_errnum;
    return disk.sync_errnum != 0 ? -1 : 0;
}

int
__wrap_fsync(int fd)
{
    (void)fd;
    return 0;
}

ssize_t
__wrap_copy_file_range(int from, off_t *from_at, int to, off_t *to_at, size_t len,
                       unsigned flags)
{
    errno = disk.copy_errnum;
    return disk.copy_errnum != 0
               ? -1
               : __real_copy_file_range(from, from_at, to, to_at, len, flags);
}
