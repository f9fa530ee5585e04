/* SPDX-License-Identifier: Apache-2.0 */
/* Who is connected to a server, and for how long without a whole request: whoever sends
 * too slowly is cut, and when connections become few, whoever has sent nothing for the
 * longest, so that there is always room for a probe. */
#ifndef COMMON_NET_HTTP_PEERS_PRIV_H
#define COMMON_NET_HTTP_PEERS_PRIV_H

#include <stdint.h>

#include "common/base/err.h"

struct net_http_peers;
struct net_http_peer;

struct net_http_peers_options {
    unsigned most; /* connections that need not make room */
    /* From the connection, or from the first line of a later request, to the end of the
     * request. */
    int64_t request_timeout_ns;
    int64_t idle_timeout_ns; /* between an answer and the end of the first line */
};

/* Errors ERR_NOMEM: no thread. */
NODISCARD bool net_http_peers_new(struct net_http_peers **out,
                                  const struct net_http_peers_options *options,
                                  struct err *err);

/* All peers have closed. *p becomes NULL; accepts NULL. */
void net_http_peers_free(struct net_http_peers **p);

/* A connection has come; NULL without memory: then it is not watched. */
struct net_http_peer *net_http_peers_open(struct net_http_peers *p, int fd);

/* It is about to be closed. *peer becomes NULL; accepts NULL. All of the following do,
 * too. */
void net_http_peers_close(struct net_http_peers *p, struct net_http_peer **peer);

/* What a peer does: sends a request (its first line is there), waits for an answer, or
 * has had one. */
void net_http_peers_sends(struct net_http_peers *p, struct net_http_peer *peer);
void net_http_peers_waits(struct net_http_peers *p, struct net_http_peer *peer);
void net_http_peers_rests(struct net_http_peers *p, struct net_http_peer *peer);

#endif
