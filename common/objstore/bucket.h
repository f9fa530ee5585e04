/* SPDX-License-Identifier: Apache-2.0 */
/* A bucket: the only door to object storage.
 *
 * Keys are "a/b/c": parts of [A-Za-z0-9._=-] and other printable bytes, no empty part,
 * no "." or "..". Each driver embeds struct objstore_bucket as its first member; the
 * functions below check arguments and call it. All are safe from any thread and block
 * until done, deadline or cancel.
 *
 * What a success means: a put is whole and durable under its key (another writer may
 * have replaced it since; so may a try of an earlier put that was given up and arrives
 * late), an object is never
 * visible half written; a read delivered what is stored. Error codes tell what to do:
 * ERR_NOT_FOUND, ERR_DENIED, ERR_THROTTLED, ERR_UNAVAILABLE, ERR_TIMEOUT,
 * ERR_CANCELLED, ERR_CORRUPT, ERR_IO, ERR_INVALID (key or configuration), ERR_CONFLICT
 * (a create of what is there; directory: an object cannot stand above another),
 * ERR_UNSUPPORTED (what objstore_can says, a redirect). Errors name the operation and
 * the key. */
#ifndef COMMON_OBJSTORE_BUCKET_H
#define COMMON_OBJSTORE_BUCKET_H

#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/bytes.h"
#include "common/base/cancel.h"
#include "common/base/err.h"

enum { OBJSTORE_KEY_MAX = 1024, OBJSTORE_ETAG_SIZE = 80 };

struct net_patience; /* common/net/patience.h */

/* Limits of one call, given by the caller. */
struct objstore_call {
    int64_t deadline_ns;         /* clock_mono_ns; CLOCK_NEVER for none */
    const struct cancel *cancel; /* NULL: never */
    /* How long its tries wait for a server that is silent, if shorter than the bucket's
     * configuration says; NULL: as that says. Borrowed. */
    struct net_patience *patience;
};

struct objstore_attrs {
    uint64_t size;                 /* bytes */
    int64_t mtime_ms;              /* last change, since the epoch */
    char etag[OBJSTORE_ETAG_SIZE]; /* without quotes; "" if the driver has none */
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

/* Called before each piece of a file is sent, by the threads that send: to pace them,
 * or to see how far they are. May block. A piece that is sent again is told again.
 * Returns false, with err filled, to end the put with that error. */
typedef bool objstore_gate_fn(void *arg, size_t len, struct err *err);

/* What some drivers can and others cannot; to be combined with |. What a driver cannot
 * is ERR_UNSUPPORTED. */
enum objstore_ability {
    OBJSTORE_CAN_ANY_KEY = 1, /* keys beyond A-Z a-z 0-9 . _ - and / */
    OBJSTORE_CAN_LARGE = 2,   /* objects above 5 GiB */
    OBJSTORE_CAN_CREATE = 4,  /* objstore_create; a server may still refuse it */
    OBJSTORE_CAN_ALL = 7,
    OBJSTORE_IS_LOCAL = 8, /* files of this machine: the kernel caches what is read */
};

struct objstore_memory;

/* A range to read. */
struct objstore_read {
    struct bytes key;
    uint64_t offset;
    uint64_t len; /* at least 1; the last byte is not behind INT64_MAX */
    /* Which content: "" for whatever is there; a driver that can tell fills it in with
     * the first answer, and then reads this content or fails with ERR_CONFLICT. So a
     * read that goes on after a failure is not made of two objects. */
    char etag[OBJSTORE_ETAG_SIZE];
    /* Where the sink copies all that it is handed; NULL: it does something else. A
     * driver may put the next bytes there itself and hand the sink those. */
    const struct objstore_memory *memory;
};

/* What a put stores, and how. */
struct objstore_put {
    struct bytes key;
    int fd;            /* the file to store; -1: data */
    struct bytes data; /* with fd -1 */
    uint64_t size;     /* bytes of either */
    bool create; /* ERR_CONFLICT, and nothing stored, if the key is there already */
    bool sole_writer;       /* as in struct objstore_file */
    objstore_gate_fn *gate; /* the same */
    void *gate_arg;
};

struct objstore_bucket {
    const struct objstore_bucket_ops *ops;
};

struct objstore_bucket_ops {
    bool (*list)(struct objstore_bucket *b, const struct objstore_call *call,
                 struct bytes prefix, objstore_list_fn *fn, void *arg, struct err *err);
    bool (*head)(struct objstore_bucket *b, const struct objstore_call *call,
                 struct bytes key, struct objstore_attrs *attrs, struct err *err);
    bool (*get_range)(struct objstore_bucket *b, const struct objstore_call *call,
                      struct objstore_read *read, objstore_sink_fn *sink, void *arg,
                      struct err *err);
    /* *stored is what the bucket says of the object afterwards. */
    bool (*put)(struct objstore_bucket *b, const struct objstore_call *call,
                const struct objstore_put *put, struct objstore_attrs *stored,
                struct err *err);
    bool (*remove)(struct objstore_bucket *b, const struct objstore_call *call,
                   struct bytes key, struct err *err);
    unsigned (*abilities)(const struct objstore_bucket *b);
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
 * never a short success. ERR_CONFLICT: the object was replaced while it was read. */
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

struct objstore_file {
    int fd;        /* its position is not used */
    uint64_t size; /* bytes, from its start */
    /* Nobody else stores this key at the same time, so what earlier uploads of it left
     * unfinished in the bucket is removed first. */
    bool sole_writer;
    objstore_gate_fn *gate; /* NULL: none */
    void *gate_arg;
};

/* Store an open file under key, replacing what is there. Memory does not depend on its
 * size. *stored is what the bucket says afterwards; its size is that of the file.
 * Errors also ERR_CORRUPT: the file is shorter than its size, or the bucket says that
 * it has stored something else. */
NODISCARD bool objstore_put_file(struct objstore_bucket *b,
                                 const struct objstore_call *call, struct bytes key,
                                 const struct objstore_file *file,
                                 struct objstore_attrs *stored, struct err *err);

/* Store a small object, replacing what is there. */
NODISCARD bool objstore_put(struct objstore_bucket *b, const struct objstore_call *call,
                            struct bytes key, struct bytes data, struct err *err);

/* Store a small object unless its key is there already.
 * Errors also ERR_CONFLICT: it is; ERR_UNSUPPORTED: the bucket cannot do that in one
 * step. After an ERR_UNAVAILABLE or ERR_TIMEOUT the object may be there. */
NODISCARD bool objstore_create(struct objstore_bucket *b,
                               const struct objstore_call *call, struct bytes key,
                               struct bytes data, struct err *err);

/* Delete one object; a missing one is success. */
NODISCARD bool objstore_remove(struct objstore_bucket *b,
                               const struct objstore_call *call, struct bytes key,
                               struct err *err);

/* Whether the bucket has all of these abilities. */
NODISCARD bool objstore_can(const struct objstore_bucket *b, unsigned abilities);

/* Name for metrics and messages: the S3 bucket, or "fs: /dir". */
const char *objstore_name(const struct objstore_bucket *b);

/* Release; also what it wraps. *b becomes NULL; accepts NULL. */
void objstore_free(struct objstore_bucket **b);

/* Whether a key keeps the rules above. */
NODISCARD bool objstore_key_is_valid(struct bytes key);

#endif
