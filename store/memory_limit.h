/* SPDX-License-Identifier: Apache-2.0 */
/* How much memory this process may use, when nobody has said so. */
#ifndef STORE_MEMORY_LIMIT_H
#define STORE_MEMORY_LIMIT_H

#include <stdint.h>

/* The tightest of the limits of the process's control group and its parents (version 2
 * or 1) and the memory of the machine, in bytes. root is the root of the file system:
 * "" but in tests. */
uint64_t store_memory_limit(const char *root);

#endif
