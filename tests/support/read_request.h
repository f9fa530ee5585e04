/* SPDX-License-Identifier: Apache-2.0 */
/* The bodies by which a client asks for series: a remote-read request for Prometheus
 * and blockhouse-store, a request for the StoreAPI of Thanos. */
#ifndef TESTS_SUPPORT_READ_REQUEST_H
#define TESTS_SUPPORT_READ_REQUEST_H

#include "common/base/buf.h"
#include "common/base/err.h"

enum read_protocol { READ_STREAMED, READ_SAMPLED, READ_STORE_API };

/* matchers  name=value each, and likewise with != =~ !~; borrowed. */
struct read_question {
    enum read_protocol protocol;
    int64_t from_ms;
    int64_t to_ms;
    const char *const *matchers;
    size_t matcher_count;
    size_t copies; /* the same query so many times, where the protocol has room */
};

/* Append to *out the whole body of the request.
 *
 * Errors   ERR_INVALID: text that is no matcher. *out is then undefined. */
NODISCARD bool read_request_make(const struct read_question *q, struct buf *out,
                                 struct err *err);

#endif
