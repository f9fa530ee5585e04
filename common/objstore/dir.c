/* SPDX-License-Identifier: Apache-2.0 */
/* A put must survive a crash whole and must get along with deletes that tidy up.
 *
 * The content goes to a temporary file in the folder of its object, is synced, renamed,
 * and then every folder from there up to the root is synced. All of them, not only
 * those that this put has made: another put may have made one and not synced it yet.
 *
 * A delete removes parents that it leaves empty. It may take away the folder that a put
 * has just made or found; that put then cannot create its temporary file and begins
 * anew. Once the file is there the folder is not empty and stays. */
#include "common/objstore/dir.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/file.h"
#include "common/base/num.h"
#include "common/base/xmalloc.h"
#include "common/objstore/bucket_priv.h"
#include "common/objstore/dir_priv.h"

enum {
    PIECE = 256 * 1024,
    /* Each failure needs another delete at just the wrong moment. */
    CREATE_TRIES = 100,
};

struct dir {
    struct objstore_bucket base;
    char *root; /* without a slash at its end, but for "/" */
    char *name;
};

static struct dir *
dir_of(struct objstore_bucket *b)
{
    return (struct dir *)b;
}

/* Release with free. */
static char *
path_of(const struct dir *d, struct bytes key)
{
    return xasprintf("%s/%.*s", d->root, BYTES_FMT(key));
}

/* Cut the last part of path off; false at the bucket's root. */
static bool
to_parent(const struct dir *d, char *path)
{
    char *slash = strrchr(path, '/');
    CHECK(slash != NULL);
    *slash = 0;
    return (size_t)(slash - path) > strlen(d->root);
}

#define TMP_PREFIX ".blockhouse-"
#define TMP_SUFFIX ".tmp"

bool
objstore_dir_is_tmp(const char *name)
{
    const char *digits = name + strlen(TMP_PREFIX);
    return strlen(name) == OBJSTORE_DIR_TMP_SIZE - 1 &&
           strncmp(name, TMP_PREFIX, strlen(TMP_PREFIX)) == 0 &&
           strspn(digits, "0123456789abcdef") == 16 &&
           strcmp(digits + 16, TMP_SUFFIX) == 0;
}

struct objstore_attrs
objstore_dir_attrs(const struct stat *st)
{
    return (struct objstore_attrs){
        .size = (uint64_t)st->st_size,
        .mtime_ms = (int64_t)st->st_mtim.tv_sec * 1000 + st->st_mtim.tv_nsec / 1000000,
    };
}

bool
objstore_dir_check_root(const char *root, struct err *err)
{
    struct stat st;
    if (stat(root, &st) != 0)
        return err_set(err, ERR_IO, "the bucket's directory %s is gone", root);
    return true;
}

static bool
no_object(const struct dir *d, struct err *err)
{
    return objstore_dir_check_root(d->root, err) &&
           err_set(err, ERR_NOT_FOUND, "no such object");
}

static bool
is_missing(int errnum)
{
    return errnum == ENOENT || errnum == ENOTDIR;
}

/* Open the object's file and learn what it is. A directory is no object. */
static bool
open_object(const struct dir *d, struct bytes key, int *fd, struct stat *st,
            struct err *err)
{
    CLEANUP(xfree) char *path = path_of(d, key);
    /* A FIFO must not block the open. */
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (*fd < 0 && is_missing(errno))
        return no_object(d, err);
    if (*fd < 0)
        return err_sys(err, errno, "open %s", path);
    if (fstat(*fd, st) != 0)
        return err_sys(err, errno, "stat %s", path);
    return S_ISREG(st->st_mode) || no_object(d, err);
}

static bool
dir_list(struct objstore_bucket *b, const struct objstore_call *call,
         struct bytes prefix, objstore_list_fn *fn, void *arg, struct err *err)
{
    return objstore_dir_walk(dir_of(b)->root, call, prefix, fn, arg, err);
}

static bool
dir_head(struct objstore_bucket *b, const struct objstore_call *call, struct bytes key,
         struct objstore_attrs *attrs, struct err *err)
{
    (void)call;
    CLEANUP(file_close) int fd = -1;
    struct stat st;
    if (!open_object(dir_of(b), key, &fd, &st, err))
        return false;
    *attrs = objstore_dir_attrs(&st);
    return true;
}

static bool
dir_get_range(struct objstore_bucket *b, const struct objstore_call *call,
              struct bytes key, uint64_t offset, uint64_t len, objstore_sink_fn *sink,
              void *arg, struct err *err)
{
    CLEANUP(file_close) int fd = -1;
    struct stat st;
    if (!open_object(dir_of(b), key, &fd, &st, err))
        return false;
    uint64_t size = (uint64_t)st.st_size;
    if (offset >= size)
        return err_set(err, ERR_INVALID,
                       "range begins at %" PRIu64 ", the object has %" PRIu64 " bytes",
                       offset, size);
    uint64_t left = NUM_MIN(len, size - offset);
    CLEANUP(xfree) uint8_t *piece = xcalloc(1, NUM_MIN(left, (uint64_t)PIECE));
    while (left > 0) {
        size_t n = NUM_MIN(left, (uint64_t)PIECE);
        if (!objstore_call_check(call, err) ||
            !file_pread(fd, "object", piece, n, offset, err) ||
            !sink(arg, bytes_of(piece, n), err))
            return false;
        offset += n;
        left -= n;
    }
    return true;
}

/* A temporary file; fini removes it unless it was renamed. */
struct tmp {
    int fd;
    char *path;
};

static void
tmp_fini(struct tmp *t)
{
    file_close(&t->fd);
    if (t->path != NULL)
        unlink(t->path);
    free(t->path);
}

/* Make the missing folders above path. False with errno. */
static bool
make_parents(const struct dir *d, char *path)
{
    for (char *at = path + strlen(d->root) + 1; (at = strchr(at, '/')) != NULL; at++) {
        *at = 0;
        int status = mkdir(path, 0755);
        *at = '/';
        if (status != 0 && errno != EEXIST)
            return false;
    }
    return true;
}

static char *
random_sibling(const char *path)
{
    uint64_t random;
    CHECK(getrandom(&random, sizeof random, 0) == sizeof random);
    int folder = (int)(strrchr(path, '/') - path);
    return xasprintf("%.*s/" TMP_PREFIX "%016" PRIx64 TMP_SUFFIX, folder, path, random);
}

static bool
tmp_create(struct tmp *t, const struct dir *d, char *path, struct err *err)
{
    for (int tries = 0; tries < CREATE_TRIES; tries++) {
        CLEANUP(xfree) char *candidate = random_sibling(path);
        if (make_parents(d, path))
            t->fd = open(candidate, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        if (t->fd >= 0) {
            t->path = TAKE(candidate);
            return true;
        }
        if (errno == ENOTDIR)
            return err_set(err, ERR_CONFLICT, "a part of the key is an object already");
        if (errno != ENOENT && errno != EEXIST)
            return err_sys(err, errno, "create a file for %s", path);
    }
    return objstore_dir_check_root(d->root, err) &&
           err_set(err, ERR_CONFLICT, "the folder of %s was removed %d times", path,
                   CREATE_TRIES);
}

static bool
copy_file(const struct tmp *t, const struct objstore_call *call,
          const struct objstore_put *put, struct err *err)
{
    CLEANUP(xfree) uint8_t *piece = xcalloc(1, NUM_MIN(put->size, (uint64_t)PIECE));
    for (uint64_t done = 0; done < put->size;) {
        size_t n = NUM_MIN(put->size - done, (uint64_t)PIECE);
        if (!objstore_call_check(call, err) ||
            !file_pread(put->fd, "the file to store", piece, n, done, err) ||
            !file_write_all(t->fd, t->path, bytes_of(piece, n), err))
            return false;
        done += n;
    }
    return true;
}

/* Give the temporary file its name; with create only if nothing has that name. */
static int
give_name(struct tmp *t, const char *path, bool create)
{
    if (create)
        return link(t->path, path);
    int status = rename(t->path, path);
    if (status == 0)
        free(TAKE(t->path));
    return status;
}

static bool
tmp_commit(struct tmp *t, const char *path, bool create, struct err *err)
{
    if (fsync(t->fd) != 0)
        return err_sys(err, errno, "fsync %s", t->path);
    int fd = t->fd;
    t->fd = -1;
    if (close(fd) != 0)
        return err_sys(err, errno, "close %s", t->path);
    if (give_name(t, path, create) == 0)
        return true;
    if (errno == EISDIR)
        return err_set(err, ERR_CONFLICT, "there are objects below this key already");
    if (create && errno == EEXIST)
        return err_set(err, ERR_CONFLICT, "it is there already");
    if (create && (errno == EPERM || errno == EOPNOTSUPP))
        return err_set(err, ERR_UNSUPPORTED, "the file system of %s has no hard links",
                       path);
    return err_sys(err, errno, "rename %s to %s", t->path, path);
}

/* fsync the folders above path up to the root; path is cut on the way. One that is gone
 * held an object that was deleted in the meantime. */
static bool
sync_parents(const struct dir *d, char *path, struct err *err)
{
    bool below_root;
    do {
        below_root = to_parent(d, path);
        if (!file_sync_dir(path, err) && err->sys != ENOENT)
            return false;
    } while (below_root);
    return true;
}

static bool
dir_put(struct objstore_bucket *b, const struct objstore_call *call,
        const struct objstore_put *put, struct objstore_attrs *stored, struct err *err)
{
    const struct dir *d = dir_of(b);
    struct stat st;
    CLEANUP(xfree) char *path = path_of(d, put->key);
    CLEANUP(tmp_fini) struct tmp t = {.fd = -1};
    if (objstore_dir_is_tmp(strrchr(path, '/') + 1))
        return err_set(err, ERR_INVALID, "the name is reserved for temporary files");
    if (!tmp_create(&t, d, path, err))
        return false;
    bool written = put->fd < 0 ? file_write_all(t.fd, t.path, put->data, err)
                               : copy_file(&t, call, put, err);
    if (!written)
        return false;
    if (fstat(t.fd, &st) != 0)
        return err_sys(err, errno, "stat %s", t.path);
    *stored = objstore_dir_attrs(&st);
    return tmp_commit(&t, path, put->create, err) && sync_parents(d, path, err);
}

/* Remove the folders above path that are empty. Whatever stops it (an entry, another
 * delete, a mount point) is no error: the object is gone. path is cut to the first
 * folder that stays. */
static void
prune_parents(const struct dir *d, char *path)
{
    while (to_parent(d, path) && (rmdir(path) == 0 || errno == ENOENT))
        ;
}

static bool
dir_remove(struct objstore_bucket *b, const struct objstore_call *call,
           struct bytes key, struct err *err)
{
    (void)call;
    const struct dir *d = dir_of(b);
    CLEANUP(xfree) char *path = path_of(d, key);
    if (unlink(path) != 0 && !is_missing(errno) && errno != EISDIR)
        return err_sys(err, errno, "unlink %s", path);
    prune_parents(d, path);
    return file_sync_dir(path, err) ||
           (err->sys == ENOENT && objstore_dir_check_root(d->root, err));
}

static unsigned
dir_abilities(const struct objstore_bucket *b)
{
    (void)b;
    return OBJSTORE_CAN_ALL;
}

static const char *
dir_name(const struct objstore_bucket *b)
{
    return ((const struct dir *)b)->name;
}

static void
dir_free(struct objstore_bucket *b)
{
    struct dir *d = dir_of(b);
    free(d->root);
    free(d->name);
    free(d);
}

static const struct objstore_bucket_ops DIR_OPS = {
    .list = dir_list,
    .head = dir_head,
    .get_range = dir_get_range,
    .put = dir_put,
    .remove = dir_remove,
    .abilities = dir_abilities,
    .name = dir_name,
    .free = dir_free,
};

bool
objstore_dir_open(struct objstore_bucket **out, const char *directory, struct err *err)
{
    struct stat st;
    if (*directory == 0)
        return err_set(err, ERR_INVALID, "the bucket's directory has no name");
    if (stat(directory, &st) != 0 && !file_mkdirs(directory, err))
        return false;
    if (stat(directory, &st) != 0)
        return err_sys(err, errno, "stat %s", directory);
    if (!S_ISDIR(st.st_mode))
        return err_set(err, ERR_INVALID, "%s is not a directory", directory);

    struct dir *d = xcalloc(1, sizeof *d);
    d->base.ops = &DIR_OPS;
    d->root = xstrdup(directory);
    for (size_t n = strlen(d->root); n > 1 && d->root[n - 1] == '/'; n--)
        d->root[n - 1] = 0;
    d->name = xasprintf("fs: %s", directory);
    *out = &d->base;
    return true;
}
