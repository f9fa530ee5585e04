/* SPDX-License-Identifier: Apache-2.0 */
/* The http_* metrics of a server, under the names that Thanos gives them. */
#ifndef COMMON_NET_HTTP_METRICS_PRIV_H
#define COMMON_NET_HTTP_METRICS_PRIV_H

#include <stddef.h>
#include <stdint.h>

struct metrics_registry;
struct net_http_metrics;

/* Registers the families. registry may be NULL: then nothing is counted. */
struct net_http_metrics *net_http_metrics_new(struct metrics_registry *registry);
void net_http_metrics_free(struct net_http_metrics **m);

/* Make the children of a route, so that they exist with 0 from the start. */
void net_http_metrics_prepare(struct net_http_metrics *m, const char *handler,
                              const char *method);

struct net_http_sample {
    const char *handler;
    const char *method; /* as the client sent it */
    int status;
    int64_t duration_ns;
    uint64_t request_bytes;
    uint64_t response_bytes;
};

/* A request began; or it ended, with all members of the sample known. */
void net_http_metrics_begin(struct net_http_metrics *m, const char *handler,
                            const char *method);
void net_http_metrics_end(struct net_http_metrics *m,
                          const struct net_http_sample *sample);

#endif
