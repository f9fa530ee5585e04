/* SPDX-License-Identifier: Apache-2.0 */
#include "store/header_walk.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/num.h"
#include "store/block_headers_priv.h"

/* Before what is missing is tried again while the bucket is well. */
static const int64_t RETRY_NS = CLOCK_NS_PER_S;

/* How often the disk is looked at while headers had to be removed. */
static const int64_t DISK_NS = 10 * CLOCK_NS_PER_S;

static const int64_t LOG_NS = 10 * CLOCK_NS_PER_S;

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
    return store_block_headers_tells_failure(b, false, &failure) &&
           failure.code == ERR_NOT_FOUND;
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
    if (!store_block_headers_has(b) && !store_block_headers_is_running(b))
        store_block_headers_start(h, b, false);
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
    store_block_headers_make_room(h, 0);
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
        if (store_block_headers_had(b) || !is_left || store_block_headers_open(b))
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
                                         : clock_deadline(RETRY_NS);
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

void *
store_header_walk_run(void *headers)
{
    struct walk w = {.h = headers};
    while (take_set(&w)) {
        w.log_due_ns = clock_deadline(LOG_NS);
        for (bool first = true; walk(&w, first) && wait_for_retry(&w); first = false)
            continue;
        store_block_set_unref(&w.set);
    }
    return NULL;
}
