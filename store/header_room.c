/* SPDX-License-Identifier: Apache-2.0 */
#include "store/header_room.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/num.h"
#include "common/base/xmalloc.h"

static const int64_t KEEP_NS = 5 * CLOCK_NS_PER_S;
static const int64_t LOG_NS = 60 * CLOCK_NS_PER_S;

/* A file that may go. */
struct header {
    struct tsdb_ulid_text name; /* of its block */
    struct store_block *block;  /* borrowed; NULL: the set has none */
    int64_t used_ns;            /* monotonic; 0: by nobody */
    int64_t built_ns;           /* wall time */
    uint64_t bytes;
};

struct headers {
    const char *data_dir;
    size_t known;
    struct store_block **blocks; /* by ULID; borrowed */
    struct buf found;            /* struct header */
};

static int
by_id(const void *a, const void *b)
{
    struct store_block *const *x = a, *const *y = b;
    return tsdb_ulid_cmp(&(*x)->id, &(*y)->id);
}

static int
by_use(const void *a, const void *b)
{
    const struct header *x = a, *y = b;
    if (x->used_ns != y->used_ns)
        return x->used_ns < y->used_ns ? -1 : 1;
    return (x->built_ns > y->built_ns) - (x->built_ns < y->built_ns);
}

static bool
is_recent(int64_t then_ns, int64_t now_ns)
{
    return then_ns <= now_ns && now_ns - then_ns < KEEP_NS;
}

static struct store_block *
block_of(const struct headers *h, const struct tsdb_ulid *id)
{
    struct store_block key = {.id = *id}, *key_at = &key;
    struct store_block **found =
        bsearch(&key_at, h->blocks, h->known, sizeof *h->blocks, by_id);
    return found == NULL ? NULL : *found;
}

static char *
path_of(const char *data_dir, const char *block)
{
    return xasprintf("%s/%s" STORE_BLOCK_HEADER_SUFFIX, data_dir, block);
}

static bool
add_file(void *arg, const char *name, struct err *err)
{
    struct headers *h = arg;
    struct tsdb_ulid id;
    struct stat st;
    (void)err;
    if (strlen(name) <= TSDB_ULID_LEN ||
        strcmp(name + TSDB_ULID_LEN, STORE_BLOCK_HEADER_SUFFIX) != 0 ||
        !tsdb_ulid_parse(&id, bytes_of(name, TSDB_ULID_LEN)))
        return true;
    struct header one = {.name = tsdb_ulid_print(&id), .block = block_of(h, &id)};
    CLEANUP(xfree) char *path = path_of(h->data_dir, one.name.text);
    if (lstat(path, &st) != 0 || !S_ISREG(st.st_mode))
        return true;
    if (one.block != NULL)
        one.used_ns = atomic_load(&one.block->header_used_ns);
    one.bytes = (uint64_t)st.st_size;
    one.built_ns = st.st_mtim.tv_sec * CLOCK_NS_PER_S + st.st_mtim.tv_nsec;
    if (!is_recent(one.built_ns, clock_wall_ns()) &&
        (one.used_ns == 0 || !is_recent(one.used_ns, clock_mono_ns())))
        buf_put(&h->found, bytes_of(&one, sizeof one));
    return true;
}

static void
find(struct headers *h, const struct store_block_set *set)
{
    struct err err;
    h->known = set->count;
    h->blocks = xcalloc(set->count + 1, sizeof *h->blocks);
    for (size_t i = 0; i < set->count; i++)
        h->blocks[i] = set->blocks[i];
    qsort(h->blocks, h->known, sizeof *h->blocks, by_id);
    if (!file_list(h->data_dir, add_file, h, &err))
        LOG_WARN("index headers not listed", LOG_ERR(&err));
    if (h->found.len > 0)
        qsort(h->found.at, h->found.len / sizeof(struct header), sizeof(struct header),
              by_use);
}

static void
headers_fini(struct headers *h)
{
    free(h->blocks);
    buf_fini(&h->found);
}

static void
tell(struct store_header_room *r, size_t removed, uint64_t bytes)
{
    bool is_due = r->log_due_ns == 0 || clock_left_ns(r->log_due_ns) == 0;
    if (is_due)
        r->log_due_ns = clock_deadline(LOG_NS);
    LOG_AT(
        is_due ? LOG_LEVEL_WARN : LOG_LEVEL_DEBUG,
        "removed index headers that were not used for long: raise --store.disk-limit "
        "or free space if queries become slow",
        LOG_INT("count", removed), LOG_INT("bytes", bytes),
        LOG_INT("left_bytes", store_disk_usage_bytes(r->usage, STORE_DISK_HEADERS)),
        LOG_INT("limit_bytes", r->usage->limit));
}

size_t
store_header_room_make(struct store_header_room *r, const struct store_block_set *set,
                       uint64_t bytes)
{
    CLEANUP(headers_fini) struct headers h = {.data_dir = r->data_dir};
    uint64_t wanted = NUM_MAX(bytes, store_disk_usage_to_free(r->usage)), freed = 0;
    size_t removed = 0;
    if (wanted > 0)
        find(&h, set);
    const struct header *all = (const struct header *)(const void *)h.found.at;
    for (size_t i = 0; i < h.found.len / sizeof *all && freed < wanted; i++) {
        CLEANUP(xfree) char *path = path_of(r->data_dir, all[i].name.text);
        if (unlink(path) != 0)
            continue;
        if (all[i].block != NULL)
            atomic_store(&all[i].block->is_header_gone, true);
        store_disk_usage_add_header(r->usage, -(int64_t)all[i].bytes);
        freed += all[i].bytes;
        removed++;
    }
    metrics_add(r->evictions, (double)removed);
    if (removed > 0)
        tell(r, removed, freed);
    return removed;
}
