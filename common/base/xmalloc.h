/* SPDX-License-Identifier: Apache-2.0 */
/* Allocation off the query path: start-up, sync, state files. When memory is gone the
 * process ends with a message. Queries use an arena or a buf that draws on a budget. */
#ifndef COMMON_BASE_XMALLOC_H
#define COMMON_BASE_XMALLOC_H

#include <stddef.h>

#include "common/base/compiler.h"

/* n zeroed bytes; release with free. */
NODISCARD void *xcalloc(size_t count, size_t size);

/* As realloc; release with free. */
NODISCARD void *xrealloc(void *at, size_t size);

/* Copy of a NUL-terminated text; release with free. */
NODISCARD char *xstrdup(const char *text);

/* Formatted text; release with free. */
NODISCARD char *xasprintf(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* CLEANUP handler for a pointer from one of the above: CLEANUP(xfree) char *s = NULL;
 */
void xfree(void *pointer_to_pointer);

#endif
