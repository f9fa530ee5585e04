/* SPDX-License-Identifier: Apache-2.0 */
#include "common/objstore/s3.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/xmalloc.h"
#include "common/codec/digest.h"
#include "common/objstore/s3_list.h"
#include "common/objstore/s3_priv.h"

static struct objstore_s3 *
s3_of(struct objstore_bucket *b)
{
    return (struct objstore_s3 *)b;
}

bool
objstore_s3_head(const struct objstore_s3 *s3, const struct objstore_call *call,
                 struct bytes key, struct objstore_attrs *attrs,
                 struct objstore_s3_answer *answer, struct err *err)
{
    static const struct objstore_s3_header WITH_CHECKSUM = {"x-amz-checksum-mode",
                                                            "ENABLED"};
    const struct objstore_s3_target target = {
        .key = key, .own = {&WITH_CHECKSUM, 1}, .common = s3->key_headers};
    if (!objstore_s3_perform(s3->peer, call, &target,
                             (struct net_http_request){.method = "HEAD"}, answer, err))
        return false;
    return objstore_s3_attrs(&answer->http, attrs, err);
}

static bool
s3_head(struct objstore_bucket *b, const struct objstore_call *call, struct bytes key,
        struct objstore_attrs *attrs, struct err *err)
{
    CLEANUP(xfree) struct objstore_s3_answer *answer = xcalloc(1, sizeof *answer);
    return objstore_s3_head(s3_of(b), call, key, attrs, answer, err);
}

/* Request the page of a listing that begins at a token or marker. */
static bool
fetch_page(void *arg, const struct objstore_s3_wanted *wanted,
           struct objstore_s3_page *page, struct err *err)
{
    const struct objstore_s3 *s3 = arg;
    struct objstore_s3_param params[] = {
        {"encoding-type", BYTES("url")},
        {"max-keys", BYTES("1000")},
        {"prefix", wanted->prefix},
        {s3->list_v1 ? "marker" : "continuation-token", wanted->from},
        {"list-type", BYTES("2")},
    };
    CLEANUP(buf_fini) struct buf query = {0};
    CLEANUP(xfree) struct objstore_s3_answer *answer = xcalloc(1, sizeof *answer);
    /* Left out: the version of the first one, and where the first page begins. */
    size_t count = ARRAY_LEN(params) - s3->list_v1;
    if (wanted->from.len == 0)
        params[3] = params[--count];
    objstore_s3_query(&query, params, count);
    const struct objstore_s3_target target = {.query = buf_bytes(&query)};
    return objstore_s3_perform(s3->peer, wanted->call, &target,
                               (struct net_http_request){.method = "GET",
                                                         .sink = objstore_s3_page_sink,
                                                         .sink_arg = page},
                               answer, err);
}

static bool
s3_list(struct objstore_bucket *b, const struct objstore_call *call,
        struct bytes prefix, objstore_list_fn *fn, void *arg, struct err *err)
{
    struct objstore_s3 *s3 = s3_of(b);
    const struct objstore_s3_listing listing = {
        .call = call,
        .prefix = prefix,
        .retrier = s3->retrier,
        .paging = s3->list_v1 ? OBJSTORE_S3_BY_MARKER : OBJSTORE_S3_BY_TOKEN,
        .fetch = fetch_page,
        .fetch_arg = s3};
    return objstore_s3_list(&listing, fn, arg, err);
}

static bool
s3_get_range(struct objstore_bucket *b, const struct objstore_call *call,
             struct objstore_read *read, objstore_sink_fn *sink, void *arg,
             struct err *err)
{
    const struct objstore_s3 *s3 = s3_of(b);
    char range[64];
    CLEANUP(xfree) struct objstore_s3_answer *answer = xcalloc(1, sizeof *answer);
    struct objstore_s3_ranged ranged = {
        .read = read, .sink = sink, .arg = arg, .response = &answer->http};
    const struct objstore_s3_header header = {"range", range};
    const struct objstore_s3_target target = {
        .key = read->key, .own = {&header, 1}, .common = s3->key_headers};
    snprintf(range, sizeof range, "bytes=%" PRIu64 "-%" PRIu64, read->offset,
             read->offset + read->len - 1);
    return objstore_s3_perform(
               s3->peer, call, &target,
               (struct net_http_request){.method = "GET",
                                         .sink = objstore_s3_ranged_sink,
                                         .sink_arg = &ranged},
               answer, err) &&
           objstore_s3_ranged_end(&ranged, err);
}

static bool
s3_put(struct objstore_bucket *b, const struct objstore_call *call,
       const struct objstore_put *put, struct objstore_attrs *stored, struct err *err)
{
    return objstore_s3_put(s3_of(b), call, put, stored, err);
}

static bool
s3_remove(struct objstore_bucket *b, const struct objstore_call *call, struct bytes key,
          struct err *err)
{
    CLEANUP(xfree) struct objstore_s3_answer *answer = xcalloc(1, sizeof *answer);
    const struct objstore_s3_target target = {.key = key};
    return objstore_s3_perform(s3_of(b)->peer, call, &target,
                               (struct net_http_request){.method = "DELETE"}, answer,
                               err) ||
           err->code == ERR_NOT_FOUND;
}

static unsigned
s3_abilities(const struct objstore_bucket *b)
{
    const struct objstore_s3 *s3 = (const struct objstore_s3 *)b;
    return OBJSTORE_CAN_ANY_KEY | OBJSTORE_CAN_CREATE |
           (s3->disable_multipart ? 0 : OBJSTORE_CAN_LARGE);
}

static const char *
s3_name(const struct objstore_bucket *b)
{
    return ((const struct objstore_s3 *)b)->name;
}

static struct objstore_s3_headers
copy_headers(const struct objstore_s3_header *from, size_t count)
{
    struct objstore_s3_header *to = xcalloc(count + 1, sizeof *to);
    for (size_t i = 0; i < count; i++)
        to[i] =
            (struct objstore_s3_header){xstrdup(from[i].name), xstrdup(from[i].value)};
    return (struct objstore_s3_headers){to, count};
}

/* Values may be keys. */
static void
free_headers(struct objstore_s3_headers *headers)
{
    for (size_t i = 0; i < headers->count; i++) {
        struct objstore_s3_header header = headers->at[i];
        char *value;
        memcpy(&value, &header.value, sizeof value);
        digest_cleanse(value, strlen(value));
        xfree(&header.value);
        xfree(&header.name);
    }
    xfree(&headers->at);
}

static void
s3_free(struct objstore_bucket *b)
{
    struct objstore_s3 *s3 = s3_of(b);
    objstore_s3_peer_free(&s3->peer);
    free_headers(&s3->put_headers);
    free_headers(&s3->key_headers);
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
    struct objstore_s3 *s3 = xcalloc(1, sizeof *s3);
    s3->base.ops = &S3_OPS;
    s3->peer = peer;
    s3->name = xstrdup(options->endpoint.bucket);
    s3->retrier = options->retrier;
    s3->list_v1 = options->list_v1;
    s3->is_encrypted = !options->endpoint.insecure;
    s3->disable_multipart = options->disable_multipart;
    s3->part_size = options->part_size;
    s3->is_auto = options->integrity == OBJSTORE_S3_INTEGRITY_AUTO;
    atomic_store(&s3->uses_md5, options->integrity == OBJSTORE_S3_INTEGRITY_MD5);
    s3->put_headers = copy_headers(options->put_headers, options->put_header_count);
    s3->key_headers = copy_headers(options->key_headers, options->key_header_count);
    *out = &s3->base;
    return true;
}
