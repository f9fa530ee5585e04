/* SPDX-License-Identifier: Apache-2.0 */
/* What the two halves of the directory driver share. */
#ifndef COMMON_OBJSTORE_DIR_PRIV_H
#define COMMON_OBJSTORE_DIR_PRIV_H

#include <sys/stat.h>

#include "common/objstore/bucket.h"

/* ".blockhouse-<16 hexadecimal digits>.tmp": of one length, so that an object may have
 * the longest name that the file system takes; recognised, so that listings skip them,
 * and remove what a crash left behind after a day, and no object can be stored under
 * such a name. */
enum { OBJSTORE_DIR_TMP_SIZE = sizeof ".blockhouse-0123456789abcdef.tmp" };
bool objstore_dir_is_tmp(const char *name);

struct objstore_attrs objstore_dir_attrs(const struct stat *st);

/* Errors ERR_IO: the bucket's own directory is gone. A volume that is not mounted must
 * not look like an empty bucket. */
NODISCARD bool objstore_dir_check_root(const char *root, struct err *err);

/* The list operation of the driver. */
NODISCARD bool objstore_dir_walk(const char *root, const struct objstore_call *call,
                                 struct bytes prefix, objstore_list_fn *fn, void *arg,
                                 struct err *err);

#endif
