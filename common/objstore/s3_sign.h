/* SPDX-License-Identifier: Apache-2.0 */
/* Signature Version 4 for S3. Pure: texts in, texts out, no clock, no I/O.
 *
 * The URL that is sent and the request that is signed are made of the same bytes: the
 * caller encodes the path and the query once, with the functions below, and uses the
 * result for both. S3's rules: the path is encoded once and never normalised.
 *
 * Format: the pages "Create a signed AWS API request" and "Authenticating requests:
 * using the authorization header" of the AWS manuals. */
#ifndef COMMON_OBJSTORE_S3_SIGN_H
#define COMMON_OBJSTORE_S3_SIGN_H

#include <stdint.h>

#include "common/base/buf.h"
#include "common/codec/digest.h"

/* Sent as the payload's hash over TLS, which protects it already. */
#define OBJSTORE_S3_UNSIGNED_PAYLOAD "UNSIGNED-PAYLOAD"

/* The same for a body in chunks with a checksum behind them (s3_chunked.h). */
#define OBJSTORE_S3_UNSIGNED_TRAILER "STREAMING-UNSIGNED-PAYLOAD-TRAILER"

/* Append raw, each byte but A-Z a-z 0-9 - . _ ~ as %XX; keep_slash keeps "/" as well
 * (paths, not queries). */
void objstore_s3_encode(struct buf *out, struct bytes raw, bool keep_slash);

/* A raw query parameter; an empty value is written as "name=". */
struct objstore_s3_param {
    const char *name;
    struct bytes value;
};

/* Append the canonical query, without "?": encoded, in order of encoded name and value.
 * params is sorted in place. */
void objstore_s3_query(struct buf *out, struct objstore_s3_param *params, size_t count);

/* "20130524T000000Z" of a wall clock reading; its first 8 bytes are the day. */
enum { OBJSTORE_S3_TIME_SIZE = sizeof "20130524T000000Z", OBJSTORE_S3_DAY_LEN = 8 };
void objstore_s3_time(int64_t wall_ns, char time[OBJSTORE_S3_TIME_SIZE]);

/* The key of one day (the first bytes of time) and region. */
void objstore_s3_signing_key(const char *secret_key, const char *time,
                             const char *region, uint8_t key[DIGEST_SHA256_SIZE]);

struct objstore_s3_header {
    const char *name;  /* in lower case */
    const char *value; /* as it is sent */
};

/* What is signed. All borrowed. */
struct objstore_s3_request {
    const char *method;
    struct bytes path;  /* encoded, begins with "/" */
    struct bytes query; /* canonical */
    /* At least host and every x-amz-* that is sent; host as it is sent, so without the
     * port that the scheme implies. Sorted in place. */
    struct objstore_s3_header *headers;
    size_t header_count;
    const char *payload_hash; /* as in x-amz-content-sha256 */
};

/* Append the canonical request: for tests and for messages of servers that show theirs.
 */
void objstore_s3_canonical(struct buf *out, const struct objstore_s3_request *request);

struct objstore_s3_signer {
    const char *access_key;
    const uint8_t *signing_key; /* of the day of time */
    const char *region;
    const char *time; /* as in x-amz-date */
};

/* Append the value of the Authorization header. */
void objstore_s3_authorization(struct buf *out, const struct objstore_s3_signer *signer,
                               const struct objstore_s3_request *request);

#endif
