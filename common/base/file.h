/* SPDX-License-Identifier: Apache-2.0 */
/* Files and directories: atomic writes, positioned reads, walks. Paths are
 * NUL-terminated; errors name the path. */
#ifndef COMMON_BASE_FILE_H
#define COMMON_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/buf.h"
#include "common/base/err.h"

/* Close *fd if it is not negative, and set it to -1. CLEANUP handler for descriptors
 * that were only read. */
void file_close(int *fd);

/* Open for reading, close-on-exec. */
NODISCARD bool file_open_read(const char *path, int *fd, struct err *err);

/* Open for reading, close-on-exec, what is a regular file, and measure it; never waits,
 * as opening a FIFO does. Errors ERR_INVALID: something else, such as a link. */
NODISCARD bool file_open_regular(const char *path, int *fd, uint64_t *size,
                                 struct err *err);

/* Size of the open regular file in bytes. */
NODISCARD bool file_size(int fd, const char *path, uint64_t *size, struct err *err);

/* Read exactly len bytes at offset. Errors ERR_CORRUPT if the file ends before. */
NODISCARD bool file_pread(int fd, const char *path, void *into, size_t len,
                          uint64_t offset, struct err *err);

/* Append the whole file to into. Errors ERR_INVALID above limit bytes. */
NODISCARD bool file_read_all(const char *path, size_t limit, struct buf *into,
                             struct err *err);

/* Write all of data to fd. */
NODISCARD bool file_write_all(int fd, const char *path, struct bytes data,
                              struct err *err);

/* Replace path by data: temporary file path.tmp, fsync, rename, fsync of the folder.
 * After a crash path holds the old or the new content, whole. */
NODISCARD bool file_replace(const char *path, struct bytes data, struct err *err);

/* The same, and nobody but the owner may read or write it. */
NODISCARD bool file_replace_private(const char *path, struct bytes data,
                                    struct err *err);

/* Create the directory and its missing parents, mode 0750 less the umask. */
NODISCARD bool file_mkdirs(const char *path, struct err *err);

/* fsync a directory, so that renames in it survive a crash. */
NODISCARD bool file_sync_dir(const char *path, struct err *err);

/* Remove a file or a tree. A missing path is success. Symbolic links are not followed.
 */
NODISCARD bool file_remove_tree(const char *path, struct err *err);

/* Call fn for each entry of a directory but "." and "..", in byte order of names.
 * fn returns false, with err filled, to stop. */
typedef bool file_entry_fn(void *arg, const char *name, struct err *err);
NODISCARD bool file_list(const char *path, file_entry_fn *fn, void *arg,
                         struct err *err);

/* Whether path exists; symbolic links are followed. */
NODISCARD bool file_exists(const char *path);

#endif
