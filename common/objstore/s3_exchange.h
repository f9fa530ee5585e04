/* SPDX-License-Identifier: Apache-2.0 */
/* One signed request to S3 and what its answer means. */
#ifndef COMMON_OBJSTORE_S3_EXCHANGE_H
#define COMMON_OBJSTORE_S3_EXCHANGE_H

#include "common/objstore/s3.h"
#include "common/objstore/s3_answer.h"
#include "common/objstore/s3_sign.h"

/* Where requests go, who signs and who sends them. Any thread. */
struct objstore_s3_peer;

/* Errors ERR_INVALID naming the option. */
NODISCARD bool objstore_s3_peer_new(struct objstore_s3_peer **out,
                                    const struct objstore_s3_options *options,
                                    struct err *err);
/* Accepts NULL inside. */
void objstore_s3_peer_free(struct objstore_s3_peer **peer);

/* Headers of a request, names in lower case. All borrowed. */
struct objstore_s3_headers {
    const struct objstore_s3_header *at;
    size_t count;
};

/* What a request is about. */
struct objstore_s3_target {
    struct bytes key;         /* raw; empty for the bucket itself */
    struct bytes query;       /* canonical (objstore_s3_query) */
    const char *payload_hash; /* hexadecimal, or what stands for it; NULL: no payload */
    struct objstore_s3_headers own;    /* beside those of signing */
    struct objstore_s3_headers common; /* the same; of many requests */
};

/* Sign and perform once. request brings method, body and sink; the rest is filled in.
 * Errors: those of objstore_s3_transfer and objstore_s3_refused. What another try can
 * heal is ERR_UNAVAILABLE: the clock of the server (learnt), the region of the bucket
 * (learnt, unless one is configured), keys that have ended (fetched anew by the next
 * request). */
NODISCARD bool objstore_s3_perform(struct objstore_s3_peer *peer,
                                   const struct objstore_call *call,
                                   const struct objstore_s3_target *target,
                                   struct net_http_request request,
                                   struct objstore_s3_answer *answer, struct err *err);

#endif
