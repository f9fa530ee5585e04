/* SPDX-License-Identifier: Apache-2.0 */
/* Bucket in S3-compatible storage, with Signature V4 over libcurl. */
#ifndef COMMON_OBJSTORE_S3_H
#define COMMON_OBJSTORE_S3_H

#include "common/net/http_client.h"
#include "common/objstore/bucket.h"
#include "common/objstore/credentials.h"
#include "common/objstore/requests.h"
#include "common/objstore/retry.h"
#include "common/objstore/s3_endpoint.h"
#include "common/objstore/s3_sign.h"

/* How a server is made to check what arrives, and what is compared afterwards. */
enum objstore_s3_integrity {
    /* Checksums; MD5 from the first time on that the server refuses or ignores them. */
    OBJSTORE_S3_INTEGRITY_AUTO,
    OBJSTORE_S3_INTEGRITY_CHECKSUM, /* CRC-32C as a header or trailer */
    OBJSTORE_S3_INTEGRITY_MD5,      /* Content-MD5: one more pass over the content */
};

/* Of a part: what is used unless told, and the limits of the protocol. */
enum {
    OBJSTORE_S3_DEFAULT_PART_BYTES = 64 << 20,
    OBJSTORE_S3_MIN_PART_BYTES = 5 << 20
};
#define OBJSTORE_S3_MAX_PART_BYTES (INT64_C(5) << 30)

/* All texts are copied. */
struct objstore_s3_options {
    struct objstore_s3_endpoint endpoint;
    const char *region; /* "": that of an AWS host, else the server is asked */
    struct objstore_credentials *credentials; /* owned by the bucket from now on */
    struct objstore_retrier *retrier;         /* borrowed: tries pages and puts again */
    struct net_http_client_options http;
    struct objstore_requests *requests; /* borrowed: counts them; NULL: nobody does */
    int64_t expect_continue_ns; /* how long large bodies wait for consent; 0: not */
    bool list_v1;
    enum objstore_s3_integrity integrity;
    bool disable_multipart;
    uint64_t part_size; /* bytes; objects of at least as many are sent in parts */
    /* With each object that is stored: metadata, class, ACL, encryption. Names in lower
     * case. */
    const struct objstore_s3_header *put_headers;
    size_t put_header_count;
    /* With each request for content: the customer's key. */
    const struct objstore_s3_header *key_headers;
    size_t key_header_count;
};

/* Make the bucket; no request is sent yet. Errors ERR_INVALID names the option;
 * options->credentials then stay the caller's. */
NODISCARD bool objstore_s3_open(struct objstore_bucket **out,
                                const struct objstore_s3_options *options,
                                struct err *err);

#endif
