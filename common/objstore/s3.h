/* SPDX-License-Identifier: Apache-2.0 */
/* Bucket in S3-compatible storage, with Signature V4 over libcurl. */
#ifndef COMMON_OBJSTORE_S3_H
#define COMMON_OBJSTORE_S3_H

#include "common/objstore/bucket.h"

struct objstore_retrier;

/* All texts are copied. */
struct objstore_s3_options {
    const char *bucket;
    const char *endpoint; /* host[:port] */
    const char *region;   /* "" means us-east-1 */
    const char *access_key;
    const char *secret_key;
    const char *session_token; /* "" for none */
    bool insecure;             /* plain HTTP */
    bool insecure_skip_verify;
    const char *ca_file; /* NULL: the system's */
    bool virtual_hosted; /* bucket.endpoint instead of endpoint/bucket */
    const char *user_agent;
    int64_t first_byte_timeout_ns; /* 0: default of the HTTP client */
    /* Of the bucket; outlives it. NULL: listings and puts are not retried. */
    struct objstore_retrier *retrier;
};

/* Make the bucket; no request is sent yet. Errors ERR_INVALID names the option. */
NODISCARD bool objstore_s3_open(struct objstore_bucket **out,
                                const struct objstore_s3_options *options,
                                struct err *err);

#endif
