/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/xmalloc.h"

enum { OPEN_DIRS = 16, READ_PIECE = 64 * 1024 };

void
file_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

bool
file_open_read(const char *path, int *fd, struct err *err)
{
    int opened = open(path, O_RDONLY | O_CLOEXEC);
    if (opened < 0)
        return err_sys(err, errno, "open %s", path);
    *fd = opened;
    return true;
}

bool
file_size(int fd, const char *path, uint64_t *size, struct err *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return err_sys(err, errno, "stat %s", path);
    if (!S_ISREG(st.st_mode))
        return err_set(err, ERR_INVALID, "%s is not a regular file", path);
    *size = (uint64_t)st.st_size;
    return true;
}

bool
file_open_regular(const char *path, int *fd, uint64_t *size, struct err *err)
{
    CLEANUP(file_close)
    int opened = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (opened < 0 && (errno == ELOOP || errno == ENXIO)) /* a link; a socket */
        return err_set(err, ERR_INVALID, "%s is not a regular file", path);
    if (opened < 0)
        return err_sys(err, errno, "open %s", path);
    if (!file_size(opened, path, size, err))
        return false;
    *fd = opened;
    opened = -1;
    return true;
}

bool
file_pread(int fd, const char *path, void *into, size_t len, uint64_t offset,
           struct err *err)
{
    size_t done = 0;
    while (done < len) {
        ssize_t n = pread(fd, (char *)into + done, len - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(err, errno, "read %s", path);
        if (n == 0)
            return err_set(
                err, ERR_CORRUPT, "%s ends at %llu, wanted %zu bytes at %llu", path,
                (unsigned long long)(offset + done), len, (unsigned long long)offset);
        done += (size_t)n;
    }
    return true;
}

static bool
append_up_to(int fd, const char *path, size_t limit, struct buf *into, struct err *err)
{
    size_t start = into->len;
    for (;;) {
        uint8_t *to = buf_reserve(into, READ_PIECE);
        if (to == NULL)
            return buf_ok(into, err);
        ssize_t n = read(fd, to, READ_PIECE);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(err, errno, "read %s", path);
        if (n == 0)
            return true;
        into->len += (size_t)n;
        if (into->len - start > limit)
            return err_set(err, ERR_INVALID, "%s is larger than %zu bytes", path,
                           limit);
    }
}

bool
file_read_all(const char *path, size_t limit, struct buf *into, struct err *err)
{
    CLEANUP(file_close) int fd = -1;
    size_t start = into->len;
    if (file_open_read(path, &fd, err) && append_up_to(fd, path, limit, into, err))
        return true;
    into->len = start;
    return false;
}

bool
file_write_all(int fd, const char *path, struct bytes data, struct err *err)
{
    while (data.len > 0) {
        ssize_t n = write(fd, data.at, data.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(err, errno, "write %s", path);
        bytes_skip(&data, (size_t)n);
    }
    return true;
}

/* Into a new file: one that is left of a crash, or a link that somebody else has put
 * there, has another mode or leads elsewhere. */
static bool
write_and_sync(const char *path, struct bytes data, mode_t mode, struct err *err)
{
    if (unlink(path) != 0 && errno != ENOENT)
        return err_sys(err, errno, "remove %s", path);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0)
        return err_sys(err, errno, "create %s", path);
    bool ok = file_write_all(fd, path, data, err);
    if (ok && fsync(fd) != 0)
        ok = err_sys(err, errno, "fsync %s", path);
    if (close(fd) != 0 && ok)
        ok = err_sys(err, errno, "close %s", path);
    return ok;
}

static bool
sync_parent(const char *path, struct err *err)
{
    CLEANUP(xfree) char *parent = xstrdup(path);
    char *slash = strrchr(parent, '/');
    if (slash == NULL)
        return file_sync_dir(".", err);
    slash[slash == parent] = 0;
    return file_sync_dir(parent, err);
}

static bool
replace(const char *path, struct bytes data, mode_t mode, struct err *err)
{
    CLEANUP(xfree) char *tmp = xasprintf("%s.tmp", path);
    if (!write_and_sync(tmp, data, mode, err)) {
        unlink(tmp);
        return false;
    }
    if (rename(tmp, path) != 0) {
        err_sys(err, errno, "rename %s to %s", tmp, path);
        unlink(tmp);
        return false;
    }
    return sync_parent(path, err);
}

bool
file_replace(const char *path, struct bytes data, struct err *err)
{
    return replace(path, data, 0644, err);
}

bool
file_replace_private(const char *path, struct bytes data, struct err *err)
{
    return replace(path, data, 0600, err);
}

static bool
make_dir(const char *path, struct err *err)
{
    struct stat st;
    if (mkdir(path, 0750) == 0)
        return true;
    if (errno != EEXIST)
        return err_sys(err, errno, "create directory %s", path);
    if (stat(path, &st) != 0)
        return err_sys(err, errno, "stat %s", path);
    if (!S_ISDIR(st.st_mode))
        return err_set(err, ERR_CONFLICT, "%s is not a directory", path);
    return true;
}

bool
file_mkdirs(const char *path, struct err *err)
{
    CLEANUP(xfree) char *partial = xstrdup(path);
    for (char *slash = partial; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = 0;
        if (slash > partial && !make_dir(partial, err))
            return false;
        *slash = '/';
    }
    return make_dir(partial, err);
}

bool
file_sync_dir(const char *path, struct err *err)
{
    CLEANUP(file_close) int fd = -1;
    if (!file_open_read(path, &fd, err))
        return false;
    if (fsync(fd) != 0)
        return err_sys(err, errno, "fsync %s", path);
    return true;
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path) != 0 && errno != ENOENT ? errno : 0;
}

bool
file_remove_tree(const char *path, struct err *err)
{
    errno = 0;
    int status = nftw(path, remove_one, OPEN_DIRS, FTW_DEPTH | FTW_PHYS);
    if (status == 0 || (status == -1 && errno == ENOENT))
        return true;
    return err_sys(err, status > 0 ? status : errno, "remove %s", path);
}

static int
by_name(const void *a, const void *b)
{
    const struct dirent *const *x = a;
    const struct dirent *const *y = b;
    return strcmp((*x)->d_name, (*y)->d_name);
}

bool
file_list(const char *path, file_entry_fn *fn, void *arg, struct err *err)
{
    struct dirent **entries = NULL;
    int count = scandir(path, &entries, NULL, NULL);
    if (count < 0)
        return err_sys(err, errno, "list %s", path);
    qsort(entries, (size_t)count, sizeof *entries, by_name);
    bool ok = true;
    for (int i = 0; i < count; i++) {
        const char *name = entries[i]->d_name;
        if (ok && strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
            ok = fn(arg, name, err);
        free(entries[i]);
    }
    free(entries);
    return ok;
}

bool
file_exists(const char *path)
{
    return access(path, F_OK) == 0;
}
