/* SPDX-License-Identifier: Apache-2.0 */
/* Child processes that the kernel treats worse than usual. */
#ifndef TESTS_SUPPORT_SANDBOX_H
#define TESTS_SUPPORT_SANDBOX_H

#include <stdbool.h>

/* Whether fn(arg) returns true in a child process. Not a place for assertions. */
bool sandbox_run(bool (*fn)(void *arg), void *arg);

/* From now on this system call (SYS_...) fails with errnum in this process, in its
 * children and in threads that it starts. False if the kernel cannot do that. */
bool sandbox_refuse(long number, int errnum);

/* Mount an empty file system of this many bytes at path, for this process and its
 * children. False if that is not allowed here. */
bool sandbox_mount(const char *path, unsigned bytes);

#endif
