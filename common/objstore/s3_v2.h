/* SPDX-License-Identifier: Apache-2.0 */
/* Bucket in S3-compatible storage that speaks only Signature Version 2, by way of
 * libs3.
 *
 * Abilities: none. Keys are made of A-Z a-z 0-9 . _ - and /, objects have at most 5
 * GiB, nothing is created conditionally. Deadlines and cancels count inside a call as
 * elsewhere. */
#ifndef COMMON_OBJSTORE_S3_V2_H
#define COMMON_OBJSTORE_S3_V2_H

#include "common/net/http_client.h"
#include "common/objstore/requests.h"
#include "common/objstore/retry.h"
#include "common/objstore/s3_endpoint.h"

/* All texts are copied. */
struct objstore_s3_v2_options {
    struct objstore_s3_endpoint endpoint; /* its address is used as it is written */
    const char *access_key;
    const char *secret_key;
    struct objstore_retrier *retrier; /* borrowed: tries pages and puts again */
    struct net_http_client_options http;
    struct objstore_requests *requests; /* borrowed: counts them; NULL: nobody does */
};

/* Make the bucket; no request is sent yet.
 * Errors ERR_INVALID names the option; ERR_UNSUPPORTED: an option that libs3 has no
 * means for, or a build without libs3. */
NODISCARD bool objstore_s3_v2_open(struct objstore_bucket **out,
                                   const struct objstore_s3_v2_options *options,
                                   struct err *err);

#endif
