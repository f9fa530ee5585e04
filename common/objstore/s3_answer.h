/* SPDX-License-Identifier: Apache-2.0 */
/* What the answers of S3 mean, whatever signed the requests. */
#ifndef COMMON_OBJSTORE_S3_ANSWER_H
#define COMMON_OBJSTORE_S3_ANSWER_H

#include "common/net/http_client.h"
#include "common/objstore/bucket.h"

/* Perform a request once, within the limits of call. True when an answer has arrived,
 * of whatever status.
 * Errors: those of net_http_perform, but for a body that was cut, which is
 * ERR_UNAVAILABLE. */
NODISCARD bool objstore_s3_send(struct net_http_client *http,
                                const struct objstore_call *call,
                                struct net_http_request request,
                                struct net_http_response *response, struct err *err);

/* Fill err with what a status other than 2xx and its body stand for, and with the wait
 * that the server asks for. A missing bucket is ERR_INVALID, not ERR_NOT_FOUND.
 * *skew_ns is what the server's clock shows more than ours; if the request was denied
 * and the answer shows another time, that clock is taken over and the error is
 * ERR_UNAVAILABLE. Yields false. */
bool objstore_s3_refused(const struct net_http_response *response,
                         _Atomic int64_t *skew_ns, struct err *err);

/* Size, time and ETag out of the headers.
 * Errors ERR_CORRUPT: size or time is missing. *attrs is then untouched. */
NODISCARD bool objstore_s3_attrs(const struct net_http_response *response,
                                 struct objstore_attrs *attrs, struct err *err);

/* Whether the server says that it stored something else than what has this MD5 (in
 * hexadecimal): its ETag is an MD5, as it is without encryption or with AES256, and
 * another one. */
NODISCARD bool objstore_s3_etag_differs(const struct net_http_response *response,
                                        const char *md5);

/* A ranged read whose answer is checked before its first byte is handed on. */
struct objstore_s3_ranged {
    uint64_t offset;
    uint64_t len;
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
 * ERR_CORRUPT: another range than was asked for; ERR_UNAVAILABLE: less than announced.
 */
NODISCARD bool objstore_s3_ranged_end(struct objstore_s3_ranged *r, struct err *err);

#endif
