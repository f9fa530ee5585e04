/* SPDX-License-Identifier: Apache-2.0 */
/* What http_client.c (clients, and driving an exchange), http_connection.c (handles and
 * what they share) and http_transfer.c (bytes of an exchange) have in common. */
#ifndef COMMON_NET_HTTP_CLIENT_PRIV_H
#define COMMON_NET_HTTP_CLIENT_PRIV_H

#include <curl/curl.h>

#include "common/base/buf.h"
#include "common/base/mutex.h"
#include "common/net/http_client.h"
#include "common/net/http_proxy_priv.h"

/* A handle of libcurl and, in the multi that drives it, its one connection. */
struct net_http_connection {
    CURL *easy;
    CURLM *multi;
};

struct net_http_waiter;

enum { NET_HTTP_SHARE_LOCKS = 3 };

struct net_http_client {
    struct net_http_client_options options; /* defaults filled in; texts are our own */
    struct net_http_proxies proxies;
    CURLSH *share;
    struct mutex share_locks[NET_HTTP_SHARE_LOCKS];
    struct mutex lock;
    /* guarded by lock */
    unsigned running;
    struct net_http_waiter *waiters; /* in order of arrival */
    size_t idle_count;
    struct net_http_connection idle[];
};

/* Set up the share of a client. Errors ERR_NOMEM. */
NODISCARD bool net_http_share_init(struct net_http_client *c, struct err *err);

/* Close the idle connections and the share. */
void net_http_share_fini(struct net_http_client *c);

/* Wait until the client may have another exchange and take a connection for it, an idle
 * one if there is. Errors ERR_CANCELLED, ERR_TIMEOUT, ERR_NOMEM. */
NODISCARD bool net_http_connection_acquire(struct net_http_client *c,
                                           const struct net_http_request *request,
                                           struct net_http_connection *out,
                                           struct err *err);

/* Close the idle ones: what has silenced one connection, a server that died or a
 * firewall that forgot, has silenced those, too. */
void net_http_connections_drop_idle(struct net_http_client *c);

/* Give it back, to be used again or not, and let the next one in. Pointers into the
 * exchange are forgotten. */
void net_http_connection_release(struct net_http_client *c,
                                 struct net_http_connection *used, bool usable);

/* One exchange under way: what the callbacks share. */
struct net_http_transfer {
    const struct net_http_request *request;
    struct net_http_response *response;
    CURL *easy;
    struct bytes host; /* and port; for errors */
    uint64_t sent;
    int64_t progress_ns;      /* when a byte last moved, in either direction */
    int64_t silence_limit_ns; /* longest time without one, once it is connected */
    int64_t silence_ns;       /* longest time without one so far, connected */
    bool was_silent;          /* for too long */
    int64_t handshake_ns;     /* when TCP stood; 0: not yet, or of no interest */
    bool is_connected;        /* the request may be sent */
    bool headers_done;
    bool error_body_full;  /* we stopped it: the rest is of no interest */
    struct err failure;    /* why we stopped it, when code is not ERR_NONE */
    struct buf *sent_head; /* collects the request's head for the trace; NULL: not */
};

enum { NET_HTTP_SENT_HEAD_MAX = 16 * 1024 };

/* Host and port of a URL: without user, path and query, which may hold secrets. */
struct bytes net_http_host_of(const char *url);

/* Bytes of the body that the request announces. */
uint64_t net_http_body_size(const struct net_http_request *q);

/* Make a handle call back here. False without memory. */
NODISCARD bool net_http_transfer_attach(struct net_http_transfer *x);

/* A byte has moved now. */
void net_http_transfer_note_progress(struct net_http_transfer *x);

/* Record why the exchange is stopped, naming method and host. Yields false. */
bool net_http_transfer_stop(struct net_http_transfer *x, enum err_code code,
                            const char *why);

/* What became of it. code is curl's verdict and detail its account, which may be empty.
 */
NODISCARD bool net_http_transfer_conclude(struct net_http_transfer *x, CURLcode code,
                                          const char *detail, struct err *err);

#endif
