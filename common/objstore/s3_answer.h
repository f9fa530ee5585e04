/* SPDX-License-Identifier: Apache-2.0 */
/* What the answers of S3 mean, whatever signed the requests. */
#ifndef COMMON_OBJSTORE_S3_ANSWER_H
#define COMMON_OBJSTORE_S3_ANSWER_H

#include "common/net/http_client.h"
#include "common/objstore/bucket.h"
#include "common/objstore/requests.h"
#include "common/objstore/s3_xml.h"

/* Large: keep it off small stacks. */
struct objstore_s3_answer {
    struct net_http_response http;
    struct objstore_s3_error error; /* of a status other than 2xx */
};

/* Perform a request once, within the limits of call, and count it in requests (NULL: do
 * not), whatever comes of it. True when an answer has arrived,
 * of whatever status. Errors: those of net_http_perform. */
NODISCARD bool
objstore_s3_transfer(struct net_http_client *http, struct objstore_requests *requests,
                     const struct objstore_call *call, struct net_http_request request,
                     struct net_http_response *response, struct err *err);

/* The answer is a refusal, of a status other than 2xx: fill answer->error, and err with
 * what it stands for and with the wait that the server asks for. A missing bucket is
 * ERR_INVALID, not ERR_NOT_FOUND; a refused condition is ERR_CONFLICT; a body that
 * changed on its way is ERR_UNAVAILABLE.
 * *skew_ns is what the server's clock shows more than ours, signed_skew_ns what it was
 * when the request was signed; if the request was denied and the answer shows another
 * time than that, the error is ERR_UNAVAILABLE, and the first such answer makes the
 * clock count. Yields false. */
bool objstore_s3_refused(struct objstore_s3_answer *answer, _Atomic int64_t *skew_ns,
                         int64_t signed_skew_ns, struct err *err);

/* Size, time and ETag out of the headers.
 * Errors ERR_CORRUPT: size or time is missing. *attrs is then untouched. */
NODISCARD bool objstore_s3_attrs(const struct net_http_response *response,
                                 struct objstore_attrs *attrs, struct err *err);

/* The ETag without its quotes; the empty slice if there is none. */
struct bytes objstore_s3_etag(const struct net_http_response *response);

/* Copy the ETag; "" if there is none, or a longer one. */
void objstore_s3_copy_etag(const struct net_http_response *response,
                           char etag[OBJSTORE_ETAG_SIZE]);

/* What a put has stored, as its answer says. */
struct objstore_s3_receipt {
    uint64_t size;
    char etag[OBJSTORE_ETAG_SIZE]; /* "" if the answer had none */
    bool is_compared;              /* it is what was sent */
};

/* attrs is what the bucket says of the key afterwards. Where that is another object,
 * since another writer has replaced it, *attrs is made to tell of what was stored.
 * Errors ERR_CONFLICT: replaced before anything could be compared. */
NODISCARD bool objstore_s3_settle(const struct objstore_s3_receipt *receipt,
                                  struct objstore_attrs *attrs, bool *was_replaced,
                                  struct err *err);

/* Compare the ETag with the MD5 of what was sent, in hexadecimal. *same: they are
 * equal. Errors ERR_CORRUPT: the ETag is an MD5, as it is without encryption or with
 * AES256, and another one. */
NODISCARD bool objstore_s3_compare_etag(const struct net_http_response *response,
                                        const char *md5, bool *same, struct err *err);

/* A ranged read whose answer is checked before its first byte is handed on. */
struct objstore_s3_ranged {
    struct objstore_read *read; /* its etag is filled in, or compared */
    objstore_sink_fn *sink;
    void *arg;
    const struct net_http_response *response;
    /* private */
    bool is_checked;
    uint64_t left; /* of what the server announced; once checked */
};

/* The sink to read with (net_http_sink_fn); arg is the struct. */
NODISCARD bool objstore_s3_ranged_sink(void *ranged, struct bytes piece,
                                       struct err *err);

/* The answer has ended with a status of 2xx.
 * Errors ERR_INVALID: the object is empty; ERR_UNSUPPORTED: the server ignores ranges;
 * ERR_CORRUPT: another range than was asked for; ERR_CONFLICT: of another object;
 * ERR_UNAVAILABLE: a body of another length than the range.
 */
NODISCARD bool objstore_s3_ranged_end(struct objstore_s3_ranged *r, struct err *err);

#endif
