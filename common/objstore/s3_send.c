/* SPDX-License-Identifier: Apache-2.0 */
/* A PUT and the two ways of making sure that it arrives as it was sent.
 *
 * Checksum: the CRC-32C of the content goes along, in front of bytes that are in memory
 * (a header), behind those of a file (a trailer: the file is read once). The server
 * compares, stores it, and says it back.
 *
 * MD5: Content-MD5 goes in front, so a file is read twice. Over plain HTTP, where the
 * signature is all that protects the content, the same pass makes its SHA-256. The ETag
 * says back the MD5, unless encryption made it something else. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/base/num.h"
#include "common/base/xmalloc.h"
#include "common/codec/crc32c.h"
#include "common/codec/digest.h"
#include "common/objstore/bucket_priv.h"
#include "common/objstore/s3_chunked.h"
#include "common/objstore/s3_priv.h"

enum {
    HASH_PIECE = 256 * 1024,
    MD5_HEX_SIZE = 2 * DIGEST_MD5_SIZE + 1,
    HASH_HEX_SIZE = 2 * DIGEST_SHA256_SIZE + 1,
    MAX_HEADERS = 8,
    MAX_SHOWN = 64, /* of what a server says, in errors */
};

struct request {
    struct objstore_s3_header headers[MAX_HEADERS];
    size_t count;
    char hash[HASH_HEX_SIZE]; /* of the payload, or what stands for it */
};

/* The part of a file as a body. */
struct file_body {
    struct objstore_s3_send *send;
    uint64_t sent;
};

static void
begin_headers(struct request *r, const struct objstore_s3_send *s)
{
    CHECK(s->target.own.count < MAX_HEADERS / 2);
    for (size_t i = 0; i < s->target.own.count; i++)
        r->headers[r->count++] = s->target.own.at[i];
}

static void
add_header(struct request *r, const char *name, const char *value)
{
    CHECK(r->count < MAX_HEADERS);
    r->headers[r->count++] = (struct objstore_s3_header){name, value};
}

static bool
read_content(void *arg, uint64_t offset, uint8_t *into, size_t len, struct err *err)
{
    const struct objstore_s3_send *s = arg;
    return objstore_put_send(s->put, s->offset + offset, into, len, err);
}

struct digests {
    uint8_t md5[DIGEST_MD5_SIZE];
    uint8_t sha256[DIGEST_SHA256_SIZE];
};

/* One pass over the content. */
static bool
digest_content(struct objstore_s3_send *s, struct digests *out, struct err *err)
{
    CLEANUP(digest_stream_free)
    struct digest_stream *md5 = digest_stream_new(DIGEST_MD5);
    CLEANUP(digest_stream_free)
    struct digest_stream *sha256 = digest_stream_new(DIGEST_SHA256);
    CLEANUP(xfree)
    uint8_t *piece = xcalloc(1, NUM_MIN(s->size, (uint64_t)HASH_PIECE) + 1);
    for (uint64_t done = 0; done < s->size;) {
        size_t n = NUM_MIN(s->size - done, (uint64_t)HASH_PIECE);
        if (!objstore_call_check(s->call, err) ||
            !objstore_put_read(s->put, s->offset + done, piece, n, err))
            return false;
        digest_stream_add(md5, bytes_of(piece, n));
        if (!s->s3->is_encrypted)
            digest_stream_add(sha256, bytes_of(piece, n));
        done += n;
    }
    digest_stream_finish(&md5, out->md5);
    digest_stream_finish(&sha256, out->sha256);
    return true;
}

static void
set_payload_hash(struct request *r, const struct objstore_s3_send *s,
                 const struct digests *digests)
{
    if (s->s3->is_encrypted)
        snprintf(r->hash, sizeof r->hash, "%s", OBJSTORE_S3_UNSIGNED_PAYLOAD);
    else
        digest_hex(bytes_of(digests->sha256, sizeof digests->sha256), r->hash);
}

static bool
read_file(void *arg, uint8_t *into, size_t room, size_t *got, struct err *err)
{
    struct file_body *body = arg;
    if (!read_content(body->send, body->sent, into, room, err))
        return false;
    body->sent += room;
    *got = room;
    return true;
}

static bool
read_chunked(void *arg, uint8_t *into, size_t room, size_t *got, struct err *err)
{
    return objstore_s3_chunked_read(arg, into, room, got, err);
}

static bool
perform(struct objstore_s3_send *s, struct request *r, struct net_http_request http,
        struct err *err)
{
    struct objstore_s3_target target = s->target;
    target.own = (struct objstore_s3_headers){r->headers, r->count};
    target.payload_hash = r->hash;
    http.method = "PUT";
    http.once = s->put->create;
    return objstore_s3_perform(s->s3->peer, s->call, &target, http, s->answer, err);
}

/* Perform with the content as it is. */
static bool
perform_plain(struct objstore_s3_send *s, struct request *r, struct err *err)
{
    struct file_body body = {.send = s};
    struct net_http_request http = {.body = s->put->data};
    if (s->put->fd >= 0)
        http = (struct net_http_request){
            .source = read_file, .source_arg = &body, .body_size = s->size};
    return perform(s, r, http, err);
}

static bool
send_by_md5(struct objstore_s3_send *s, struct err *err)
{
    struct request r = {0};
    struct digests digests;
    char hex[MD5_HEX_SIZE];
    char text[DIGEST_BASE64_SIZE(DIGEST_MD5_SIZE)];
    begin_headers(&r, s);
    if (!digest_content(s, &digests, err))
        return false;
    digest_hex(bytes_of(digests.md5, sizeof digests.md5), hex);
    digest_base64(bytes_of(digests.md5, sizeof digests.md5), text);
    add_header(&r, "content-md5", text);
    set_payload_hash(&r, s, &digests);
    return perform_plain(s, &r, err) &&
           objstore_s3_compare_etag(&s->answer->http, hex, &s->is_compared, err);
}

#define WRONG_SIGNATURE "SignatureDoesNotMatch"

bool
objstore_s3_refuses_checksums(const struct objstore_s3_answer *answer, bool is_coded)
{
    static const char *const CODES[] = {
        "InvalidArgument", "InvalidRequest", "MissingContentLength",
        "NotImplemented",  WRONG_SIGNATURE,  "UnsupportedTrailer",
    };
    if (strcmp(answer->error.code, "XAmzContentSHA256Mismatch") == 0)
        return is_coded;
    for (size_t i = 0; i < ARRAY_LEN(CODES); i++)
        if (strcmp(answer->error.code, CODES[i]) == 0)
            return true;
    return (answer->http.status == 400 && *answer->error.code == 0) ||
           answer->http.status == 411 || answer->http.status == 501;
}

static bool
compare_crc(struct objstore_s3_send *s, struct err *err)
{
    char sent[OBJSTORE_S3_CRC_TEXT_SIZE];
    struct bytes said =
        net_http_response_header(&s->answer->http, "x-amz-checksum-crc32c");
    objstore_s3_crc_text(s->crc, sent);
    s->is_compared = bytes_eq(said, bytes_of_str(sent));
    return s->is_compared || said.len == 0 ||
           err_set(err, ERR_CORRUPT, "the server has stored CRC-32C %.*s instead of %s",
                   (int)NUM_MIN(said.len, (size_t)MAX_SHOWN), (const char *)said.at,
                   sent);
}

static bool
send_data_by_crc(struct objstore_s3_send *s, struct request *r, struct err *err)
{
    char text[OBJSTORE_S3_CRC_TEXT_SIZE];
    struct digests digests;
    digest_sha256(s->put->data, digests.sha256);
    set_payload_hash(r, s, &digests);
    s->crc = crc32c(s->put->data);
    objstore_s3_crc_text(s->crc, text);
    add_header(r, "x-amz-checksum-crc32c", text);
    return perform_plain(s, r, err);
}

static bool
send_file_by_crc(struct objstore_s3_send *s, struct request *r, struct err *err)
{
    struct objstore_s3_chunked body;
    char size[24];
    snprintf(size, sizeof size, "%" PRIu64, s->size);
    snprintf(r->hash, sizeof r->hash, "%s", OBJSTORE_S3_UNSIGNED_TRAILER);
    add_header(r, "content-encoding", "aws-chunked");
    add_header(r, "x-amz-decoded-content-length", size);
    add_header(r, "x-amz-trailer", "x-amz-checksum-crc32c");
    objstore_s3_chunked_init(&body, read_content, s, s->size);
    bool ok = perform(
        s, r,
        (struct net_http_request){.source = read_chunked,
                                  .source_arg = &body,
                                  .body_size = objstore_s3_chunked_size(s->size)},
        err);
    s->crc = objstore_s3_chunked_crc(&body);
    return ok;
}

static bool
send_by_crc(struct objstore_s3_send *s, struct err *err)
{
    struct request r = {0};
    begin_headers(&r, s);
    bool ok =
        s->put->fd < 0 ? send_data_by_crc(s, &r, err) : send_file_by_crc(s, &r, err);
    s->is_refused = !ok && objstore_s3_refuses_checksums(s->answer, s->put->fd >= 0);
    /* Unless the next try signs by other keys. */
    s->is_final =
        s->is_refused && !(err_is_transient(err->code) &&
                           strcmp(s->answer->error.code, WRONG_SIGNATURE) == 0);
    return ok && compare_crc(s, err);
}

bool
objstore_s3_try_send(void *send, struct err *err)
{
    struct objstore_s3_send *s = send;
    s->is_compared = false;
    s->is_refused = false;
    s->is_final = false;
    return (s->uses_md5 ? send_by_md5(s, err) : send_by_crc(s, err)) || s->is_final;
}
