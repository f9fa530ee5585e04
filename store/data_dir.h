/* SPDX-License-Identifier: Apache-2.0 */
/* The data directory, which belongs to one store: a lock on a file in it keeps others
 * out. The lock goes with the process, however that ends, and with the file: who
 * deletes it lets others in. */
#ifndef STORE_DATA_DIR_H
#define STORE_DATA_DIR_H

#include "common/base/err.h"

#define STORE_DATA_DIR_LOCK "store.lock"

/* Make the directory if it is missing, and lock it; *fd, which was -1, holds the lock
 * until it is closed. A file system that knows no locks keeps nobody out, which is
 * logged.
 * Errors ERR_CONFLICT: another store has it; the text names directory, file, and what
 * that store wrote there: its process and host. Else those of the file system. */
NODISCARD bool store_data_dir_lock(const char *path, int *fd, struct err *err);

#endif
