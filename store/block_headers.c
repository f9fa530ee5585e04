/* SPDX-License-Identifier: Apache-2.0 */
#include "store/block_headers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/num.h"
#include "common/base/xmalloc.h"
#include "common/net/patience.h"
#include "store/header_metrics.h"
#include "store/header_room.h"
#include "store/patience.h"

/* Builds that run or wait for a thread, at most; who wants another one waits. */
enum { MOST_BUILDS = 64 };

static const int64_t BUILD_TIMEOUT_NS = 30 * 60 * CLOCK_NS_PER_S;

/* How long a failure is told instead of trying again; it doubles. */
static const int64_t MIN_WAIT_NS = CLOCK_NS_PER_S;
static const int64_t MAX_WAIT_NS = 15 * CLOCK_NS_PER_S;

/* How often who waits looks whether it is still wanted. */
static const int64_t POLL_NS = 200 * CLOCK_NS_PER_MS;

/* How often the disk is looked at while headers had to be removed. */
static const int64_t DISK_NS = 10 * CLOCK_NS_PER_S;

/* Of headers, what is removed at once when the disk is full. */
enum { FULL_SHARE = 16 };

static const int64_t LOG_NS = 10 * CLOCK_NS_PER_S;

/* What is remembered of a block while its header is built, and after a failure. */
struct store_header_build {
    struct pool_job job;
    struct store_block *block; /* referenced while the build runs */
    bool is_running;           /* or waits for a thread */
    bool is_asked;             /* by a query */
    const struct err *failure; /* kept; of the last build */
    int64_t wait_ns;
    int64_t retry_ns; /* until then the failure is told */
};

/* Who is told of changes; the zero value is nobody. */
struct listener {
    void (*changed)(void *arg, bool is_gone);
    void *arg;
};

struct store_block_headers {
    struct store_block_headers_options options;
    struct store_header_metrics metrics;
    struct cancel cancel;
    struct net_patience patience;
    struct pool *pool;
    pthread_t follower;
    bool has_follower; /* owned by the thread that makes and frees */
    struct mutex lock; /* LOCK_HEADERS */
    struct cond changed;
    struct store_header_room room; /* owned by who has set is_making_room */
    int64_t measure_due_ns;        /* owned by the follower; 0: now */
    /* guarded by lock, as are the builds of all blocks */
    bool is_stopping;
    bool is_making_room;
    bool has_evicted; /* so the disk has to be looked at */
    unsigned builds;
    struct store_block_set *set; /* that is followed; NULL: none yet */
    uint64_t generation;         /* of set */
    uint64_t settled;            /* the last generation that was gone through */
    struct listener listener;
    unsigned telling; /* threads that are calling it */
    int64_t pause_ns; /* after a failure of the bucket nothing is tried unasked */
    int64_t pause_until_ns;
};

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

static bool
has_header(const struct store_block *b)
{
    return atomic_load_explicit(&b->header, memory_order_acquire) != NULL;
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
static struct listener
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
    struct listener listener = {0};
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

/* Remove files of others if there is too much of them, or for so many bytes. */
static void
make_room(struct store_block_headers *h, uint64_t bytes)
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
        make_room(h, store_disk_usage_bytes(h->options.usage, STORE_DISK_HEADERS) /
                             FULL_SHARE +
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
    struct objstore_call call = {clock_deadline(BUILD_TIMEOUT_NS), &h->cancel,
                                 &h->patience};
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
    struct listener listener = end_build(h, b, ok ? NULL : &err);
    if (listener.changed != NULL) {
        listener.changed(listener.arg, !ok && err.code == ERR_NOT_FOUND);
        told(h);
    }
    if (ok)
        make_room(h, 0);
    else if (is_disk_full(&err))
        note_full_disk(h, is_asked);
    store_block_unref(&b);
}

_Static_assert(offsetof(struct store_header_build, job) == 0,
               "a job is the build that it begins");

/* False: there is no room for another build. */
static bool
start(struct store_block_headers *h, struct store_block *b, bool is_asked)
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

static bool
is_running(const struct store_block *b)
{
    return b->build != NULL && b->build->is_running;
}

/* Whether a failure is to be told instead of a new try: to who has waited for it, and
 * for a while to others. */
static bool
tells_failure(const struct store_block *b, bool waited, struct err *err)
{
    if (b->build == NULL || b->build->failure == NULL ||
        (!waited && clock_mono_ns() >= b->build->retry_ns))
        return false;
    *err = *b->build->failure;
    return true;
}

/* Whether the file is there. Errors of any kind are for the build to tell. */
static bool
open_file(struct store_block *b)
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
    if (has_header(b) || open_file(b))
        return true;
    struct store_block_headers *h = b->headers;
    bool waits = false; /* for a build that it has seen */
    for (;;) {
        if (!store_fetch_check(source, err))
            return false;
        MUTEX_SCOPE(&h->lock);
        if (has_header(b))
            return true;
        if (!is_running(b)) {
            if (tells_failure(b, waits, err))
                return false;
            waits = start(h, b, true);
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
    if (has_header(b) || open_file(b))
        return true;
    struct err unused;
    MUTEX_SCOPE(&b->headers->lock);
    if (!has_header(b) && !is_running(b) && !tells_failure(b, false, &unused))
        start(b->headers, b, true);
    return has_header(b);
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
    if (has_header(b))
        return STORE_HEADER_READY;
    if (b->headers == NULL)
        return STORE_HEADER_NONE;
    MUTEX_SCOPE(&b->headers->lock);
    if (b->build == NULL)
        return has_header(b) ? STORE_HEADER_READY : STORE_HEADER_NONE;
    return b->build->is_running ? STORE_HEADER_BUILDING : STORE_HEADER_FAILED;
}

/* Until when the follower waits before it starts a build; 0: it may. */
static int64_t
busy_until(const struct store_block_headers *h)
{
    mutex_check_held(&h->lock);
    if (h->builds >= h->options.threads)
        return CLOCK_NEVER;
    return h->pause_ns > 0 && clock_left_ns(h->pause_until_ns) > 0 ? h->pause_until_ns
                                                                   : 0;
}

/* What the follower goes through. */
struct walk {
    struct store_block_headers *h;
    struct store_block_set *set;
    uint64_t generation;
    int64_t log_due_ns;
    size_t missing; /* when it came by, and to be had */
    size_t left;    /* until a query asks for them */
};

static bool
is_current(const struct walk *w)
{
    mutex_check_held(&w->h->lock);
    return !w->h->is_stopping && w->h->generation == w->generation;
}

static void
log_progress(struct walk *w, size_t left)
{
    metrics_set(w->h->metrics.unseen, (double)left);
    if (clock_left_ns(w->log_due_ns) > 0)
        return;
    w->log_due_ns = clock_deadline(LOG_NS);
    LOG_INFO("building index headers", LOG_INT("count", w->set->count),
             LOG_INT("left", left));
}

/* Whether a block that is gone was looked for a short while ago. */
static bool
is_gone(const struct store_block *b)
{
    struct err failure;
    MUTEX_SCOPE(&b->headers->lock);
    return tells_failure(b, false, &failure) && failure.code == ERR_NOT_FOUND;
}

/* Start to build one as soon as there is a thread. False: the set is another one. */
static bool
build_one(struct walk *w, struct store_block *b)
{
    struct store_block_headers *h = w->h;
    int64_t until_ns;
    MUTEX_SCOPE(&h->lock);
    while (is_current(w) && (until_ns = busy_until(h)) > 0)
        cond_wait_until(&h->changed, &h->lock, until_ns);
    if (!is_current(w))
        return false;
    if (!has_header(b) && !is_running(b))
        start(h, b, false);
    return true;
}

/* Wait for the builds of a walk, and until their ends have been told. */
static bool
drain(struct walk *w)
{
    MUTEX_SCOPE(&w->h->lock);
    while (is_current(w) && (w->h->builds > 0 || w->h->telling > 0))
        cond_wait_until(&w->h->changed, &w->h->lock, CLOCK_NEVER);
    return is_current(w);
}

/* Whether headers are built that nobody has asked for. */
static bool
builds_ahead(const struct store_block_headers *h)
{
    const struct store_disk_usage *usage = h->options.usage;
    return !h->options.is_lazy &&
           (usage == NULL || !store_disk_usage_is_crowded(usage));
}

/* Files come and go without us, too. */
static void
look_at_disk(struct store_block_headers *h)
{
    if (h->options.usage == NULL ||
        (h->measure_due_ns > 0 && clock_left_ns(h->measure_due_ns) > 0))
        return;
    h->measure_due_ns = clock_deadline(DISK_NS);
    {
        MUTEX_SCOPE(&h->lock);
        h->has_evicted = false;
    }
    store_disk_usage_measure(h->options.usage);
    make_room(h, 0);
}

/* Go through the set, the newest first. Those that are broken are tried once, those
 * that are gone now and then. False: the set is another one. */
static bool
walk(struct walk *w, bool tries_broken)
{
    w->missing = w->left = 0;
    look_at_disk(w->h);
    for (size_t i = w->set->count; i > 0; i--) {
        struct store_block *b = w->set->blocks[i - 1];
        bool is_left = tries_broken || !store_block_headers_is_broken(b);
        log_progress(w, i);
        if (has_header(b) || !is_left || open_file(b))
            continue;
        if (!builds_ahead(w->h)) {
            w->left++;
            continue;
        }
        w->missing++;
        bool is_tried = tries_broken || !is_gone(b);
        if (is_tried && !build_one(w, b))
            return false;
    }
    log_progress(w, w->left);
    return drain(w);
}

static bool
wait_for_retry(struct walk *w)
{
    struct store_block_headers *h = w->h;
    MUTEX_SCOPE(&h->lock);
    h->settled = NUM_MAX(h->settled, w->generation);
    cond_broadcast(&h->changed);
    int64_t until_ns = w->missing == 0   ? CLOCK_NEVER
                       : h->pause_ns > 0 ? h->pause_until_ns
                                         : clock_deadline(MIN_WAIT_NS);
    bool in_time = true;
    while (is_current(w) && in_time) {
        int64_t look_ns = h->has_evicted ? h->measure_due_ns : CLOCK_NEVER;
        in_time = cond_wait_until(&h->changed, &h->lock, NUM_MIN(until_ns, look_ns));
    }
    return is_current(w);
}

/* The set to go through next; false to end. */
static bool
take_set(struct walk *w)
{
    struct store_block_headers *h = w->h;
    MUTEX_SCOPE(&h->lock);
    while (!h->is_stopping && (h->set == NULL || h->generation == w->generation))
        cond_wait_until(&h->changed, &h->lock, CLOCK_NEVER);
    if (h->is_stopping)
        return false;
    w->generation = h->generation;
    w->set = store_block_set_ref(h->set);
    return true;
}

static void *
follow(void *arg)
{
    struct walk w = {.h = arg};
    while (take_set(&w)) {
        w.log_due_ns = clock_deadline(LOG_NS);
        for (bool first = true; walk(&w, first) && wait_for_retry(&w); first = false)
            continue;
        store_block_set_unref(&w.set);
    }
    return NULL;
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
        h->listener = (struct listener){changed, arg};
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
        h->listener = (struct listener){0};
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
    h->patience.first_ns = STORE_PATIENCE_NS;
    mutex_init(&h->lock, LOCK_HEADERS);
    cond_init(&h->changed);
    store_header_metrics_init(&h->metrics, o->metrics);
    h->room = (struct store_header_room){
        .data_dir = o->data_dir, .usage = o->usage, .evictions = h->metrics.evictions};
    if (!pool_new(&h->pool, "header", o->threads, err))
        return false;
    h->has_follower = thread_start(&h->follower, "headers", follow, h, err);
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
