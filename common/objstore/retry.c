/* SPDX-License-Identifier: Apache-2.0 */
#include "common/objstore/retry.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/num.h"
#include "common/base/xmalloc.h"
#include "common/objstore/bucket_priv.h"
#include "common/objstore/pace.h"

enum { DEFAULT_TRIES = 10 };

/* The longest wait before the first, the second, ... further try; it doubles up to a
 * limit. Ten tries take 16 s on average: a load balancer has chosen another server by
 * then, and most servers have started again. */
#define FIRST_WAIT_NS (100 * CLOCK_NS_PER_MS)
#define MAX_WAIT_NS (10 * CLOCK_NS_PER_S)

/* No odd answer delays a call for longer. */
#define MAX_RETRY_AFTER_NS (60 * CLOCK_NS_PER_S)

/* How often who waits for a turn looks whether it comes earlier now. */
#define LOOK_AGAIN_NS (500 * CLOCK_NS_PER_MS)

/* A quota of 500 units that further tries are paid from, as in the SDKs of AWS: 5 each,
 * 10 after a timeout, for which a server has worked. What succeeds gives back what its
 * last try has cost, or 1 if it was the first. So about three tries of ten may fail and
 * all are tried again; but 100 further tries after a server died there is but one try
 * per call. One unit comes back each second: who calls now and then can always try
 * again. In short, further tries in vain <= 100 + seconds / 5 + successes / 5.
 *
 * A unit stands for the second in which it comes back, so one number tells all: when
 * the quota will be full. */
#define UNIT_NS CLOCK_NS_PER_S
#define QUOTA_NS (500 * UNIT_NS)
#define COST_NS (5 * UNIT_NS)
#define COST_TIMEOUT_NS (10 * UNIT_NS)

struct objstore_retrier {
    unsigned max_tries;
    _Atomic int64_t full_ns; /* when the quota will be full */
    struct objstore_pace pace;
};

struct objstore_retrier *
objstore_retrier_new(const struct objstore_retrier_options *options)
{
    struct objstore_retrier *r = xcalloc(1, sizeof *r);
    r->max_tries = options->max_tries > 0 ? options->max_tries : DEFAULT_TRIES;
    objstore_pace_init(&r->pace, clock_mono_ns());
    return r;
}

void
objstore_retrier_free(struct objstore_retrier **out)
{
    struct objstore_retrier *r = TAKE(*out);
    if (r == NULL)
        return;
    objstore_pace_fini(&r->pace);
    free(r);
}

bool
objstore_retrier_is_throttled(const struct objstore_retrier *r)
{
    return objstore_pace_is_on(&r->pace);
}

static bool
quota_take(struct objstore_retrier *r, int64_t now_ns, int64_t cost_ns)
{
    int64_t old = atomic_load(&r->full_ns);
    int64_t new;
    do {
        new = NUM_MAX(old, now_ns) + cost_ns;
        if (new - now_ns > QUOTA_NS)
            return false;
    } while (!atomic_compare_exchange_weak(&r->full_ns, &old, new));
    return true;
}

static void
quota_give(struct objstore_retrier *r, int64_t now_ns, int64_t units_ns)
{
    if (atomic_load_explicit(&r->full_ns, memory_order_relaxed) > now_ns)
        atomic_fetch_sub(&r->full_ns, units_ns);
}

/* A call and its tries so far. */
struct tries {
    struct objstore_retrier *retrier;
    const struct objstore_call *call;
    int64_t begin_ns;
    unsigned count;
    int64_t cost_ns; /* of the last one */
};

/* The error of the last try says more. */
static bool
no_turn(const struct tries *t, struct err *err)
{
    if (t->count > 0)
        return false;
    return err_set(err, ERR_THROTTLED,
                   "the server accepts about %.0f requests a second, and those that "
                   "wait already take until the deadline",
                   objstore_pace_rate(&t->retrier->pace, clock_mono_ns()));
}

static bool
wait_for_turn(const struct tries *t, struct err *err)
{
    struct objstore_pace *pace = &t->retrier->pace;
    const struct objstore_call *call = t->call;
    double turn;
    int64_t left_ns;
    if (!objstore_pace_is_on(pace))
        return true;
    if (objstore_pace_forget(pace, clock_mono_ns())) {
        LOG_INFO("object storage no longer refuses requests");
        return true;
    }
    if (!objstore_pace_take(pace, clock_mono_ns(), call->deadline_ns, &turn, &left_ns))
        return no_turn(t, err);
    while (left_ns > 0) {
        if (cancel_wait(call->cancel, NUM_MIN(left_ns, LOOK_AGAIN_NS))) {
            objstore_pace_return(pace);
            return err_set(err, ERR_CANCELLED, "cancelled");
        }
        left_ns = objstore_pace_left_ns(pace, clock_mono_ns(), turn);
        if (left_ns > 0 && left_ns >= clock_left_ns(call->deadline_ns)) {
            objstore_pace_return(pace);
            return no_turn(t, err);
        }
    }
    return true;
}

/* What the outcome of a try tells about the server. */
static void
learn(const struct tries *t, bool ok, int64_t sent_ns, const struct err *err)
{
    struct objstore_retrier *r = t->retrier;
    int64_t now_ns = clock_mono_ns();
    if (ok)
        quota_give(r, now_ns, t->count > 1 ? t->cost_ns : UNIT_NS);
    if (ok || !err_is_transient(err->code))
        objstore_pace_accepted(&r->pace, now_ns, sent_ns);
    else if (err->code == ERR_THROTTLED &&
             objstore_pace_refused(&r->pace, now_ns, sent_ns, err->retry_after_ns))
        LOG_WARN("object storage refuses requests, sending fewer",
                 LOG_INT("rate", objstore_pace_rate(&r->pace, now_ns)), LOG_ERR(err));
}

/* Full jitter: clients that failed together do not come back together. */
static int64_t
wait_after(const struct tries *t, const struct err *err)
{
    uint64_t random = 0;
    unsigned doublings = NUM_MIN(t->count - 1, 20u);
    if (getrandom(&random, sizeof random, GRND_NONBLOCK) < 0)
        random = 0;
    uint64_t limit_ns =
        NUM_MIN((uint64_t)FIRST_WAIT_NS << doublings, (uint64_t)MAX_WAIT_NS);
    return NUM_MAX((int64_t)(random % limit_ns),
                   NUM_MIN(err->retry_after_ns, MAX_RETRY_AFTER_NS));
}

/* Pay for another try and wait until it may begin. A server that throttles is not paid:
 * the rate protects it. */
static bool
prepare_next(struct tries *t, struct err *err)
{
    t->cost_ns = err->code == ERR_THROTTLED ? 0
                 : err->code == ERR_TIMEOUT ? COST_TIMEOUT_NS
                                            : COST_NS;
    int64_t wait_ns = err->code == ERR_THROTTLED ? 0 : wait_after(t, err);
    if (!err_is_transient(err->code) || t->count == t->retrier->max_tries ||
        wait_ns >= clock_left_ns(t->call->deadline_ns))
        return false;
    if (!quota_take(t->retrier, clock_mono_ns(), t->cost_ns))
        return err_wrap(err, "no further try, too many calls fail");
    LOG_DEBUG("object storage failed, trying again", LOG_INT("attempt", t->count),
              LOG_STR("code", err_code_name(err->code)), LOG_ERR(err));
    return !cancel_wait(t->call->cancel, wait_ns) ||
           err_set(err, ERR_CANCELLED, "cancelled");
}

static bool
try_once(struct tries *t, objstore_try_fn *try, void *arg, struct err *err)
{
    int64_t sent_ns = clock_mono_ns();
    t->count++;
    bool ok = try(arg, err);
    learn(t, ok, sent_ns, err);
    return ok;
}

bool
objstore_retry(struct objstore_retrier *r, const struct objstore_call *call,
               objstore_try_fn *try, void *arg, struct err *err)
{
    if (r == NULL)
        return try(arg, err);
    struct tries t = {.retrier = r, .call = call, .begin_ns = clock_mono_ns()};
    do {
        if (!wait_for_turn(&t, err))
            break;
        if (try_once(&t, try, arg, err))
            return true;
    } while (prepare_next(&t, err));
    int64_t spent_ns = clock_mono_ns() - t.begin_ns;
    return t.count > 1 && err_wrap(err, "after %u tries, %.1f s", t.count,
                                   (double)spent_ns / (double)CLOCK_NS_PER_S);
}

struct retried {
    struct objstore_bucket base;
    struct objstore_bucket *inner;
    struct objstore_retrier *retrier;
};

/* Arguments of one call; each kind uses its own. */
struct args {
    struct objstore_bucket *inner;
    const struct objstore_call *call;
    struct bytes key;
    struct objstore_attrs *attrs;
    struct objstore_read *read; /* what is left of it */
    struct objstore_outlet outlet;
};

static struct objstore_bucket *
inner_of(const struct objstore_bucket *b)
{
    return ((const struct retried *)b)->inner;
}

static struct objstore_retrier *
retrier_of(const struct objstore_bucket *b)
{
    return ((const struct retried *)b)->retrier;
}

static bool
retried_list(struct objstore_bucket *b, const struct objstore_call *call,
             struct bytes prefix, objstore_list_fn *fn, void *arg, struct err *err)
{
    struct objstore_bucket *inner = inner_of(b);
    return inner->ops->list(inner, call, prefix, fn, arg, err);
}

static bool
try_head(void *arg, struct err *err)
{
    const struct args *a = arg;
    return a->inner->ops->head(a->inner, a->call, a->key, a->attrs, err);
}

static bool
retried_head(struct objstore_bucket *b, const struct objstore_call *call,
             struct bytes key, struct objstore_attrs *attrs, struct err *err)
{
    struct args a = {.inner = inner_of(b), .call = call, .key = key, .attrs = attrs};
    return objstore_retry(retrier_of(b), call, try_head, &a, err);
}

/* True also when the sink refused: that is no matter for another try. */
static bool
try_rest_of_range(void *arg, struct err *err)
{
    struct args *a = arg;
    struct objstore_read *read = a->read;
    read->offset += a->outlet.passed;
    read->len -= a->outlet.passed;
    a->outlet.passed = 0;
    return read->len == 0 ||
           a->inner->ops->get_range(a->inner, a->call, read, objstore_outlet_sink,
                                    &a->outlet, err) ||
           a->outlet.refused;
}

static bool
retried_get_range(struct objstore_bucket *b, const struct objstore_call *call,
                  struct objstore_read *read, objstore_sink_fn *sink, void *arg,
                  struct err *err)
{
    struct objstore_read rest = *read;
    struct args a = {.inner = inner_of(b),
                     .call = call,
                     .read = &rest,
                     .outlet = {.sink = sink, .arg = arg}};
    bool ok = objstore_retry(retrier_of(b), call, try_rest_of_range, &a, err);
    memcpy(read->etag, rest.etag, sizeof read->etag);
    return ok && !a.outlet.refused;
}

static bool
retried_put(struct objstore_bucket *b, const struct objstore_call *call,
            const struct objstore_put *put, struct objstore_attrs *stored,
            struct err *err)
{
    struct objstore_bucket *inner = inner_of(b);
    return inner->ops->put(inner, call, put, stored, err);
}

static bool
try_remove(void *arg, struct err *err)
{
    const struct args *a = arg;
    return a->inner->ops->remove(a->inner, a->call, a->key, err);
}

static bool
retried_remove(struct objstore_bucket *b, const struct objstore_call *call,
               struct bytes key, struct err *err)
{
    struct args a = {.inner = inner_of(b), .call = call, .key = key};
    return objstore_retry(retrier_of(b), call, try_remove, &a, err);
}

static unsigned
retried_abilities(const struct objstore_bucket *b)
{
    const struct objstore_bucket *inner = inner_of(b);
    return inner->ops->abilities(inner);
}

static const char *
retried_name(const struct objstore_bucket *b)
{
    return objstore_name(inner_of(b));
}

static void
retried_free(struct objstore_bucket *b)
{
    struct retried *r = (struct retried *)b;
    objstore_free(&r->inner);
    objstore_retrier_free(&r->retrier);
    free(r);
}

static const struct objstore_bucket_ops RETRIED_OPS = {
    .list = retried_list,
    .head = retried_head,
    .get_range = retried_get_range,
    .put = retried_put,
    .remove = retried_remove,
    .abilities = retried_abilities,
    .name = retried_name,
    .free = retried_free,
};

void
objstore_retry_wrap(struct objstore_bucket **b, struct objstore_retrier *retrier)
{
    struct retried *r = xcalloc(1, sizeof *r);
    r->base.ops = &RETRIED_OPS;
    r->inner = *b;
    r->retrier = retrier;
    *b = &r->base;
}

const struct objstore_retrier *
objstore_retrier_of(const struct objstore_bucket *b)
{
    return b->ops == &RETRIED_OPS ? retrier_of(b) : NULL;
}
