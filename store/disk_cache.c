/* SPDX-License-Identifier: Apache-2.0 */
#include "store/disk_cache.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/num.h"
#include "common/base/pool.h"
#include "common/base/xmalloc.h"
#include "store/disk_cache_priv.h"

/* A log of some files (disk_log.h) and an index of them in memory (disk_index.h). What
 * queries have read waits in a queue for the thread that writes. It appends; when there
 * is no room for another file the oldest is removed, and what of it was wanted since it
 * was written is appended to the new one first. So a write is sequential, nothing is
 * ever changed in place, and a crash costs what had not reached the disk.
 *
 * What goes in. A query of a dashboard reads little, and that is written at once: then
 * it is there after a restart, also after one that came soon. Of a query that reads
 * much, only what was missed before, as far as that is remembered: so one that reads
 * everything writes next to nothing, although all of it was missed.
 *
 * Compressed is what becomes smaller by an eighth: postings and series do, chunks
 * seldom.
 *
 * When writing fails, because the disk is full, say, nothing is tried for a while,
 * which doubles; what is there is still read. Reading needs nobody's permission. */

enum {
    RECORD_SHARE = 4, /* of a file, that one record takes at most */
    QUEUE_MAX = 16 * 1024 * 1024,
    QUEUE_SHARE = 16,   /* of the budget */
    GHOSTS = 64 * 1024, /* misses that are remembered */
    /* What compressing may take beside the content. */
    COMPRESS_EXTRA = 4096
};

/* What a query reads first is written at once: this part of the room, at most so many
 * bytes. */
enum { FIRST_SHARE = 128, FIRST_MAX = 64 * 1024 * 1024 };

/* How often an idle cache looks whether it has to make room for others. */
static const int64_t TRIM_NS = 5 * CLOCK_NS_PER_S;

/* Whether it was missed before, as far as that is remembered; from now on it was. */
static bool
note_miss(struct store_disk_cache *c, uint64_t hash)
{
    mutex_check_held(&c->lock);
    if (c->ghosts == NULL)
        return false;
    uint32_t *ghost = &c->ghosts[hash % GHOSTS], tag = (uint32_t)(hash >> 32) | 1;
    bool was_missed = *ghost == tag;
    *ghost = tag;
    return was_missed;
}

/* Whether a read failed for a want of ours, and nothing is wrong with the record. */
static bool
is_want(const struct err *err)
{
    return err->code == ERR_BUDGET || err->code == ERR_NOMEM ||
           (err->code == ERR_IO && (err->sys == EMFILE || err->sys == ENFILE));
}

void
store_disk_cache_drop(struct store_disk_cache *c, uint64_t hash,
                      const struct store_disk_place *place, const struct err *err)
{
    bool is_damaged = false;
    if (is_want(err))
        return;
    {
        MUTEX_SCOPE(&c->lock);
        struct store_disk_file *f = store_disk_index_file(&c->index, place->file);
        store_disk_index_drop(&c->index, hash, place);
        if (f == NULL || err->code == ERR_CONFLICT)
            return; /* it was removed by us; or another range took its place */
        is_damaged = !f->is_blamed;
        f->is_blamed = true;
        c->counts.damaged++;
        if (err->code == ERR_NOT_FOUND)
            store_disk_index_drop_file(&c->index, place->file);
    }
    if (is_damaged)
        LOG_WARN(
            "file of the disk cache missing or damaged, it is read from the bucket",
            LOG_ERR(err));
}

bool
store_disk_cache_get(struct store_disk_cache *c, const struct store_range *r,
                     uint8_t *into, size_t *got)
{
    uint64_t hash = store_disk_hash(r);
    struct store_disk_place place;
    struct err err;
    bool found;
    if (r->key.len > STORE_DISK_MAX_KEY)
        return false;
    {
        MUTEX_SCOPE(&c->lock);
        found = store_disk_index_find(&c->index, hash, &place);
    }
    bool ok = found && store_disk_log_read(&c->log, &place, r, into, got,
                                           c->options.budget, &err);
    if (found && !ok)
        store_disk_cache_drop(c, hash, &place, &err);
    MUTEX_SCOPE(&c->lock);
    *(ok ? &c->counts.hits : &c->counts.misses) += 1;
    return ok;
}

/* Whether what was read is to be written. */
static bool
is_admitted(struct store_disk_cache *c, uint64_t hash, size_t len, uint64_t query_bytes)
{
    MUTEX_SCOPE(&c->lock);
    uint64_t first = NUM_MIN(c->room / FIRST_SHARE, (uint64_t)FIRST_MAX);
    return store_disk_writer_is_possible(c) &&
           len <= store_disk_writer_file_bytes(c) / RECORD_SHARE &&
           !store_disk_index_has(&c->index, hash) &&
           (note_miss(c, hash) || query_bytes <= first) && !store_disk_writer_is_off(c);
}

static struct store_disk_item *
item_new(struct store_disk_cache *c, const struct store_range *r, struct bytes data,
         size_t cost)
{
    if (!budget_try(c->options.budget, cost))
        return NULL;
    struct store_disk_item *item = malloc(sizeof *item + r->key.len + data.len);
    if (item == NULL) {
        budget_give(c->options.budget, cost);
        return NULL;
    }
    *item = (struct store_disk_item){.range = *r, .cost = cost, .data_len = data.len};
    item->range.key.at = item->bytes;
    memcpy(item->bytes, r->key.at, r->key.len);
    if (data.len > 0)
        memcpy(item->bytes + r->key.len, data.at, data.len);
    return item;
}

static void
item_free(struct store_disk_cache *c, struct store_disk_item *item)
{
    budget_give(c->options.budget, item->cost);
    free(item);
}

/* Whether the queue may take so many bytes more. */
static bool
has_place(struct store_disk_cache *c, size_t cost)
{
    size_t most =
        NUM_MIN((size_t)QUEUE_MAX, budget_limit(c->options.budget) / QUEUE_SHARE);
    MUTEX_SCOPE(&c->lock);
    bool fits = c->queued + cost <= most;
    c->counts.dropped += !fits;
    return fits;
}

static void
enqueue(struct store_disk_cache *c, struct store_disk_item *item)
{
    MUTEX_SCOPE(&c->lock);
    *c->last = item;
    c->last = &item->next;
    c->queued += item->cost;
    cond_broadcast(&c->changed);
}

/* With room for what compressing makes of it. */
static size_t
cost_of(const struct store_range *r, size_t data_len)
{
    return sizeof(struct store_disk_item) + r->key.len + 2 * data_len + COMPRESS_EXTRA;
}

void
store_disk_cache_put(struct store_disk_cache *c, const struct store_range *r,
                     struct bytes data, uint64_t query_bytes)
{
    size_t cost = cost_of(r, data.len);
    if (r->key.len > STORE_DISK_MAX_KEY ||
        !is_admitted(c, store_disk_hash(r), data.len, query_bytes) ||
        !has_place(c, cost))
        return;
    struct store_disk_item *item = item_new(c, r, data, cost);
    if (item != NULL)
        enqueue(c, item);
}

void
store_disk_cache_forget_now(struct store_disk_cache *c, struct bytes block)
{
    MUTEX_SCOPE(&c->lock);
    store_disk_index_forget(&c->index, store_disk_group(block));
}

void
store_disk_cache_forget(struct store_disk_cache *c, struct bytes block)
{
    block.len = NUM_MIN(block.len, (size_t)STORE_DISK_MAX_KEY);
    struct store_disk_item *item = xcalloc(1, sizeof *item + block.len);
    *item = (struct store_disk_item){.range.key = {item->bytes, block.len},
                                     .is_forget = true};
    if (block.len > 0)
        memcpy(item->bytes, block.at, block.len);
    store_disk_cache_forget_now(c, block);
    enqueue(c, item);
}

enum next { TO_WRITE, TO_TRIM, TO_STOP };

/* What is left in the queue is written before the thread ends. */
static enum next
take(struct store_disk_cache *c, struct store_disk_item **out)
{
    int64_t trim_ns = clock_deadline(TRIM_NS);
    MUTEX_SCOPE(&c->lock);
    c->is_writing = false;
    cond_broadcast(&c->changed);
    while (c->first == NULL && !c->is_stopping)
        if (!cond_wait_until(&c->changed, &c->lock, trim_ns))
            return TO_TRIM;
    if (c->first == NULL)
        return TO_STOP;
    *out = c->first;
    c->first = (*out)->next;
    if (c->first == NULL)
        c->last = &c->first;
    c->queued -= (*out)->cost;
    c->is_writing = true;
    return TO_WRITE;
}

static void *
run(void *arg)
{
    struct store_disk_cache *c = arg;
    struct store_disk_item *item;
    for (enum next next; (next = take(c, &item)) != TO_STOP;) {
        if (next == TO_TRIM) {
            store_disk_writer_trim(c);
            continue;
        }
        store_disk_writer_write(c, item);
        item_free(c, item);
    }
    return NULL;
}

static void
load(struct store_disk_cache *c)
{
    struct err err;
    if (!store_disk_log_load(&c->log, &c->index, &c->last_number, &err))
        LOG_WARN("disk cache of an earlier run not read", LOG_ERR(&err));
    store_disk_writer_trim(c);
    LOG_INFO("disk cache", LOG_INT("count", c->index.ranges),
             LOG_INT("bytes", c->index.bytes));
}

bool
store_disk_cache_new(struct store_disk_cache **out,
                     const struct store_disk_cache_options *options, struct err *err)
{
    CLEANUP(store_disk_cache_free)
    struct store_disk_cache *c = xcalloc(1, sizeof *c);
    c->options = *options;
    c->last = &c->first;
    mutex_init(&c->lock, LOCK_DISK_CACHE);
    cond_init(&c->changed);
    store_disk_index_init(&c->index, options->index_limit, options->budget);
    store_disk_log_init(&c->log, options->data_dir, options->bucket);
    if (budget_try(options->budget, GHOSTS * sizeof *c->ghosts))
        c->ghosts = xcalloc(GHOSTS, sizeof *c->ghosts);
    load(c);
    c->has_thread = thread_start(&c->thread, "disk-cache", run, c, err);
    if (!c->has_thread)
        return false;
    *out = TAKE(c);
    return true;
}

void
store_disk_cache_settle(struct store_disk_cache *c)
{
    MUTEX_SCOPE(&c->lock);
    while (c->first != NULL || c->is_writing)
        cond_wait_until(&c->changed, &c->lock, CLOCK_NEVER);
}

struct store_disk_cache_counts
store_disk_cache_counts(struct store_disk_cache *c)
{
    MUTEX_SCOPE(&c->lock);
    struct store_disk_cache_counts counts = c->counts;
    counts.ranges = c->index.ranges;
    counts.bytes = c->index.bytes;
    counts.is_off = c->off_ns > 0;
    return counts;
}

void
store_disk_cache_free(struct store_disk_cache **out)
{
    struct store_disk_cache *c = TAKE(*out);
    if (c == NULL)
        return;
    {
        MUTEX_SCOPE(&c->lock);
        c->is_stopping = true;
        cond_broadcast(&c->changed);
    }
    if (c->has_thread)
        pthread_join(c->thread, NULL);
    store_disk_log_fini(&c->log);
    store_disk_index_fini(&c->index);
    if (c->ghosts != NULL)
        budget_give(c->options.budget, GHOSTS * sizeof *c->ghosts);
    free(c->ghosts);
    cond_fini(&c->changed);
    mutex_fini(&c->lock);
    free(c);
}
