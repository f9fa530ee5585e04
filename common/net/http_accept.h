/* SPDX-License-Identifier: Apache-2.0 */
/* Weights of what a client accepts: the q of Accept and Accept-Encoding. */
#ifndef COMMON_NET_HTTP_ACCEPT_H
#define COMMON_NET_HTTP_ACCEPT_H

#include "common/base/bytes.h"

/* The weight of q=1. */
enum { NET_HTTP_WEIGHT_MAX = 1000 };

/* A weight "0.5" in thousandths; broken ones are 0. */
int net_http_accept_weight(struct bytes text);

/* One range of an Accept header: "text/plain;version=0.0.4;q=0.5". */
struct net_http_media_range {
    struct bytes type;    /* "text/plain" */
    struct bytes version; /* empty if it has none */
    int weight;
};

/* Cut the next range off *rest; other parameters are passed over. Returns false at the
 * end. */
bool net_http_accept_next(struct bytes *rest, struct net_http_media_range *out);

#endif
