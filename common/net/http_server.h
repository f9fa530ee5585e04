/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/1.1 server over libmicrohttpd: a thread per connection under a limit.
 *
 * A handler runs on its connection's thread and may block. It gets the whole request
 * body, bounded and charged to a budget, and answers once: with a whole body, or with a
 * stream that is pulled piece by piece as the reader takes it. An error in mid-stream
 * aborts the connection, never ends the body cleanly. */
#ifndef COMMON_NET_HTTP_SERVER_H
#define COMMON_NET_HTTP_SERVER_H

#include <stdint.h>

#include "common/base/budget.h"
#include "common/base/bytes.h"
#include "common/base/err.h"

struct metrics_registry;
struct net_http_log;
struct net_web;
struct net_http_server;
struct net_http_exchange;

typedef void net_http_handler_fn(void *arg, struct net_http_exchange *x);

struct net_http_route {
    const char *method; /* "GET" answers HEAD as well */
    const char *path;   /* exact, but for one part that may be a parameter, ":name" */
    const char *name;   /* label "handler" of the metrics */
    net_http_handler_fn *handler;
    void *arg;
    size_t max_body; /* bytes; larger ones are refused with 413 */
    bool compress;   /* answers, with zstd or gzip, for clients that accept it */
};

struct net_http_server_options {
    const char *address; /* "0.0.0.0:10902", "[::1]:0"; host may be empty */
    const struct net_http_route *routes; /* borrowed, must outlive the server */
    size_t route_count;
    struct budget *budget;            /* request bodies draw on it */
    struct metrics_registry *metrics; /* http_* families; NULL for none */
    const struct net_http_log *log;   /* what is logged; borrowed; NULL: nothing */
    struct net_web *web; /* TLS, login, headers (web.h); borrowed; NULL: none */
    /* 0: 256. Beyond, those without a request are closed, the oldest first.
     */
    unsigned max_connections;
    unsigned idle_timeout_s;    /* 0: 120; also cuts a reader that takes nothing */
    unsigned request_timeout_s; /* 0: 30; from the connection, or the first line of a
                                 * later request, to the end of the request */
};

/* Bind and serve. Other paths answer 404, other methods 405 with Allow (OPTIONS 204),
 * paths with a broken encoding or a NUL 400, targets above 32 KiB 414,
 * ambiguous framing (two Content-Length, or with Transfer-Encoding) 400, a body beyond
 * max_body 413, or just a closed connection when it comes in chunks. Where web wants a
 * login, all that comes without a right one answers 401, whatever its path, or 503 when
 * too many wait to have theirs looked at.
 * Errors ERR_INVALID address, ERR_CONFLICT or ERR_DENIED port; the text names it. */
NODISCARD bool net_http_server_start(struct net_http_server **out,
                                     const struct net_http_server_options *options,
                                     struct err *err);

/* The port that is bound (useful after ":0"). */
uint16_t net_http_server_port(const struct net_http_server *s);

/* From now on every answer is the last of its connection, so that clients go elsewhere.
 */
void net_http_server_close_connections(struct net_http_server *s);

/* Stop accepting, wait until running requests have ended or deadline_ns has passed,
 * then close. *s becomes NULL; accepts NULL. */
void net_http_server_stop(struct net_http_server **s, int64_t deadline_ns);

/* The request. Slices and texts live until the handler returns. */
struct bytes net_http_exchange_body(const struct net_http_exchange *x);
/* Header value or NULL; name in any case. */
const char *net_http_exchange_header(const struct net_http_exchange *x,
                                     const char *name);
/* First query argument of that name, or NULL. */
const char *net_http_exchange_arg(const struct net_http_exchange *x, const char *name);
/* All that follows the "?" of the target, as sent (form.h). */
struct bytes net_http_exchange_query(const struct net_http_exchange *x);
/* The parameter of the route's path, decoded; empty if the route has none. */
struct bytes net_http_exchange_parameter(const struct net_http_exchange *x);

/* Descriptor of the connection, to poll for a reader who left (POLLRDHUP). Owned by the
 * server. */
int net_http_exchange_fd(const struct net_http_exchange *x);

/* Whether the peer has closed the connection. One poll; any thread while the handler
 * or its stream runs. */
NODISCARD bool net_http_exchange_gone(const struct net_http_exchange *x);

/* Add a response header before the reply; both texts are copied. */
void net_http_exchange_add_header(struct net_http_exchange *x, const char *name,
                                  const char *value);

/* Add a trailer, a field behind the body; both texts are copied. Only from within next
 * of a stream of unknown length, which the header Trailer should announce. An answer
 * that is aborted has none. */
void net_http_exchange_add_trailer(struct net_http_exchange *x, const char *name,
                                   const char *value);

/* Answer with a whole body (copied). Exactly one reply of the three per exchange. */
void net_http_reply(struct net_http_exchange *x, int status, const char *content_type,
                    struct bytes body);

/* Answer with the status of err's code and its text as a plain line. Every 503 and 429
 * carries Retry-After. */
void net_http_reply_err(struct net_http_exchange *x, const struct err *err);

/* A streamed body. next sets *piece (borrowed until the following call; empty at the
 * end) or returns false with err, which aborts the connection and is logged. Each piece
 * is sent by itself: below some 32 KiB the calls cost more than the bytes. A next that
 * takes longer than idle_timeout_s costs the connection. done is
 * called exactly once, also when the reader leaves. Both run on the connection's
 * thread, after the handler has returned. */
struct net_http_stream {
    bool (*next)(void *arg, struct bytes *piece, struct err *err);
    void (*done)(void *arg);
    void *arg;
};

/* Answer with a stream. length is the number of bytes, or NET_HTTP_LENGTH_UNKNOWN:
 * chunked, refused to HTTP/1.0 clients with 505 because they could not see a cut. */
#define NET_HTTP_LENGTH_UNKNOWN UINT64_MAX
void net_http_reply_stream(struct net_http_exchange *x, int status,
                           const char *content_type, uint64_t length,
                           struct net_http_stream stream);

/* The HTTP status that stands for an error code: the only such table. */
int net_http_status_of(enum err_code code);

#endif
