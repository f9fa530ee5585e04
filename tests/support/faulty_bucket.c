/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/faulty_bucket.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/mutex.h"
#include "common/base/xmalloc.h"

enum { MAX_RULES = 16, OP_COUNT = 5 };

struct armed {
    struct faulty_rule rule;
    char *part;
    unsigned seen; /* calls that the rule was about */
};

struct faulty {
    struct objstore_bucket base;
    struct objstore_bucket *inner;
    struct mutex lock;
    /* guarded by lock */
    struct armed rules[MAX_RULES];
    unsigned rule_count;
    unsigned calls[OP_COUNT];
};

/* What happens to one call. */
struct fault {
    bool applies;
    enum faulty_how how;
    enum err_code code;
};

static struct faulty *
faulty_of(const struct objstore_bucket *b)
{
    struct faulty *f;
    memcpy(&f, &b, sizeof f);
    return f;
}

static bool
is_about(const struct armed *a, enum faulty_op op, struct bytes key)
{
    size_t len = a->part != NULL ? strlen(a->part) : 0;
    return (a->rule.ops & op) != 0 &&
           (len == 0 || memmem(key.at, key.len, a->part, len) != NULL);
}

static struct fault
next_fault(struct faulty *f, enum faulty_op op, struct bytes key)
{
    MUTEX_SCOPE(&f->lock);
    struct fault fault = {0};
    f->calls[__builtin_ctz(op)]++;
    for (unsigned i = 0; i < f->rule_count; i++) {
        struct armed *a = &f->rules[i];
        if (!is_about(a, op, key))
            continue;
        unsigned first = a->rule.first ? a->rule.first : 1;
        a->seen++;
        if (fault.applies || a->seen < first ||
            (a->rule.times != 0 && a->seen - first >= a->rule.times))
            continue;
        fault = (struct fault){true, a->rule.how,
                               a->rule.code ? a->rule.code : ERR_UNAVAILABLE};
    }
    return fault;
}

static bool
hang(const struct objstore_call *call, struct err *err)
{
    if (cancel_wait(call->cancel, clock_left_ns(call->deadline_ns)))
        return err_set(err, ERR_CANCELLED, "cancelled");
    return err_set(err, ERR_TIMEOUT, "injected silence");
}

/* True, with err filled, if the call must not reach the bucket. */
static bool
stops(const struct fault *fault, const struct objstore_call *call, struct err *err)
{
    if (!fault->applies)
        return false;
    if (fault->how == FAULTY_HANG)
        return !hang(call, err);
    return fault->how == FAULTY_REFUSE &&
           !err_set(err, fault->code, "injected failure");
}

/* The outcome of a call that was passed on. */
static bool
outcome(const struct fault *fault, bool ok, struct err *err)
{
    bool fails =
        fault->applies && (fault->how == FAULTY_LOSE || fault->how == FAULTY_CUT);
    return ok && !(fails && !err_set(err, fault->code, "injected failure"));
}

static bool
halves(const struct fault *fault)
{
    return fault->applies &&
           (fault->how == FAULTY_CUT || fault->how == FAULTY_TRUNCATE);
}

static bool
flips(const struct fault *fault)
{
    return fault->applies && fault->how == FAULTY_FLIP;
}

struct listing {
    objstore_list_fn *fn;
    void *arg;
    size_t seen;
    size_t limit;
};

static bool
list_up_to(void *arg, const struct objstore_object *object, struct err *err)
{
    struct listing *l = arg;
    return l->seen++ >= l->limit || l->fn == NULL || l->fn(l->arg, object, err);
}

static bool
faulty_list(struct objstore_bucket *b, const struct objstore_call *call,
            struct bytes prefix, objstore_list_fn *fn, void *arg, struct err *err)
{
    struct faulty *f = faulty_of(b);
    struct fault fault = next_fault(f, FAULTY_LIST, prefix);
    if (stops(&fault, call, err))
        return false;
    struct listing all = {0};
    if (halves(&fault) &&
        !f->inner->ops->list(f->inner, call, prefix, list_up_to, &all, err))
        return false;
    struct listing part = {fn, arg, 0, halves(&fault) ? all.seen / 2 : SIZE_MAX};
    return outcome(&fault,
                   f->inner->ops->list(f->inner, call, prefix, list_up_to, &part, err),
                   err);
}

static bool
faulty_head(struct objstore_bucket *b, const struct objstore_call *call,
            struct bytes key, struct objstore_attrs *attrs, struct err *err)
{
    struct faulty *f = faulty_of(b);
    struct fault fault = next_fault(f, FAULTY_HEAD, key);
    if (stops(&fault, call, err) ||
        !f->inner->ops->head(f->inner, call, key, attrs, err))
        return false;
    if (halves(&fault))
        attrs->size /= 2;
    return outcome(&fault, true, err);
}

static bool
collect(void *arg, struct bytes piece, struct err *err)
{
    struct buf *b = arg;
    buf_put(b, piece);
    return buf_ok(b, err);
}

static bool
faulty_get_range(struct objstore_bucket *b, const struct objstore_call *call,
                 struct objstore_read *read, objstore_sink_fn *sink, void *arg,
                 struct err *err)
{
    struct faulty *f = faulty_of(b);
    struct fault fault = next_fault(f, FAULTY_GET, read->key);
    if (stops(&fault, call, err))
        return false;
    if (!fault.applies)
        return f->inner->ops->get_range(f->inner, call, read, sink, arg, err);
    CLEANUP(buf_fini) struct buf data = {0};
    if (!f->inner->ops->get_range(f->inner, call, read, collect, &data, err))
        return false;
    if (halves(&fault))
        data.len /= 2;
    if (flips(&fault))
        data.at[0] ^= 0x40;
    return (data.len == 0 || sink(arg, buf_bytes(&data), err)) &&
           outcome(&fault, true, err);
}

/* Store less or something else than was asked for. */
static bool
store_changed(struct faulty *f, const struct fault *fault,
              const struct objstore_call *call, const struct objstore_put *put,
              struct objstore_attrs *stored, struct err *err)
{
    CLEANUP(xfree) uint8_t *data = xcalloc(1, put->size + 1);
    struct objstore_put changed = *put;
    if (put->fd < 0 && put->size > 0)
        memcpy(data, put->data.at, put->size);
    else if (!file_pread(put->fd, "file", data, put->size, 0, err))
        return false;
    if (halves(fault))
        changed.size /= 2;
    if (flips(fault))
        data[0] ^= 0x40;
    changed.fd = -1;
    changed.data = bytes_of(data, changed.size);
    return f->inner->ops->put(f->inner, call, &changed, stored, err);
}

static bool
faulty_put(struct objstore_bucket *b, const struct objstore_call *call,
           const struct objstore_put *put, struct objstore_attrs *stored,
           struct err *err)
{
    struct faulty *f = faulty_of(b);
    struct fault fault = next_fault(f, FAULTY_PUT, put->key);
    if (stops(&fault, call, err))
        return false;
    /* A put that is cut leaves nothing behind: objects are never half written. */
    if (fault.applies && fault.how == FAULTY_CUT)
        return outcome(&fault, true, err);
    bool ok = halves(&fault) || flips(&fault)
                  ? store_changed(f, &fault, call, put, stored, err)
                  : f->inner->ops->put(f->inner, call, put, stored, err);
    return outcome(&fault, ok, err);
}

static bool
faulty_remove(struct objstore_bucket *b, const struct objstore_call *call,
              struct bytes key, struct err *err)
{
    struct faulty *f = faulty_of(b);
    struct fault fault = next_fault(f, FAULTY_REMOVE, key);
    if (stops(&fault, call, err))
        return false;
    return outcome(&fault, f->inner->ops->remove(f->inner, call, key, err), err);
}

static unsigned
faulty_abilities(const struct objstore_bucket *b)
{
    const struct objstore_bucket *inner = faulty_of(b)->inner;
    return inner->ops->abilities(inner);
}

static const char *
faulty_name(const struct objstore_bucket *b)
{
    return objstore_name(faulty_of(b)->inner);
}

static void
faulty_free(struct objstore_bucket *b)
{
    struct faulty *f = faulty_of(b);
    faulty_bucket_heal(b);
    objstore_free(&f->inner);
    mutex_fini(&f->lock);
    free(f);
}

static const struct objstore_bucket_ops FAULTY_OPS = {
    .list = faulty_list,
    .head = faulty_head,
    .get_range = faulty_get_range,
    .put = faulty_put,
    .remove = faulty_remove,
    .abilities = faulty_abilities,
    .name = faulty_name,
    .free = faulty_free,
};

struct objstore_bucket *
faulty_bucket_new(struct objstore_bucket *inner)
{
    struct faulty *f = xcalloc(1, sizeof *f);
    f->base.ops = &FAULTY_OPS;
    f->inner = inner;
    mutex_init(&f->lock, LOCK_TEST);
    return &f->base;
}

void
faulty_bucket_add(struct objstore_bucket *faulty, struct faulty_rule rule)
{
    struct faulty *f = faulty_of(faulty);
    MUTEX_SCOPE(&f->lock);
    CHECK(f->rule_count < MAX_RULES);
    f->rules[f->rule_count++] = (struct armed){
        .rule = rule,
        .part = rule.part != NULL ? xstrdup(rule.part) : NULL,
    };
}

void
faulty_bucket_heal(struct objstore_bucket *faulty)
{
    struct faulty *f = faulty_of(faulty);
    MUTEX_SCOPE(&f->lock);
    while (f->rule_count > 0)
        free(f->rules[--f->rule_count].part);
}

unsigned
faulty_bucket_calls(const struct objstore_bucket *faulty, unsigned ops)
{
    struct faulty *f = faulty_of(faulty);
    MUTEX_SCOPE(&f->lock);
    unsigned sum = 0;
    for (unsigned i = 0; i < OP_COUNT; i++)
        sum += (ops >> i & 1) != 0 ? f->calls[i] : 0;
    return sum;
}
