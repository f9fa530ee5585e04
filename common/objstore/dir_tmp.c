/* SPDX-License-Identifier: Apache-2.0 */
#include "common/objstore/dir_priv.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/codec/crc32c.h"

enum { ABANDONED_MS = 24 * 60 * 60 * 1000 };

#define PREFIX ".blockhouse-"
#define SUFFIX ".tmp"

bool
objstore_dir_is_tmp(const char *name)
{
    const char *digits = name + strlen(PREFIX);
    return strlen(name) == OBJSTORE_DIR_TMP_SIZE - 1 &&
           strncmp(name, PREFIX, strlen(PREFIX)) == 0 &&
           strspn(digits, "0123456789abcdef") == 16 && strcmp(digits + 16, SUFFIX) == 0;
}

static void
fill_name(char tmp[OBJSTORE_DIR_TMP_SIZE], const char *name, uint32_t random)
{
    snprintf(tmp, OBJSTORE_DIR_TMP_SIZE, PREFIX "%08" PRIx32 "%08" PRIx32 SUFFIX,
             crc32c(bytes_of_str(name)), random);
}

void
objstore_dir_tmp_name(char tmp[OBJSTORE_DIR_TMP_SIZE], const char *name)
{
    uint32_t random;
    CHECK(getrandom(&random, sizeof random, 0) == sizeof random);
    fill_name(tmp, name, random);
}

void
objstore_dir_remove_abandoned(int folder, const char *tmp)
{
    struct stat st;
    int64_t newest_ms = clock_wall_ns() / CLOCK_NS_PER_MS - ABANDONED_MS;
    if (fstatat(folder, tmp, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
        objstore_dir_attrs(&st).mtime_ms < newest_ms)
        unlinkat(folder, tmp, 0);
}

void
objstore_dir_tidy(const struct objstore_dir_root *root, const char *path,
                  const char *name)
{
    enum { OWN_LEN = sizeof PREFIX - 1 + 8 }; /* up to the random digits */
    char own[OBJSTORE_DIR_TMP_SIZE] = "";
    const struct dirent *e;
    CLEANUP(file_close)
    int fd = objstore_dir_open_at(root, path, O_RDONLY | O_DIRECTORY);
    DIR *entries = fd < 0 ? NULL : fdopendir(fd);
    if (entries == NULL)
        return;
    if (name != NULL)
        fill_name(own, name, 0);
    while ((e = readdir(entries)) != NULL) {
        if (!objstore_dir_is_tmp(e->d_name))
            continue;
        if (strncmp(e->d_name, own, OWN_LEN) == 0)
            unlinkat(fd, e->d_name, 0);
        else
            objstore_dir_remove_abandoned(fd, e->d_name);
    }
    closedir(entries);
    fd = -1;
}
