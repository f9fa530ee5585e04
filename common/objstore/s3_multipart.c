/* SPDX-License-Identifier: Apache-2.0 */
/* An object in parts: begin, send the parts side by side, complete. Until the last step
 * the bucket shows nothing of it.
 *
 * Each part is compared as it arrives (s3_send.c), and completing names the ETag and
 * checksum of each, so the server puts together what was compared. A failure takes the
 * parts away again; what a crash left behind is taken away by the next upload of the
 * key, if its caller says that nobody else stores it. */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/num.h"
#include "common/base/pool.h"
#include "common/base/xmalloc.h"
#include "common/codec/crc32c.h"
#include "common/objstore/bucket_priv.h"
#include "common/objstore/s3_chunked.h"
#include "common/objstore/s3_priv.h"

enum {
    MAX_PARTS = 10000, /* the protocol's limit */
    SENDERS = 4,       /* as in Thanos */
    MAX_ID = 1024,     /* opaque; known ones have up to 200 bytes */
    MAX_ANSWER = 1 << 20,
    ETAG_SIZE = 80,
    MAX_LEFTOVERS = 16, /* uploads that one put takes away; the next one takes more */
};

/* To take away what has failed; the caller's own deadline may have passed. */
#define ABORT_TIMEOUT_NS (10 * CLOCK_NS_PER_S)
#define ABORT_STOPPING_NS CLOCK_NS_PER_S /* while the process stops, say */

struct part {
    char etag[ETAG_SIZE];
    uint32_t crc;
};

struct upload {
    const struct objstore_s3 *s3;
    const struct objstore_call *call;
    const struct objstore_put *put;
    char id[MAX_ID]; /* "": not begun */
    bool uses_md5;
    uint64_t part_bytes;
    size_t count;
    struct part *parts;
    /* shared by the senders */
    atomic_size_t next;
    atomic_bool has_failed;
    atomic_bool is_refused;
    atomic_bool has_uncompared; /* a part of which the server has not said what it is */
    struct err failure;         /* of the one that has set has_failed */
};

static void
upload_free(struct upload **u)
{
    free((*u)->parts);
    free(TAKE(*u));
}

/* Append the canonical query for part number, or without one for 0. */
static void
put_query(const char *id, size_t number, struct buf *query)
{
    char text[24];
    snprintf(text, sizeof text, "%zu", number);
    struct objstore_s3_param params[] = {
        {"uploadId", bytes_of_str(id)},
        {"partNumber", bytes_of_str(text)},
    };
    objstore_s3_query(query, params, number > 0 ? 2 : 1);
}

static bool
keep_body(void *arg, struct bytes piece, struct err *err)
{
    struct buf *body = arg;
    if (piece.len > MAX_ANSWER - body->len)
        return err_set(err, ERR_CORRUPT, "the answer is longer than %d bytes",
                       MAX_ANSWER);
    buf_put(body, piece);
    return true;
}

/* One request with a short answer, and how it may be tried again. */
struct request {
    const struct upload *upload;
    const struct objstore_call *call;
    const char *method;
    struct bytes key;
    struct bytes query;
    struct objstore_s3_headers own;
    struct objstore_s3_headers common;
    struct bytes body;
    struct buf answer;
    bool is_refused; /* for its checksum, it may be */
};

static bool
try_request(void *arg, struct err *err)
{
    struct request *r = arg;
    const struct objstore_s3 *s3 = r->upload->s3;
    char hash[2 * DIGEST_SHA256_SIZE + 1];
    uint8_t digest[DIGEST_SHA256_SIZE];
    CLEANUP(xfree) struct objstore_s3_answer *answer = xcalloc(1, sizeof *answer);
    digest_sha256(r->body, digest);
    digest_hex(bytes_of(digest, sizeof digest), hash);
    const struct objstore_s3_target target = {.key = r->key,
                                              .query = r->query,
                                              .payload_hash = hash,
                                              .own = r->own,
                                              .common = r->common};
    buf_clear(&r->answer);
    bool ok = objstore_s3_perform(s3->peer, r->call, &target,
                                  (struct net_http_request){.method = r->method,
                                                            .body = r->body,
                                                            .once = true,
                                                            .sink = keep_body,
                                                            .sink_arg = &r->answer},
                                  answer, err);
    r->is_refused = !ok && objstore_s3_refuses_checksums(answer, false);
    return ok;
}

static void
request_fini(struct request *r)
{
    buf_fini(&r->answer);
}

static bool
begin(struct upload *u, struct err *err)
{
    static const struct objstore_s3_header CRC32C = {"x-amz-checksum-algorithm",
                                                     "CRC32C"};
    const struct objstore_s3_field field = {"UploadId", u->id, sizeof u->id};
    CLEANUP(request_fini)
    struct request r = {.upload = u,
                        .call = u->call,
                        .method = "POST",
                        .key = u->put->key,
                        .query = BYTES("uploads="),
                        .own = {&CRC32C, !u->uses_md5},
                        .common = u->s3->put_headers};
    if (!objstore_retry(u->s3->retrier, u->call, try_request, &r, err)) {
        atomic_store(&u->is_refused, !u->uses_md5 && r.is_refused);
        return err_wrap(err, "begin an upload in parts");
    }
    if (!objstore_s3_fields(buf_bytes(&r.answer), "InitiateMultipartUploadResult",
                            &field, 1, err))
        return err_wrap(err, "begin an upload in parts");
    return *u->id != 0 ||
           err_set(err, ERR_CORRUPT, "begin an upload in parts: no id in the answer");
}

/* Take an upload away: nobody will complete it. What cannot be taken away now is left
 * to the next put of the key, or to the bucket's life cycle rules. */
static void
abort_upload(const struct upload *u, const struct objstore_call *call, const char *id)
{
    CLEANUP(buf_fini) struct buf query = {0};
    struct request r = {
        .upload = u, .call = call, .method = "DELETE", .key = u->put->key};
    struct err err;
    put_query(id, 0, &query);
    r.query = buf_bytes(&query);
    if (!objstore_retry(u->s3->retrier, call, try_request, &r, &err) &&
        err.code != ERR_NOT_FOUND)
        LOG_WARN("an upload in parts could not be taken away",
                 LOG_BYTES("object", u->put->key), LOG_ERR(&err));
    request_fini(&r);
}

/* A part of the caller's time, so that most of it is left for the upload. */
static struct objstore_call
brief(const struct objstore_call *call)
{
    int64_t deadline_ns = clock_deadline(ABORT_TIMEOUT_NS);
    return (struct objstore_call){
        .deadline_ns = NUM_MIN(call->deadline_ns, deadline_ns), .cancel = call->cancel};
}

struct leftovers {
    struct bytes key;
    char ids[MAX_LEFTOVERS][MAX_ID];
    size_t count;
};

static void
note_leftover(void *arg, struct bytes key, struct bytes id)
{
    struct leftovers *l = arg;
    if (bytes_eq(key, l->key) && l->count < MAX_LEFTOVERS && id.len > 0 &&
        id.len < MAX_ID)
        snprintf(l->ids[l->count++], MAX_ID, "%.*s", BYTES_FMT(id));
}

static void
remove_leftovers(const struct upload *u)
{
    struct objstore_s3_param params[] = {{"uploads", {0}}, {"prefix", u->put->key}};
    CLEANUP(buf_fini) struct buf query = {0};
    CLEANUP(xfree) struct leftovers *l = xcalloc(1, sizeof *l);
    struct err err;
    struct objstore_call call = brief(u->call);
    objstore_s3_query(&query, params, ARRAY_LEN(params));
    CLEANUP(request_fini)
    struct request r = {
        .upload = u, .call = &call, .method = "GET", .query = buf_bytes(&query)};
    l->key = u->put->key;
    if (!objstore_retry(u->s3->retrier, &call, try_request, &r, &err) ||
        !objstore_s3_uploads(buf_bytes(&r.answer), note_leftover, l, &err)) {
        LOG_DEBUG("unfinished uploads cannot be listed", LOG_BYTES("object", l->key),
                  LOG_ERR(&err));
        return;
    }
    for (size_t i = 0; i < l->count && objstore_call_check(u->call, &err); i++) {
        if (strcmp(l->ids[i], u->id) == 0)
            continue;
        LOG_INFO("removes an unfinished upload", LOG_BYTES("object", l->key));
        call = brief(u->call);
        abort_upload(u, &call, l->ids[i]);
    }
}

static bool
send_part(struct upload *u, size_t i, struct err *err)
{
    CLEANUP(buf_fini) struct buf query = {0};
    CLEANUP(xfree) struct objstore_s3_answer *answer = xcalloc(1, sizeof *answer);
    put_query(u->id, i + 1, &query);
    uint64_t offset = i * u->part_bytes;
    struct objstore_s3_send s = {.s3 = u->s3,
                                 .call = u->call,
                                 .target = {.key = u->put->key,
                                            .query = buf_bytes(&query),
                                            .common = u->s3->key_headers},
                                 .put = u->put,
                                 .offset = offset,
                                 .size = NUM_MIN(u->part_bytes, u->put->size - offset),
                                 .uses_md5 = u->uses_md5,
                                 .answer = answer};
    bool ok = objstore_retry(u->s3->retrier, u->call, objstore_s3_try_send, &s, err);
    if (s.is_refused || (ok && !s.is_compared && !s.uses_md5 && u->s3->is_auto)) {
        atomic_store(&u->is_refused, true);
        return s.is_refused ? false
                            : err_set(err, ERR_UNSUPPORTED,
                                      "the server says no checksum of what it stored");
    }
    if (!ok)
        return false;
    struct bytes etag = objstore_s3_etag(&answer->http);
    if (etag.len == 0 || etag.len >= ETAG_SIZE)
        return err_set(err, ERR_CORRUPT, "part %zu was stored without an ETag", i + 1);
    snprintf(u->parts[i].etag, ETAG_SIZE, "%.*s", BYTES_FMT(etag));
    u->parts[i].crc = s.crc;
    if (!s.is_compared)
        atomic_store(&u->has_uncompared, true);
    return true;
}

/* A sender: takes the next part until there is none, or one has failed. */
static void *
send_parts(void *arg)
{
    struct upload *u = arg;
    while (!atomic_load(&u->has_failed)) {
        struct err err;
        size_t i = atomic_fetch_add(&u->next, 1);
        if (i >= u->count)
            break;
        if (!send_part(u, i, &err) && !atomic_exchange(&u->has_failed, true))
            u->failure = err;
    }
    return NULL;
}

/* The caller's thread is one of the senders, so that without any other it still works.
 */
static bool
send_all(struct upload *u, struct err *err)
{
    pthread_t threads[SENDERS - 1];
    size_t started = 0;
    struct err ignored;
    size_t wanted = NUM_MIN(u->count, (size_t)SENDERS) - 1;
    while (started < wanted &&
           thread_start(&threads[started], "upload-part", send_parts, u, &ignored))
        started++;
    send_parts(u);
    for (size_t i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    if (!atomic_load(&u->has_failed))
        return true;
    *err = u->failure;
    return false;
}

static void
put_manifest(const struct upload *u, struct buf *body)
{
    buf_put_str(body, "<CompleteMultipartUpload>");
    for (size_t i = 0; i < u->count; i++) {
        char crc[OBJSTORE_S3_CRC_TEXT_SIZE];
        objstore_s3_crc_text(u->parts[i].crc, crc);
        buf_printf(body, "<Part><PartNumber>%zu</PartNumber><ETag>\"%s\"</ETag>", i + 1,
                   u->parts[i].etag);
        if (!u->uses_md5)
            buf_printf(body, "<ChecksumCRC32C>%s</ChecksumCRC32C>", crc);
        buf_put_str(body, "</Part>");
    }
    buf_put_str(body, "</CompleteMultipartUpload>");
}

/* The server may send blanks while it works, and an error after it has said 200. */
static bool
read_completed(struct bytes answer, char etag[OBJSTORE_ETAG_SIZE + 2], struct err *err)
{
    const struct objstore_s3_field field = {"ETag", etag, OBJSTORE_ETAG_SIZE + 2};
    struct objstore_s3_error error;
    while (answer.len > 0 && (answer.at[0] == ' ' || answer.at[0] == '\n' ||
                              answer.at[0] == '\r' || answer.at[0] == '\t'))
        bytes_skip(&answer, 1);
    objstore_s3_error_parse(answer, &error);
    if (*error.code != 0)
        return err_set(err, ERR_UNAVAILABLE, "status 200, and then %s: %s", error.code,
                       error.message);
    if (!objstore_s3_fields(answer, "CompleteMultipartUploadResult", &field, 1, err)) {
        err->code = ERR_UNAVAILABLE;
        return false;
    }
    return true;
}

struct completing {
    struct request request;
    unsigned tries;
    char etag[OBJSTORE_ETAG_SIZE + 2]; /* perhaps in quotes; "" if it is not known */
};

static bool
try_complete(void *arg, struct err *err)
{
    struct completing *c = arg;
    c->tries++;
    return try_request(&c->request, err) &&
           read_completed(buf_bytes(&c->request.answer), c->etag, err);
}

/* *was_there: the upload was gone when it was tried again, so the first try may have
 * worked and only its answer was lost. */
static bool
complete(const struct upload *u, char etag[OBJSTORE_ETAG_SIZE], bool *was_there,
         struct err *err)
{
    CLEANUP(buf_fini) struct buf query = {0};
    CLEANUP(buf_fini) struct buf body = {0};
    put_query(u->id, 0, &query);
    put_manifest(u, &body);
    struct completing c = {.request = {.upload = u,
                                       .call = u->call,
                                       .method = "POST",
                                       .key = u->put->key,
                                       .query = buf_bytes(&query),
                                       .common = u->s3->key_headers,
                                       .body = buf_bytes(&body)}};
    bool ok = objstore_retry(u->s3->retrier, u->call, try_complete, &c, err);
    *was_there = !ok && err->code == ERR_NOT_FOUND && c.tries > 1;
    request_fini(&c.request);
    size_t quote = *c.etag == '"', len = strlen(c.etag);
    if (len > 2 * quote && len - 2 * quote < OBJSTORE_ETAG_SIZE)
        snprintf(etag, OBJSTORE_ETAG_SIZE, "%.*s", (int)(len - 2 * quote),
                 c.etag + quote);
    return ok || err_wrap(err, "complete an upload of %zu parts", u->count);
}

/* The checksum of the checksums of the parts: "<base64>-<number of parts>". */
static void
composite_text(const struct upload *u, char text[OBJSTORE_S3_CHECKSUM_SIZE])
{
    char whole[OBJSTORE_S3_CRC_TEXT_SIZE];
    uint32_t crc = 0;
    for (size_t i = 0; i < u->count; i++) {
        uint8_t be[4];
        be32_store(be, u->parts[i].crc);
        crc = crc32c_extend(crc, bytes_of(be, sizeof be));
    }
    objstore_s3_crc_text(crc, whole);
    snprintf(text, OBJSTORE_S3_CHECKSUM_SIZE, "%s-%zu", whole, u->count);
}

/* What completing puts together is what was compared, part by part. */
static bool
upload(struct upload *u, struct objstore_attrs *attrs, struct err *err)
{
    struct objstore_s3_stored what = {.key = u->put->key, .receipt.size = u->put->size};
    bool was_there = false;
    if (!begin(u, err))
        return false;
    /* Now, so that a begin whose answer was lost and that was tried again counts. */
    if (u->put->sole_writer)
        remove_leftovers(u);
    bool ok = send_all(u, err) && complete(u, what.receipt.etag, &was_there, err);
    if (!ok && !was_there) {
        bool is_cancelled = cancel_is_raised(u->call->cancel);
        const struct objstore_call call = {
            .deadline_ns =
                clock_deadline(is_cancelled ? ABORT_STOPPING_NS : ABORT_TIMEOUT_NS)};
        abort_upload(u, &call, u->id);
        return false;
    }
    what.receipt.is_compared = !atomic_load(&u->has_uncompared);
    if (!u->uses_md5)
        composite_text(u, what.checksum);
    if (!objstore_s3_ask_stored(u->s3, u->call, &what, attrs, err))
        return false;
    if (!what.receipt.is_compared && !what.has_checksum)
        LOG_DEBUG("only the size of the object could be compared",
                  LOG_BYTES("object", u->put->key), LOG_INT("bytes", u->put->size));
    /* Without the answer only the checksum says that this upload has made it. */
    return ok || what.has_checksum ||
           err_set(err, ERR_UNAVAILABLE, "the answer to the completed upload was lost");
}

bool
objstore_s3_put_parts(struct objstore_s3_parts *parts, struct objstore_attrs *stored,
                      struct err *err)
{
    uint64_t size = parts->put->size;
    CLEANUP(upload_free) struct upload *u = xcalloc(1, sizeof *u);
    u->s3 = parts->s3;
    u->call = parts->call;
    u->put = parts->put;
    u->uses_md5 = parts->uses_md5;
    u->part_bytes = NUM_MAX(u->s3->part_size, size / MAX_PARTS + 1);
    u->count = (size_t)((size + u->part_bytes - 1) / u->part_bytes);
    CHECK(u->count >= 1 && u->count <= MAX_PARTS);
    u->parts = xcalloc(u->count, sizeof *u->parts);
    bool ok = upload(u, stored, err);
    parts->is_refused = !ok && atomic_load(&u->is_refused);
    return ok;
}
