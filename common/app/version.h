/* SPDX-License-Identifier: Apache-2.0 */
/* What --version says, in the lines that programs of Prometheus and Thanos say it in.
 */
#ifndef COMMON_APP_VERSION_H
#define COMMON_APP_VERSION_H

#include <stdio.h>

/* As Go names it. */
#if defined(__x86_64__)
#define APP_MACHINE "amd64"
#elif defined(__aarch64__)
#define APP_MACHINE "arm64"
#else
#define APP_MACHINE "other"
#endif

#if defined(__clang__)
#define APP_COMPILER "clang " __clang_version__
#else
#define APP_COMPILER "gcc " __VERSION__
#endif

/* Who built it, and when, is not said: equal sources make equal programs. */
static inline void
app_version_print(const char *program, const char *version, const char *revision,
                  FILE *to)
{
    fprintf(to,
            "%s, version %s (branch: , revision: %s)\n"
            "  compiler:         %s\n"
            "  platform:         linux/%s\n",
            program, version, revision, APP_COMPILER, APP_MACHINE);
}

#endif
