/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/lockstep_bucket.h"

#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/base/xmalloc.h"

static const int64_t PATIENCE_NS = 20 * CLOCK_NS_PER_S;

struct lockstep {
    struct objstore_bucket base;
    struct objstore_bucket *inner;
    struct mutex lock;
    struct cond changed;
    /* guarded by lock */
    const unsigned *rounds;
    size_t count;
    size_t round;
    unsigned waiting;
};

static struct lockstep *
lockstep_of(const struct objstore_bucket *b)
{
    return (struct lockstep *)(uintptr_t)b;
}

static bool
wait_for_round(struct lockstep *l, struct bytes key, struct err *err)
{
    int64_t deadline_ns = clock_deadline(PATIENCE_NS);
    MUTEX_SCOPE(&l->lock);
    size_t round = l->round;
    if (l->count == 0)
        return true;
    if (round == l->count)
        return err_set(err, ERR_IO, "read %.*s: there are only %zu rounds",
                       (int)key.len, (const char *)key.at, l->count);
    if (++l->waiting == l->rounds[round]) {
        l->waiting = 0;
        l->round++;
        cond_broadcast(&l->changed);
    }
    while (l->round == round)
        if (!cond_wait_until(&l->changed, &l->lock, deadline_ns))
            return err_set(err, ERR_IO, "read %.*s: %u of the %u reads of round %zu",
                           (int)key.len, (const char *)key.at, l->waiting,
                           l->rounds[round], round);
    return true;
}

static bool
lockstep_list(struct objstore_bucket *b, const struct objstore_call *call,
              struct bytes prefix, objstore_list_fn *fn, void *arg, struct err *err)
{
    return objstore_list(lockstep_of(b)->inner, call, prefix, fn, arg, err);
}

static bool
lockstep_head(struct objstore_bucket *b, const struct objstore_call *call,
              struct bytes key, struct objstore_attrs *attrs, struct err *err)
{
    return objstore_head(lockstep_of(b)->inner, call, key, attrs, err);
}

static bool
lockstep_get_range(struct objstore_bucket *b, const struct objstore_call *call,
                   struct objstore_read *read, objstore_sink_fn *sink, void *arg,
                   struct err *err)
{
    struct lockstep *l = lockstep_of(b);
    return wait_for_round(l, read->key, err) &&
           l->inner->ops->get_range(l->inner, call, read, sink, arg, err);
}

static bool
lockstep_put(struct objstore_bucket *b, const struct objstore_call *call,
             const struct objstore_put *put, struct objstore_attrs *stored,
             struct err *err)
{
    struct objstore_bucket *inner = lockstep_of(b)->inner;
    return inner->ops->put(inner, call, put, stored, err);
}

static bool
lockstep_remove(struct objstore_bucket *b, const struct objstore_call *call,
                struct bytes key, struct err *err)
{
    return objstore_remove(lockstep_of(b)->inner, call, key, err);
}

static unsigned
lockstep_abilities(const struct objstore_bucket *b)
{
    const struct objstore_bucket *inner = lockstep_of(b)->inner;
    return inner->ops->abilities(inner);
}

static const char *
lockstep_name(const struct objstore_bucket *b)
{
    return objstore_name(lockstep_of(b)->inner);
}

static void
lockstep_free(struct objstore_bucket *b)
{
    struct lockstep *l = lockstep_of(b);
    objstore_free(&l->inner);
    cond_fini(&l->changed);
    mutex_fini(&l->lock);
    free(l);
}

static const struct objstore_bucket_ops LOCKSTEP_OPS = {
    .list = lockstep_list,
    .head = lockstep_head,
    .get_range = lockstep_get_range,
    .put = lockstep_put,
    .remove = lockstep_remove,
    .abilities = lockstep_abilities,
    .name = lockstep_name,
    .free = lockstep_free,
};

struct objstore_bucket *
lockstep_bucket_new(struct objstore_bucket *inner)
{
    struct lockstep *l = xcalloc(1, sizeof *l);
    l->base.ops = &LOCKSTEP_OPS;
    l->inner = inner;
    mutex_init(&l->lock, LOCK_TEST);
    cond_init(&l->changed);
    return &l->base;
}

void
lockstep_bucket_expect(struct objstore_bucket *b, const unsigned *rounds, size_t count)
{
    struct lockstep *l = lockstep_of(b);
    MUTEX_SCOPE(&l->lock);
    l->rounds = rounds;
    l->count = count;
    l->round = 0;
    l->waiting = 0;
}

size_t
lockstep_bucket_rounds(struct objstore_bucket *b)
{
    struct lockstep *l = lockstep_of(b);
    MUTEX_SCOPE(&l->lock);
    return l->round;
}
