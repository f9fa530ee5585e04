/* SPDX-License-Identifier: Apache-2.0 */
/* Where the requests for a bucket go: host, path and region. Pure. */
#ifndef COMMON_OBJSTORE_S3_ENDPOINT_H
#define COMMON_OBJSTORE_S3_ENDPOINT_H

#include "common/base/bytes.h"
#include "common/base/err.h"

enum objstore_s3_lookup {
    OBJSTORE_S3_LOOKUP_AUTO, /* as the service of the endpoint wants it */
    OBJSTORE_S3_LOOKUP_VIRTUAL_HOSTED,
    OBJSTORE_S3_LOOKUP_PATH,
};

/* All texts are borrowed. */
struct objstore_s3_endpoint {
    const char *address; /* host[:port] as configured */
    const char *bucket;
    bool insecure; /* plain HTTP */
    /* Hosts of AWS are rewritten for the region of the bucket; this chooses those that
     * answer by IPv6 as well. */
    bool dualstack;
    enum objstore_s3_lookup lookup;
};

enum {
    OBJSTORE_S3_REGION_SIZE = 64,
    OBJSTORE_S3_HOST_SIZE = 400,
    OBJSTORE_S3_BUCKET_SIZE = 72, /* "/" and a name of S3, at most 63 bytes */
};

struct objstore_s3_place {
    char host[OBJSTORE_S3_HOST_SIZE];   /* as in the Host header, so without the port
                                           that the scheme implies */
    char path[OBJSTORE_S3_BUCKET_SIZE]; /* what the bucket takes of it: "/name" or "" */
    char region[OBJSTORE_S3_REGION_SIZE]; /* that requests are signed for */
};

/* Whether the texts can stand in a URL. Errors ERR_INVALID names the key of the
 * configuration. */
NODISCARD bool objstore_s3_endpoint_check(const struct objstore_s3_endpoint *e,
                                          struct err *err);

/* Whether the bucket is a part of the host's name. */
NODISCARD bool objstore_s3_is_virtual_hosted(const struct objstore_s3_endpoint *e);

/* The place of a bucket in region. False, with *place undefined, if a text is too long.
 */
NODISCARD bool objstore_s3_place(const struct objstore_s3_endpoint *e,
                                 const char *region, struct objstore_s3_place *place);

/* The region that a host of AWS names ("s3.eu-west-1.amazonaws.com"), or the empty
 * slice. Borrowed from host, which may have a port. */
struct bytes objstore_s3_region_of_host(struct bytes host);

/* Whether a text of a server can be a region. */
NODISCARD bool objstore_s3_is_region(struct bytes text);

#endif
