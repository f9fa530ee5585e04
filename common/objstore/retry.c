/* SPDX-License-Identifier: Apache-2.0 */
#include "common/objstore/retry.h"

#include <stdlib.h>
#include <sys/random.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/xmalloc.h"
#include "common/objstore/bucket_priv.h"

enum { DEFAULT_TRIES = 10 };

/* Guesses: long enough for a load balancer to choose another server, and for a store
 * that throttles to count a new second. */
#define WAIT_NS (100 * CLOCK_NS_PER_MS)
#define WAIT_THROTTLED_NS (500 * CLOCK_NS_PER_MS)

/* Between half and the whole of a wait that doubles with each try: clients that failed
 * together do not come back together. */
static int64_t
wait_after(enum err_code code, unsigned tries)
{
    uint32_t random = 0;
    if (getrandom(&random, sizeof random, GRND_NONBLOCK) < 0)
        random = 0;
    int64_t half = (code == ERR_THROTTLED ? WAIT_THROTTLED_NS : WAIT_NS) << (tries - 1);
    half /= 2;
    return half + (int64_t)random % half;
}

struct objstore_retrier {
    unsigned max_tries;
};

struct objstore_retrier *
objstore_retrier_new(const struct objstore_retrier_options *options)
{
    struct objstore_retrier *r = xcalloc(1, sizeof *r);
    r->max_tries = options->max_tries > 0 ? options->max_tries : DEFAULT_TRIES;
    return r;
}

void
objstore_retrier_free(struct objstore_retrier **r)
{
    free(TAKE(*r));
}

bool
objstore_retry(struct objstore_retrier *r, const struct objstore_call *call,
               objstore_try_fn *try, void *arg, struct err *err)
{
    if (r == NULL)
        return try(arg, err);
    for (unsigned tries = 1; !try(arg, err); tries++) {
        int64_t wait_ns = wait_after(err->code, tries);
        if (!err_is_transient(err->code) || wait_ns >= clock_left_ns(call->deadline_ns))
            return false;
        if (tries == r->max_tries)
            return tries > 1 && err_wrap(err, "after %u tries", tries);
        LOG_DEBUG("object storage failed, trying again", LOG_INT("attempt", tries),
                  LOG_STR("code", err_code_name(err->code)), LOG_ERR(err));
        cancel_wait(call->cancel, wait_ns);
        if (!objstore_call_check(call, err))
            return false;
    }
    return true;
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
    uint64_t offset;
    uint64_t len;
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
    uint64_t done = a->outlet.passed;
    return done == a->len ||
           a->inner->ops->get_range(a->inner, a->call, a->key, a->offset + done,
                                    a->len - done, objstore_outlet_sink, &a->outlet,
                                    err) ||
           a->outlet.refused;
}

static bool
retried_get_range(struct objstore_bucket *b, const struct objstore_call *call,
                  struct bytes key, uint64_t offset, uint64_t len,
                  objstore_sink_fn *sink, void *arg, struct err *err)
{
    struct args a = {.inner = inner_of(b),
                     .call = call,
                     .key = key,
                     .offset = offset,
                     .len = len,
                     .outlet = {.sink = sink, .arg = arg}};
    return objstore_retry(retrier_of(b), call, try_rest_of_range, &a, err) &&
           !a.outlet.refused;
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
