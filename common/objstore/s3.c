/* SPDX-License-Identifier: Apache-2.0 */
#include "common/objstore/s3.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/file.h"
#include "common/base/num.h"
#include "common/base/xmalloc.h"
#include "common/codec/digest.h"
#include "common/objstore/bucket_priv.h"
#include "common/objstore/retry.h"
#include "common/objstore/s3_answer.h"
#include "common/objstore/s3_exchange.h"
#include "common/objstore/s3_list.h"
#include "common/objstore/s3_sign.h"

enum { HASH_PIECE = 256 * 1024 };

/* What one PUT may store: the protocol's limit. */
#define MAX_PUT_BYTES (UINT64_C(5) << 30)

enum { HASH_HEX_SIZE = 2 * DIGEST_SHA256_SIZE + 1 };

struct s3 {
    struct objstore_bucket base;
    struct objstore_s3_peer *peer;
    char *name;
    bool is_encrypted; /* TLS protects what is sent */
    struct objstore_retrier *retrier;
};

static struct s3 *
s3_of(struct objstore_bucket *b)
{
    return (struct s3 *)b;
}

static bool
fetch_page(void *arg, const struct objstore_s3_wanted *wanted,
           struct objstore_s3_page *page, struct err *err)
{
    const struct s3 *s3 = arg;
    struct objstore_s3_param params[] = {
        {"list-type", BYTES("2")},
        {"encoding-type", BYTES("url")},
        {"max-keys", BYTES("1000")},
        {"prefix", wanted->prefix},
        {"continuation-token", wanted->from}, /* left out for the first page */
    };
    CLEANUP(buf_fini) struct buf query = {0};
    CLEANUP(xfree) struct net_http_response *response = xcalloc(1, sizeof *response);
    objstore_s3_query(&query, params, ARRAY_LEN(params) - (wanted->from.len == 0));
    const struct objstore_s3_target target = {.query = buf_bytes(&query),
                                              .payload_hash = OBJSTORE_S3_EMPTY_HASH};
    return objstore_s3_perform(s3->peer, wanted->call, &target,
                               (struct net_http_request){.method = "GET",
                                                         .sink = objstore_s3_page_sink,
                                                         .sink_arg = page},
                               response, err);
}

static bool
s3_list(struct objstore_bucket *b, const struct objstore_call *call,
        struct bytes prefix, objstore_list_fn *fn, void *arg, struct err *err)
{
    const struct objstore_s3_listing listing = {.call = call,
                                                .prefix = prefix,
                                                .retrier = s3_of(b)->retrier,
                                                .paging = OBJSTORE_S3_BY_TOKEN,
                                                .fetch = fetch_page,
                                                .fetch_arg = s3_of(b)};
    return objstore_s3_list(&listing, fn, arg, err);
}

static bool
s3_head(struct objstore_bucket *b, const struct objstore_call *call, struct bytes key,
        struct objstore_attrs *attrs, struct err *err)
{
    CLEANUP(xfree) struct net_http_response *response = xcalloc(1, sizeof *response);
    const struct objstore_s3_target target = {.key = key,
                                              .payload_hash = OBJSTORE_S3_EMPTY_HASH};
    return objstore_s3_perform(s3_of(b)->peer, call, &target,
                               (struct net_http_request){.method = "HEAD"}, response,
                               err) &&
           objstore_s3_attrs(response, attrs, err);
}

static bool
s3_get_range(struct objstore_bucket *b, const struct objstore_call *call,
             struct bytes key, uint64_t offset, uint64_t len, objstore_sink_fn *sink,
             void *arg, struct err *err)
{
    char range[64];
    CLEANUP(xfree) struct net_http_response *response = xcalloc(1, sizeof *response);
    struct objstore_s3_ranged r = {
        .offset = offset, .len = len, .sink = sink, .arg = arg, .response = response};
    const struct objstore_s3_target target = {
        .key = key, .range = range, .payload_hash = OBJSTORE_S3_EMPTY_HASH};
    snprintf(range, sizeof range, "bytes=%" PRIu64 "-%" PRIu64, offset,
             offset + len - 1);
    return objstore_s3_perform(
               s3_of(b)->peer, call, &target,
               (struct net_http_request){
                   .method = "GET", .sink = objstore_s3_ranged_sink, .sink_arg = &r},
               response, err) &&
           objstore_s3_ranged_end(&r, err);
}

/* Reads the file at its own offset: the descriptor's position is the caller's. */
struct file_source {
    int fd;
    uint64_t offset;
};

static bool
read_source(void *arg, uint8_t *into, size_t room, size_t *got, struct err *err)
{
    struct file_source *s = arg;
    if (!file_pread(s->fd, "the file to store", into, room, s->offset, err))
        return false;
    s->offset += room;
    *got = room;
    return true;
}

static bool
hash_file(int fd, uint64_t size, const struct objstore_call *call,
          struct digest_stream *hash, struct err *err)
{
    CLEANUP(xfree) uint8_t *piece = xcalloc(1, HASH_PIECE);
    for (uint64_t done = 0; done < size;) {
        size_t n = NUM_MIN(size - done, (uint64_t)HASH_PIECE);
        if (!objstore_call_check(call, err) ||
            !file_pread(fd, "the file to store", piece, n, done, err))
            return false;
        digest_stream_add(hash, bytes_of(piece, n));
        done += n;
    }
    return true;
}

/* Over plain HTTP the server must be able to tell that the payload was changed. */
static bool
payload_hash(const struct s3 *s3, int fd, uint64_t size,
             const struct objstore_call *call, char hex[HASH_HEX_SIZE], struct err *err)
{
    if (s3->is_encrypted) {
        snprintf(hex, HASH_HEX_SIZE, "%s", OBJSTORE_S3_UNSIGNED_PAYLOAD);
        return true;
    }
    uint8_t hash[DIGEST_SHA256_SIZE];
    struct digest_stream *stream = digest_stream_new(DIGEST_SHA256);
    bool ok = hash_file(fd, size, call, stream, err);
    digest_stream_finish(&stream, hash);
    digest_hex(bytes_of(hash, sizeof hash), hex);
    return ok;
}

static bool
put_file(const struct s3 *s3, const struct objstore_call *call,
         const struct objstore_put *put, struct err *err)
{
    char hex[HASH_HEX_SIZE];
    CLEANUP(xfree) struct net_http_response *response = xcalloc(1, sizeof *response);
    struct file_source source = {.fd = put->fd};
    const struct objstore_s3_target target = {.key = put->key, .payload_hash = hex};
    if (put->size > MAX_PUT_BYTES)
        return err_set(err, ERR_UNSUPPORTED,
                       "%" PRIu64
                       " bytes are more than the 5 GiB that one PUT may store",
                       put->size);
    return payload_hash(s3, put->fd, put->size, call, hex, err) &&
           objstore_s3_perform(s3->peer, call, &target,
                               (struct net_http_request){.method = "PUT",
                                                         .source = read_source,
                                                         .source_arg = &source,
                                                         .body_size = put->size},
                               response, err);
}

static bool
put_data(const struct s3 *s3, const struct objstore_call *call,
         const struct objstore_put *put, struct err *err)
{
    uint8_t hash[DIGEST_SHA256_SIZE];
    char hex[HASH_HEX_SIZE];
    CLEANUP(xfree) struct net_http_response *response = xcalloc(1, sizeof *response);
    const struct objstore_s3_target target = {.key = put->key, .payload_hash = hex};
    digest_sha256(put->data, hash);
    digest_hex(bytes_of(hash, sizeof hash), hex);
    return objstore_s3_perform(
        s3->peer, call, &target,
        (struct net_http_request){.method = "PUT", .body = put->data}, response, err);
}

/* A put under way. */
struct putting {
    const struct s3 *s3;
    const struct objstore_call *call;
    const struct objstore_put *put;
};

static bool
try_put(void *arg, struct err *err)
{
    const struct putting *p = arg;
    return p->put->fd < 0 ? put_data(p->s3, p->call, p->put, err)
                          : put_file(p->s3, p->call, p->put, err);
}

static bool
s3_put(struct objstore_bucket *b, const struct objstore_call *call,
       const struct objstore_put *put, struct objstore_attrs *stored, struct err *err)
{
    struct putting p = {.s3 = s3_of(b), .call = call, .put = put};
    if (put->create)
        return err_set(err, ERR_UNSUPPORTED, "cannot create");
    *stored = (struct objstore_attrs){.size = put->size};
    return objstore_retry(p.s3->retrier, call, try_put, &p, err);
}

static bool
s3_remove(struct objstore_bucket *b, const struct objstore_call *call, struct bytes key,
          struct err *err)
{
    CLEANUP(xfree) struct net_http_response *response = xcalloc(1, sizeof *response);
    const struct objstore_s3_target target = {.key = key,
                                              .payload_hash = OBJSTORE_S3_EMPTY_HASH};
    return objstore_s3_perform(s3_of(b)->peer, call, &target,
                               (struct net_http_request){.method = "DELETE"}, response,
                               err) ||
           err->code == ERR_NOT_FOUND;
}

static unsigned
s3_abilities(const struct objstore_bucket *b)
{
    (void)b;
    return OBJSTORE_CAN_ANY_KEY;
}

static const char *
s3_name(const struct objstore_bucket *b)
{
    return ((const struct s3 *)b)->name;
}

static void
s3_free(struct objstore_bucket *b)
{
    struct s3 *s3 = s3_of(b);
    objstore_s3_peer_free(&s3->peer);
    free(s3->name);
    free(s3);
}

static const struct objstore_bucket_ops S3_OPS = {
    .list = s3_list,
    .head = s3_head,
    .get_range = s3_get_range,
    .put = s3_put,
    .remove = s3_remove,
    .abilities = s3_abilities,
    .name = s3_name,
    .free = s3_free,
};

bool
objstore_s3_open(struct objstore_bucket **out,
                 const struct objstore_s3_options *options, struct err *err)
{
    struct objstore_s3_peer *peer;
    if (!objstore_s3_peer_new(&peer, options, err))
        return false;
    struct s3 *s3 = xcalloc(1, sizeof *s3);
    s3->base.ops = &S3_OPS;
    s3->peer = peer;
    s3->name = xstrdup(options->bucket);
    s3->is_encrypted = !options->insecure;
    s3->retrier = options->retrier;
    *out = &s3->base;
    return true;
}
