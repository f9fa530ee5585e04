/* SPDX-License-Identifier: Apache-2.0 */
#include "store/block_catalog.h"

#include <inttypes.h>
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

/* How long a block that is gone is kept for what it may have become: queries that need
 * it fail meanwhile, and are told to try again. */
static const int64_t KEEP_GONE_NS = 5 * 60 * CLOCK_NS_PER_S;

static struct store_entry *
entry_of(struct pool_job *job)
{
    return (struct store_entry *)(void *)((char *)job -
                                          offsetof(struct store_entry, job));
}

static struct objstore_call
call_of(struct store_catalog *c)
{
    return (struct objstore_call){clock_deadline(META_TIMEOUT_NS), c->cancel,
                                  &c->patience};
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
    e.is_unread = false;
    e.is_wanted = false;
    e.gone_ns = 0;
    if (!listed->mark.exists) {
        if (e.mark.exists)
            note_change(c);
        e.mark = listed->mark;
        e.marked_ms = INT64_MAX;
    }
    return e;
}

static void
note_gone(struct store_entry *e)
{
    if (e->is_served)
        store_entry_note_drop(e);
    if (e->block != NULL)
        note_change(e->catalog);
}

/* Move a served block that is not in the listing, or only a rest of it, as it is known.
 */
static struct store_entry
entry_keep_gone(struct store_entry *old)
{
    struct store_entry e = *old;
    old->block = NULL;
    old->failure = NULL;
    old->is_served = false;
    e.listed = NULL;
    e.state = STORE_BLOCK_SERVED;
    e.may_heal = e.is_tried = e.is_unread = e.is_wanted = false;
    if (e.gone_ns == 0)
        e.gone_ns = clock_mono_ns();
    return e;
}

/* A block whose meta is gone is about to be so itself. */
static struct store_entry
entry_of_listed(struct store_catalog *c, const struct store_listed *listed)
{
    struct store_entry *old = store_catalog_find(c, &listed->id);
    bool is_going =
        !listed->meta.exists && old != NULL && old->is_served && old->block != NULL;
    return is_going ? entry_keep_gone(old) : entry_take_over(c, listed);
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
    return e->gone_ns == 0 && !e->is_tried && (has_new_meta(e) || has_new_mark(e));
}

static size_t
count_news(const struct store_catalog *c)
{
    size_t count = 0;
    for (size_t i = 0; i < c->count; i++)
        count += has_news(&c->entries[i]);
    return count;
}

void
store_catalog_update(struct store_catalog *c, const struct store_listing *listing)
{
    struct store_entry *entries =
        xcalloc(listing->count + c->count + 1, sizeof *entries);
    size_t count = listing->count;
    for (size_t i = 0; i < listing->count; i++)
        entries[i] = entry_of_listed(c, &listing->blocks[i]);
    for (size_t i = 0; i < c->count; i++) {
        if (c->entries[i].is_served && c->entries[i].block != NULL)
            entries[count++] = entry_keep_gone(&c->entries[i]);
        else
            note_gone(&c->entries[i]);
    }
    if (count > listing->count)
        qsort(entries, count, sizeof *entries, by_id);
    store_catalog_fini(c);
    c->is_complete = c->is_read = false;
    c->entries = entries;
    c->count = count;
    c->unread = count_news(c);
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

/* One of another size is not what was listed, be it the answer of some proxy. */
static bool
get_meta(const struct store_entry *e, struct buf *text, struct err *err)
{
    if (!get_object(e, TSDB_BLOCK_PATH_META, TSDB_META_MAX_BYTES, text, err))
        return false;
    return text->len == e->listed->meta.size ||
           err_set(err, ERR_UNAVAILABLE,
                   TSDB_BLOCK_PATH_META " came with %zu bytes, %" PRIu64 " were listed",
                   text->len, e->listed->meta.size);
}

/* What reading a meta tells. */
enum fate {
    FATE_BLOCK,
    FATE_UNREAD,   /* nothing: it may be read another time */
    FATE_BAD_META, /* no block can be made of it */
    FATE_NO_FILES  /* nor of what else is there of the block */
};

static enum fate
make_block(const struct store_entry *e, struct bytes text, struct store_block **block,
           struct err *err)
{
    CLEANUP(tsdb_meta_fini) struct tsdb_meta meta = {0};
    if (!tsdb_meta_parse(&meta, text, err)) {
        err_wrap(err, "parse " TSDB_BLOCK_PATH_META);
        return FATE_BAD_META;
    }
    return store_block_new(block, e->listed, &meta, err) ? FATE_BLOCK : FATE_NO_FILES;
}

/* A meta that makes no block is read twice: what differs was damaged on its way. */
static enum fate
read_block(const struct store_entry *e, struct store_block **block, struct err *err)
{
    CLEANUP(buf_fini) struct buf text = {0};
    CLEANUP(buf_fini) struct buf again = {0};
    struct err unused;
    if (!get_meta(e, &text, err))
        return err->code == ERR_INVALID ? FATE_BAD_META : FATE_UNREAD;
    enum fate fate = make_block(e, buf_bytes(&text), block, err);
    if (fate == FATE_BLOCK ||
        (get_meta(e, &again, &unused) && bytes_eq(buf_bytes(&text), buf_bytes(&again))))
        return fate;
    err->code = ERR_UNAVAILABLE;
    return FATE_UNREAD;
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
    struct store_block *block = NULL;
    struct err err;
    enum fate fate = read_block(e, &block, &err);
    if (fate != FATE_BLOCK) {
        /* Files that are not listed are gone, also from a block that had them. */
        if (fate == FATE_NO_FILES && e->block != NULL) {
            store_block_unref(&e->block);
            note_change(e->catalog);
        }
        e->is_unread |= fate == FATE_UNREAD;
        fail(e, state_of_failure(err.code), &err);
        if (e->block == NULL && fate != FATE_UNREAD)
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
    bool is_read = get_object(e, TSDB_BLOCK_PATH_DELETION_MARK,
                              STORE_DELETION_MARK_MAX_BYTES, &text, &err);
    if (is_read && store_deletion_mark_parse(buf_bytes(&text), &e->marked_ms, &err)) {
        e->mark = e->listed->mark;
        note_change(e->catalog);
        return;
    }
    e->is_unread |= !is_read && err.code != ERR_INVALID;
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

/* The newest block that nothing is known of; the least ULID: there is none. */
static struct tsdb_ulid
newest_unknown(const struct store_catalog *c)
{
    for (size_t i = c->count; i > 0; i--)
        if (c->entries[i - 1].is_unread && c->entries[i - 1].block == NULL)
            return c->entries[i - 1].id;
    return (struct tsdb_ulid){0};
}

/* Whether what a block that is gone became may be among the unknown ones. */
static bool
has_unknown_successor(const struct store_entry *e, const struct tsdb_ulid *newest)
{
    return tsdb_ulid_cmp(&e->id, newest) < 0 &&
           clock_mono_ns() - e->gone_ns < KEEP_GONE_NS;
}

static void
drop_gone(struct store_catalog *c)
{
    struct tsdb_ulid newest = newest_unknown(c);
    size_t count = 0;
    for (size_t i = 0; i < c->count; i++) {
        struct store_entry *e = &c->entries[i];
        if (e->gone_ns != 0 && !has_unknown_successor(e, &newest)) {
            note_gone(e);
            store_block_unref(&e->block);
            err_forget(&e->failure);
            continue;
        }
        if (e->gone_ns != 0)
            LOG_WARN("deleted block kept until newer ones can be read",
                     LOG_STR("block", e->name.text));
        c->entries[count++] = *e;
    }
    c->count = count;
}

/* Yields since when the newest of what is unread is; 0: nothing is. */
static int64_t
note_unread(struct store_catalog *c)
{
    int64_t newest_ns = 0;
    for (size_t i = 0; i < c->count; i++) {
        struct store_entry *e = &c->entries[i];
        if (!e->is_unread)
            e->unread_since_ns = 0;
        else if (e->unread_since_ns == 0)
            e->unread_since_ns = clock_mono_ns();
        newest_ns = NUM_MAX(newest_ns, e->unread_since_ns);
    }
    return newest_ns;
}

static void
end_fetching(struct store_catalog *c)
{
    c->is_complete = !is_any_to_heal(c);
    c->unread_since_ns = note_unread(c);
    c->is_read = c->unread_since_ns == 0;
    drop_gone(c);
}

bool
store_catalog_fetch(struct store_catalog *c, struct err *err)
{
    struct pool *pool = NULL;
    size_t jobs = NUM_MIN(c->unread, (size_t)FETCH_AT_ONCE);
    if (jobs > 0) {
        if (!pool_new(&pool, "block-sync", (unsigned)NUM_MIN(jobs, c->meta_concurrency),
                      err))
            return false;
        submit_newest(c, pool, jobs);
        pool_free(&pool);
        c->unread -= jobs;
    }
    if (c->unread == 0)
        end_fetching(c);
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
