/* SPDX-License-Identifier: Apache-2.0 */
#include "store/block_headers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/num.h"
#include "common/base/xmalloc.h"
#include "store/block_headers_priv.h"
#include "store/header_walk.h"

/* Builds that run or wait for a thread, at most; who wants another one waits. */
enum { MOST_BUILDS = 64 };

static const int64_t BUILD_TIMEOUT_NS = 30 * 60 * CLOCK_NS_PER_S;

/* How long a failure is told instead of trying again; it doubles. */
static const int64_t MIN_WAIT_NS = CLOCK_NS_PER_S;
static const int64_t MAX_WAIT_NS = 15 * CLOCK_NS_PER_S;

/* How often who waits looks whether it is still wanted. */
static const int64_t POLL_NS = 200 * CLOCK_NS_PER_MS;

/* Of headers, what is removed at once when the disk is full. */
enum { FULL_SHARE = 16 };

static int64_t
longer(int64_t wait_ns)
{
    return wait_ns == 0 ? MIN_WAIT_NS : NUM_MIN(2 * wait_ns, MAX_WAIT_NS);
}

void
store_header_build_free(struct store_header_build **out)
{
    struct store_header_build *build = TAKE(*out);
    if (build == NULL)
        return;
    err_forget(&build->failure);
    free(build);
}

bool
store_block_headers_has(const struct store_block *b)
{
    return store_block_headers_had(b) && !atomic_load(&b->is_header_gone);
}

/* Whether the block cannot be read however often one tries. */
static bool
breaks(enum err_code code)
{
    return code == ERR_CORRUPT || code == ERR_UNSUPPORTED || code == ERR_INVALID;
}

bool
store_block_headers_is_broken(const struct store_block *b)
{
    return atomic_load(&b->is_broken);
}

bool
store_block_headers_leaves_out(const struct store_block *b, const struct err *err)
{
    return err->code != ERR_NOT_FOUND && store_block_headers_is_broken(b);
}

static void
note_failure(struct store_block_headers *h, struct store_header_build *build,
             const struct err *err)
{
    mutex_check_held(&h->lock);
    int64_t now_ns = clock_mono_ns();
    build->failure = err_keep(err);
    build->wait_ns = longer(build->wait_ns);
    build->retry_ns = now_ns + build->wait_ns;
    if (breaks(err->code) || err->code == ERR_NOT_FOUND)
        return;
    h->pause_ns = longer(h->pause_ns);
    h->pause_until_ns = now_ns + h->pause_ns;
}

/* Tell the waiting. Yields whom else to tell; afterwards told is called. */
static struct store_header_listener
end_build(struct store_block_headers *h, struct store_block *b, const struct err *err)
{
    bool is_broken = err != NULL && breaks(err->code);
    bool is_gone = err != NULL && err->code == ERR_NOT_FOUND;
    MUTEX_SCOPE(&h->lock);
    struct store_header_build *build = b->build;
    h->builds--;
    build->is_running = false;
    err_forget(&build->failure);
    if (err != NULL) {
        note_failure(h, build, err);
    } else {
        h->pause_ns = 0;
        store_header_build_free(&b->build);
    }
    struct store_header_listener listener = {0};
    if (atomic_exchange(&b->is_broken, is_broken) != is_broken || is_gone)
        listener = h->listener;
    h->telling += listener.changed != NULL;
    cond_broadcast(&h->changed);
    return listener;
}

static void
told(struct store_block_headers *h)
{
    MUTEX_SCOPE(&h->lock);
    h->telling--;
    cond_broadcast(&h->changed);
}

static void
note_loaded(struct store_block_headers *h, const struct store_block *b, int64_t took_ns)
{
    metrics_observe(h->metrics.load_seconds, (double)took_ns / CLOCK_NS_PER_S);
    metrics_observe(h->metrics.download_seconds, (double)took_ns / CLOCK_NS_PER_S);
    metrics_set(h->metrics.last_loaded, (double)clock_wall_ns() / CLOCK_NS_PER_S);
    LOG_DEBUG("block loaded", LOG_STR("block", b->name.text),
              LOG_INT("dur_ms", took_ns / CLOCK_NS_PER_MS));
}

void
store_block_headers_make_room(struct store_block_headers *h, uint64_t bytes)
{
    struct store_disk_usage *usage = h->options.usage;
    CLEANUP(store_block_set_unref) struct store_block_set *set = NULL;
    if (usage == NULL || (bytes == 0 && store_disk_usage_to_free(usage) == 0))
        return;
    {
        MUTEX_SCOPE(&h->lock);
        if (h->is_making_room || h->set == NULL)
            return;
        h->is_making_room = true;
        set = store_block_set_ref(h->set);
    }
    store_header_room_make(&h->room, set, bytes);
    MUTEX_SCOPE(&h->lock);
    h->is_making_room = false;
    h->has_evicted = true;
    cond_broadcast(&h->changed);
}

static void
note_size(struct store_block_headers *h, const struct store_block *b)
{
    if (h->options.usage != NULL)
        store_disk_usage_add_header(h->options.usage, (int64_t)store_block_header_bytes(
                                                          b, h->options.data_dir));
}

/* For a query that has nowhere to put what it needs, others are removed. */
static void
note_full_disk(struct store_block_headers *h, bool is_asked)
{
    if (h->options.usage != NULL && is_asked)
        store_block_headers_make_room(
            h,
            store_disk_usage_bytes(h->options.usage, STORE_DISK_HEADERS) / FULL_SHARE +
                1);
}

static bool
is_disk_full(const struct err *err)
{
    return err->code == ERR_IO && (err->sys == ENOSPC || err->sys == EDQUOT);
}

static bool
load_once(struct store_block_headers *h, struct store_block *b, struct err *err)
{
    const struct store_block_headers_options *o = &h->options;
    struct objstore_call call = {clock_deadline(BUILD_TIMEOUT_NS), &h->cancel};
    return store_block_load(b, o->data_dir, o->bucket, &call, o->cache, err);
}

/* A block is broken that cannot be read twice for the same reason; whatever differs was
 * damaged on its way. */
static bool
load(struct store_block_headers *h, struct store_block *b, struct err *err)
{
    struct err first;
    if (load_once(h, b, err))
        return true;
    if (!breaks(err->code))
        return false;
    first = *err;
    if (load_once(h, b, err))
        return true;
    if (breaks(err->code) && strcmp(err->text, first.text) != 0)
        err->code = ERR_UNAVAILABLE;
    return false;
}

static void
run_build(struct pool_job *job)
{
    struct store_header_build *build = (struct store_header_build *)(void *)job;
    struct store_block *b = build->block;
    struct store_block_headers *h = b->headers;
    int64_t start_ns = clock_mono_ns();
    bool is_asked = build->is_asked;
    struct err err;
    metrics_add(h->metrics.loads, 1);
    bool ok = load(h, b, &err);
    if (ok) {
        note_loaded(h, b, clock_mono_ns() - start_ns);
    } else if (err.code != ERR_CANCELLED) {
        metrics_add(h->metrics.load_failures, 1);
        LOG_WARN("block failed", LOG_STR("block", b->name.text), LOG_ERR(&err));
    }
    if (ok)
        note_size(h, b);
    struct store_header_listener listener = end_build(h, b, ok ? NULL : &err);
    if (listener.changed != NULL) {
        listener.changed(listener.arg, !ok && err.code == ERR_NOT_FOUND);
        told(h);
    }
    if (ok)
        store_block_headers_make_room(h, 0);
    else if (is_disk_full(&err))
        note_full_disk(h, is_asked);
    store_block_unref(&b);
}

_Static_assert(offsetof(struct store_header_build, job) == 0,
               "a job is the build that it begins");

bool
store_block_headers_start(struct store_block_headers *h, struct store_block *b,
                          bool is_asked)
{
    mutex_check_held(&h->lock);
    if (h->builds >= (is_asked ? MOST_BUILDS : h->options.threads) || h->is_stopping)
        return false;
    if (b->build == NULL)
        b->build = xcalloc(1, sizeof *b->build);
    b->build->is_asked = is_asked;
    b->build->is_running = true;
    b->build->block = store_block_ref(b);
    b->build->job.run = run_build;
    h->builds++;
    pool_submit(h->pool, &b->build->job);
    return true;
}

bool
store_block_headers_is_running(const struct store_block *b)
{
    return b->build != NULL && b->build->is_running;
}

bool
store_block_headers_tells_failure(const struct store_block *b, bool waited,
                                  struct err *err)
{
    if (b->build == NULL || b->build->failure == NULL ||
        (!waited && clock_mono_ns() >= b->build->retry_ns))
        return false;
    *err = *b->build->failure;
    return true;
}

bool
store_block_headers_open(struct store_block *b)
{
    struct store_block_headers *h = b->headers;
    struct err unused;
    if (!store_block_open(b, h->options.data_dir, h->options.bucket, h->options.cache,
                          &unused))
        return false;
    metrics_add(h->metrics.loads, 1);
    return true;
}

static void
note_use(struct store_block *b)
{
    atomic_store_explicit(&b->header_used_ns, clock_mono_ns(), memory_order_relaxed);
}

bool
store_block_headers_get(struct store_block *b, const struct store_fetch_source *source,
                        struct err *err)
{
    note_use(b);
    if (store_block_headers_has(b) || store_block_headers_open(b))
        return true;
    struct store_block_headers *h = b->headers;
    bool waits = false; /* for a build that it has seen */
    for (;;) {
        if (!store_fetch_check(source, err))
            return false;
        MUTEX_SCOPE(&h->lock);
        if (store_block_headers_has(b))
            return true;
        if (!store_block_headers_is_running(b)) {
            if (store_block_headers_tells_failure(b, waits, err))
                return false;
            waits = store_block_headers_start(h, b, true);
        } else {
            waits = true;
        }
        int64_t poll_ns = clock_deadline(POLL_NS);
        cond_wait_until(&h->changed, &h->lock, NUM_MIN(poll_ns, source->deadline_ns));
    }
}

bool
store_block_headers_prepare(struct store_block *b)
{
    note_use(b);
    if (store_block_headers_has(b) || store_block_headers_open(b))
        return true;
    struct err unused;
    MUTEX_SCOPE(&b->headers->lock);
    if (!store_block_headers_has(b) && !store_block_headers_is_running(b) &&
        !store_block_headers_tells_failure(b, false, &unused))
        store_block_headers_start(b->headers, b, true);
    return store_block_headers_has(b);
}

bool
store_block_headers_failure(struct store_block *b, struct err *err)
{
    if (b->headers == NULL)
        return false;
    MUTEX_SCOPE(&b->headers->lock);
    if (b->build == NULL || b->build->failure == NULL)
        return false;
    *err = *b->build->failure;
    return true;
}

enum store_header_state
store_block_headers_state(struct store_block *b)
{
    if (store_block_headers_has(b))
        return STORE_HEADER_READY;
    if (b->headers == NULL)
        return STORE_HEADER_NONE;
    MUTEX_SCOPE(&b->headers->lock);
    if (b->build == NULL)
        return store_block_headers_has(b) ? STORE_HEADER_READY : STORE_HEADER_NONE;
    return b->build->is_running ? STORE_HEADER_BUILDING : STORE_HEADER_FAILED;
}

void
store_block_headers_follow(struct store_block_headers *h, struct store_block_set *set,
                           void (*changed)(void *arg, bool is_gone), void *arg)
{
    struct store_block_set *old;
    store_block_set_ref(set);
    {
        MUTEX_SCOPE(&h->lock);
        old = h->set;
        h->set = set;
        h->generation++;
        h->listener = (struct store_header_listener){changed, arg};
        cond_broadcast(&h->changed);
    }
    store_block_set_unref(&old);
}

void
store_block_headers_unfollow(struct store_block_headers *h)
{
    struct store_block_set *old;
    {
        MUTEX_SCOPE(&h->lock);
        old = TAKE(h->set);
        h->settled = ++h->generation;
        h->listener = (struct store_header_listener){0};
        cond_broadcast(&h->changed);
        while (h->telling > 0)
            cond_wait_until(&h->changed, &h->lock, CLOCK_NEVER);
    }
    store_block_set_unref(&old);
}

void
store_block_headers_settle(struct store_block_headers *h)
{
    MUTEX_SCOPE(&h->lock);
    while (h->settled < h->generation)
        cond_wait_until(&h->changed, &h->lock, CLOCK_NEVER);
}

bool
store_block_headers_new(struct store_block_headers **out,
                        const struct store_block_headers_options *o, struct err *err)
{
    CLEANUP(store_block_headers_free)
    struct store_block_headers *h = xcalloc(1, sizeof *h);
    h->options = *o;
    mutex_init(&h->lock, LOCK_HEADERS);
    cond_init(&h->changed);
    store_header_metrics_init(&h->metrics, o->metrics);
    h->room = (struct store_header_room){
        .data_dir = o->data_dir, .usage = o->usage, .evictions = h->metrics.evictions};
    if (!pool_new(&h->pool, "header", o->threads, err))
        return false;
    h->has_follower =
        thread_start(&h->follower, "headers", store_header_walk_run, h, err);
    if (!h->has_follower)
        return false;
    *out = TAKE(h);
    return true;
}

void
store_block_headers_free(struct store_block_headers **out)
{
    struct store_block_headers *h = TAKE(*out);
    if (h == NULL)
        return;
    cancel_raise(&h->cancel);
    {
        MUTEX_SCOPE(&h->lock);
        h->is_stopping = true;
        cond_broadcast(&h->changed);
    }
    if (h->has_follower)
        pthread_join(h->follower, NULL);
    pool_free(&h->pool);
    store_block_set_unref(&h->set);
    cancel_fini(&h->cancel);
    cond_fini(&h->changed);
    mutex_fini(&h->lock);
    free(h);
}
