/* SPDX-License-Identifier: Apache-2.0 */
/* Heads of HTTP messages as a log may show them. */
#ifndef COMMON_NET_HTTP_TRACE_PRIV_H
#define COMMON_NET_HTTP_TRACE_PRIV_H

#include "common/base/buf.h"

/* Append the lines of head, start line and headers, without empty ones. Values of
 * headers and of query parameters whose names speak of credentials, tokens, keys or
 * signatures become REDACTED. Any bytes are accepted. */
void net_http_trace_redact(struct bytes head, struct buf *out);

#endif
