/* SPDX-License-Identifier: Apache-2.0 */
#include "common/objstore/bucket.h"

#include <inttypes.h>

#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/num.h"
#include "common/objstore/bucket_priv.h"

/* Why a key is refused, NULL if it is not. */
static const char *
key_fault(struct bytes key)
{
    if (key.len == 0)
        return "it is empty";
    if (key.len > OBJSTORE_KEY_MAX)
        return "it is too long";
    size_t part = 0; /* where the part before i begins */
    for (size_t i = 0; i <= key.len; i++) {
        if (i < key.len && key.at[i] != '/') {
            if (key.at[i] < 0x20 || key.at[i] == 0x7f)
                return "it has a control character";
            continue;
        }
        struct bytes name = {key.at + part, i - part};
        if (name.len == 0)
            return "it has an empty part";
        if (bytes_eq(name, BYTES(".")) || bytes_eq(name, BYTES("..")))
            return "it has a part that is \".\" or \"..\"";
        part = i + 1;
    }
    return NULL;
}

bool
objstore_key_is_valid(struct bytes key)
{
    return key_fault(key) == NULL;
}

static bool
check_key(struct bytes key, struct err *err)
{
    const char *fault = key_fault(key);
    return fault == NULL || err_set(err, ERR_INVALID, "bad key: %s", fault);
}

static bool
check_prefix(struct bytes prefix, struct err *err)
{
    if (prefix.len == 0)
        return true;
    if (prefix.at[prefix.len - 1] != '/')
        return err_set(err, ERR_INVALID, "bad prefix: it does not end in \"/\"");
    return check_key((struct bytes){prefix.at, prefix.len - 1}, err);
}

/* The one place that names operation, key and bucket in errors. */
static bool
named(bool ok, const struct objstore_bucket *b, const char *op, struct bytes key,
      struct err *err)
{
    enum { SHOWN = 200 };
    struct bytes shown = {key.at, NUM_MIN(key.len, (size_t)SHOWN)};
    return ok || err_wrap(err, "%s \"%.*s\" in bucket %s", op, BYTES_FMT(shown),
                          objstore_name(b));
}

bool
objstore_list(struct objstore_bucket *b, const struct objstore_call *call,
              struct bytes prefix, objstore_list_fn *fn, void *arg, struct err *err)
{
    bool ok = check_prefix(prefix, err) && objstore_call_check(call, err) &&
              b->ops->list(b, call, prefix, fn, arg, err);
    return named(ok, b, "list", prefix, err);
}

bool
objstore_head(struct objstore_bucket *b, const struct objstore_call *call,
              struct bytes key, struct objstore_attrs *attrs, struct err *err)
{
    bool ok = check_key(key, err) && objstore_call_check(call, err) &&
              b->ops->head(b, call, key, attrs, err);
    return named(ok, b, "head", key, err);
}

/* No object reaches behind INT64_MAX, and servers count no further. */
static bool
check_range(struct objstore_read *read, struct err *err)
{
    if (read->len == 0 || read->offset > INT64_MAX)
        return err_set(err, ERR_INVALID, "bad range: %" PRIu64 " bytes at %" PRIu64,
                       read->len, read->offset);
    read->len = NUM_MIN(read->len, (uint64_t)INT64_MAX - read->offset + 1);
    return true;
}

static bool
get_range(struct objstore_bucket *b, const struct objstore_call *call,
          struct objstore_read *read, objstore_sink_fn *sink, void *arg,
          struct err *err)
{
    bool ok = check_key(read->key, err) && check_range(read, err) &&
              objstore_call_check(call, err) &&
              b->ops->get_range(b, call, read, sink, arg, err);
    return named(ok, b, "read", read->key, err);
}

bool
objstore_get_range(struct objstore_bucket *b, const struct objstore_call *call,
                   struct bytes key, uint64_t offset, uint64_t len,
                   objstore_sink_fn *sink, void *arg, struct err *err)
{
    struct objstore_read read = {.key = key, .offset = offset, .len = len};
    return get_range(b, call, &read, sink, arg, err);
}

bool
objstore_memory_sink(void *arg, struct bytes piece, struct err *err)
{
    struct objstore_memory *m = arg;
    if (piece.len > m->room - m->used)
        return err_set(err, ERR_INTERNAL, "more than the %zu bytes asked for", m->room);
    if (piece.at != m->at + m->used)
        memcpy(m->at + m->used, piece.at, piece.len);
    m->used += piece.len;
    return true;
}

bool
objstore_read_range(struct objstore_bucket *b, const struct objstore_call *call,
                    struct bytes key, struct objstore_range range, uint8_t *into,
                    size_t *got, struct err *err)
{
    struct objstore_memory m = {.at = into, .room = range.len};
    struct objstore_read read = {
        .key = key, .offset = range.offset, .len = range.len, .memory = &m};
    if (!get_range(b, call, &read, objstore_memory_sink, &m, err))
        return false;
    *got = m.used;
    return true;
}

struct growing {
    struct buf *into;
    size_t start;
    size_t limit;
};

static bool
sink_growing(void *arg, struct bytes piece, struct err *err)
{
    struct growing *g = arg;
    if (piece.len > g->limit - (g->into->len - g->start))
        return err_set(err, ERR_INVALID, "it is larger than %zu bytes", g->limit);
    buf_put(g->into, piece);
    return buf_ok(g->into, err);
}

/* A range of an empty object is refused like one behind the end. err has the refusal,
 * and keeps it unless the object cannot be asked for now. */
static bool
is_empty_object(struct objstore_bucket *b, const struct objstore_call *call,
                struct bytes key, struct err *err)
{
    struct err why;
    struct objstore_attrs attrs;
    if (b->ops->head(b, call, key, &attrs, &why))
        return attrs.size == 0;
    if (err_is_transient(why.code)) {
        *err = why;
        return named(false, b, "read", key, err);
    }
    return false;
}

bool
objstore_get(struct objstore_bucket *b, const struct objstore_call *call,
             struct bytes key, size_t limit, struct buf *into, struct err *err)
{
    struct growing g = {.into = into, .start = into->len, .limit = limit};
    /* One byte more than allowed, to see that there is more. */
    uint64_t len = limit < SIZE_MAX ? (uint64_t)limit + 1 : limit;
    if (objstore_get_range(b, call, key, 0, len, sink_growing, &g, err))
        return true;
    bool nothing_came = into->len == g.start;
    into->len = g.start;
    return err->code == ERR_INVALID && nothing_came && objstore_key_is_valid(key) &&
           is_empty_object(b, call, key, err);
}

static bool
check_stored(const struct objstore_put *put, const struct objstore_attrs *stored,
             struct err *err)
{
    return stored->size == put->size ||
           err_set(err, ERR_CORRUPT,
                   "it arrived with %" PRIu64 " bytes instead of %" PRIu64,
                   stored->size, put->size);
}

static bool
store(struct objstore_bucket *b, const struct objstore_call *call,
      const struct objstore_put *put, struct objstore_attrs *stored, struct err *err)
{
    bool ok = check_key(put->key, err) && objstore_call_check(call, err) &&
              b->ops->put(b, call, put, stored, err) && check_stored(put, stored, err);
    return named(ok, b, put->create ? "create" : "put", put->key, err);
}

bool
objstore_put_file(struct objstore_bucket *b, const struct objstore_call *call,
                  struct bytes key, const struct objstore_file *file,
                  struct objstore_attrs *stored, struct err *err)
{
    const struct objstore_put put = {.key = key,
                                     .fd = file->fd,
                                     .size = file->size,
                                     .sole_writer = file->sole_writer,
                                     .gate = file->gate,
                                     .gate_arg = file->gate_arg};
    return store(b, call, &put, stored, err);
}

bool
objstore_put(struct objstore_bucket *b, const struct objstore_call *call,
             struct bytes key, struct bytes data, struct err *err)
{
    struct objstore_attrs stored;
    const struct objstore_put put = {
        .key = key, .fd = -1, .data = data, .size = data.len};
    return store(b, call, &put, &stored, err);
}

bool
objstore_create(struct objstore_bucket *b, const struct objstore_call *call,
                struct bytes key, struct bytes data, struct err *err)
{
    struct objstore_attrs stored;
    const struct objstore_put put = {
        .key = key, .fd = -1, .data = data, .size = data.len, .create = true};
    return store(b, call, &put, &stored, err);
}

bool
objstore_remove(struct objstore_bucket *b, const struct objstore_call *call,
                struct bytes key, struct err *err)
{
    bool ok = check_key(key, err) && objstore_call_check(call, err) &&
              b->ops->remove(b, call, key, err);
    return named(ok, b, "delete", key, err);
}

bool
objstore_can(const struct objstore_bucket *b, unsigned abilities)
{
    return (b->ops->abilities(b) & abilities) == abilities;
}

const char *
objstore_name(const struct objstore_bucket *b)
{
    return b->ops->name(b);
}

void
objstore_free(struct objstore_bucket **b)
{
    if (*b == NULL)
        return;
    struct objstore_bucket *taken = TAKE(*b);
    taken->ops->free(taken);
}

bool
objstore_call_check(const struct objstore_call *call, struct err *err)
{
    if (cancel_is_raised(call->cancel))
        return err_set(err, ERR_CANCELLED, "cancelled");
    if (clock_left_ns(call->deadline_ns) == 0)
        return err_set(err, ERR_TIMEOUT, "deadline passed");
    return true;
}

bool
objstore_outlet_sink(void *arg, struct bytes piece, struct err *err)
{
    struct objstore_outlet *outlet = arg;
    outlet->refused = !outlet->sink(outlet->arg, piece, err);
    if (!outlet->refused)
        outlet->passed += piece.len;
    return !outlet->refused;
}

bool
objstore_parse_u64(struct bytes text, uint64_t *value)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned digit = text.at[i] - (unsigned)'0';
        if (digit > 9 || !num_mul(sum, 10u, &sum) || !num_add(sum, digit, &sum))
            return false;
    }
    if (text.len > 0)
        *value = sum;
    return text.len > 0;
}

bool
objstore_put_read(const struct objstore_put *put, uint64_t offset, uint8_t *into,
                  size_t len, struct err *err)
{
    if (put->fd >= 0)
        return file_pread(put->fd, "the file to store", into, len, offset, err);
    if (len > 0)
        memcpy(into, put->data.at + offset, len);
    return true;
}

bool
objstore_put_send(const struct objstore_put *put, uint64_t offset, uint8_t *into,
                  size_t len, struct err *err)
{
    return (put->gate == NULL || put->gate(put->gate_arg, len, err)) &&
           objstore_put_read(put, offset, into, len, err);
}

static bool
is_plain(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '-' && c <= '9') ||
           c == '_';
}

bool
objstore_check_plain(struct bytes key, struct err *err)
{
    for (size_t i = 0; i < key.len; i++)
        if (!is_plain(key.at[i]))
            return err_set(err, ERR_UNSUPPORTED,
                           "\"%.*s\" has a character other than A-Z a-z 0-9 . _ - "
                           "and /, which this kind of bucket cannot take",
                           BYTES_FMT(key));
    return true;
}
