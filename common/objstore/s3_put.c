/* SPDX-License-Identifier: Apache-2.0 */
/* Storing objects: each is sent, and then the bucket is asked what it holds. */
#include <inttypes.h>
#include <stdio.h>

#include "common/base/log.h"
#include "common/base/num.h"
#include "common/base/xmalloc.h"
#include "common/objstore/s3_chunked.h"
#include "common/objstore/s3_priv.h"

/* What one PUT may store: the protocol's limit. */
#define MAX_PUT_BYTES (UINT64_C(5) << 30)

/* From now on uploads go by MD5. */
static void
give_up_checksums(struct objstore_s3 *s3)
{
    if (!atomic_exchange(&s3->uses_md5, true))
        LOG_INFO("the server knows no checksums: uploads go by Content-MD5",
                 LOG_STR("bucket", s3->name));
}

/* A question under way. */
struct question {
    const struct objstore_s3 *s3;
    const struct objstore_call *call;
    struct bytes key;
    struct objstore_attrs *attrs;
    struct objstore_s3_answer *answer;
};

static bool
try_stored(void *arg, struct err *err)
{
    const struct question *q = arg;
    return objstore_s3_head(q->s3, q->call, q->key, q->attrs, q->answer, err);
}

bool
objstore_s3_stored(const struct objstore_s3 *s3, const struct objstore_call *call,
                   struct bytes key, struct objstore_attrs *stored,
                   char checksum[OBJSTORE_S3_CHECKSUM_SIZE], struct err *err)
{
    CLEANUP(xfree) struct objstore_s3_answer *answer = xcalloc(1, sizeof *answer);
    struct question q = {s3, call, key, stored, answer};
    if (!objstore_retry(s3->retrier, call, try_stored, &q, err))
        return err_wrap(err, "ask what is stored");
    struct bytes said =
        net_http_response_header(&answer->http, "x-amz-checksum-crc32c");
    snprintf(checksum, OBJSTORE_S3_CHECKSUM_SIZE, "%.*s",
             said.len < OBJSTORE_S3_CHECKSUM_SIZE ? (int)said.len : 0,
             said.len > 0 ? (const char *)said.at : "");
    return true;
}

/* One object in one request, with its tries. */
struct whole {
    struct objstore_s3_send send;
    unsigned tries;
};

/* True also when another try cannot help. */
static bool
try_whole(void *arg, struct err *err)
{
    struct whole *w = arg;
    w->tries++;
    return objstore_s3_send_once(&w->send, err) || w->send.is_refused;
}

/* Whether the object is what a create wanted to store: then an earlier try of it has
 * arrived, and only its answer was lost. */
static bool
is_created(struct objstore_s3 *s3, const struct objstore_call *call,
           const struct objstore_put *put)
{
    CLEANUP(buf_fini) struct buf there = {0};
    struct err ignored;
    return objstore_get(&s3->base, call, put->key, put->data.len, &there, &ignored) &&
           bytes_eq(buf_bytes(&there), put->data);
}

static bool
send_whole(struct objstore_s3 *s3, const struct objstore_put *put, struct whole *w,
           struct err *err)
{
    bool ok = objstore_retry(s3->retrier, w->send.call, try_whole, w, err);
    if (!ok && put->create && err->code == ERR_CONFLICT && w->tries > 1)
        return is_created(s3, w->send.call, put);
    return ok && !w->send.is_refused;
}

/* By checksum where the bucket is not known to refuse that, and by MD5 when it turns
 * out that it does, or says nothing of what it was told. An object that is created
 * cannot be stored again. */
static bool
send_somehow(struct objstore_s3 *s3, const struct objstore_put *put, struct whole *w,
             struct err *err)
{
    w->send.uses_md5 = atomic_load(&s3->uses_md5);
    bool ok = send_whole(s3, put, w, err);
    if (w->send.uses_md5 || !s3->is_auto)
        return ok;
    if (ok ? w->send.is_compared : !w->send.is_refused)
        return ok;
    if (!(ok && put->create)) {
        w->send.uses_md5 = true;
        ok = send_whole(s3, put, w, err);
    }
    if (ok)
        give_up_checksums(s3);
    return ok;
}

static bool
compare_checksum(const struct whole *w, const char *said, struct err *err)
{
    char sent[OBJSTORE_S3_CRC_TEXT_SIZE];
    objstore_s3_crc_text(w->send.crc, sent);
    if (!w->send.uses_md5 && *said != 0 && strcmp(said, sent) != 0)
        return err_set(err, ERR_CORRUPT, "the bucket holds CRC-32C %s instead of %s",
                       said, sent);
    return true;
}

static bool
put_whole(struct objstore_s3 *s3, const struct objstore_call *call,
          const struct objstore_put *put, struct objstore_attrs *stored,
          struct err *err)
{
    static const struct objstore_s3_header IF_ABSENT = {"if-none-match", "*"};
    char checksum[OBJSTORE_S3_CHECKSUM_SIZE];
    CLEANUP(xfree) struct objstore_s3_answer *answer = xcalloc(1, sizeof *answer);
    struct whole w = {.send = {.s3 = s3,
                               .call = call,
                               .target = {.key = put->key,
                                          .own = {&IF_ABSENT, put->create},
                                          .common = s3->put_headers},
                               .put = put,
                               .size = put->size,
                               .answer = answer}};
    if (put->size > MAX_PUT_BYTES)
        return err_set(err, ERR_UNSUPPORTED,
                       "%" PRIu64 " bytes are more than the 5 GiB that one PUT may "
                       "store; leave disable_multipart out",
                       put->size);
    if (!send_somehow(s3, put, &w, err) ||
        !objstore_s3_stored(s3, call, put->key, stored, checksum, err) ||
        !compare_checksum(&w, checksum, err))
        return false;
    if (!w.send.is_compared && (w.send.uses_md5 || *checksum == 0))
        LOG_DEBUG("only the size of the object could be compared",
                  LOG_BYTES("object", put->key), LOG_INT("bytes", put->size));
    return true;
}

/* In parts by checksum or by MD5, as for whole objects. */
static bool
put_parts(struct objstore_s3 *s3, const struct objstore_call *call,
          const struct objstore_put *put, struct objstore_attrs *stored,
          struct err *err)
{
    struct objstore_s3_parts parts = {
        .s3 = s3, .call = call, .put = put, .uses_md5 = atomic_load(&s3->uses_md5)};
    if (objstore_s3_put_parts(&parts, stored, err))
        return true;
    if (!parts.is_refused || !s3->is_auto || parts.uses_md5)
        return false;
    parts.uses_md5 = true;
    if (!objstore_s3_put_parts(&parts, stored, err))
        return false;
    give_up_checksums(s3);
    return true;
}

bool
objstore_s3_put(struct objstore_s3 *s3, const struct objstore_call *call,
                const struct objstore_put *put, struct objstore_attrs *stored,
                struct err *err)
{
    if (put->fd >= 0 && put->size >= s3->part_size && !s3->disable_multipart)
        return put_parts(s3, call, put, stored, err);
    return put_whole(s3, call, put, stored, err);
}
