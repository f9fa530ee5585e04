/* SPDX-License-Identifier: Apache-2.0 */
#include "store/block_sync.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/num.h"
#include "common/base/xmalloc.h"
#include "store/block_catalog.h"
#include "store/block_snapshot.h"
#include "store/leftovers.h"
#include "store/patience.h"
#include "store/sync_pace.h"

/* A first pass that could not read everything need not mean a missing answer for long:
 * with a bucket that throttles, waiting for a complete one could mean waiting for ever.
 */
enum { PASSES_UNTIL_READY = 3 };

static const int64_t LIST_TIMEOUT_NS = 60 * 60 * CLOCK_NS_PER_S;

/* How often a pass that takes long keeps what it has read, and says how far it is. */
static const int64_t SAVE_NS = 5 * CLOCK_NS_PER_S;

struct store_block_sync {
    struct store_block_sync_options options;
    struct store_sync_metrics metrics;
    struct store_sync_progress progress;
    struct cancel cancel;
    struct mutex lock; /* LOCK_BLOCK_SYNC */
    struct cond changed;
    /* guarded by lock */
    bool is_stopping;
    bool is_passing;
    bool is_asked;     /* for a pass that has not begun yet */
    bool is_suggested; /* likewise, but it need not be at once */
    bool has_change;   /* of which blocks are broken */
    /* owned by the thread that starts and frees */
    bool is_started;
    pthread_t thread;
    char *snapshot_path;
    /* owned by the thread that makes passes */
    struct store_catalog catalog;
    struct net_patience list_patience;
    bool is_restored;    /* or there was nothing to restore */
    unsigned long saved; /* changes of the catalog that are in the snapshot */
    bool is_saved_complete;
    int64_t save_due_ns;
    struct store_sync_pace pace;
    unsigned passes; /* that could list the bucket */
};

static struct store_catalog
catalog_of(struct store_block_sync *s)
{
    const struct store_block_sync_options *o = &s->options;
    return (struct store_catalog){.bucket = o->bucket,
                                  .metrics = &s->metrics,
                                  .cancel = &s->cancel,
                                  .meta_concurrency = o->meta_concurrency,
                                  .patience = {.first_ns = STORE_PATIENCE_NS}};
}

/* One that cannot be written would fail every block later, one by one. */
static bool
prepare_data_dir(struct store_block_sync *s, struct err *err)
{
    const char *path = s->options.data_dir;
    if (!file_mkdirs(path, err) ||
        !store_leftovers_remove_unfinished(path, s->metrics.drop_failures, err))
        return false;
    return access(path, W_OK | X_OK) == 0 || err_sys(err, errno, "write to %s", path);
}

bool
store_block_sync_new(struct store_block_sync **out,
                     const struct store_block_sync_options *options, struct err *err)
{
    CLEANUP(store_block_sync_free)
    struct store_block_sync *s = xcalloc(1, sizeof *s);
    s->options = *options;
    store_sync_pace_init(&s->pace, options->interval_ns);
    s->catalog = catalog_of(s);
    s->list_patience.first_ns = STORE_PATIENCE_NS;
    s->snapshot_path = xasprintf("%s/" STORE_BLOCK_SNAPSHOT_NAME, options->data_dir);
    mutex_init(&s->lock, LOCK_BLOCK_SYNC);
    cond_init(&s->changed);
    store_sync_progress_init(&s->progress);
    store_sync_metrics_init(&s->metrics, options->metrics);
    metrics_set(s->metrics.consistency_delay,
                (double)options->consistency_delay_ms / 1000);
    if (!prepare_data_dir(s, err))
        return err_wrap(err, "--data-dir");
    *out = TAKE(s);
    return true;
}

static void
count_resolutions(struct store_block_sync *s, const struct store_block_set *set)
{
    size_t counts[STORE_RESOLUTION_COUNT] = {0};
    for (size_t i = 0; i < set->count; i++)
        counts[store_resolution_within(set->blocks[i]->meta.resolution_ms)]++;
    for (size_t i = 0; i < STORE_RESOLUTION_COUNT; i++)
        metrics_set(s->metrics.served[i], (double)counts[i]);
}

/* The wanted blocks, or those of them that are not broken. */
static struct store_block_set *
new_set(struct store_block_sync *s, bool with_broken)
{
    struct store_catalog *c = &s->catalog;
    struct store_block **blocks = xcalloc(c->count + 1, sizeof *blocks);
    size_t count = 0;
    for (size_t i = 0; i < c->count; i++) {
        struct store_entry *e = &c->entries[i];
        if (e->is_wanted && (with_broken || e->is_served))
            blocks[count++] = store_block_ref(e->block);
    }
    return store_block_set_new(blocks, count);
}

static void
note_broken(struct store_block_sync *s)
{
    for (size_t i = 0; i < s->catalog.count; i++) {
        struct store_entry *e = &s->catalog.entries[i];
        bool is_broken = e->is_wanted && store_block_headers_is_broken(e->block);
        if (e->is_wanted)
            e->state = is_broken ? STORE_BLOCK_FAILED : STORE_BLOCK_SERVED;
        if (e->is_served && (!e->is_wanted || is_broken))
            store_entry_note_drop(e);
        e->is_served = e->is_wanted && !is_broken;
    }
}

static void
report(struct store_block_sync *s)
{
    size_t counts[STORE_BLOCK_STATE_COUNT] = {0};
    for (size_t i = 0; i < s->catalog.count; i++)
        counts[s->catalog.entries[i].state]++;
    for (size_t i = 0; i < STORE_BLOCK_STATE_COUNT; i++)
        metrics_set(s->metrics.blocks[i], (double)counts[i]);
    store_sync_progress_publish(&s->progress, store_block_report_new(&s->catalog),
                                counts);
}

static void
publish(struct store_block_sync *s)
{
    note_broken(s);
    struct store_block_set *set = new_set(s, false);
    metrics_set(s->metrics.loaded, (double)set->count);
    count_resolutions(s, set);
    store_block_view_put(s->options.view, set);
    report(s);
}

/* Some block has become broken, or is so no longer, or is gone: then the next pass
 * finds what it has become. */
static void
on_change(void *arg, bool is_gone)
{
    struct store_block_sync *s = arg;
    MUTEX_SCOPE(&s->lock);
    s->has_change |= !is_gone;
    s->is_suggested |= is_gone;
    cond_broadcast(&s->changed);
}

/* Have the headers of all wanted blocks, those that were broken, too. */
static void
follow(struct store_block_sync *s)
{
    for (size_t i = 0; i < s->catalog.count; i++) {
        struct store_entry *e = &s->catalog.entries[i];
        if (e->is_wanted && e->block->headers == NULL)
            e->block->headers = s->options.headers;
    }
    CLEANUP(store_block_set_unref) struct store_block_set *set = new_set(s, true);
    store_block_headers_follow(s->options.headers, set, on_change, s);
}

/* Whether no block failed in a way that may pass. */
static bool
sum_up(struct store_block_sync *s)
{
    size_t counts[STORE_BLOCK_STATE_COUNT] = {0};
    bool complete = true;
    for (size_t i = 0; i < s->catalog.count; i++) {
        counts[s->catalog.entries[i].state]++;
        complete &= !s->catalog.entries[i].may_heal;
    }
    LOG_INFO(
        "blocks synced", LOG_INT("count", s->catalog.count),
        LOG_INT("served", counts[STORE_BLOCK_SERVED]),
        LOG_INT("failed", counts[STORE_BLOCK_FAILED] + counts[STORE_BLOCK_BAD_META]));
    if (s->catalog.count > 0 && counts[STORE_BLOCK_SERVED] == 0)
        LOG_WARN("no block is served; thanos_blocks_meta_synced tells why, by state");
    return complete;
}

static void
set_view_time(struct store_block_sync *s, int64_t read_ms, bool is_snapshot)
{
    metrics_set(s->metrics.view_time, (double)read_ms / 1000);
    metrics_set(s->metrics.from_snapshot, is_snapshot);
    store_sync_progress_read(&s->progress, read_ms, is_snapshot);
}

static struct bytes
bucket_name(const struct store_block_sync *s)
{
    return bytes_of_str(objstore_name(s->options.bucket));
}

/* Without one a start takes longer, that is all. */
static void
save(struct store_block_sync *s)
{
    unsigned long changes = atomic_load(&s->catalog.changes);
    struct err err;
    s->save_due_ns = clock_deadline(SAVE_NS);
    /* Its time tells when the bucket was last as it says. */
    if (changes == s->saved && s->is_saved_complete == s->catalog.is_complete &&
        utimensat(AT_FDCWD, s->snapshot_path, NULL, 0) == 0)
        return;
    if (file_mkdirs(s->options.data_dir, &err) &&
        store_block_snapshot_save(s->snapshot_path, bucket_name(s), &s->catalog, &err))
        s->saved = changes;
    else
        LOG_WARN("snapshot of blocks not saved", LOG_ERR(&err));
    s->is_saved_complete = s->catalog.is_complete;
}

static bool
check_cancel(const struct store_block_sync *s, struct err *err)
{
    return !cancel_is_raised(&s->cancel) ||
           err_set(err, ERR_CANCELLED, "the block sync was stopped");
}

static void
note_progress(struct store_block_sync *s)
{
    metrics_set(s->metrics.listed, (double)s->catalog.count);
    metrics_set(s->metrics.unread, (double)s->catalog.unread);
    store_sync_progress_unread(&s->progress, s->catalog.unread);
}

static bool
list_blocks(struct store_block_sync *s, struct store_listing *listing, struct err *err)
{
    struct objstore_call call = {clock_deadline(LIST_TIMEOUT_NS), &s->cancel,
                                 &s->list_patience};
    metrics_add(s->metrics.listings, 1);
    if (!store_listing_read(listing, s->options.bucket, &call, err))
        return false;
    store_catalog_update(&s->catalog, listing);
    note_progress(s);
    return true;
}

static struct store_block_rules
rules_at(const struct store_block_sync_options *o, int64_t now_ms)
{
    return (struct store_block_rules){.mint_ms = store_time_bound_at(o->mint, now_ms),
                                      .maxt_ms = store_time_bound_at(o->maxt, now_ms),
                                      .selector = o->selector,
                                      .consistency_delay_ms = o->consistency_delay_ms,
                                      .deletion_delay_ms = o->deletion_delay_ms,
                                      .max_resolution_ms = o->max_resolution_ms};
}

/* What has been read stays known, and saved, also when the rest cannot be. */
static bool
fetch(struct store_block_sync *s, struct err *err)
{
    const struct store_catalog *c = &s->catalog;
    s->save_due_ns = clock_deadline(SAVE_NS);
    do {
        if (!store_catalog_fetch(&s->catalog, err))
            return false;
        note_progress(s);
        if (c->unread > 0 && clock_left_ns(s->save_due_ns) == 0) {
            LOG_INFO("reading metas", LOG_INT("count", c->count),
                     LOG_INT("left", c->unread));
            save(s);
        }
    } while (c->unread > 0);
    save(s);
    return true;
}

static bool
pass(struct store_block_sync *s, bool *complete, struct err *err)
{
    int64_t now_ms = clock_wall_ns() / CLOCK_NS_PER_MS;
    struct store_block_rules rules = rules_at(&s->options, now_ms);
    CLEANUP(store_listing_fini) struct store_listing listing = {0};
    if (!list_blocks(s, &listing, err) || !fetch(s, err))
        return false;
    if (!check_cancel(s, err))
        return false;
    store_catalog_judge(&s->catalog, &rules, now_ms);
    follow(s);
    publish(s);
    set_view_time(s, now_ms, false);
    *complete = sum_up(s);
    s->passes++;
    return store_leftovers_remove_vanished(s->options.data_dir, &s->catalog,
                                           s->metrics.drop_failures, err);
}

/* When the bucket was last seen as the snapshot says. */
static bool
snapshot_time(const struct store_block_sync *s, int64_t *time_ms)
{
    struct stat st;
    if (stat(s->snapshot_path, &st) != 0)
        return false;
    *time_ms = st.st_mtim.tv_sec * (CLOCK_NS_PER_S / CLOCK_NS_PER_MS) +
               st.st_mtim.tv_nsec / CLOCK_NS_PER_MS;
    return true;
}

/* Serve what the snapshot has until the bucket was read. A compactor deletes blocks
 * some time after it has marked them, twice as long as we serve them then: so one that
 * is older names blocks that need not be there any more. */
static void
serve_snapshot(struct store_block_sync *s, int64_t read_ms, int64_t now_ms)
{
    struct store_block_rules rules = rules_at(&s->options, now_ms);
    if (!s->catalog.is_complete) {
        LOG_INFO("snapshot of blocks is not of all blocks and not served");
        return;
    }
    if (now_ms - read_ms > s->options.deletion_delay_ms) {
        LOG_INFO("snapshot of blocks is too old to be served",
                 LOG_INT("age_s", (now_ms - read_ms) / 1000));
        return;
    }
    store_catalog_judge(&s->catalog, &rules, now_ms);
    follow(s);
    publish(s);
    set_view_time(s, read_ms, true);
    LOG_INFO("serves a snapshot of blocks until the bucket is read",
             LOG_INT("count", s->catalog.count),
             LOG_INT("age_s", (now_ms - read_ms) / 1000));
    if (s->options.admin != NULL)
        app_admin_set_ready(s->options.admin, true, "");
}

static void
restore(struct store_block_sync *s)
{
    struct err err;
    int64_t read_ms;
    s->is_restored = true;
    if (!snapshot_time(s, &read_ms))
        return;
    if (store_block_snapshot_load(s->snapshot_path, bucket_name(s), &s->catalog, &err))
        serve_snapshot(s, read_ms, clock_wall_ns() / CLOCK_NS_PER_MS);
    else
        LOG_WARN("snapshot of blocks not used, all metas are read again",
                 LOG_ERR(&err));
}

bool
store_block_sync_run(struct store_block_sync *s, bool *complete, struct err *err)
{
    int64_t start_ns = clock_mono_ns();
    *complete = false;
    if (!s->is_restored)
        restore(s);
    metrics_add(s->metrics.syncs, 1);
    store_sync_progress_begin(&s->progress);
    bool ok = pass(s, complete, err);
    store_sync_progress_end(&s->progress, ok && *complete, ok ? NULL : err);
    if (!ok || !*complete)
        metrics_add(s->metrics.sync_failures, 1);
    metrics_observe(s->metrics.sync_seconds,
                    (double)(clock_mono_ns() - start_ns) / CLOCK_NS_PER_S);
    return ok;
}

enum reason { TO_STOP, TO_PASS, TO_PUBLISH };

/* Wait until there is something to do; a pass when it is due, or soonest when it was
 * suggested. */
static enum reason
wait_until(struct store_block_sync *s, int64_t due_ns, int64_t soonest_ns)
{
    MUTEX_SCOPE(&s->lock);
    s->is_passing = false;
    while (
        !s->is_stopping && !s->has_change && !s->is_asked &&
        cond_wait_until(&s->changed, &s->lock, s->is_suggested ? soonest_ns : due_ns))
        continue;
    if (s->is_stopping)
        return TO_STOP;
    if (TAKE(s->has_change))
        return TO_PUBLISH;
    store_sync_pace_begin(&s->pace, s->is_suggested);
    s->is_asked = s->is_suggested = false;
    s->is_passing = true;
    return TO_PASS;
}

static void
publish_again(struct store_block_sync *s)
{
    publish(s);
    sum_up(s);
}

/* Wait for the next pass; false to stop. */
static bool
wait_for_pass(struct store_block_sync *s, int64_t due_ns)
{
    int64_t soonest_ns = NUM_MIN(due_ns, clock_deadline(s->pace.suggested_ns));
    enum reason reason;
    while ((reason = wait_until(s, due_ns, soonest_ns)) == TO_PUBLISH)
        publish_again(s);
    return reason == TO_PASS;
}

void
store_block_sync_settle(struct store_block_sync *s)
{
    store_block_headers_settle(s->options.headers);
    publish_again(s);
}

static void
tell_readiness(struct store_block_sync *s, bool complete)
{
    if (s->options.admin != NULL && (complete || s->passes >= PASSES_UNTIL_READY))
        app_admin_set_ready(s->options.admin, true, "");
}

enum store_block_sync_asked
store_block_sync_ask(struct store_block_sync *s)
{
    MUTEX_SCOPE(&s->lock);
    if (s->is_stopping)
        return STORE_BLOCK_SYNC_STOPPED;
    s->is_asked = true;
    cond_broadcast(&s->changed);
    return s->is_passing ? STORE_BLOCK_SYNC_FOLLOWS : STORE_BLOCK_SYNC_BEGINS;
}

static uint64_t
random_number(void)
{
    uint64_t random = 0;
    if (getrandom(&random, sizeof random, GRND_NONBLOCK) < 0)
        random = 0;
    return random;
}

/* When the next pass is due. */
static int64_t
next_due_ns(struct store_block_sync *s, const struct store_sync_pass *pass)
{
    int64_t wait_ns = store_sync_pace_end(&s->pace, pass);
    return clock_deadline(store_sync_pace_jittered(wait_ns, random_number()));
}

static void *
sync_loop(void *arg)
{
    struct store_block_sync *s = arg;
    const struct store_catalog *c = &s->catalog;
    int64_t due_ns;
    do {
        struct err err;
        bool complete;
        int64_t start_ns = clock_mono_ns();
        bool ok = store_block_sync_run(s, &complete, &err);
        if (!ok && err.code != ERR_CANCELLED)
            LOG_WARN("sync of blocks failed", LOG_ERR(&err));
        tell_readiness(s, complete);
        int64_t now_ns = clock_mono_ns();
        due_ns = next_due_ns(
            s,
            &(struct store_sync_pass){
                .has_listed = ok,
                .is_complete = complete && c->is_read,
                .took_ns = now_ns - start_ns,
                .refused_ns = complete && !c->is_read ? now_ns - c->unread_since_ns : 0,
            });
        store_sync_progress_next(&s->progress, due_ns);
    } while (wait_for_pass(s, due_ns));
    return NULL;
}

bool
store_block_sync_start(struct store_block_sync *s, struct err *err)
{
    CHECK(!s->is_started);
    s->is_passing = true;
    s->is_started = thread_start(&s->thread, "block-sync", sync_loop, s, err);
    return s->is_started;
}

void
store_block_sync_suggest(struct store_block_sync *s)
{
    MUTEX_SCOPE(&s->lock);
    s->is_suggested = true;
    cond_broadcast(&s->changed);
}

struct store_sync_progress *
store_block_sync_progress(struct store_block_sync *s)
{
    return &s->progress;
}

void
store_block_sync_stop(struct store_block_sync *s)
{
    if (s == NULL)
        return;
    cancel_raise(&s->cancel);
    {
        MUTEX_SCOPE(&s->lock);
        s->is_stopping = true;
        cond_broadcast(&s->changed);
    }
    if (TAKE(s->is_started))
        pthread_join(s->thread, NULL);
    store_block_headers_unfollow(s->options.headers);
}

void
store_block_sync_free(struct store_block_sync **out)
{
    struct store_block_sync *s = TAKE(*out);
    if (s == NULL)
        return;
    store_block_sync_stop(s);
    store_catalog_fini(&s->catalog);
    store_sync_progress_fini(&s->progress);
    free(s->snapshot_path);
    cancel_fini(&s->cancel);
    cond_fini(&s->changed);
    mutex_fini(&s->lock);
    free(s);
}
