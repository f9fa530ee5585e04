/* SPDX-License-Identifier: Apache-2.0 */
/* Bucket in a directory (type: FILESYSTEM), the embedded default. An object is a file
 * below it; a put writes a temporary file, fsyncs, renames, and fsyncs the folder. */
#ifndef COMMON_OBJSTORE_DIR_H
#define COMMON_OBJSTORE_DIR_H

#include "common/objstore/bucket.h"

/* Open, creating the directory when it is missing. directory is copied.
 * Errors ERR_DENIED, ERR_IO, ERR_INVALID (not a directory). */
NODISCARD bool objstore_dir_open(struct objstore_bucket **out, const char *directory,
                                 struct err *err);

#endif
