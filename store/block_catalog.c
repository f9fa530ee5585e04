/* SPDX-License-Identifier: Apache-2.0 */
#include "store/block_catalog.h"

#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/num.h"
#include "common/base/xmalloc.h"
#include "common/tsdb/block_path.h"
#include "store/deletion_mark.h"

/* Generous: a request that hangs must not hold up the sync for ever. */
static const int64_t META_TIMEOUT_NS = 2 * 60 * CLOCK_NS_PER_S;

/* Blocks that are fetched before others hear of it: many times as many as are fetched
 * at a time, and few seconds of a bucket that throttles. */
enum { FETCH_AT_ONCE = 256 };

static struct store_entry *
entry_of(struct pool_job *job)
{
    return (struct store_entry *)(void *)((char *)job -
                                          offsetof(struct store_entry, job));
}

static struct objstore_call
call_of(const struct store_catalog *c)
{
    return (struct objstore_call){clock_deadline(META_TIMEOUT_NS), c->cancel};
}

static int
by_id(const void *a, const void *b)
{
    const struct store_entry *x = a, *y = b;
    return tsdb_ulid_cmp(&x->id, &y->id);
}

struct store_entry *
store_catalog_find(struct store_catalog *c, const struct tsdb_ulid *id)
{
    struct store_entry wanted = {.id = *id};
    return c->count == 0 ? NULL
                         : bsearch(&wanted, c->entries, c->count, sizeof wanted, by_id);
}

void
store_entry_note_drop(const struct store_entry *e)
{
    metrics_add(e->catalog->metrics->drops, 1);
    LOG_INFO("block dropped", LOG_STR("block", e->name.text));
}

static void
note_change(struct store_catalog *c)
{
    atomic_fetch_add_explicit(&c->changes, 1, memory_order_relaxed);
}

static bool
has_same_files(const struct store_entry *e, const struct store_listed *l)
{
    return store_stamp_eq(e->meta, l->meta) && store_stamp_eq(e->index, l->index) &&
           store_stamp_eq(e->chunks, l->chunks);
}

static enum store_block_state
first_state(const struct store_entry *e, const struct store_listed *listed)
{
    if (!listed->meta.exists)
        return STORE_BLOCK_NO_META;
    return has_same_files(e, listed) ? e->refusal : STORE_BLOCK_SERVED;
}

static struct store_entry
entry_take_over(struct store_catalog *c, const struct store_listed *listed)
{
    struct store_entry e = {
        .id = listed->id, .name = tsdb_ulid_print(&listed->id), .marked_ms = INT64_MAX};
    struct store_entry *old = store_catalog_find(c, &listed->id);
    if (old != NULL) {
        e = *old;
        old->block = NULL;
        old->failure = NULL;
        old->is_served = false;
    }
    e.catalog = c;
    e.listed = listed;
    e.state = first_state(&e, listed);
    e.may_heal = false;
    e.is_tried = false;
    e.is_wanted = false;
    if (!listed->mark.exists) {
        if (e.mark.exists)
            note_change(c);
        e.mark = listed->mark;
        e.marked_ms = INT64_MAX;
    }
    return e;
}

void
store_catalog_update(struct store_catalog *c, const struct store_listing *listing)
{
    struct store_entry *entries = xcalloc(listing->count + 1, sizeof *entries);
    for (size_t i = 0; i < listing->count; i++)
        entries[i] = entry_take_over(c, &listing->blocks[i]);
    for (size_t i = 0; i < c->count; i++) {
        if (c->entries[i].is_served)
            store_entry_note_drop(&c->entries[i]);
        if (c->entries[i].block != NULL)
            note_change(c);
    }
    store_catalog_fini(c);
    c->is_complete = false;
    c->entries = entries;
    c->count = listing->count;
}

void
store_catalog_fini(struct store_catalog *c)
{
    for (size_t i = 0; i < c->count; i++) {
        store_block_unref(&c->entries[i].block);
        err_forget(&c->entries[i].failure);
    }
    free(c->entries);
    c->entries = NULL;
    c->count = 0;
}

/* A block that was readable before stays as it was; another gets the state. */
static void
fail(struct store_entry *e, enum store_block_state state, const struct err *err)
{
    e->may_heal |= err_is_transient(err->code);
    if (e->block == NULL)
        e->state = state;
    err_forget(&e->failure);
    e->failure = err_keep(err);
    if (err->code != ERR_CANCELLED)
        LOG_WARN("block failed", LOG_STR("block", e->name.text), LOG_ERR(err));
}

/* Files other than the meta count as well: a block may have been copied in any order.
 */
static bool
has_new_meta(const struct store_entry *e)
{
    const struct store_listed *l = e->listed;
    bool is_known = e->block != NULL || e->refusal != STORE_BLOCK_SERVED;
    return l->meta.exists && !(is_known && has_same_files(e, l));
}

static bool
has_new_mark(const struct store_entry *e)
{
    return e->listed->meta.exists && !store_stamp_eq(e->mark, e->listed->mark);
}

static bool
has_news(const struct store_entry *e)
{
    return !e->is_tried && (has_new_meta(e) || has_new_mark(e));
}

static bool
get_object(const struct store_entry *e, const char *file, size_t limit,
           struct buf *text, struct err *err)
{
    struct store_catalog *c = e->catalog;
    CLEANUP(xfree) char *key = xasprintf("%s/%s", e->name.text, file);
    struct objstore_call call = call_of(c);
    buf_clear(text);
    return objstore_get(c->bucket, &call, bytes_of_str(key), limit, text, err);
}

static bool
read_meta(const struct store_entry *e, struct tsdb_meta *meta, struct err *err)
{
    CLEANUP(buf_fini) struct buf text = {0};
    return get_object(e, TSDB_BLOCK_PATH_META, TSDB_META_MAX_BYTES, &text, err) &&
           (tsdb_meta_parse(meta, buf_bytes(&text), err) ||
            err_wrap(err, "parse " TSDB_BLOCK_PATH_META));
}

static enum store_block_state
state_of_failure(enum err_code code)
{
    if (code == ERR_NOT_FOUND)
        return STORE_BLOCK_NO_META;
    return code == ERR_INVALID ? STORE_BLOCK_BAD_META : STORE_BLOCK_FAILED;
}

static void
note_files(struct store_entry *e)
{
    e->meta = e->listed->meta;
    e->index = e->listed->index;
    e->chunks = e->listed->chunks;
}

/* Its meta is not worth another look while its files stay the same. */
static void
refuse(struct store_entry *e)
{
    e->refusal = e->state;
    note_files(e);
}

static void
fetch_meta(struct store_entry *e)
{
    CLEANUP(tsdb_meta_fini) struct tsdb_meta meta = {0};
    struct store_block *block = NULL;
    struct err err;
    bool is_read = read_meta(e, &meta, &err);
    if (!is_read || !store_block_new(&block, e->listed, &meta, &err)) {
        /* Files that are not listed are gone, also from a block that had them. */
        if (is_read && e->block != NULL) {
            store_block_unref(&e->block);
            note_change(e->catalog);
        }
        fail(e, state_of_failure(err.code), &err);
        if (e->block == NULL && (err.code == ERR_INVALID || err.code == ERR_CORRUPT))
            refuse(e);
        return;
    }
    if (e->block != NULL)
        metrics_add(e->catalog->metrics->cache_busts, 1);
    store_block_unref(&e->block);
    e->block = block;
    err_forget(&e->failure);
    e->refusal = STORE_BLOCK_SERVED;
    note_files(e);
    note_change(e->catalog);
}

/* A mark that cannot be read does not take a block away. */
static void
fetch_mark(struct store_entry *e)
{
    CLEANUP(buf_fini) struct buf text = {0};
    struct err err;
    if (get_object(e, TSDB_BLOCK_PATH_DELETION_MARK, STORE_DELETION_MARK_MAX_BYTES,
                   &text, &err) &&
        store_deletion_mark_parse(buf_bytes(&text), &e->marked_ms, &err)) {
        e->mark = e->listed->mark;
        note_change(e->catalog);
        return;
    }
    e->may_heal |= err_is_transient(err.code);
    if (err.code != ERR_CANCELLED)
        LOG_WARN("deletion mark ignored", LOG_STR("block", e->name.text),
                 LOG_ERR(&err));
}

static void
fetch(struct pool_job *job)
{
    struct store_entry *e = entry_of(job);
    if (has_new_meta(e))
        fetch_meta(e);
    if (has_new_mark(e))
        fetch_mark(e);
}

/* The newest first: they are asked for most. */
static void
submit_newest(struct store_catalog *c, struct pool *pool, size_t jobs)
{
    for (size_t i = c->count; jobs > 0; i--) {
        struct store_entry *e = &c->entries[i - 1];
        if (!has_news(e))
            continue;
        e->is_tried = true;
        e->job.run = fetch;
        pool_submit(pool, &e->job);
        jobs--;
    }
}

static bool
is_any_to_heal(const struct store_catalog *c)
{
    for (size_t i = 0; i < c->count; i++)
        if (c->entries[i].may_heal)
            return true;
    return false;
}

bool
store_catalog_fetch(struct store_catalog *c, size_t *left, struct err *err)
{
    struct pool *pool = NULL;
    *left = 0;
    for (size_t i = 0; i < c->count; i++)
        *left += has_news(&c->entries[i]);
    size_t jobs = NUM_MIN(*left, (size_t)FETCH_AT_ONCE);
    if (jobs == 0) {
        c->is_complete = !is_any_to_heal(c);
        return true;
    }
    if (!pool_new(&pool, "block-sync", (unsigned)NUM_MIN(jobs, c->meta_concurrency),
                  err))
        return false;
    submit_newest(c, pool, jobs);
    pool_free(&pool);
    return true;
}

void
store_catalog_judge(struct store_catalog *c, const struct store_block_rules *rules,
                    int64_t now_ms)
{
    struct store_candidate *candidates = xcalloc(c->count + 1, sizeof *candidates);
    size_t known = 0;
    for (size_t i = 0; i < c->count; i++) {
        const struct store_entry *e = &c->entries[i];
        if (e->block != NULL && e->state == STORE_BLOCK_SERVED)
            candidates[known++] = (struct store_candidate){
                .id = e->id, .meta = &e->block->meta, .marked_ms = e->marked_ms};
    }
    store_block_filter(candidates, known, rules, now_ms);
    for (size_t i = 0; i < known; i++) {
        struct store_entry *e = store_catalog_find(c, &candidates[i].id);
        e->state = candidates[i].state;
        e->is_wanted = e->state == STORE_BLOCK_SERVED;
    }
    free(candidates);
}
