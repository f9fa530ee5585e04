/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of broken invariants: the call is made in a child process. */
#ifndef TESTS_SUPPORT_ABORTS_H
#define TESTS_SUPPORT_ABORTS_H

#include <stdbool.h>

/* Whether fn(arg) ends its process by SIGABRT. Its message to stderr is dropped. */
bool aborts(void (*fn)(void *arg), void *arg);

#endif
