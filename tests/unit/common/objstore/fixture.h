/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of buckets share: a directory of their own, calls without limits, and
 * listings as one text. */
#ifndef TESTS_UNIT_COMMON_OBJSTORE_FIXTURE_H
#define TESTS_UNIT_COMMON_OBJSTORE_FIXTURE_H

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/objstore/bucket.h"
#include "common/objstore/dir.h"

static const struct objstore_call CALL = {.deadline_ns = CLOCK_NEVER};

struct fixture {
    char root[64];
    struct objstore_bucket *bucket;
    struct err err;
};

static inline void
fixture_init(struct fixture *f)
{
    *f = (struct fixture){.root = "/tmp/blockhouse-bucket-XXXXXX"};
    assert_non_null(mkdtemp(f->root));
    assert_true(objstore_dir_open(&f->bucket, f->root, &f->err));
}

static inline void
fixture_fini(struct fixture *f)
{
    objstore_free(&f->bucket);
    assert_true(file_remove_tree(f->root, &f->err));
}

static inline struct bytes
text(const char *s)
{
    return bytes_of_str(s);
}

static inline bool
put(struct fixture *f, const char *key, const char *data)
{
    return objstore_put(f->bucket, &CALL, text(key), text(data), &f->err);
}

static inline bool
put_file(struct fixture *f, const struct objstore_call *call, struct bytes key, int fd,
         uint64_t size)
{
    struct objstore_attrs stored;
    const struct objstore_file file = {.fd = fd, .size = size};
    return objstore_put_file(f->bucket, call, key, &file, &stored, &f->err);
}

/* A gate for puts that lets so many bytes through, and counts them. */
struct gate {
    size_t limit;
    size_t passed;
};

static inline bool
pass_gate(void *arg, size_t len, struct err *err)
{
    struct gate *g = arg;
    if (len > g->limit - g->passed)
        return err_set(err, ERR_BUDGET, "the gate is shut");
    g->passed += len;
    return true;
}

static inline bool
put_file_by(struct fixture *f, struct bytes key, int fd, uint64_t size, struct gate *g)
{
    struct objstore_attrs stored;
    const struct objstore_file file = {
        .fd = fd, .size = size, .gate = pass_gate, .gate_arg = g};
    return objstore_put_file(f->bucket, &CALL, key, &file, &stored, &f->err);
}

/* Content of an object as a text to free; "<code>" if it cannot be read. */
static inline char *
get(struct fixture *f, const char *key)
{
    struct buf b = {0};
    if (!objstore_get(f->bucket, &CALL, text(key), 1 << 20, &b, &f->err)) {
        buf_clear(&b);
        buf_printf(&b, "<%s>", err_code_name(f->err.code));
    }
    char *copy = strdup(buf_text(&b));
    buf_fini(&b);
    return copy;
}

static inline void
expect_object(struct fixture *f, const char *key, const char *expected)
{
    char *got = get(f, key);
    assert_string_equal(got, expected);
    free(got);
}

static inline bool
append_key(void *arg, const struct objstore_object *object, struct err *err)
{
    (void)err;
    buf_put((struct buf *)arg, object->key);
    buf_put_str((struct buf *)arg, " ");
    return true;
}

/* Keys below prefix, each with a blank behind it, or "<code>". */
static inline void
expect_list(struct fixture *f, const char *prefix, const char *expected)
{
    struct buf keys = {0};
    if (!objstore_list(f->bucket, &CALL, text(prefix), append_key, &keys, &f->err)) {
        buf_clear(&keys);
        buf_printf(&keys, "<%s>", err_code_name(f->err.code));
    }
    assert_string_equal(buf_text(&keys), expected);
    buf_fini(&keys);
}

#endif
