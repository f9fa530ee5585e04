/* SPDX-License-Identifier: Apache-2.0 */
/* A bucket: the only door to object storage.
 *
 * Keys are "a/b/c": parts of [A-Za-z0-9._=-] and other printable bytes, no empty part,
 * no "." or "..". Each driver embeds struct objstore_bucket as its first member; the
 * functions below check arguments and call it. All are safe from any thread and block
 * until done, deadline or cancel.
 *
 * What a success means: a put is whole and durable under its key, an object is never
 * visible half written; a read delivered what is stored. Error codes tell what to do:
 * ERR_NOT_FOUND, ERR_DENIED, ERR_THROTTLED, ERR_UNAVAILABLE, ERR_TIMEOUT,
 * ERR_CANCELLED, ERR_CORRUPT, ERR_IO, ERR_INVALID (key or configuration), ERR_CONFLICT
 * (directory: an object cannot stand above another), ERR_UNSUPPORTED (S3: an object
 * above 5 GiB, a redirect). Errors name the operation and the key. */
#ifndef COMMON_OBJSTORE_BUCKET_H
#define COMMON_OBJSTORE_BUCKET_H

#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/bytes.h"
#include "common/base/cancel.h"
#include "common/base/err.h"

enum { OBJSTORE_KEY_MAX = 1024 };

/* Limits of one call, given by the caller. */
struct objstore_call {
    int64_t deadline_ns;         /* clock_mono_ns; CLOCK_NEVER for none */
    const struct cancel *cancel; /* NULL: never */
};

struct objstore_attrs {
    uint64_t size;    /* bytes */
    int64_t mtime_ms; /* last change, since the epoch */
    char etag[80];    /* without quotes; "" if the driver has none */
};

struct objstore_object {
    struct bytes key; /* whole key, borrowed for the call */
    struct objstore_attrs attrs;
};

/* Called per listed object, in byte order of keys. Returns false, with err filled, to
 * stop the listing with that error. */
typedef bool objstore_list_fn(void *arg, const struct objstore_object *object,
                              struct err *err);

/* Called per piece of a ranged read, in order. Returns false with err to stop. */
typedef bool objstore_sink_fn(void *arg, struct bytes piece, struct err *err);

struct objstore_bucket {
    const struct objstore_bucket_ops *ops;
};

struct objstore_bucket_ops {
    bool (*list)(struct objstore_bucket *b, const struct objstore_call *call,
                 struct bytes prefix, objstore_list_fn *fn, void *arg, struct err *err);
    bool (*head)(struct objstore_bucket *b, const struct objstore_call *call,
                 struct bytes key, struct objstore_attrs *attrs, struct err *err);
    bool (*get_range)(struct objstore_bucket *b, const struct objstore_call *call,
                      struct bytes key, uint64_t offset, uint64_t len,
                      objstore_sink_fn *sink, void *arg, struct err *err);
    bool (*put_file)(struct objstore_bucket *b, const struct objstore_call *call,
                     struct bytes key, int fd, uint64_t size, struct err *err);
    bool (*put)(struct objstore_bucket *b, const struct objstore_call *call,
                struct bytes key, struct bytes data, struct err *err);
    bool (*remove)(struct objstore_bucket *b, const struct objstore_call *call,
                   struct bytes key, struct err *err);
    const char *(*name)(const struct objstore_bucket *b);
    void (*free)(struct objstore_bucket *b);
};

/* All objects below prefix ("" or ending in "/"), recursively, in byte order of keys.
 */
NODISCARD bool objstore_list(struct objstore_bucket *b,
                             const struct objstore_call *call, struct bytes prefix,
                             objstore_list_fn *fn, void *arg, struct err *err);

NODISCARD bool objstore_head(struct objstore_bucket *b,
                             const struct objstore_call *call, struct bytes key,
                             struct objstore_attrs *attrs, struct err *err);

/* Stream bytes [offset, offset + len) to sink. A range that begins inside the object
 * and ends behind it delivers what is there (the caller counts); one that begins at or
 * behind its end is ERR_INVALID. len is at least 1. A transfer that is cut is an error,
 * never a short success. */
NODISCARD bool objstore_get_range(struct objstore_bucket *b,
                                  const struct objstore_call *call, struct bytes key,
                                  uint64_t offset, uint64_t len, objstore_sink_fn *sink,
                                  void *arg, struct err *err);

struct objstore_range {
    uint64_t offset;
    size_t len;
};

/* As objstore_get_range, into memory of the caller with room for range.len bytes; *got
 * is set. */
NODISCARD bool objstore_read_range(struct objstore_bucket *b,
                                   const struct objstore_call *call, struct bytes key,
                                   struct objstore_range range, uint8_t *into,
                                   size_t *got, struct err *err);

/* Append a whole small object to into. Errors ERR_INVALID above limit bytes. An empty
 * object is success. */
NODISCARD bool objstore_get(struct objstore_bucket *b, const struct objstore_call *call,
                            struct bytes key, size_t limit, struct buf *into,
                            struct err *err);

/* Store size bytes of the open file, from its start, under key, replacing what is
 * there. The descriptor's position is not used. Memory does not depend on size.
 * Errors also ERR_CORRUPT: the file is shorter than size. */
NODISCARD bool objstore_put_file(struct objstore_bucket *b,
                                 const struct objstore_call *call, struct bytes key,
                                 int fd, uint64_t size, struct err *err);

/* Store a small object. */
NODISCARD bool objstore_put(struct objstore_bucket *b, const struct objstore_call *call,
                            struct bytes key, struct bytes data, struct err *err);

/* Delete one object; a missing one is success. */
NODISCARD bool objstore_remove(struct objstore_bucket *b,
                               const struct objstore_call *call, struct bytes key,
                               struct err *err);

/* Name for metrics and messages: the S3 bucket, or "fs: /dir". */
const char *objstore_name(const struct objstore_bucket *b);

/* Release; also what it wraps. *b becomes NULL; accepts NULL. */
void objstore_free(struct objstore_bucket **b);

/* Whether a key keeps the rules above. */
NODISCARD bool objstore_key_is_valid(struct bytes key);

#endif
