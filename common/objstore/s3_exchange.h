/* SPDX-License-Identifier: Apache-2.0 */
/* One signed request to S3 and what its answer means. */
#ifndef COMMON_OBJSTORE_S3_EXCHANGE_H
#define COMMON_OBJSTORE_S3_EXCHANGE_H

#include "common/net/http_client.h"
#include "common/objstore/bucket.h"
#include "common/objstore/s3.h"

/* Where requests go and who sends them. Any thread. */
struct objstore_s3_peer;

/* The HTTP client that the options describe, once their texts are known to fit into
 * requests. Errors ERR_INVALID naming the option; never with a secret. */
NODISCARD bool objstore_s3_http_new(struct net_http_client **out,
                                    const struct objstore_s3_options *options,
                                    struct err *err);

/* Errors as objstore_s3_http_new. */
NODISCARD bool objstore_s3_peer_new(struct objstore_s3_peer **out,
                                    const struct objstore_s3_options *options,
                                    struct err *err);
/* Overwrites the secrets. Accepts NULL inside. */
void objstore_s3_peer_free(struct objstore_s3_peer **peer);

/* What a request is about. */
struct objstore_s3_target {
    struct bytes key;         /* raw; empty for the bucket itself */
    struct bytes query;       /* canonical (objstore_s3_query) */
    const char *range;        /* value of the header Range; NULL for none */
    const char *payload_hash; /* hexadecimal, or OBJSTORE_S3_UNSIGNED_PAYLOAD */
};

/* The hash of no payload. */
#define OBJSTORE_S3_EMPTY_HASH \
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

/* Sign and perform once. request brings method, body and sink; the rest is filled in.
 * Errors: those of objstore_s3_send and objstore_s3_refused. If the server refused
 * because of the time of day, its clock is taken over and the error is ERR_UNAVAILABLE.
 */
NODISCARD bool objstore_s3_perform(struct objstore_s3_peer *peer,
                                   const struct objstore_call *call,
                                   const struct objstore_s3_target *target,
                                   struct net_http_request request,
                                   struct net_http_response *response, struct err *err);

#endif
