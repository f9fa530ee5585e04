/* SPDX-License-Identifier: Apache-2.0 */
/* Bucket in a directory (type: FILESYSTEM), the embedded default. An object is a file
 * below it; a put writes a temporary file, fsyncs, renames, and fsyncs the folders.
 *
 * The directory may be a symbolic link; below it none is followed, wherever it leads. A
 * link is no object and no folder: it is not listed, calls that meet it are ERR_DENIED.
 * A put of its key replaces the link and a delete removes it. What lives elsewhere is
 * mounted into the bucket.
 *
 * A call that fails, on a full disk say, leaves what was there and nothing else. */
#ifndef COMMON_OBJSTORE_DIR_H
#define COMMON_OBJSTORE_DIR_H

#include "common/objstore/bucket.h"

/* Open, creating the directory when it is missing. directory is copied; it stays open,
 * and when its name leads elsewhere later (unmounted, replaced), calls are ERR_IO.
 * Errors ERR_DENIED, ERR_IO, ERR_INVALID (not a directory). */
NODISCARD bool objstore_dir_open(struct objstore_bucket **out, const char *directory,
                                 struct err *err);

#endif
