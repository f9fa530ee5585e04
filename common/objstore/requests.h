/* SPDX-License-Identifier: Apache-2.0 */
/* What is really sent to a bucket, as its provider counts it: each request, those of
 * retries and hedged reads included, by what they are billed as. */
#ifndef COMMON_OBJSTORE_REQUESTS_H
#define COMMON_OBJSTORE_REQUESTS_H

#include "common/metrics/registry.h"

/* X(name, label; key of a price, what belongs to it). */
#define OBJSTORE_REQUEST_KINDS(X)                                     \
    X(OBJSTORE_REQUEST_GET, "get", "reads of objects")                \
    X(OBJSTORE_REQUEST_HEAD, "head", "questions for an object")       \
    X(OBJSTORE_REQUEST_LIST, "list", "pages of listings")             \
    X(OBJSTORE_REQUEST_PUT, "put", "objects and parts that are sent") \
    X(OBJSTORE_REQUEST_DELETE, "delete", "removals")

enum objstore_request_kind {
#define X(name, label, what) name,
    OBJSTORE_REQUEST_KINDS(X)
#undef X
        OBJSTORE_REQUEST_KIND_COUNT
};

struct objstore_requests;

struct objstore_request_counts {
    uint64_t requests[OBJSTORE_REQUEST_KIND_COUNT];
    uint64_t received_bytes; /* of objects and listings: what leaves the bucket */
};

/* Since the start, and in the last hour or, if that is less, since the start. */
struct objstore_request_figures {
    struct objstore_request_counts total;
    struct objstore_request_counts recent;
    int64_t recent_s; /* seconds that recent is of; at least 1 */
};

/* Register blockhouse_objstore_requests_total and
 * blockhouse_objstore_received_bytes_total in metrics, which outlives it. */
struct objstore_requests *objstore_requests_new(struct metrics_registry *metrics);

/* Accepts NULL inside; *r becomes NULL. */
void objstore_requests_free(struct objstore_requests **r);

/* One request was made, and so many bytes of a body came back. Any thread; r may be
 * NULL. */
void objstore_requests_count(struct objstore_requests *r,
                             enum objstore_request_kind kind, uint64_t received_bytes);

/* What a request of S3 is billed as, by its method and its target. */
enum objstore_request_kind objstore_requests_kind(const char *method, const char *url);

/* Any thread. */
void objstore_requests_look(struct objstore_requests *r,
                            struct objstore_request_figures *figures);

/* The label of a kind, and what belongs to it. Constants. */
const char *objstore_requests_name(enum objstore_request_kind kind);
const char *objstore_requests_meaning(enum objstore_request_kind kind);

#endif
