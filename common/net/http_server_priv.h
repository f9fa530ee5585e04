/* SPDX-License-Identifier: Apache-2.0 */
/* What http_server.c (connections and requests coming in) and http_exchange.c (answers
 * going out) share. */
#ifndef COMMON_NET_HTTP_SERVER_PRIV_H
#define COMMON_NET_HTTP_SERVER_PRIV_H

#include <stdatomic.h>

#include "common/base/buf.h"
#include "common/base/mutex.h"
#include "common/net/http_metrics_priv.h"
#include "common/net/http_peers_priv.h"
#include "common/net/http_server.h"

struct MHD_Connection;
struct MHD_Daemon;

struct net_http_server {
    struct MHD_Daemon *daemon;
    const struct net_http_route *routes;
    size_t route_count;
    struct budget *budget;
    struct net_http_metrics *metrics;
    struct net_http_peers *peers;
    struct net_web *web; /* NULL: open to all */
    const struct net_http_log *log;
    uint16_t port;
    atomic_bool stopping;
    struct mutex lock;
    struct cond ended; /* running has become 0 */
    /* guarded by lock */
    unsigned running;
};

/* One request and its answer. Belongs to the thread of its connection. */
struct net_http_exchange {
    struct net_http_server *server;
    struct MHD_Connection *connection;
    struct net_http_peer *peer;
    const struct net_http_route *route; /* NULL when no path fits */
    int fd;
    /* As the client sent it, then cut in two. */
    struct buf target;
    struct bytes path;
    struct bytes query;
    struct bytes parameter; /* of the path, decoded, in decoded */
    struct buf decoded;
    bool begun; /* its headers have been read */
    bool is_logged;
    bool is_http_1_0;
    bool replied;
    bool queued; /* the library has taken the reply */
    /* The library ends a request and releases its stream in either order. */
    unsigned users;
    int64_t begin_ns;
    struct buf body;
    uint64_t received;   /* bytes of the body, kept or not */
    struct buf headers;  /* of the reply: name and value in turn, each with its NUL */
    struct buf defaults; /* the same, of headers that the reply may have already */
    struct buf trailers; /* the same, of what follows its body */
    bool takes_trailers; /* the body is a stream of unknown length */
    /* Decided before the body is read: answer this without the handler. 0: none. */
    int preset_status;
    char preset_text[160]; /* "": an answer without a body */
    struct net_http_sample sample;
};

/* What a path and a method lead to. */
struct net_http_match {
    const struct net_http_route *route;   /* NULL: none has path and method */
    const struct net_http_route *of_path; /* NULL: none has the path */
    struct bytes parameter;               /* of the path; in into */
};

/* path as sent; into has room for as many bytes. */
struct net_http_match net_http_route_find(const struct net_http_server *s,
                                          const char *method, struct bytes path,
                                          uint8_t *into);

/* Append the methods of a route's path, as the header Allow lists them. */
void net_http_route_print_allowed(const struct net_http_server *s,
                                  const struct net_http_route *of_path,
                                  struct buf *out);

/* Compress a body for the client of x, with the headers that say so. False: it is to be
 * sent as it is. Call buf_fini on *out in any case. */
NODISCARD bool net_http_encode_body(struct net_http_exchange *x, struct bytes body,
                                    struct buf *out);

/* Put a stream that compresses around *stream, if the client of x and its first piece
 * are such. Errors those of next; *stream is to be ended then, too. */
NODISCARD bool net_http_encode_stream(struct net_http_exchange *x, uint64_t *length,
                                      struct net_http_stream *stream, struct err *err);

/* Answer with a line of plain text. */
void net_http_reply_line(struct net_http_exchange *x, int status, const char *text);

/* Append a name and a value to such fields. */
void net_http_put_field(struct buf *fields, const char *name, const char *value);

/* Drop one user; the last one frees. */
void net_http_exchange_unref(struct net_http_exchange **x);

#endif
