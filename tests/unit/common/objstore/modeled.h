/* SPDX-License-Identifier: Apache-2.0 */
/* A bucket at the model of S3. */
#ifndef TESTS_UNIT_COMMON_OBJSTORE_MODELED_H
#define TESTS_UNIT_COMMON_OBJSTORE_MODELED_H

#include <sys/mman.h>

#include "common/objstore/retry.h"
#include "common/objstore/s3.h"
#include "tests/support/expect.h"
#include "tests/support/s3_server.h"
#include "tests/unit/common/objstore/fixture.h"

struct modeled {
    struct s3_server server;
    struct objstore_bucket *bucket;
    struct err err;
};

/* The zero value of options and keys will do. */
static inline void
modeled_open(struct modeled *m, const struct objstore_s3_options *options,
             const struct objstore_credentials_options *keys)
{
    static const struct objstore_credentials_options KEYS = {
        .access_key = "AKIAONE", .secret_key = S3_SECRET_PREFIX "AKIAONE"};
    struct objstore_s3_options o = *options;
    struct objstore_retrier *retrier =
        objstore_retrier_new(&(struct objstore_retrier_options){4});
    o.endpoint = (struct objstore_s3_endpoint){
        .bucket = "blocks", .address = m->server.address, .insecure = true};
    o.region = o.region != NULL ? o.region : "us-east-1";
    o.http.user_agent = "blockhouse-test";
    o.retrier = retrier;
    o.part_size = OBJSTORE_S3_MIN_PART_BYTES;
    expect_ok(
        objstore_credentials_new(&o.credentials, keys != NULL ? keys : &KEYS, &m->err),
        m->err);
    expect_ok(objstore_s3_open(&m->bucket, &o, &m->err), m->err);
    objstore_retry_wrap(&m->bucket, retrier);
}

static inline struct modeled *
modeled_new(enum objstore_s3_integrity integrity, const struct s3_faults *faults)
{
    struct modeled *m = calloc(1, sizeof *m);
    s3_server_start(&m->server);
    s3_server_break(&m->server, faults);
    modeled_open(m, &(struct objstore_s3_options){.integrity = integrity}, NULL);
    return m;
}

/* Whatever the server did, no request may have been wrong. */
static inline void
modeled_free(struct modeled *m)
{
    assert_string_equal(s3_server_complaint(&m->server), "");
    objstore_free(&m->bucket);
    s3_server_stop(&m->server);
    free(m);
}

/* Since the last time. */
static inline void
expect_log(struct modeled *m, const char *expected)
{
    struct buf log = {0};
    s3_server_log(&m->server, &log);
    assert_string_equal(buf_text(&log), expected);
    buf_fini(&log);
}

static inline void
expect_content(struct modeled *m, const char *key, struct bytes expected)
{
    struct buf content = {0};
    assert_true(s3_server_content(&m->server, key, &content));
    assert_true(bytes_eq(buf_bytes(&content), expected));
    buf_fini(&content);
}

static inline void
expect_nothing(struct modeled *m, const char *key)
{
    struct buf content = {0};
    assert_false(s3_server_content(&m->server, key, &content));
    buf_fini(&content);
}

/* expected NULL: there must be no such header. */
static inline void
expect_header(struct modeled *m, enum s3_op op, size_t nth, const char *name,
              const char *expected)
{
    char value[512];
    bool has = s3_server_header(&m->server, op, nth, name, value, sizeof value);
    const char *got = has ? value : "none", *wanted = expected ? expected : "none";
    if (has != (expected != NULL) || strcmp(got, wanted) != 0)
        fail_msg("%s: %s instead of %s", name, got, wanted);
}

static inline bool
has_header(struct modeled *m, enum s3_op op, size_t nth, const char *name)
{
    char value[2];
    return s3_server_header(&m->server, op, nth, name, value, sizeof value);
}

/* A file of size bytes that no two places of look alike. */
struct sample {
    int fd;
    uint8_t *data;
    size_t size;
};

static inline struct sample
sample_new(size_t size)
{
    struct sample s = {memfd_create("sample", 0), malloc(size + 1), size};
    uint64_t x = size + 1;
    for (size_t i = 0; i < size; i++) {
        x = x * UINT64_C(6364136223846793005) + 1442695040888963407;
        s.data[i] = (uint8_t)(x >> 56);
    }
    assert_int_equal(pwrite(s.fd, s.data, size, 0), size);
    return s;
}

static inline void
sample_free(struct sample *s)
{
    close(s->fd);
    free(s->data);
}

static inline struct bytes
sample_bytes(const struct sample *s)
{
    return bytes_of(s->data, s->size);
}

static inline bool
store_sample(struct modeled *m, const char *key, const struct sample *s, bool alone)
{
    struct objstore_attrs stored;
    const struct objstore_file file = {
        .fd = s->fd, .size = s->size, .sole_writer = alone};
    bool ok = objstore_put_file(m->bucket, &CALL, text(key), &file, &stored, &m->err);
    assert_true(!ok || stored.size == s->size);
    return ok;
}

static inline bool
store_text(struct modeled *m, const char *key, const char *content)
{
    return objstore_put(m->bucket, &CALL, text(key), text(content), &m->err);
}

#endif
