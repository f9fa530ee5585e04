/* SPDX-License-Identifier: Apache-2.0 */
/* Which requests of an HTTP server are logged: Thanos's --request.logging-config. */
#ifndef COMMON_NET_HTTP_LOG_H
#define COMMON_NET_HTTP_LOG_H

#include "common/base/err.h"
#include "common/base/log.h"
#include "common/codec/yaml.h"

/* A path at a port whose requests are logged. */
struct net_http_log_place {
    const char *path; /* borrowed of the tree */
    int64_t port;
};

/* The zero value logs nothing. */
struct net_http_log {
    enum log_level least; /* of the lines, which are debug, or error of statuses 5xx */
    bool at_start;
    bool at_end;
    bool has_grpc; /* there is a section for gRPC, which is not served */
    struct net_http_log_place *places; /* count 0: everywhere */
    size_t place_count;
    /* private */
    struct yaml *tree;
};

/* Takes *tree, which may be null. Errors ERR_INVALID with the line. Release with
 * net_http_log_fini. Format thanos pkg/logging, RequestConfig. */
NODISCARD bool net_http_log_parse(struct net_http_log *out, struct yaml **tree,
                                  struct err *err);
void net_http_log_fini(struct net_http_log *l);

/* Whether a path, without its query, at a port is one that is logged. */
NODISCARD bool net_http_log_has(const struct net_http_log *l, struct bytes path,
                                int64_t port);

/* A request in the log. Texts are borrowed; NULL: none. */
struct net_http_log_call {
    const char *method;
    struct bytes target;
    const char *request_id;
    const char *user_agent;
    const char *handler;
    int fd; /* of the connection, for the address of the client */
    int status;
    int64_t duration_ns;
};

void net_http_log_started(const struct net_http_log *l,
                          const struct net_http_log_call *c);
void net_http_log_finished(const struct net_http_log *l,
                           const struct net_http_log_call *c);

#endif
