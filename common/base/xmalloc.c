/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/xmalloc.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static NORETURN void
out_of_memory(size_t size)
{
    fprintf(stderr, "out of memory: %zu bytes\n", size);
    abort();
}

void *
xcalloc(size_t count, size_t size)
{
    void *at = calloc(count ? count : 1, size ? size : 1);
    if (at == NULL)
        out_of_memory(count * size);
    return at;
}

void *
xrealloc(void *at, size_t size)
{
    void *moved = realloc(at, size ? size : 1);
    if (moved == NULL)
        out_of_memory(size);
    return moved;
}

char *
xstrdup(const char *text)
{
    char *copy = strdup(text);
    if (copy == NULL)
        out_of_memory(strlen(text));
    return copy;
}

char *
xasprintf(const char *fmt, ...)
{
    char *text;
    va_list args;
    va_start(args, fmt);
    int len = vasprintf(&text, fmt, args);
    va_end(args);
    if (len < 0)
        out_of_memory(0);
    return text;
}

void
xfree(void *pointer_to_pointer)
{
    void *at;
    memcpy(&at, pointer_to_pointer, sizeof at);
    free(at);
}
