/* SPDX-License-Identifier: Apache-2.0 */
#include "store/disk_usage.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "common/base/file.h"
#include "common/base/num.h"
#include "common/base/xmalloc.h"
#include "store/block.h"
#include "store/block_snapshot.h"

static const uint64_t CACHE_MAX = UINT64_C(16) << 30;

/* Of a file system that does not tell its size. */
static const uint64_t NO_LIMIT = INT64_MAX;

/* Of the file system, that stays free, and of an automatic limit, that the cache takes
 * at most. */
enum { FREE_SHARE = 10, CACHE_SHARE = 4 };

/* Of the limit: what is freed at once. */
enum { SLACK_SHARE = 16 };

const char *
store_disk_kind_name(enum store_disk_kind kind)
{
    static const char *const names[STORE_DISK_KINDS] = {
        [STORE_DISK_HEADERS] = "headers",
        [STORE_DISK_SNAPSHOT] = "snapshot",
        [STORE_DISK_CACHE] = "cache"};
    return names[kind];
}

static uint64_t
file_system(const char *path, uint64_t *available)
{
    struct statvfs fs;
    *available = 0;
    if (statvfs(path, &fs) != 0)
        return 0;
    *available = (uint64_t)fs.f_bavail * fs.f_frsize;
    return (uint64_t)fs.f_blocks * fs.f_frsize;
}

static uint64_t
automatic_limit(const char *data_dir)
{
    uint64_t available, size = file_system(data_dir, &available);
    return size > 0 ? size / FREE_SHARE * (FREE_SHARE - 1) : NO_LIMIT;
}

void
store_disk_usage_init(struct store_disk_usage *u, const char *data_dir, uint64_t limit)
{
    *u = (struct store_disk_usage){.data_dir = data_dir, .is_automatic = limit == 0};
    u->limit = limit > 0 ? limit : automatic_limit(data_dir);
    store_disk_usage_measure(u);
}

struct sums {
    const char *data_dir;
    uint64_t headers;
    uint64_t snapshot;
};

static bool
add_file(void *arg, const char *name, struct err *err)
{
    struct sums *s = arg;
    struct stat st;
    const char *suffix = strchr(name, '.');
    bool is_snapshot = strcmp(name, STORE_BLOCK_SNAPSHOT_NAME) == 0;
    (void)err;
    if (!is_snapshot &&
        (suffix == NULL || strcmp(suffix, STORE_BLOCK_HEADER_SUFFIX) != 0))
        return true;
    CLEANUP(xfree) char *path = xasprintf("%s/%s", s->data_dir, name);
    if (lstat(path, &st) == 0 && S_ISREG(st.st_mode))
        *(is_snapshot ? &s->snapshot : &s->headers) += (uint64_t)st.st_size;
    return true;
}

void
store_disk_usage_measure(struct store_disk_usage *u)
{
    struct sums s = {.data_dir = u->data_dir};
    struct err unused;
    if (!file_list(u->data_dir, add_file, &s, &unused))
        return;
    atomic_store(&u->used[STORE_DISK_HEADERS], s.headers);
    atomic_store(&u->used[STORE_DISK_SNAPSHOT], s.snapshot);
}

void
store_disk_usage_add_header(struct store_disk_usage *u, int64_t bytes)
{
    /* Between two measurements files may have gone that nobody told of. */
    uint64_t old = atomic_load(&u->used[STORE_DISK_HEADERS]), new;
    do {
        new = bytes >= 0 ? old + (uint64_t)bytes : old - NUM_MIN(old, (uint64_t)-bytes);
    } while (!atomic_compare_exchange_weak(&u->used[STORE_DISK_HEADERS], &old, new));
}

void
store_disk_usage_set_cache(struct store_disk_usage *u, uint64_t bytes)
{
    atomic_store(&u->used[STORE_DISK_CACHE], bytes);
}

static uint64_t
without_cache(const struct store_disk_usage *u)
{
    return atomic_load(&u->used[STORE_DISK_HEADERS]) +
           atomic_load(&u->used[STORE_DISK_SNAPSHOT]);
}

uint64_t
store_disk_usage_cache_room(const struct store_disk_usage *u)
{
    uint64_t others = without_cache(u), available;
    uint64_t rest = u->limit - NUM_MIN(u->limit, others);
    uint64_t spare = file_system(u->data_dir, &available) / FREE_SHARE;
    uint64_t possible = atomic_load(&u->used[STORE_DISK_CACHE]) + available;
    uint64_t room = NUM_MIN(rest, possible - NUM_MIN(possible, spare));
    return u->is_automatic ? NUM_MIN(room, NUM_MIN(u->limit / CACHE_SHARE, CACHE_MAX))
                           : room;
}

uint64_t
store_disk_usage_bytes(const struct store_disk_usage *u, enum store_disk_kind kind)
{
    return atomic_load(&u->used[kind]);
}

uint64_t
store_disk_usage_to_free(const struct store_disk_usage *u)
{
    uint64_t taken = without_cache(u);
    return taken > u->limit ? taken - u->limit + u->limit / SLACK_SHARE : 0;
}

bool
store_disk_usage_is_crowded(const struct store_disk_usage *u)
{
    return without_cache(u) >= u->limit - u->limit / SLACK_SHARE / 2;
}
