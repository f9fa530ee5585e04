/* SPDX-License-Identifier: Apache-2.0 */
/* What a daemon is and how it was started, in the JSON of Prometheus and Thanos:
 * /api/v1/status/flags, buildinfo and runtimeinfo. */
#ifndef COMMON_APP_INFO_H
#define COMMON_APP_INFO_H

#include "common/app/flags.h"
#include "common/net/http_server.h"

/* Borrowed, and immutable from now on. */
struct app_info {
    const struct app_flags *table;
    const void *options; /* that the table describes */
    int64_t started_ns;  /* of the wall clock */
};

/* Write the routes to at; returns their number, which is APP_INFO_ROUTES. i outlives
 * the server. No secret is among the flags: see app_flags_value. */
enum { APP_INFO_ROUTES = 3 };
size_t app_info_routes(struct app_info *i, struct net_http_route *at);

#endif
