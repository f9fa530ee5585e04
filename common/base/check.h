/* SPDX-License-Identifier: Apache-2.0 */
/* Invariants of our own, on in every build. Never for data from outside. */
#ifndef COMMON_BASE_CHECK_H
#define COMMON_BASE_CHECK_H

#include "common/base/compiler.h"

#define CHECK(cond)                                  \
    do {                                             \
        if (!(cond))                                 \
            check_failed(#cond, __FILE__, __LINE__); \
    } while (0)

/* Print the failed expression and its place to stderr, then abort. */
NORETURN void check_failed(const char *expression, const char *file, int line);

#endif
