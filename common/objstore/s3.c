/* SPDX-License-Identifier: Apache-2.0 */
#include "common/objstore/s3.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/xmalloc.h"
#include "common/codec/digest.h"
#include "common/objstore/bucket_priv.h"
#include "common/objstore/s3_priv.h"

static struct objstore_s3 *
s3_of(struct objstore_bucket *b)
{
    return (struct objstore_s3 *)b;
}

void
objstore_s3_etag(const struct net_http_response *response,
                 char etag_text[OBJSTORE_S3_ETAG_SIZE])
{
    struct bytes etag = net_http_response_header(response, "etag");
    if (etag.len >= 2 && etag.at[0] == '"' && etag.at[etag.len - 1] == '"')
        etag = bytes_of(etag.at + 1, etag.len - 2);
    snprintf(etag_text, OBJSTORE_S3_ETAG_SIZE, "%.*s",
             etag.len < OBJSTORE_S3_ETAG_SIZE ? (int)etag.len : 0,
             etag.len > 0 ? (const char *)etag.at : "");
}

static bool
read_attrs(const struct net_http_response *response, struct objstore_attrs *attrs)
{
    struct objstore_attrs read = {0};
    objstore_s3_etag(response, read.etag);
    if (!objstore_parse_u64(net_http_response_header(response, "content-length"),
                            &read.size) ||
        !objstore_s3_parse_date(net_http_response_header(response, "last-modified"),
                                &read.mtime_ms))
        return false;
    *attrs = read;
    return true;
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
    return read_attrs(&answer->http, attrs) ||
           err_set(err, ERR_CORRUPT,
                   "the answer lacks Content-Length or Last-Modified");
}

static bool
s3_head(struct objstore_bucket *b, const struct objstore_call *call, struct bytes key,
        struct objstore_attrs *attrs, struct err *err)
{
    CLEANUP(xfree) struct objstore_s3_answer *answer = xcalloc(1, sizeof *answer);
    return objstore_s3_head(s3_of(b), call, key, attrs, answer, err);
}

static bool
s3_list(struct objstore_bucket *b, const struct objstore_call *call,
        struct bytes prefix, objstore_list_fn *fn, void *arg, struct err *err)
{
    return objstore_s3_list(s3_of(b), call, prefix, fn, arg, err);
}

/* A ranged read whose answer is checked before its first byte is handed on. */
struct ranged {
    uint64_t offset;
    uint64_t len;
    objstore_sink_fn *sink;
    void *arg;
    const struct net_http_response *response;
    bool is_checked;
    uint64_t left; /* of what the server announced; once checked */
};

/* Parse "bytes 0-9/10" or "bytes 0-9/\*"; *total is then UINT64_MAX. */
static bool
parse_content_range(struct bytes text, uint64_t *first, uint64_t *last, uint64_t *total)
{
    if (!bytes_starts_with(text, BYTES("bytes ")))
        return false;
    bytes_skip(&text, strlen("bytes "));
    const uint8_t *dash = memchr(text.at, '-', text.len);
    const uint8_t *slash = memchr(text.at, '/', text.len);
    if (dash == NULL || slash == NULL || slash < dash)
        return false;
    struct bytes behind = bytes_of(slash + 1, text.len - (size_t)(slash + 1 - text.at));
    *total = UINT64_MAX;
    return objstore_parse_u64(bytes_of(text.at, (size_t)(dash - text.at)), first) &&
           objstore_parse_u64(bytes_of(dash + 1, (size_t)(slash - dash - 1)), last) &&
           (bytes_eq(behind, BYTES("*")) || objstore_parse_u64(behind, total));
}

static bool
check_range_answer(struct ranged *r, struct err *err)
{
    uint64_t first, last, total;
    struct bytes range = net_http_response_header(r->response, "content-range");
    r->is_checked = true;
    /* Some servers have no range of an empty object to refuse. */
    if (r->response->status == 200 && r->response->body_bytes == 0)
        return err_set(err, ERR_INVALID,
                       "range begins at %" PRIu64 ", the object is empty", r->offset);
    if (r->response->status != 206)
        return err_set(err, ERR_UNSUPPORTED, "status %d: the server ignores ranges",
                       r->response->status);
    if (!parse_content_range(range, &first, &last, &total) || first != r->offset ||
        last < first || last - first >= r->len || last >= total ||
        (last - first + 1 < r->len && last + 1 != total && total != UINT64_MAX))
        return err_set(err, ERR_CORRUPT,
                       "asked for %" PRIu64 " bytes at %" PRIu64
                       ", the server answers with the range \"%.*s\"",
                       r->len, r->offset, BYTES_FMT(range));
    r->left = last - first + 1;
    return true;
}

static bool
sink_range(void *arg, struct bytes piece, struct err *err)
{
    struct ranged *r = arg;
    if (!r->is_checked && !check_range_answer(r, err))
        return false;
    if (piece.len > r->left)
        return err_set(err, ERR_CORRUPT, "the server sends more than it announced");
    r->left -= piece.len;
    return r->sink(r->arg, piece, err);
}

static bool
s3_get_range(struct objstore_bucket *b, const struct objstore_call *call,
             struct bytes key, uint64_t offset, uint64_t len, objstore_sink_fn *sink,
             void *arg, struct err *err)
{
    const struct objstore_s3 *s3 = s3_of(b);
    char range[64];
    CLEANUP(xfree) struct objstore_s3_answer *answer = xcalloc(1, sizeof *answer);
    struct ranged r = {.offset = offset,
                       .len = len,
                       .sink = sink,
                       .arg = arg,
                       .response = &answer->http};
    const struct objstore_s3_header header = {"range", range};
    const struct objstore_s3_target target = {
        .key = key, .own = {&header, 1}, .common = s3->key_headers};
    snprintf(range, sizeof range, "bytes=%" PRIu64 "-%" PRIu64, offset,
             offset + len - 1);
    if (!objstore_s3_perform(s3->peer, call, &target,
                             (struct net_http_request){
                                 .method = "GET", .sink = sink_range, .sink_arg = &r},
                             answer, err))
        return false;
    if (!r.is_checked && !check_range_answer(&r, err))
        return false;
    return r.left == 0 || err_set(err, ERR_UNAVAILABLE,
                                  "the answer ends %" PRIu64 " bytes early", r.left);
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
        to[i] = (struct objstore_s3_header){xstrdup(from[i].name),
                                            xstrdup(from[i].value)};
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
    s3->has_md5_etags = options->has_md5_etags;
    s3->is_auto = options->integrity == OBJSTORE_S3_INTEGRITY_AUTO;
    atomic_store(&s3->uses_md5, options->integrity == OBJSTORE_S3_INTEGRITY_MD5);
    s3->put_headers = copy_headers(options->put_headers, options->put_header_count);
    s3->key_headers = copy_headers(options->key_headers, options->key_header_count);
    *out = &s3->base;
    return true;
}
