/* SPDX-License-Identifier: Apache-2.0 */
#include "store/memory_limit.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/num.h"
#include "common/base/xmalloc.h"

/* A container usually sees its own group as the root of the hierarchy, a service of the
 * host sees the whole one; so every group from the process's own up to the root is
 * asked. */

enum { MAX_TEXT = 64 * 1024 };

struct hierarchy {
    const char *controller; /* field of /proc/self/cgroup; "" for version 2 */
    const char *mount;
    const char *file;
};

static const struct hierarchy hierarchies[] = {
    {"", "/sys/fs/cgroup", "memory.max"},
    {"memory", "/sys/fs/cgroup/memory", "memory.limit_in_bytes"},
};

static bool
read_text(const char *root, const char *path, struct buf *text)
{
    CLEANUP(xfree) char *whole = xasprintf("%s%s", root, path);
    struct err ignored;
    buf_clear(text);
    return file_read_all(whole, MAX_TEXT, text, &ignored);
}

/* The number in a file; UINT64_MAX for "max" or no such file. */
static uint64_t
read_limit(const char *root, const char *path)
{
    CLEANUP(buf_fini) struct buf text = {0};
    if (!read_text(root, path, &text))
        return UINT64_MAX;
    const char *digits = buf_text(&text);
    char *end;
    errno = 0;
    uint64_t limit = strtoull(digits, &end, 10);
    return end == digits || errno != 0 || limit == 0 ? UINT64_MAX : limit;
}

/* The process's group in a hierarchy: lines are "id:controllers:path". */
static char *
group_of(const char *root, const char *controller)
{
    CLEANUP(buf_fini) struct buf text = {0};
    if (!read_text(root, "/proc/self/cgroup", &text))
        return xstrdup("");
    CLEANUP(xfree) char *lines = xstrdup(buf_text(&text));
    char *rest = lines;
    for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
        char *id = strsep(&line, ":");
        char *controllers = strsep(&line, ":");
        if (id != NULL && controllers != NULL && line != NULL &&
            strcmp(controllers, controller) == 0)
            return xstrdup(strcmp(line, "/") == 0 ? "" : line);
    }
    return xstrdup("");
}

static uint64_t
limit_in(const char *root, const struct hierarchy *h)
{
    CLEANUP(xfree) char *group = group_of(root, h->controller);
    uint64_t limit = UINT64_MAX;
    for (;;) {
        CLEANUP(xfree) char *path = xasprintf("%s%s/%s", h->mount, group, h->file);
        limit = NUM_MIN(limit, read_limit(root, path));
        char *slash = strrchr(group, '/');
        if (slash == NULL)
            return limit;
        *slash = 0;
    }
}

uint64_t
store_memory_limit(const char *root)
{
    uint64_t limit =
        (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    for (size_t i = 0; i < ARRAY_LEN(hierarchies); i++)
        limit = NUM_MIN(limit, limit_in(root, &hierarchies[i]));
    return limit;
}
