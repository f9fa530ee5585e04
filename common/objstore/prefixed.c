/* SPDX-License-Identifier: Apache-2.0 */
#include "common/objstore/prefixed.h"

#include <stdlib.h>

#include "common/base/xmalloc.h"
#include "common/objstore/bucket_priv.h"

struct prefixed {
    struct objstore_bucket base;
    struct objstore_bucket *inner;
    char *prefix; /* with a slash at its end */
    size_t len;
};

/* A whole key of the inner bucket. */
struct whole {
    struct bytes key;
    uint8_t at[2 * OBJSTORE_KEY_MAX];
};

static struct prefixed *
prefixed_of(struct objstore_bucket *b)
{
    return (struct prefixed *)b;
}

/* key, whose length was checked, behind the prefix. */
static bool
make_whole(const struct prefixed *p, struct bytes key, struct whole *whole,
           struct err *err)
{
    whole->key = bytes_of(whole->at, p->len + key.len);
    if (whole->key.len > OBJSTORE_KEY_MAX)
        return err_set(err, ERR_INVALID, "bad key: it is too long behind the prefix %s",
                       p->prefix);
    memcpy(whole->at, p->prefix, p->len);
    if (key.len > 0)
        memcpy(whole->at + p->len, key.at, key.len);
    return true;
}

struct listing {
    size_t prefix_len;
    objstore_list_fn *fn;
    void *arg;
};

static bool
list_below(void *arg, const struct objstore_object *object, struct err *err)
{
    const struct listing *l = arg;
    struct objstore_object below = *object;
    bytes_skip(&below.key, l->prefix_len);
    return l->fn(l->arg, &below, err);
}

static bool
prefixed_list(struct objstore_bucket *b, const struct objstore_call *call,
              struct bytes prefix, objstore_list_fn *fn, void *arg, struct err *err)
{
    const struct prefixed *p = prefixed_of(b);
    struct whole whole;
    struct listing l = {p->len, fn, arg};
    return make_whole(p, prefix, &whole, err) &&
           p->inner->ops->list(p->inner, call, whole.key, list_below, &l, err);
}

static bool
prefixed_head(struct objstore_bucket *b, const struct objstore_call *call,
              struct bytes key, struct objstore_attrs *attrs, struct err *err)
{
    const struct prefixed *p = prefixed_of(b);
    struct whole whole;
    return make_whole(p, key, &whole, err) &&
           p->inner->ops->head(p->inner, call, whole.key, attrs, err);
}

static bool
prefixed_get_range(struct objstore_bucket *b, const struct objstore_call *call,
                   struct objstore_read *read, objstore_sink_fn *sink, void *arg,
                   struct err *err)
{
    const struct prefixed *p = prefixed_of(b);
    struct whole whole;
    struct bytes key = read->key;
    if (!make_whole(p, key, &whole, err))
        return false;
    read->key = whole.key;
    bool ok = p->inner->ops->get_range(p->inner, call, read, sink, arg, err);
    read->key = key;
    return ok;
}

static bool
prefixed_put(struct objstore_bucket *b, const struct objstore_call *call,
             const struct objstore_put *put, struct objstore_attrs *stored,
             struct err *err)
{
    const struct prefixed *p = prefixed_of(b);
    struct whole whole;
    struct objstore_put below = *put;
    if (!make_whole(p, put->key, &whole, err))
        return false;
    below.key = whole.key;
    return p->inner->ops->put(p->inner, call, &below, stored, err);
}

static bool
prefixed_remove(struct objstore_bucket *b, const struct objstore_call *call,
                struct bytes key, struct err *err)
{
    const struct prefixed *p = prefixed_of(b);
    struct whole whole;
    return make_whole(p, key, &whole, err) &&
           p->inner->ops->remove(p->inner, call, whole.key, err);
}

static unsigned
prefixed_abilities(const struct objstore_bucket *b)
{
    const struct objstore_bucket *inner = ((const struct prefixed *)b)->inner;
    return inner->ops->abilities(inner);
}

static const char *
prefixed_name(const struct objstore_bucket *b)
{
    return objstore_name(((const struct prefixed *)b)->inner);
}

static void
prefixed_free(struct objstore_bucket *b)
{
    struct prefixed *p = prefixed_of(b);
    objstore_free(&p->inner);
    free(p->prefix);
    free(p);
}

static const struct objstore_bucket_ops PREFIXED_OPS = {
    .list = prefixed_list,
    .head = prefixed_head,
    .get_range = prefixed_get_range,
    .put = prefixed_put,
    .remove = prefixed_remove,
    .abilities = prefixed_abilities,
    .name = prefixed_name,
    .free = prefixed_free,
};

bool
objstore_prefixed_wrap(struct objstore_bucket **b, const char *prefix, struct err *err)
{
    struct bytes key = bytes_of_str(prefix);
    while (key.len > 0 && key.at[0] == '/')
        bytes_skip(&key, 1);
    while (key.len > 0 && key.at[key.len - 1] == '/')
        key.len--;
    if (key.len == 0)
        return true;
    if (!objstore_key_is_valid(key))
        return err_set(err, ERR_INVALID, "bad prefix \"%.*s\"", BYTES_FMT(key));
    if (!objstore_can(*b, OBJSTORE_CAN_ANY_KEY) && !objstore_check_plain(key, err))
        return err_wrap(err, "prefix");

    struct prefixed *p = xcalloc(1, sizeof *p);
    p->base.ops = &PREFIXED_OPS;
    p->inner = *b;
    p->prefix = xasprintf("%.*s/", BYTES_FMT(key));
    p->len = key.len + 1;
    *b = &p->base;
    return true;
}
