/* SPDX-License-Identifier: Apache-2.0 */
#include "store/data_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/xmalloc.h"

enum { HOST_SIZE = 256, OWNER_SIZE = HOST_SIZE + 64 };

static bool
refuse(const char *dir, const char *path, int fd, struct err *err)
{
    char owner[OWNER_SIZE] = {0};
    ssize_t len = pread(fd, owner, sizeof owner - 1, 0);
    owner[len > 0 ? strcspn(owner, "\n") : 0] = 0;
    return err_set(err, ERR_CONFLICT,
                   "--data-dir %s is in use by another store (%s%s%s): give each store "
                   "a directory of its own",
                   dir, path, owner[0] != 0 ? " is locked by " : " is locked", owner);
}

/* For whoever is refused; the lock holds without it. */
static void
name_owner(int fd)
{
    char host[HOST_SIZE] = {0}, owner[OWNER_SIZE];
    if (gethostname(host, sizeof host - 1) != 0)
        host[0] = 0;
    int len = snprintf(owner, sizeof owner, "pid %ld on %s\n", (long)getpid(), host);
    if (ftruncate(fd, 0) != 0 || pwrite(fd, owner, (size_t)len, 0) != len)
        LOG_DEBUG("owner of the data directory not written down");
}

bool
store_data_dir_lock(const char *dir, int *fd, struct err *err)
{
    CLEANUP(xfree) char *path = xasprintf("%s/" STORE_DATA_DIR_LOCK, dir);
    if (!file_mkdirs(dir, err))
        return err_wrap(err, "--data-dir");
    CLEANUP(file_close) int opened = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (opened < 0)
        return err_sys(err, errno, "--data-dir: open %s", path);
    if (flock(opened, LOCK_EX | LOCK_NB) == 0)
        name_owner(opened);
    else if (errno == EWOULDBLOCK)
        return refuse(dir, path, opened, err);
    else
        LOG_WARN("data directory not locked: nothing keeps a second store out",
                 LOG_STR("path", path), LOG_STR("err", strerror(errno)));
    *fd = opened;
    opened = -1;
    return true;
}
