/* SPDX-License-Identifier: Apache-2.0 */
/* The keys that requests to S3 are signed with: found where AWS clients look for them,
 * and refreshed before they end.
 *
 * Without sdk_chain, in this order: the given ones, the environment, the shared
 * credentials file, a web identity token, a container's credentials endpoint, the
 * metadata of an EC2 instance. With it: the environment, a web identity token, the
 * profile in the shared credentials and config files, container, metadata. The first
 * that is configured counts; if it fails, that is the error, and the next call tries
 * again. */
#ifndef COMMON_OBJSTORE_CREDENTIALS_H
#define COMMON_OBJSTORE_CREDENTIALS_H

#include <stdint.h>

#include "common/net/http_client.h"
#include "common/objstore/bucket.h"

/* One set of keys: immutable, counted. No text is NULL. */
struct objstore_keys {
    const char *access_key;
    const char *secret_key;
    const char *session_token; /* "" for none */
    uint64_t generation;       /* differs for other keys and grows; never 0 */
};

/* Any thread. */
struct objstore_credentials;

/* All texts are copied; NULL is "". */
struct objstore_credentials_options {
    const char *access_key; /* "": look elsewhere */
    const char *secret_key;
    const char *session_token;
    bool sdk_chain;           /* look where the AWS SDKs do */
    const char *sts_endpoint; /* URL; "": AWS_ENDPOINT_URL_STS, or AWS's own */
    bool is_quiet; /* a command has them: where they were found is for --log.level=debug
                    */
    const char *region; /* of AWS's STS, unless the environment names one */
    struct net_http_client_options http; /* for STS */
};

/* Reads the environment, which counts as it is now; asks nobody for keys yet.
 * Errors ERR_INVALID: an endpoint that is no URL. */
NODISCARD bool
objstore_credentials_new(struct objstore_credentials **out,
                         const struct objstore_credentials_options *options,
                         struct err *err);

/* Keys that were acquired live on. *c becomes NULL; accepts NULL. */
void objstore_credentials_free(struct objstore_credentials **c);

/* Keys that are valid now. Usually at once; when they are about to end, one caller
 * fetches others while the rest go on with the old; only without valid keys all wait
 * for that one, each within its own deadline. Transient failures are retried inside.
 * Errors ERR_DENIED: there are none, the text says where they were looked for; what the
 * provider answered. ERR_INVALID, ERR_UNSUPPORTED: a bad setting. ERR_UNAVAILABLE,
 * ERR_THROTTLED, ERR_TIMEOUT, ERR_CANCELLED. The text never holds a secret. */
NODISCARD bool objstore_credentials_acquire(struct objstore_credentials *c,
                                            const struct objstore_call *call,
                                            const struct objstore_keys **keys,
                                            struct err *err);

/* *keys becomes NULL. CLEANUP handler; accepts NULL inside. */
void objstore_keys_release(const struct objstore_keys **keys);

/* The server refused keys of this generation as expired or unknown: the next acquire
 * fetches anew, but not too often, so that wrong keys do not trouble STS. Returns
 * whether that can help. If the generation then is still the same, the server's answer
 * stands. */
bool objstore_credentials_reject(struct objstore_credentials *c, uint64_t generation);

/* Where the keys come from, for a log line: "web identity"; "none yet" before the first
 * acquire. Lives for ever. */
const char *objstore_credentials_describe(struct objstore_credentials *c);

#endif
