/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the directory driver share. */
#ifndef COMMON_OBJSTORE_DIR_PRIV_H
#define COMMON_OBJSTORE_DIR_PRIV_H

#include <sys/stat.h>

#include "common/objstore/bucket.h"

/* The bucket's directory. Everything in the bucket is reached from the descriptor, by
 * paths relative to it that meet no symbolic link and hence do not leave it. */
struct objstore_dir_root {
    char *path; /* without a slash at its end, but for "/" */
    int fd;
    dev_t device;
    ino_t inode;
    bool has_openat2;
};

/* Open, creating the directory when it is missing.
 * Errors ERR_DENIED, ERR_IO, ERR_INVALID (not a directory). */
NODISCARD bool objstore_dir_root_open(struct objstore_dir_root *root,
                                      const char *directory, struct err *err);
void objstore_dir_root_close(struct objstore_dir_root *root);

/* Errors ERR_IO: the directory's path leads elsewhere by now, or nowhere. A volume that
 * is not mounted must not look like an empty bucket, nor swallow what is put. Calls
 * begin with it. */
NODISCARD bool objstore_dir_root_check(const struct objstore_dir_root *root,
                                       struct err *err);

/* Open what is at path ("" is the directory itself) with these flags, close-on-exec.
 * -1 with errno: ELOOP if a symbolic link is or stands above it. */
NODISCARD int objstore_dir_open_at(const struct objstore_dir_root *root,
                                   const char *path, int flags);

/* As objstore_dir_open_at, for reading a folder; it and those above it are made when
 * they are missing. */
NODISCARD int objstore_dir_make_folder(const struct objstore_dir_root *root,
                                       const char *path);

/* The one place that turns an errno of this driver into an error; returns false. */
bool objstore_dir_fail(const struct objstore_dir_root *root, int errnum,
                       const char *action, const char *path, struct err *err);

/* Whether an errno says that there is nothing by a name. */
NODISCARD bool objstore_dir_is_missing(int errnum);

/* ".blockhouse-<16 hexadecimal digits>.tmp": of one length, so that an object may have
 * the longest name that the file system takes; recognised, so that listings skip them,
 * and no object can be stored under such a name. The first eight digits are those of
 * the object's name, the others are random. */
enum { OBJSTORE_DIR_TMP_SIZE = sizeof ".blockhouse-0123456789abcdef.tmp" };
NODISCARD bool objstore_dir_is_tmp(const char *name);

/* A new temporary name for the object called name. */
void objstore_dir_tmp_name(char tmp[OBJSTORE_DIR_TMP_SIZE], const char *name);

/* Remove a temporary file that nobody has written to for a day: its put was killed.
 * A caller without the right to do so leaves it. */
void objstore_dir_remove_abandoned(int folder, const char *tmp);

/* Remove the temporary files in the folder at path that nobody has written to for a day
 * and, unless name is NULL, those of the object called name. O(entries of the folder);
 * what cannot be done is left. */
void objstore_dir_tidy(const struct objstore_dir_root *root, const char *path,
                       const char *name);

struct objstore_attrs objstore_dir_attrs(const struct stat *st);

/* The list operation of the driver. */
NODISCARD bool objstore_dir_walk(const struct objstore_dir_root *root,
                                 const struct objstore_call *call, struct bytes prefix,
                                 objstore_list_fn *fn, void *arg, struct err *err);

#endif
