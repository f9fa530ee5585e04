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
#include "common/objstore/s3_exchange.h"
#include "common/objstore/s3_sign.h"
#include "common/objstore/s3_xml.h"

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

/* A listing under way. */
struct listing {
    const struct s3 *s3;
    const struct objstore_call *call;
    struct bytes prefix;
    objstore_list_fn *fn;
    void *arg;
    struct buf token; /* of the next page; empty for the first */
    struct buf last;  /* key that was listed last */
    struct objstore_s3_page *page;
};

static void
listing_fini(struct listing *l)
{
    buf_fini(&l->token);
    buf_fini(&l->last);
    objstore_s3_page_free(&l->page);
}

static bool
feed_page(void *arg, struct bytes piece, struct err *err)
{
    return objstore_s3_page_feed(arg, piece, err);
}

/* Fetch the next page; may be called again for it. */
static bool
try_page(void *arg, struct err *err)
{
    struct listing *l = arg;
    struct objstore_s3_param params[] = {
        {"list-type", BYTES("2")},
        {"encoding-type", BYTES("url")},
        {"max-keys", BYTES("1000")},
        {"prefix", l->prefix},
        {"continuation-token", buf_bytes(&l->token)}, /* left out for the first page */
    };
    CLEANUP(buf_fini) struct buf query = {0};
    CLEANUP(xfree) struct net_http_response *response = xcalloc(1, sizeof *response);
    objstore_s3_query(&query, params, ARRAY_LEN(params) - (l->token.len == 0));
    const struct objstore_s3_target target = {.query = buf_bytes(&query),
                                              .payload_hash = OBJSTORE_S3_EMPTY_HASH};
    objstore_s3_page_free(&l->page);
    l->page = objstore_s3_page_new();
    return objstore_s3_perform(l->s3->peer, l->call, &target,
                               (struct net_http_request){.method = "GET",
                                                         .sink = feed_page,
                                                         .sink_arg = l->page},
                               response, err) &&
           objstore_s3_page_finish(l->page, err);
}

/* The order is promised to callers, who find the end of a block by it. */
static bool
check_listed(const struct listing *l, struct bytes key, struct err *err)
{
    if (!bytes_starts_with(key, l->prefix))
        return err_set(err, ERR_CORRUPT, "the server lists keys without the prefix");
    if (l->last.len > 0 && bytes_cmp(key, buf_bytes(&l->last)) <= 0)
        return err_set(
            err, ERR_CORRUPT,
            "the server does not list in byte order: \"%.*s\" after \"%.*s\"",
            BYTES_FMT(key), BYTES_FMT(buf_bytes(&l->last)));
    return true;
}

static bool
deliver_page(struct listing *l, struct err *err)
{
    for (size_t i = 0; i < objstore_s3_page_count(l->page); i++) {
        struct objstore_object object = objstore_s3_page_object(l->page, i);
        if (!check_listed(l, object.key, err))
            return false;
        buf_clear(&l->last);
        buf_put(&l->last, object.key);
        /* "folder/", as consoles make them, and other keys that no call can read. */
        if (objstore_key_is_valid(object.key) && !l->fn(l->arg, &object, err))
            return false;
    }
    return true;
}

static bool
turn_page(struct listing *l, struct err *err)
{
    struct bytes next = objstore_s3_page_next(l->page);
    if (next.len > 0 && bytes_eq(next, buf_bytes(&l->token)))
        return err_set(err, ERR_CORRUPT, "the server repeats a page of its listing");
    buf_clear(&l->token);
    buf_put(&l->token, next);
    return true;
}

static bool
s3_list(struct objstore_bucket *b, const struct objstore_call *call,
        struct bytes prefix, objstore_list_fn *fn, void *arg, struct err *err)
{
    CLEANUP(listing_fini)
    struct listing l = {
        .s3 = s3_of(b), .call = call, .prefix = prefix, .fn = fn, .arg = arg};
    do {
        if (!objstore_retry(l.s3->retrier, call, try_page, &l, err) ||
            !deliver_page(&l, err) || !turn_page(&l, err))
            return false;
    } while (l.token.len > 0);
    return true;
}

static bool
read_attrs(const struct net_http_response *response, struct objstore_attrs *attrs)
{
    struct objstore_attrs read = {0};
    struct bytes etag = net_http_response_header(response, "etag");
    if (etag.len >= 2 && etag.at[0] == '"' && etag.at[etag.len - 1] == '"')
        etag = bytes_of(etag.at + 1, etag.len - 2);
    if (etag.len < sizeof read.etag)
        snprintf(read.etag, sizeof read.etag, "%.*s", BYTES_FMT(etag));
    if (!objstore_parse_u64(net_http_response_header(response, "content-length"),
                            &read.size) ||
        !objstore_s3_parse_date(net_http_response_header(response, "last-modified"),
                                &read.mtime_ms))
        return false;
    *attrs = read;
    return true;
}

static bool
s3_head(struct objstore_bucket *b, const struct objstore_call *call, struct bytes key,
        struct objstore_attrs *attrs, struct err *err)
{
    CLEANUP(xfree) struct net_http_response *response = xcalloc(1, sizeof *response);
    const struct objstore_s3_target target = {.key = key,
                                              .payload_hash = OBJSTORE_S3_EMPTY_HASH};
    if (!objstore_s3_perform(s3_of(b)->peer, call, &target,
                             (struct net_http_request){.method = "HEAD"}, response,
                             err))
        return false;
    return read_attrs(response, attrs) ||
           err_set(err, ERR_CORRUPT,
                   "the answer lacks Content-Length or Last-Modified");
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
    char range[64];
    CLEANUP(xfree) struct net_http_response *response = xcalloc(1, sizeof *response);
    struct ranged r = {
        .offset = offset, .len = len, .sink = sink, .arg = arg, .response = response};
    const struct objstore_s3_target target = {
        .key = key, .range = range, .payload_hash = OBJSTORE_S3_EMPTY_HASH};
    snprintf(range, sizeof range, "bytes=%" PRIu64 "-%" PRIu64, offset,
             offset + len - 1);
    if (!objstore_s3_perform(s3_of(b)->peer, call, &target,
                             (struct net_http_request){
                                 .method = "GET", .sink = sink_range, .sink_arg = &r},
                             response, err))
        return false;
    if (!r.is_checked && !check_range_answer(&r, err))
        return false;
    return r.left == 0 || err_set(err, ERR_UNAVAILABLE,
                                  "the answer ends %" PRIu64 " bytes early", r.left);
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
