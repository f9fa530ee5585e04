/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/block_pin.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/xmalloc.h"
#include "common/tsdb/block_path.h"
#include "sidecar/block_files.h"

#define TMP_SUFFIX ".tmp"

/* The most that sendfile moves in one call. */
enum { COPY_STEP = 0x7ffff000 };

char *
sidecar_block_pin_folder(const char *tsdb_path)
{
    return xasprintf("%s/thanos/upload", tsdb_path);
}

static bool
remove_half_made(void *arg, const char *name, struct err *err)
{
    const char *folder = arg;
    struct tsdb_ulid id;
    struct bytes text = bytes_of_str(name);
    size_t suffix = sizeof TMP_SUFFIX - 1;
    if (text.len < suffix || strcmp(name + text.len - suffix, TMP_SUFFIX) != 0 ||
        !tsdb_ulid_parse(&id, bytes_of(name, text.len - suffix)))
        return true;
    CLEANUP(xfree) char *path = xasprintf("%s/%s", folder, name);
    return file_remove_tree(path, err);
}

bool
sidecar_block_pin_prepare(const char *folder, struct err *err)
{
    CLEANUP(xfree) char *arg = xstrdup(folder);
    if (!file_mkdirs(folder, err) || !file_list(folder, remove_half_made, arg, err))
        return err_wrap(err, "prepare the folder of pins");
    return true;
}

/* Clone on file systems that share blocks between files, else copy. */
static bool
copy_content(int from, int to, const char *path, struct err *err)
{
    if (ioctl(to, FICLONE, from) == 0)
        return true;
    for (;;) {
        ssize_t n = sendfile(to, from, NULL, COPY_STEP);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(err, errno, "copy to %s", path);
        if (n == 0)
            return true;
    }
}

static bool
copy_file(const char *from, const char *to, struct err *err)
{
    CLEANUP(file_close) int source = -1;
    CLEANUP(file_close) int target = -1;
    if (!file_open_read(from, &source, err))
        return false;
    target = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    if (target < 0)
        return err_sys(err, errno, "create %s", to);
    if (!copy_content(source, target, to, err))
        return false;
    if (fsync(target) != 0)
        return err_sys(err, errno, "fsync %s", to);
    return true;
}

static bool
link_is_impossible(int errnum)
{
    return errnum == EPERM || errnum == EXDEV || errnum == EMLINK ||
           errnum == EOPNOTSUPP || errnum == ENOSYS;
}

static bool
link_file(const char *from_dir, const char *to_dir, const char *rel_path,
          struct err *err)
{
    CLEANUP(xfree) char *from = xasprintf("%s/%s", from_dir, rel_path);
    CLEANUP(xfree) char *to = xasprintf("%s/%s", to_dir, rel_path);
    if (link(from, to) == 0)
        return true;
    if (link_is_impossible(errno))
        return copy_file(from, to, err);
    return err_sys(err, errno, "link %s to %s", from, to);
}

/* Fill the empty directory tmp with all files of the block and make that durable. */
static bool
build(const char *source, const char *tmp, const struct sidecar_block_files *files,
      struct err *err)
{
    CLEANUP(xfree) char *chunks = xasprintf("%s/%s", tmp, TSDB_BLOCK_PATH_CHUNKS);
    if (!file_mkdirs(chunks, err))
        return false;
    for (size_t i = 0; i < files->count; i++)
        if (!link_file(source, tmp, files->at[i].rel_path, err))
            return false;
    return link_file(source, tmp, TSDB_BLOCK_PATH_META, err) &&
           file_sync_dir(chunks, err) && file_sync_dir(tmp, err);
}

static bool
rename_in(const char *folder, const char *from, const char *to, struct err *err)
{
    if (rename(from, to) != 0)
        return err_sys(err, errno, "rename %s to %s", from, to);
    return file_sync_dir(folder, err);
}

/* Whether pin has all that the block has. It may have more: of a block that somebody is
 * just deleting file by file, the pin is the whole one. */
static bool
covers(const char *pin, const struct sidecar_block_files *files)
{
    CLEANUP(sidecar_block_files_fini) struct sidecar_block_files pinned = {0};
    CLEANUP(xfree) char *meta = xasprintf("%s/%s", pin, TSDB_BLOCK_PATH_META);
    struct err why;
    return file_exists(meta) && sidecar_block_files_read(&pinned, pin, &why) &&
           sidecar_block_files_cover(&pinned, files);
}

bool
sidecar_block_pin(const char *tsdb_path, const char *folder, const struct tsdb_ulid *id,
                  bool *made, struct err *err)
{
    struct tsdb_ulid_text name = tsdb_ulid_print(id);
    CLEANUP(xfree) char *source = xasprintf("%s/%s", tsdb_path, name.text);
    CLEANUP(xfree) char *pin = xasprintf("%s/%s", folder, name.text);
    CLEANUP(xfree) char *tmp = xasprintf("%s" TMP_SUFFIX, pin);
    CLEANUP(sidecar_block_files_fini) struct sidecar_block_files files = {0};
    *made = false;
    if (!sidecar_block_files_read(&files, source, err))
        return err_wrap(err, "pin block %s", name.text);
    if (covers(pin, &files))
        return true;
    if (!sidecar_block_unpin(folder, id, err) || !file_remove_tree(tmp, err) ||
        !build(source, tmp, &files, err) || !rename_in(folder, tmp, pin, err)) {
        struct err ignored;
        if (!file_remove_tree(tmp, &ignored))
            err_wrap(err, "%s", ignored.text);
        return err_wrap(err, "pin block %s", name.text);
    }
    *made = true;
    return true;
}

bool
sidecar_block_unpin(const char *folder, const struct tsdb_ulid *id, struct err *err)
{
    struct tsdb_ulid_text name = tsdb_ulid_print(id);
    CLEANUP(xfree) char *pin = xasprintf("%s/%s", folder, name.text);
    CLEANUP(xfree) char *tmp = xasprintf("%s" TMP_SUFFIX, pin);
    if (!file_exists(pin))
        return true;
    /* Away from its name first: what is half removed must not pass for a pin. */
    if (!file_remove_tree(tmp, err) || !rename_in(folder, pin, tmp, err) ||
        !file_remove_tree(tmp, err))
        return err_wrap(err, "unpin block %s", name.text);
    return true;
}
