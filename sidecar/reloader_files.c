/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/reloader_files.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/file.h"
#include "common/base/xmalloc.h"

/* Far above what is sensible: a wrong directory (/, say) is an error, and no load. */
enum { DIRECTORIES_MAX = 2000, ENTRIES_MAX = 20000, FILE_MAX_BYTES = 16 * 1024 * 1024 };

struct directory {
    char *path;
    dev_t device;
    ino_t inode;
};

struct walk {
    struct sidecar_reloader_watch *watch;
    struct digest_stream *digest;
    struct directory *found; /* in the order in which they are listed */
    size_t count;
    size_t entries;
    const char *listed; /* now */
};

void
sidecar_reloader_files_add(struct digest_stream *digest, const char *path,
                           struct bytes content)
{
    digest_stream_add(digest, BYTES("\xff"));
    digest_stream_add(digest, bytes_of_str(path));
    digest_stream_add(digest, BYTES("\xff"));
    digest_stream_add(digest, content);
}

static void
watch_parent(struct sidecar_reloader_watch *watch, const char *path)
{
    CLEANUP(xfree) char *parent = xstrdup(path);
    char *slash = strrchr(parent, '/');
    if (slash != NULL)
        slash[slash == parent] = 0;
    sidecar_reloader_watch_add(watch, slash != NULL ? parent : ".");
}

void
sidecar_reloader_files_watch(struct sidecar_reloader_watch *watch, const char *path)
{
    watch_parent(watch, path);
    CLEANUP(xfree) char *real = realpath(path, NULL);
    if (real != NULL)
        watch_parent(watch, real);
}

static void
free_walk(struct walk *w)
{
    for (size_t i = 0; i < w->count; i++)
        free(w->found[i].path);
    free(w->found);
}

/* Put a directory at the end of the list, unless it is there by another name. */
static bool
enqueue(struct walk *w, const char *path, const struct stat *st, struct err *err)
{
    for (size_t i = 0; i < w->count; i++)
        if (w->found[i].device == st->st_dev && w->found[i].inode == st->st_ino)
            return true;
    if (w->count == DIRECTORIES_MAX)
        return err_set(err, ERR_INVALID, "more than %d directories", DIRECTORIES_MAX);
    w->found = xrealloc(w->found, (w->count + 1) * sizeof *w->found);
    w->found[w->count++] = (struct directory){xstrdup(path), st->st_dev, st->st_ino};
    return true;
}

static bool
add_file(struct walk *w, const char *path, struct err *err)
{
    CLEANUP(buf_fini) struct buf content = {0};
    struct err failure;
    if (file_read_all(path, FILE_MAX_BYTES, &content, &failure))
        sidecar_reloader_files_add(w->digest, path, buf_bytes(&content));
    else if (failure.code != ERR_NOT_FOUND)
        return err_set(err, failure.code, "%s", failure.text);
    return true;
}

static bool
visit(void *arg, const char *name, struct err *err)
{
    struct walk *w = arg;
    struct stat st;
    if (strncmp(name, "..", 2) == 0)
        return true;
    if (++w->entries > ENTRIES_MAX)
        return err_set(err, ERR_INVALID, "more than %d files and directories",
                       ENTRIES_MAX);
    CLEANUP(xfree) char *path = xasprintf("%s/%s", w->listed, name);
    if (stat(path, &st) != 0)
        return errno == ENOENT || err_sys(err, errno, "look at %s", path);
    if (S_ISDIR(st.st_mode))
        return enqueue(w, path, &st, err);
    if (S_ISREG(st.st_mode))
        return add_file(w, path, err);
    return true;
}

/* The first of the list has to be there; the others may have gone. */
static bool
list(struct walk *w, size_t i, struct err *err)
{
    struct err failure;
    w->listed = w->found[i].path;
    sidecar_reloader_watch_add(w->watch, w->listed);
    if (file_list(w->listed, visit, w, &failure) ||
        (i > 0 && failure.code == ERR_NOT_FOUND))
        return true;
    return err_set(err, failure.code, "%s", failure.text);
}

bool
sidecar_reloader_files_walk(struct sidecar_reloader_watch *watch, const char *directory,
                            struct digest_stream *digest, struct err *err)
{
    CLEANUP(free_walk) struct walk w = {.watch = watch, .digest = digest};
    struct stat st;
    bool is_there = lstat(directory, &st) == 0;
    if (!is_there || S_ISLNK(st.st_mode))
        sidecar_reloader_files_watch(watch, directory);
    if (!is_there || stat(directory, &st) != 0)
        return err_sys(err, errno, "look at %s", directory);
    if (!enqueue(&w, directory, &st, err))
        return false;
    for (size_t i = 0; i < w.count; i++)
        if (!list(&w, i, err))
            return err_wrap(err, "files below %s", directory);
    return true;
}
