/* SPDX-License-Identifier: Apache-2.0 */
/* A put must survive a crash whole and must get along with deletes that tidy up.
 *
 * The content goes to a temporary file in the folder of its object, is synced, renamed,
 * and then every folder from there up to the root is synced. All of them, not only
 * those that this put has made: another put may have made one and not synced it yet.
 *
 * A delete removes parents that it leaves empty. It may take away the folder that a put
 * has just made or found; that put then cannot create its temporary file and begins
 * anew. Once the file is there the folder is not empty and stays.
 *
 * A put that is killed leaves its temporary file. The next one of the same object by a
 * sole writer removes it, and everyone who comes across it after a day: a bucket that
 * only takes uploads is never listed.
 */
#include "common/objstore/dir.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
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
    struct objstore_dir_root root;
    char *name;
};

static struct dir *
dir_of(struct objstore_bucket *b)
{
    return (struct dir *)b;
}

/* Where an object stands, or a folder: a name in a folder. */
struct place {
    char *key;
    const char *name; /* in key */
    char *path;       /* of the folder; "" is the root */
    int folder;       /* descriptor, -1 until it is open */
};

static struct place
place_of(struct bytes key)
{
    struct place p = {.key = xasprintf("%.*s", BYTES_FMT(key)), .folder = -1};
    const char *slash = strrchr(p.key, '/');
    p.name = slash != NULL ? slash + 1 : p.key;
    p.path = xasprintf("%.*s", slash != NULL ? (int)(slash - p.key) : 0, p.key);
    return p;
}

static void
place_fini(struct place *p)
{
    file_close(&p->folder);
    free(p->key);
    free(p->path);
}

/* Cut the last part of a folder's path off; the root is above all. */
static void
to_parent(char *path)
{
    char *slash = strrchr(path, '/');
    *(slash != NULL ? slash : path) = 0;
}

struct objstore_attrs
objstore_dir_attrs(const struct stat *st)
{
    return (struct objstore_attrs){
        .size = (uint64_t)st->st_size,
        .mtime_ms = (int64_t)st->st_mtim.tv_sec * 1000 + st->st_mtim.tv_nsec / 1000000,
    };
}

static bool
no_object(struct err *err)
{
    return err_set(err, ERR_NOT_FOUND, "no such object");
}

/* Open the object's file and learn what it is. A directory is no object. */
static bool
open_object(const struct dir *d, struct bytes key, int *fd, struct stat *st,
            struct err *err)
{
    CLEANUP(xfree) char *path = xasprintf("%.*s", BYTES_FMT(key));
    if (!objstore_dir_root_check(&d->root, err))
        return false;
    /* A FIFO must not block the open. */
    *fd = objstore_dir_open_at(&d->root, path, O_RDONLY | O_NONBLOCK);
    if (*fd < 0 && objstore_dir_is_missing(errno))
        return no_object(err);
    if (*fd < 0 || fstat(*fd, st) != 0)
        return objstore_dir_fail(&d->root, errno, "open", path, err);
    return S_ISREG(st->st_mode) || no_object(err);
}

static bool
dir_list(struct objstore_bucket *b, const struct objstore_call *call,
         struct bytes prefix, objstore_list_fn *fn, void *arg, struct err *err)
{
    const struct objstore_dir_root *root = &dir_of(b)->root;
    /* Again at the end: a directory that is being removed lists less and less. */
    return objstore_dir_root_check(root, err) &&
           objstore_dir_walk(root, call, prefix, fn, arg, err) &&
           objstore_dir_root_check(root, err);
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
              struct objstore_read *read, objstore_sink_fn *sink, void *arg,
              struct err *err)
{
    CLEANUP(file_close) int fd = -1;
    struct stat st;
    if (!open_object(dir_of(b), read->key, &fd, &st, err))
        return false;
    uint64_t size = (uint64_t)st.st_size, offset = read->offset;
    if (offset >= size)
        return err_set(err, ERR_INVALID,
                       "range begins at %" PRIu64 ", the object has %" PRIu64 " bytes",
                       offset, size);
    uint64_t left = NUM_MIN(read->len, size - offset);
    const struct objstore_memory *m = read->memory;
    size_t most = (size_t)NUM_MIN(left, (uint64_t)PIECE);
    CHECK(m == NULL || left <= m->room - m->used);
    CLEANUP(xfree) uint8_t *own = m == NULL ? xcalloc(1, most) : NULL;
    while (left > 0) {
        size_t n = (size_t)NUM_MIN(left, (uint64_t)most);
        uint8_t *piece = m == NULL ? own : m->at + m->used;
        if (!objstore_call_check(call, err) ||
            !file_pread(fd, "object", piece, n, offset, err) ||
            !sink(arg, bytes_of(piece, n), err))
            return false;
        offset += n;
        left -= n;
    }
    return true;
}

/* A temporary file in the folder of its object; fini removes it unless it was renamed.
 */
struct tmp {
    const struct place *place;
    int fd;
    char name[OBJSTORE_DIR_TMP_SIZE]; /* "": there is none */
};

static void
tmp_fini(struct tmp *t)
{
    file_close(&t->fd);
    if (t->name[0] != 0)
        unlinkat(t->place->folder, t->name, 0);
}

static bool
tmp_create(struct tmp *t, const struct dir *d, struct place *p, struct err *err)
{
    char name[OBJSTORE_DIR_TMP_SIZE];
    for (int tries = 0; tries < CREATE_TRIES; tries++) {
        file_close(&p->folder);
        p->folder = objstore_dir_make_folder(&d->root, p->path);
        objstore_dir_tmp_name(name, p->name);
        if (p->folder >= 0)
            t->fd =
                openat(p->folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        if (t->fd >= 0) {
            memcpy(t->name, name, sizeof name);
            return true;
        }
        if (errno == ENOTDIR)
            return err_set(err, ERR_CONFLICT, "a part of the key is an object already");
        if (errno != ENOENT && errno != EEXIST)
            return objstore_dir_fail(&d->root, errno, "create a file for", p->key, err);
    }
    return err_set(err, ERR_CONFLICT, "the folder of %s was removed %d times", p->key,
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
            !objstore_put_send(put, done, piece, n, err) ||
            !file_write_all(t->fd, t->place->key, bytes_of(piece, n), err))
            return false;
        done += n;
    }
    return true;
}

/* Write the temporary file and make it durable under its own name. */
static bool
tmp_fill(struct tmp *t, const struct objstore_call *call,
         const struct objstore_put *put, struct objstore_attrs *stored, struct err *err)
{
    const char *key = t->place->key;
    struct stat st;
    bool written = put->fd < 0 ? file_write_all(t->fd, key, put->data, err)
                               : copy_file(t, call, put, err);
    if (!written)
        return false;
    if (fsync(t->fd) != 0)
        return err_sys(err, errno, "fsync %s", key);
    if (fstat(t->fd, &st) != 0)
        return err_sys(err, errno, "stat %s", key);
    int fd = t->fd;
    t->fd = -1;
    if (close(fd) != 0)
        return err_sys(err, errno, "close %s", key);
    *stored = objstore_dir_attrs(&st);
    return true;
}

/* Give the temporary file its name; with create only if nothing has that name. */
static int
give_name(struct tmp *t, bool create)
{
    const struct place *p = t->place;
    if (create)
        return linkat(p->folder, t->name, p->folder, p->name, 0);
    int status = renameat(p->folder, t->name, p->folder, p->name);
    if (status == 0)
        t->name[0] = 0;
    return status;
}

static bool
tmp_commit(struct tmp *t, bool create, struct err *err)
{
    if (give_name(t, create) == 0)
        return true;
    if (errno == EISDIR)
        return err_set(err, ERR_CONFLICT, "there are objects below this key already");
    if (create && errno == EEXIST)
        return err_set(err, ERR_CONFLICT, "it is there already");
    if (create && (errno == EPERM || errno == EOPNOTSUPP))
        return err_set(err, ERR_UNSUPPORTED, "the file system of %s has no hard links",
                       t->place->key);
    return err_sys(err, errno, "rename to %s", t->place->key);
}

/* A folder that is gone held an object that was deleted in the meantime. */
static bool
sync_folder(const struct dir *d, const char *path, struct err *err)
{
    CLEANUP(file_close)
    int fd = objstore_dir_open_at(&d->root, path, O_RDONLY | O_DIRECTORY);
    return (fd >= 0 ? fsync(fd) == 0 : objstore_dir_is_missing(errno)) ||
           objstore_dir_fail(&d->root, errno, "fsync", path, err);
}

/* fsync the folder and those above it up to the root; path is cut on the way. */
static bool
sync_upwards(const struct dir *d, char *path, struct err *err)
{
    for (; *path != 0; to_parent(path))
        if (!sync_folder(d, path, err))
            return false;
    return sync_folder(d, path, err);
}

static bool
dir_put(struct objstore_bucket *b, const struct objstore_call *call,
        const struct objstore_put *put, struct objstore_attrs *stored, struct err *err)
{
    const struct dir *d = dir_of(b);
    CLEANUP(place_fini) struct place p = place_of(put->key);
    CLEANUP(tmp_fini) struct tmp t = {.place = &p, .fd = -1};
    if (objstore_dir_is_tmp(p.name))
        return err_set(err, ERR_INVALID, "the name is reserved for temporary files");
    if (!objstore_dir_root_check(&d->root, err))
        return false;
    objstore_dir_tidy(&d->root, p.path, put->sole_writer ? p.name : NULL);
    return tmp_create(&t, d, &p, err) && tmp_fill(&t, call, put, stored, err) &&
           tmp_commit(&t, put->create, err) && sync_upwards(d, p.path, err) &&
           objstore_dir_root_check(&d->root, err);
}

/* Remove the folder if it is empty; true when it is gone. Whatever stops that (an
 * entry, a mount point) is no error. */
static bool
remove_folder(const struct dir *d, const char *path)
{
    CLEANUP(place_fini) struct place p = place_of(bytes_of_str(path));
    p.folder = objstore_dir_open_at(&d->root, p.path, O_PATH | O_DIRECTORY);
    return (p.folder >= 0 && unlinkat(p.folder, p.name, AT_REMOVEDIR) == 0) ||
           errno == ENOENT;
}

static bool
dir_remove(struct objstore_bucket *b, const struct objstore_call *call,
           struct bytes key, struct err *err)
{
    (void)call;
    const struct dir *d = dir_of(b);
    CLEANUP(place_fini) struct place p = place_of(key);
    if (!objstore_dir_root_check(&d->root, err))
        return false;
    p.folder = objstore_dir_open_at(&d->root, p.path, O_PATH | O_DIRECTORY);
    bool gone = p.folder >= 0 && unlinkat(p.folder, p.name, 0) == 0;
    if (!gone && !objstore_dir_is_missing(errno) && errno != EISDIR)
        return objstore_dir_fail(&d->root, errno, "unlink", p.key, err);
    while (*p.path != 0 && remove_folder(d, p.path))
        to_parent(p.path);
    return sync_folder(d, p.path, err);
}

static unsigned
dir_abilities(const struct objstore_bucket *b)
{
    (void)b;
    return OBJSTORE_CAN_ALL | OBJSTORE_IS_LOCAL;
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
    objstore_dir_root_close(&d->root);
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
    struct objstore_dir_root root;
    if (!objstore_dir_root_open(&root, directory, err))
        return false;
    struct dir *d = xcalloc(1, sizeof *d);
    d->base.ops = &DIR_OPS;
    d->root = root;
    d->name = xasprintf("fs: %s", directory);
    *out = &d->base;
    return true;
}
