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
try_ask(void *arg, struct err *err)
{
    const struct question *q = arg;
    if (objstore_s3_head(q->s3, q->call, q->key, q->attrs, q->answer, err))
        return true;
    /* It is there: that is what the answer to the PUT meant. */
    if (err->code == ERR_NOT_FOUND)
        err->code = ERR_UNAVAILABLE;
    return err_wrap(err, "ask what is stored");
}

bool
objstore_s3_ask_stored(const struct objstore_s3 *s3, const struct objstore_call *call,
                       struct objstore_s3_stored *stored, struct objstore_attrs *attrs,
                       struct err *err)
{
    CLEANUP(xfree) struct objstore_s3_answer *answer = xcalloc(1, sizeof *answer);
    struct question q = {s3, call, stored->key, attrs, answer};
    if (!objstore_retry(s3->retrier, call, try_ask, &q, err))
        return false;
    bool was_replaced;
    if (!objstore_s3_settle(&stored->receipt, attrs, &was_replaced, err))
        return false;
    if (was_replaced)
        return true;
    struct bytes said =
        net_http_response_header(&answer->http, "x-amz-checksum-crc32c");
    /* Of one kind: a dash and the number of parts is behind a checksum of checksums. */
    bool is_composite = said.len > 0 && memchr(said.at, '-', said.len) != NULL;
    bool is_known = said.len > 0 && *stored->checksum != 0 &&
                    is_composite == (strchr(stored->checksum, '-') != NULL);
    stored->has_checksum = is_known && bytes_eq(said, bytes_of_str(stored->checksum));
    return !is_known || stored->has_checksum ||
           err_set(err, ERR_CORRUPT, "the bucket holds CRC-32C %.*s instead of %s",
                   (int)NUM_MIN(said.len, (size_t)OBJSTORE_S3_CHECKSUM_SIZE),
                   (const char *)said.at, stored->checksum);
}

bool
objstore_s3_explain_refusal(struct err *err)
{
    /* Or it is the keys. */
    if (err->code == ERR_DENIED)
        return false;
    err->code = ERR_UNSUPPORTED;
    return err_wrap(err, "the server does not take checksums (leave "
                         "send_content_md5: false out, or write true)");
}

/* An object that may be what a create has made. */
struct reading_back {
    struct objstore_s3 *s3;
    const struct objstore_call *call;
    const struct objstore_put *put;
    struct buf there;
};

/* One object in one request, with its tries. */
struct whole {
    struct objstore_s3_send send;
    bool may_have_stored; /* a try that failed: its answer does not say */
    bool is_found;        /* a create was answered by what is there */
};

static bool
try_whole(void *arg, struct err *err)
{
    struct whole *w = arg;
    if (objstore_s3_try_send(&w->send, err))
        return true;
    /* What the server has understood and refused, it has not stored. */
    int status = w->send.answer->http.status;
    bool is_refusal = (status >= 300 && status < 500) || status == 501 || status == 503;
    w->may_have_stored = w->may_have_stored || !is_refusal;
    return false;
}

static bool
try_read_back(void *arg, struct err *err)
{
    struct reading_back *r = arg;
    buf_clear(&r->there);
    return objstore_get(&r->s3->base, r->call, r->put->key, r->put->data.len, &r->there,
                        err);
}

/* How often an object is read that is not what a create has sent: a body may be damaged
 * on its way, or another one's, and nothing in an answer tells. */
enum { READ_BACKS = 3 };

/* An object is there, and an earlier try of this create may be what has made it: only
 * its answer was lost. */
static bool
is_created(struct objstore_s3 *s3, const struct objstore_call *call,
           const struct objstore_put *put, struct err *err)
{
    struct reading_back r = {.s3 = s3, .call = call, .put = put};
    struct err why;
    bool same = false, is_unknown = false;
    for (int i = 0; i < READ_BACKS && !same && !is_unknown; i++) {
        bool ok = objstore_retry(s3->retrier, call, try_read_back, &r, &why);
        same = ok && bytes_eq(buf_bytes(&r.there), put->data);
        is_unknown = !ok && err_is_transient(why.code);
    }
    buf_fini(&r.there);
    if (is_unknown)
        return err_set(err, ERR_UNAVAILABLE,
                       "the answer was lost, and the object cannot be read back: %s",
                       why.text);
    return same;
}

static bool
send_whole(struct objstore_s3 *s3, const struct objstore_put *put, struct whole *w,
           struct err *err)
{
    w->may_have_stored = false;
    w->is_found = false;
    bool ok = objstore_retry(s3->retrier, w->send.call, try_whole, w, err);
    if (!ok && put->create && err->code == ERR_CONFLICT && w->may_have_stored)
        return w->is_found = is_created(s3, w->send.call, put, err);
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
    if (!ok && w->send.is_refused && !s3->is_auto)
        return objstore_s3_explain_refusal(err);
    if (w->send.uses_md5 || !s3->is_auto || w->is_found)
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
put_whole(struct objstore_s3 *s3, const struct objstore_call *call,
          const struct objstore_put *put, struct objstore_attrs *stored,
          struct err *err)
{
    static const struct objstore_s3_header IF_ABSENT = {"if-none-match", "*"};
    struct objstore_s3_stored what = {.key = put->key, .receipt.size = put->size};
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
    if (!send_somehow(s3, put, &w, err))
        return false;
    objstore_s3_copy_etag(&answer->http, what.receipt.etag);
    what.receipt.is_compared = w.send.is_compared;
    if (!w.send.uses_md5)
        objstore_s3_crc_text(w.send.crc, what.checksum);
    if (!objstore_s3_ask_stored(s3, call, &what, stored, err))
        return false;
    if (!what.receipt.is_compared && !what.has_checksum)
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
    if (parts.is_refused && !s3->is_auto)
        return objstore_s3_explain_refusal(err);
    if (!parts.is_refused || parts.uses_md5)
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
