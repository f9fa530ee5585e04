/* SPDX-License-Identifier: Apache-2.0 */
/* A walk over a tree in byte order of keys, with a stack of its own.
 *
 * Keys order like the names of a directory once those of folders carry their "/": so
 * "a.txt" stands before "a/b" and "a0" behind it. A directory is read in batches of its
 * smallest names behind the last batch, each batch by one scan: memory is bounded by
 * the batch, whatever the directory holds, and up to 2 * BATCH entries cost one scan.
 */
#include "common/objstore/dir_priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/file.h"
#include "common/base/xmalloc.h"
#include "common/objstore/bucket_priv.h"

enum {
    BATCH = 16384,
    /* A key of OBJSTORE_KEY_MAX bytes has no more folders, and the root. */
    MAX_DEPTH = OBJSTORE_KEY_MAX / 2 + 1,
};

struct level {
    size_t path_len; /* of the folder's path, with the "/" at its end */
    char **names;    /* a batch, in order; those of folders end in "/" */
    size_t count;
    size_t cap;
    size_t next;
    bool has_more; /* names behind the batch were left out */
};

struct walk {
    const struct objstore_dir_root *root;
    const struct objstore_call *call;
    struct buf path; /* of the current folder, with "/" at its end, or object */
    struct level *levels;
    size_t depth;
};

static void
names_clear(struct level *l, size_t keep)
{
    for (size_t i = keep; i < l->count; i++)
        free(l->names[i]);
    l->count = keep;
}

static void
level_pop(struct walk *w)
{
    struct level *l = &w->levels[--w->depth];
    names_clear(l, 0);
    free(l->names);
    *l = (struct level){0};
}

static void
walk_fini(struct walk *w)
{
    while (w->depth > 0)
        level_pop(w);
    free(w->levels);
    buf_fini(&w->path);
}

static void
close_folder(DIR **folder)
{
    if (*folder != NULL)
        closedir(*folder);
}

static int
by_name(const void *a, const void *b)
{
    const char *const *x = a, *const *y = b;
    return strcmp(*x, *y);
}

static void
names_add(struct level *l, char *name)
{
    if (l->count == l->cap) {
        l->cap = l->cap > 0 ? 2 * l->cap : 16;
        l->names = xrealloc(l->names, l->cap * sizeof *l->names);
    }
    l->names[l->count++] = name;
}

/* Bring the batch into order and keep its first n names. */
static void
names_trim(struct level *l, size_t n)
{
    if (l->count > 0)
        qsort(l->names, l->count, sizeof *l->names, by_name);
    if (l->count > n) {
        names_clear(l, n);
        l->has_more = true;
    }
}

enum entry_kind { ENTRY_OTHER, ENTRY_FILE, ENTRY_FOLDER };

/* What is neither is no part of a bucket, and links are not: no call follows them. */
static enum entry_kind
kind_of(DIR *folder, const struct dirent *e)
{
    struct stat st;
    if (e->d_type == DT_REG)
        return ENTRY_FILE;
    if (e->d_type == DT_DIR)
        return ENTRY_FOLDER;
    if (e->d_type != DT_UNKNOWN ||
        fstatat(dirfd(folder), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return ENTRY_OTHER;
    if (S_ISDIR(st.st_mode))
        return ENTRY_FOLDER;
    return S_ISREG(st.st_mode) ? ENTRY_FILE : ENTRY_OTHER;
}

/* Whether a name can be part of a key here: what no call can read is not listed. File
 * systems keep a lost+found in the root of a volume, which only root may read. */
static bool
is_listed(const struct walk *w, const char *name)
{
    return objstore_key_is_valid(bytes_of_str(name)) &&
           w->path.len + strlen(name) <= OBJSTORE_KEY_MAX &&
           !(w->path.len == 0 && strcmp(name, "lost+found") == 0);
}

/* Add the entry to the batch if it stands behind last and before what was cut off. */
static void
consider(struct walk *w, DIR *folder, const struct dirent *e, const char *last)
{
    struct level *l = &w->levels[w->depth - 1];
    if (objstore_dir_is_tmp(e->d_name)) {
        objstore_dir_remove_abandoned(dirfd(folder), e->d_name);
        return;
    }
    if (!is_listed(w, e->d_name))
        return;
    enum entry_kind kind = kind_of(folder, e);
    if (kind == ENTRY_OTHER)
        return;
    CLEANUP(xfree)
    char *name = xasprintf("%s%s", e->d_name, kind == ENTRY_FOLDER ? "/" : "");
    if (last != NULL && strcmp(name, last) <= 0)
        return;
    if (l->has_more && strcmp(name, l->names[BATCH - 1]) > 0)
        return;
    names_add(l, TAKE(name));
    if (l->count == 2 * BATCH)
        names_trim(l, BATCH);
}

/* A folder that is gone was emptied by a delete, and one that is a link by now is no
 * folder: both have no names. */
static bool
open_folder(struct walk *w, DIR **folder, struct err *err)
{
    const char *path = buf_text(&w->path);
    CLEANUP(file_close)
    int fd = objstore_dir_open_at(w->root, path, O_RDONLY | O_DIRECTORY);
    if (fd >= 0)
        *folder = fdopendir(fd);
    if (*folder != NULL) {
        fd = -1;
        return true;
    }
    return objstore_dir_is_missing(errno) || (errno == ELOOP && w->depth > 1) ||
           objstore_dir_fail(w->root, errno, "open directory", path, err);
}

/* Read the names behind the current batch. */
static bool
load_batch(struct walk *w, struct err *err)
{
    struct level *l = &w->levels[w->depth - 1];
    CLEANUP(xfree) char *last = l->count > 0 ? TAKE(l->names[l->count - 1]) : NULL;
    names_clear(l, 0);
    l->next = 0;
    l->has_more = false;
    CLEANUP(close_folder) DIR *folder = NULL;
    if (!objstore_call_check(w->call, err) || !open_folder(w, &folder, err))
        return false;
    while (folder != NULL) {
        errno = 0;
        const struct dirent *e = readdir(folder);
        if (e == NULL && errno != 0)
            return objstore_dir_fail(w->root, errno, "read directory",
                                     buf_text(&w->path), err);
        if (e == NULL)
            break;
        consider(w, folder, e, last);
    }
    names_trim(l, 2 * BATCH);
    return true;
}

/* Go down into the folder that w->path names. */
static bool
level_push(struct walk *w, struct err *err)
{
    CHECK(w->depth < MAX_DEPTH);
    w->levels[w->depth++] = (struct level){.path_len = w->path.len};
    return load_batch(w, err);
}

static bool
emit(struct walk *w, objstore_list_fn *fn, void *arg, struct err *err)
{
    struct stat st;
    const char *path = buf_text(&w->path);
    if (!objstore_call_check(w->call, err))
        return false;
    /* It may have been deleted since its name was read, or replaced. */
    CLEANUP(file_close) int fd = objstore_dir_open_at(w->root, path, O_PATH);
    if (fd < 0 || fstat(fd, &st) != 0)
        return objstore_dir_is_missing(errno) || errno == ELOOP ||
               objstore_dir_fail(w->root, errno, "stat", path, err);
    const struct objstore_object object = {.key = buf_bytes(&w->path),
                                           .attrs = objstore_dir_attrs(&st)};
    return !S_ISREG(st.st_mode) || fn(arg, &object, err);
}

bool
objstore_dir_walk(const struct objstore_dir_root *root,
                  const struct objstore_call *call, struct bytes prefix,
                  objstore_list_fn *fn, void *arg, struct err *err)
{
    CLEANUP(walk_fini) struct walk w = {.root = root, .call = call};
    w.levels = xcalloc(MAX_DEPTH, sizeof *w.levels);
    buf_init(&w.path, NULL);
    buf_put(&w.path, prefix);
    if (!level_push(&w, err))
        return false;
    while (w.depth > 0) {
        struct level *l = &w.levels[w.depth - 1];
        w.path.len = l->path_len;
        if (l->next == l->count) {
            if (!l->has_more)
                level_pop(&w);
            else if (!load_batch(&w, err))
                return false;
            continue;
        }
        const char *name = l->names[l->next++];
        buf_put_str(&w.path, name);
        bool is_folder = name[strlen(name) - 1] == '/';
        if (is_folder ? !level_push(&w, err) : !emit(&w, fn, arg, err))
            return false;
    }
    return true;
}
