/* SPDX-License-Identifier: Apache-2.0 */
/* The caller's thread sends the first request and hands its bytes on as they come, as
 * without hedging. Meanwhile the read stands in a list, ordered by when it is due for
 * another request. Of the workers, one waits for the first of that list; when it is
 * due, the worker gives the wait to the next one and reads the range into memory. If it
 * is done before the caller, it cancels the caller's request, and the caller hands on
 * the rest of the bytes from memory. Thus the sink is called by the caller only; and
 * since the caller waits for the workers, which it has cancelled, the read may live on
 * its stack.
 *
 * When to hedge: at the configured quantile of the latencies, while the budget is full;
 * the emptier it is, the nearer to LATE, which the budget can pay for ever. Without
 * that, a low quantile would spend all on reads that were about to end, and nothing
 * would be left for those that hang. */
#include "common/objstore/hedged.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/base/num.h"
#include "common/base/pool.h"
#include "common/base/xmalloc.h"
#include "common/objstore/bucket_priv.h"
#include "common/objstore/latency.h"
#include "common/objstore/retry.h"

enum { WORKERS = 4, MIN_SAMPLES = 64 };

/* Sizes up to 4, 16, 64, 256 KiB and 1 MiB are each compared with their like. */
enum { CLASSES = 5, FIRST_CLASS = 4096 };

/* Further requests that a read pays for, and how many may be saved. */
#define BUDGET_PER_READ 0.05
#define BUDGET_MAX 10.0
#define LATE 0.98

/* A quicker answer is not worth a request. */
#define MIN_DELAY_NS CLOCK_NS_PER_MS

struct hedged {
    struct objstore_bucket base;
    struct objstore_bucket *inner;
    const struct objstore_retrier *retrier; /* of inner; NULL: it has none */
    struct objstore_hedging how;
    pthread_t workers[WORKERS];
    unsigned worker_count;
    struct cond earlier; /* the first read of the list is due before armed_ns */
    struct cond vacant;  /* nobody waits for the list */
    struct cond ended;   /* a further request */
    struct mutex lock;
    /* guarded by lock */
    struct read *first;
    int64_t armed_ns;
    bool is_awaited;
    bool is_stopping;
    double budget;
    struct objstore_latency latencies[CLASSES];
};

/* A read under way, on its caller's stack. */
struct read {
    const struct objstore_call *call;
    struct objstore_read wanted;
    int64_t begin_ns;
    struct cancel first;  /* of the caller's own request */
    struct cancel others; /* of the further ones */
    /* guarded by the lock */
    struct read *next;
    bool is_listed;
    int64_t due_ns;
    int64_t delay_ns;
    unsigned sent;
    unsigned running; /* of the further requests */
    bool is_settled;
    uint8_t *won; /* what a further request has read; NULL: none was first */
    size_t won_len;
    char won_etag[OBJSTORE_ETAG_SIZE];
};

static struct hedged *
hedged_of(const struct objstore_bucket *b)
{
    return (struct hedged *)(uintptr_t)b;
}

static struct objstore_latency *
latency_of(struct hedged *h, size_t len)
{
    size_t class = 0;
    while (class < CLASSES - 1 && len > (size_t)FIRST_CLASS << 2 * class)
        class ++;
    return &h->latencies[class];
}

static void
enlist(struct hedged *h, struct read *r)
{
    mutex_check_held(&h->lock);
    struct read **at = &h->first;
    while (*at != NULL && (*at)->due_ns <= r->due_ns)
        at = &(*at)->next;
    r->next = *at;
    r->is_listed = true;
    *at = r;
    if (h->is_awaited && r->due_ns < h->armed_ns)
        cond_signal(&h->earlier);
}

static void
delist(struct hedged *h, struct read *r)
{
    mutex_check_held(&h->lock);
    struct read **at = &h->first;
    while (*at != r)
        at = &(*at)->next;
    *at = r->next;
    r->is_listed = false;
}

/* Take the first read if it is due. Returns whether it gets another request. */
static bool
take_due(struct hedged *h, struct read **due)
{
    struct read *r = h->first;
    if (r == NULL || clock_left_ns(r->due_ns) > 0)
        return false;
    bool sends = h->budget >= 1 &&
                 (h->retrier == NULL || !objstore_retrier_is_throttled(h->retrier));
    delist(h, r);
    if (sends) {
        h->budget -= 1;
        r->sent++;
        r->running++;
    }
    if (r->sent < h->how.up_to) {
        r->due_ns = clock_deadline(r->delay_ns);
        enlist(h, r);
    }
    *due = r;
    return sends;
}

/* Wait for a read that gets another request. Returns false when the workers stop. */
static bool
await_due(struct hedged *h, struct read **due)
{
    bool found = false;
    MUTEX_SCOPE(&h->lock);
    while (h->is_awaited && !h->is_stopping)
        cond_wait_until(&h->vacant, &h->lock, CLOCK_NEVER);
    h->is_awaited = true;
    while (!h->is_stopping && !(found = take_due(h, due))) {
        h->armed_ns = h->first != NULL ? h->first->due_ns : CLOCK_NEVER;
        cond_wait_until(&h->earlier, &h->lock, h->armed_ns);
    }
    h->is_awaited = false;
    cond_signal(&h->vacant);
    return found;
}

static bool
settle(struct hedged *h, struct read *r)
{
    MUTEX_SCOPE(&h->lock);
    bool is_first = !r->is_settled;
    r->is_settled = true;
    return is_first;
}

static void
send_another(struct hedged *h, struct read *r)
{
    struct err ignored;
    CLEANUP(xfree) uint8_t *data = xcalloc(1, (size_t)r->wanted.len);
    struct objstore_memory memory = {.at = data, .room = (size_t)r->wanted.len};
    struct objstore_read read = r->wanted;
    read.memory = &memory;
    const struct objstore_call call = {r->call->deadline_ns, &r->others,
                                       r->call->patience};
    if (h->inner->ops->get_range(h->inner, &call, &read, objstore_memory_sink, &memory,
                                 &ignored) &&
        settle(h, r)) {
        /* Nobody looks at it before this request is no longer running. */
        r->won = TAKE(data);
        r->won_len = memory.used;
        memcpy(r->won_etag, read.etag, sizeof r->won_etag);
        cancel_raise(&r->first);
        cancel_raise(&r->others);
    }
    MUTEX_SCOPE(&h->lock);
    r->running--;
    cond_broadcast(&h->ended);
}

static void *
work(void *arg)
{
    struct hedged *h = arg;
    struct read *r;
    while (await_due(h, &r))
        send_another(h, r);
    return NULL;
}

static void
begin(struct hedged *h, struct read *r)
{
    MUTEX_SCOPE(&h->lock);
    const struct objstore_latency *l = latency_of(h, (size_t)r->wanted.len);
    if (l->total < MIN_SAMPLES)
        return;
    double late = NUM_MAX(LATE, h->how.quantile);
    double quantile = late - (late - h->how.quantile) * h->budget / BUDGET_MAX;
    r->delay_ns = NUM_MAX(objstore_latency_quantile(l, quantile), MIN_DELAY_NS);
    r->due_ns = clock_deadline(r->delay_ns);
    enlist(h, r);
}

/* No further request begins. Returns whether some run. */
static bool
withdraw(struct hedged *h, struct read *r)
{
    MUTEX_SCOPE(&h->lock);
    if (r->is_listed)
        delist(h, r);
    return r->running > 0;
}

static void
wait_for_others(struct hedged *h, struct read *r)
{
    MUTEX_SCOPE(&h->lock);
    while (r->running > 0)
        cond_wait_until(&h->ended, &h->lock, CLOCK_NEVER);
}

/* A read has ended well: it pays for others, and its time counts. */
static void
learn(struct hedged *h, const struct read *r)
{
    MUTEX_SCOPE(&h->lock);
    h->budget = NUM_MIN(h->budget + BUDGET_PER_READ, BUDGET_MAX);
    objstore_latency_add(latency_of(h, (size_t)r->wanted.len),
                         clock_mono_ns() - r->begin_ns);
}

/* What the caller's own request has not handed on of the content that it has read,
 * which had etag. */
static bool
hand_on(const struct read *r, const char *etag, struct objstore_outlet *outlet,
        struct err *err)
{
    /* Without an ETag nobody knows. */
    if (outlet->passed > 0 && (*etag == 0 || strcmp(etag, r->won_etag) != 0))
        return err_set(err, ERR_CONFLICT, "the object was replaced while it was read");
    if (outlet->passed > r->won_len)
        return err_set(err, ERR_CORRUPT, "two reads of the same range differ in size");
    size_t passed = (size_t)outlet->passed;
    return r->won_len == passed ||
           objstore_outlet_sink(outlet, bytes_of(r->won + passed, r->won_len - passed),
                                err);
}

static bool
read_hedged(struct hedged *h, struct read *r, struct objstore_outlet *outlet,
            struct err *err)
{
    const struct objstore_call call = {r->call->deadline_ns, &r->first,
                                       r->call->patience};
    begin(h, r);
    struct objstore_read read = r->wanted;
    bool ok = h->inner->ops->get_range(h->inner, &call, &read, objstore_outlet_sink,
                                       outlet, err);
    bool is_over = ok || outlet->refused;
    bool others_run = withdraw(h, r);
    if (others_run && is_over && settle(h, r))
        cancel_raise(&r->others);
    if (others_run)
        wait_for_others(h, r);
    if (!is_over && r->won != NULL)
        ok = hand_on(r, read.etag, outlet, err);
    if (ok)
        learn(h, r);
    return ok;
}

static void
read_fini(struct read *r)
{
    cancel_fini(&r->first);
    cancel_fini(&r->others);
    free(r->won);
}

static bool
hedged_get_range(struct objstore_bucket *b, const struct objstore_call *call,
                 struct objstore_read *read, objstore_sink_fn *sink, void *arg,
                 struct err *err)
{
    struct hedged *h = hedged_of(b);
    if (read->len > OBJSTORE_HEDGED_MAX)
        return h->inner->ops->get_range(h->inner, call, read, sink, arg, err);
    struct objstore_outlet outlet = {.sink = sink, .arg = arg};
    CLEANUP(read_fini)
    struct read r = {.call = call,
                     .wanted = *read,
                     .begin_ns = clock_mono_ns(),
                     .first.parent = call->cancel,
                     .others.parent = call->cancel,
                     .sent = 1};
    return read_hedged(h, &r, &outlet, err);
}

static bool
hedged_list(struct objstore_bucket *b, const struct objstore_call *call,
            struct bytes prefix, objstore_list_fn *fn, void *arg, struct err *err)
{
    struct objstore_bucket *inner = hedged_of(b)->inner;
    return inner->ops->list(inner, call, prefix, fn, arg, err);
}

static bool
hedged_head(struct objstore_bucket *b, const struct objstore_call *call,
            struct bytes key, struct objstore_attrs *attrs, struct err *err)
{
    struct objstore_bucket *inner = hedged_of(b)->inner;
    return inner->ops->head(inner, call, key, attrs, err);
}

static bool
hedged_put(struct objstore_bucket *b, const struct objstore_call *call,
           const struct objstore_put *put, struct objstore_attrs *stored,
           struct err *err)
{
    struct objstore_bucket *inner = hedged_of(b)->inner;
    return inner->ops->put(inner, call, put, stored, err);
}

static bool
hedged_remove(struct objstore_bucket *b, const struct objstore_call *call,
              struct bytes key, struct err *err)
{
    struct objstore_bucket *inner = hedged_of(b)->inner;
    return inner->ops->remove(inner, call, key, err);
}

static unsigned
hedged_abilities(const struct objstore_bucket *b)
{
    const struct objstore_bucket *inner = hedged_of(b)->inner;
    return inner->ops->abilities(inner);
}

static const char *
hedged_name(const struct objstore_bucket *b)
{
    return objstore_name(hedged_of(b)->inner);
}

static void
stop_workers(struct hedged *h)
{
    {
        MUTEX_SCOPE(&h->lock);
        h->is_stopping = true;
        cond_broadcast(&h->vacant);
        cond_broadcast(&h->earlier);
    }
    while (h->worker_count > 0)
        pthread_join(h->workers[--h->worker_count], NULL);
}

static void
hedged_free(struct objstore_bucket *b)
{
    struct hedged *h = hedged_of(b);
    stop_workers(h);
    objstore_free(&h->inner);
    cond_fini(&h->earlier);
    cond_fini(&h->vacant);
    cond_fini(&h->ended);
    mutex_fini(&h->lock);
    free(h);
}

static const struct objstore_bucket_ops HEDGED_OPS = {
    .list = hedged_list,
    .head = hedged_head,
    .get_range = hedged_get_range,
    .put = hedged_put,
    .remove = hedged_remove,
    .abilities = hedged_abilities,
    .name = hedged_name,
    .free = hedged_free,
};

bool
objstore_hedged_wrap(struct objstore_bucket **b, const struct objstore_hedging *how,
                     struct err *err)
{
    CHECK(how->up_to >= 2 && how->quantile >= 0 && how->quantile <= 1);
    struct hedged *h = xcalloc(1, sizeof *h);
    h->base.ops = &HEDGED_OPS;
    h->how = *how;
    mutex_init(&h->lock, LOCK_HEDGED);
    cond_init(&h->earlier);
    cond_init(&h->vacant);
    cond_init(&h->ended);
    for (; h->worker_count < WORKERS; h->worker_count++)
        if (!thread_start(&h->workers[h->worker_count], "hedge", work, h, err)) {
            hedged_free(&h->base);
            return false;
        }
    h->inner = *b;
    h->retrier = objstore_retrier_of(h->inner);
    *b = &h->base;
    return true;
}
