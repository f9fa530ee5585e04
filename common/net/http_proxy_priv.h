/* SPDX-License-Identifier: Apache-2.0 */
/* Which proxy a request goes through, by the rules of Go's net/http: HTTP_PROXY,
 * HTTPS_PROXY and NO_PROXY, or in lower case where the former is not set. */
#ifndef COMMON_NET_HTTP_PROXY_PRIV_H
#define COMMON_NET_HTTP_PROXY_PRIV_H

#include "common/base/bytes.h"

struct net_http_proxies {
    char *http;  /* of http:// URLs; NULL for none */
    char *https; /* of https:// URLs */
    char *except;
};

/* Read the environment. The zero value is no proxies. In a CGI program HTTP_PROXY is
 * set by whoever sends a request, and is not read. */
void net_http_proxies_init(struct net_http_proxies *p);
void net_http_proxies_fini(struct net_http_proxies *p);

/* The proxy for a host (without brackets) and port, or NULL: none is set, the host is
 * this one, or it is excepted. Borrowed from *p. May hold a password. */
const char *net_http_proxies_get(const struct net_http_proxies *p, bool https,
                                 struct bytes host, struct bytes port);

#endif
