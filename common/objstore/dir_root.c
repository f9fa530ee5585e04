/* SPDX-License-Identifier: Apache-2.0 */
/* Paths that cannot leave the bucket's directory.
 *
 * No symbolic link is followed below the directory, whoever puts one there and
 * whenever: the kernel checks that while it resolves a path. Where it has no openat2
 * (Linux before 5.6, some sandboxes) each part is opened from the descriptor of the one
 * above it. */
#include "common/objstore/dir_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/xmalloc.h"

static int
open_beneath(int fd, const char *path, int flags)
{
    struct open_how how = {
        .flags = (unsigned)flags | O_CLOEXEC,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
    };
    return (int)syscall(SYS_openat2, fd, path, &how, sizeof how);
}

/* Open one part. The errno for a link depends on the flags: make it one. */
static int
open_part(int folder, const char *name, int flags)
{
    struct stat st;
    int fd = openat(folder, name, flags | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOTDIR)
        errno =
            fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode)
                ? ELOOP
                : ENOTDIR;
    return fd;
}

/* Go down part by part; with make, all parts are folders, to be made when missing. */
static int
open_by_parts(int root, const char *path, int flags, bool make)
{
    CLEANUP(xfree) char *copy = xstrdup(path);
    CLEANUP(file_close) int folder = fcntl(root, F_DUPFD_CLOEXEC, 0);
    char *name = copy;
    while (folder >= 0) {
        char *end = strchrnul(name, '/');
        char *next = *end != 0 ? end + 1 : end;
        *end = 0;
        if (make && mkdirat(folder, name, 0755) != 0 && errno != EEXIST)
            return -1;
        if (*next == 0)
            return open_part(folder, name, flags);
        int below = open_part(folder, name, O_PATH | O_DIRECTORY);
        close(folder);
        folder = below;
        name = next;
    }
    return -1;
}

int
objstore_dir_open_at(const struct objstore_dir_root *root, const char *path, int flags)
{
    if (*path == 0)
        path = ".";
    return root->has_openat2 ? open_beneath(root->fd, path, flags)
                             : open_by_parts(root->fd, path, flags, false);
}

int
objstore_dir_make_folder(const struct objstore_dir_root *root, const char *path)
{
    const int flags = O_RDONLY | O_DIRECTORY;
    int fd = objstore_dir_open_at(root, path, flags);
    return fd < 0 && errno == ENOENT ? open_by_parts(root->fd, path, flags, true) : fd;
}

bool
objstore_dir_is_missing(int errnum)
{
    return errnum == ENOENT || errnum == ENOTDIR;
}

bool
objstore_dir_fail(const struct objstore_dir_root *root, int errnum, const char *action,
                  const char *path, struct err *err)
{
    if (errnum == ELOOP)
        return err_set(err, ERR_DENIED,
                       "%s %s/%s: a symbolic link is in the way; none is followed "
                       "inside a bucket",
                       action, root->path, path);
    return err_sys(err, errnum, "%s %s/%s", action, root->path, path);
}

bool
objstore_dir_root_check(const struct objstore_dir_root *root, struct err *err)
{
    struct stat st;
    if (stat(root->path, &st) != 0)
        return err_set(err, ERR_IO, "the bucket's directory %s is gone", root->path);
    if (st.st_dev != root->device || st.st_ino != root->inode)
        return err_set(err, ERR_IO,
                       "the bucket's directory %s is no longer the one that was opened "
                       "at the start; restart to use it",
                       root->path);
    return true;
}

bool
objstore_dir_root_open(struct objstore_dir_root *root, const char *directory,
                       struct err *err)
{
    if (*directory == 0)
        return err_set(err, ERR_INVALID, "the bucket's directory has no name");
    if (!file_exists(directory) && !file_mkdirs(directory, err))
        return false;
    struct stat st;
    CLEANUP(file_close) int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno == ENOTDIR)
        return err_set(err, ERR_INVALID, "%s is not a directory", directory);
    if (fd < 0 || fstat(fd, &st) != 0)
        return err_sys(err, errno, "open directory %s", directory);

    root->device = st.st_dev;
    root->inode = st.st_ino;
    root->path = xstrdup(directory);
    for (size_t n = strlen(root->path); n > 1 && root->path[n - 1] == '/'; n--)
        root->path[n - 1] = 0;
    CLEANUP(file_close) int probe = open_beneath(fd, ".", O_PATH);
    root->has_openat2 = probe >= 0;
    root->fd = fd;
    fd = -1;
    return true;
}

void
objstore_dir_root_close(struct objstore_dir_root *root)
{
    file_close(&root->fd);
    free(root->path);
}
