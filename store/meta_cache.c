/* SPDX-License-Identifier: Apache-2.0 */
#include "store/meta_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/xmalloc.h"

static char *
path_of(const char *data_dir, const char *block)
{
    return xasprintf("%s/%s" STORE_META_CACHE_SUFFIX, data_dir, block);
}

static int64_t
mtime_ms(const struct stat *st)
{
    return st->st_mtim.tv_sec * (CLOCK_NS_PER_S / CLOCK_NS_PER_MS) +
           st->st_mtim.tv_nsec / CLOCK_NS_PER_MS;
}

static struct timespec
timespec_of(int64_t ms)
{
    int64_t rest = ms % 1000 < 0 ? ms % 1000 + 1000 : ms % 1000;
    return (struct timespec){.tv_sec = (time_t)((ms - rest) / 1000),
                             .tv_nsec = (long)(rest * CLOCK_NS_PER_MS)};
}

bool
store_meta_cache_get(const char *data_dir, const char *block, struct store_stamp stamp,
                     struct buf *text)
{
    CLEANUP(xfree) char *path = path_of(data_dir, block);
    struct stat st;
    struct err ignored;
    return stat(path, &st) == 0 && (uint64_t)st.st_size == stamp.size &&
           mtime_ms(&st) == stamp.mtime_ms &&
           file_read_all(path, (size_t)stamp.size, text, &ignored);
}

static bool
write_copy(const char *path, struct store_stamp stamp, struct bytes text,
           struct err *err)
{
    const struct timespec times[] = {timespec_of(stamp.mtime_ms),
                                     timespec_of(stamp.mtime_ms)};
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return err_sys(err, errno, "create %s", path);
    bool ok = file_write_all(fd, path, text, err);
    if (ok && futimens(fd, times) != 0)
        ok = err_sys(err, errno, "set the time of %s", path);
    close(fd);
    return ok;
}

/* Not synced: a copy that a crash has damaged does not parse, or has another size. */
void
store_meta_cache_put(const char *data_dir, const char *block, struct store_stamp stamp,
                     struct bytes text)
{
    CLEANUP(xfree) char *path = path_of(data_dir, block);
    CLEANUP(xfree) char *tmp = xasprintf("%s.tmp", path);
    struct err err;
    if (write_copy(tmp, stamp, text, &err) && rename(tmp, path) == 0)
        return;
    LOG_DEBUG("meta.json not kept", LOG_STR("path", path));
    unlink(tmp);
}
